//! Packed matrices that several processes of one machine have in common: a file that they all map, in which
//! equal matrices stand once. Holds the two `unsafe` calls that mapping needs. Knows lines, not layers.
#![expect(unsafe_code, reason = "mapping a file is unsafe; both calls are audited here")]

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::{Mmap, MmapOptions};
use reverie_kernels::{Line, SharedLines};
use sha2::{Digest as _, Sha256};

/// Records begin at multiples of it, as mapping wants.
const PAGE: u64 = 4096;
/// Lines that are turned into bytes at a time.
const CHUNK: usize = 1024;
const LINE_BYTES: usize = size_of::<Line>();

/// What a matrix is known by: the SHA-256 of its lines.
type Name = [u8; 32];

/// The file: records one behind the other, each a page with its name and the number of its bytes, then the
/// lines. A page is written after its lines and under the file's lock, so that whatever has a page is whole;
/// what a process left unfinished is overwritten.
#[derive(Debug)]
pub struct WeightArena {
    file: File,
    index: Mutex<Index>,
}

/// What is known of the file.
#[derive(Debug, Default)]
struct Index {
    /// Where the lines of each matrix begin.
    starts: HashMap<Name, u64>,
    /// Where the next record begins.
    end: u64,
}

impl WeightArena {
    /// The file at `path`, empty at first, which nobody writes to but through an arena.
    ///
    /// # Errors
    /// If it cannot be opened to read and write.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { file, index: Mutex::default() })
    }

    /// The same lines, out of the file; they are written there if nobody has yet.
    ///
    /// # Errors
    /// If the file cannot be read, written or mapped.
    pub fn keep(&self, lines: &[Line]) -> io::Result<Arc<dyn SharedLines>> {
        let name = name_of(lines);
        let num_bytes = (lines.len() * LINE_BYTES) as u64;
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.lock()?;
        let start = self.find_or_write(&mut index, name, lines, num_bytes);
        self.file.unlock()?;
        Ok(Arc::new(self.map(start?, num_bytes)?))
    }

    fn find_or_write(
        &self,
        index: &mut Index,
        name: Name,
        lines: &[Line],
        num_bytes: u64,
    ) -> io::Result<u64> {
        self.read_on(index)?;
        if let Some(start) = index.starts.get(&name) {
            return Ok(*start);
        }
        let (page, start) = (index.end, index.end + PAGE);
        self.file.set_len(page)?; // nothing unfinished is left behind what is written now
        let mut at = start;
        for bytes in lines.chunks(CHUNK).map(bytes_of) {
            self.file.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
        }
        self.file.write_all_at(&num_bytes.to_le_bytes(), page + size_of::<Name>() as u64)?;
        self.file.write_all_at(&name, page)?;
        self.read_on(index)?;
        Ok(start)
    }

    /// Takes note of the records that have been added.
    fn read_on(&self, index: &mut Index) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        while index.end + PAGE <= len {
            let (mut name, mut num_bytes) = ([0; size_of::<Name>()], [0; size_of::<u64>()]);
            self.file.read_exact_at(&mut name, index.end)?;
            if name == Name::default() {
                break; // no page: whoever wrote the lines did not come to it
            }
            self.file.read_exact_at(&mut num_bytes, index.end + size_of::<Name>() as u64)?;
            let start = index.end + PAGE;
            index.starts.insert(name, start);
            index.end = start + u64::from_le_bytes(num_bytes).next_multiple_of(PAGE);
        }
        Ok(())
    }

    fn map(&self, start: u64, num_bytes: u64) -> io::Result<MappedLines> {
        let mut options = MmapOptions::new();
        options.offset(start).len(num_bytes as usize);
        // SAFETY: the map is read-only. Arenas change and cut off only what is behind all records, so that what is
        // mapped stays as it is; that nobody else writes to the file is a condition of `open`.
        let map = unsafe { options.map(&self.file) }?;
        Ok(MappedLines(map))
    }
}

/// Lines of a [`WeightArena`].
#[derive(Debug)]
struct MappedLines(Mmap);

impl SharedLines for MappedLines {
    fn lines(&self) -> &[Line] {
        let (start, len) = (self.0.as_ptr().cast::<Line>(), self.0.len() / LINE_BYTES);
        // SAFETY: maps begin at a page, which is aligned for lines; these bytes are mapped for as long as
        // `self` lives; every bit pattern is a line.
        unsafe { std::slice::from_raw_parts(start, len) }
    }
}

fn bytes_of(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(Line::numbers).flat_map(|number| number.to_ne_bytes()).collect()
}

fn name_of(lines: &[Line]) -> Name {
    let mut hash = Sha256::new();
    for chunk in lines.chunks(CHUNK) {
        hash.update(bytes_of(chunk));
    }
    hash.finalize().into()
}

//! A file mapped into memory, read-only. Knows bytes, not formats. Holds the two `unsafe` calls that
//! mapping needs; nothing else in the crate is unsafe.
#![expect(unsafe_code, reason = "mapping a file is unsafe; both calls are audited here")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::{io_error, malformed};
use crate::CheckpointError;

/// A whole file as bytes that the operating system pages in when they are touched.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    map: Mmap,
}

impl MappedFile {
    /// Maps a regular file. Pipes and devices are refused, because opening them can block for ever.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, CheckpointError> {
        let metadata = std::fs::metadata(path).map_err(|source| io_error(path, source))?;
        if !metadata.is_file() {
            return Err(malformed(path, 0, "not a regular file"));
        }
        let file = File::open(path).map_err(|source| io_error(path, source))?;
        // SAFETY: the map is read-only and only ever seen as `&[u8]`, for which every bit pattern is
        // valid. Nothing here writes to a file it has mapped; an operator who changes a checkpoint
        // file in place while it is being read gets wrong weights, and SIGBUS if it gets shorter.
        let map = unsafe { Mmap::map(&file) }.map_err(|source| io_error(path, source))?;
        Ok(Arc::new(Self { path: path.to_owned(), map }))
    }

    /// The file's path, for error messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Tells the system that a range will not be needed soon, so that reading a large file once
    /// does not count as using that much memory. Advice only: failure changes nothing but memory.
    pub(crate) fn release(&self, start: usize, length: usize) {
        #[cfg(unix)]
        if start.checked_add(length).is_some_and(|end| end <= self.map.len()) {
            // SAFETY: the map is a read-only view of a file, so dropped pages are read again from
            // that file with the same bytes when they are next touched.
            let advised = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, length)
            };
            if let Err(error) = advised {
                tracing::debug!(path = %self.path.display(), %error, "pages not released");
            }
        }
        #[cfg(not(unix))]
        let _ = (start, length);
    }
}

//! Records as files of one folder, which several replicas may share. A file appears whole, by being renamed, or not at all;
//! its time of modification is its last use; its first bytes say whose it is. Each replica keeps its own books, and looks
//! into the folder now and then for what the others do.

use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::ledger::Ledger;
use super::{Record, RecordStore, StoreError, StoreLimits, StoredId};
use crate::draft::draft;
use crate::engine::request::TenantId;

/// Starts every file: the format and its version.
const MAGIC: [u8; 8] = *b"REVERIE1";
/// Magic and owner.
const HEAD_BYTES: usize = MAGIC.len() + 16;
/// Starts the names of files that are being written.
const UNFINISHED: &str = ".unfinished";
/// Seconds after which an unfinished file has no writer any more.
const UNFINISHED_AGE: u64 = 3600;
/// Seconds between two looks for what other replicas do: a look costs a system call for each file.
const LOOK_INTERVAL: u64 = 10;

/// Records as files.
#[derive(Debug)]
pub struct DirectoryStore {
    folder: PathBuf,
    limits: StoreLimits,
    books: Mutex<Books>,
}

#[derive(Debug)]
struct Books {
    ledger: Ledger,
    looked: u64,
}

impl DirectoryStore {
    /// The store in `folder`, which is made if it is not there, for its owner's eyes only.
    ///
    /// # Errors
    /// If the folder cannot be made, read or written.
    pub fn open(folder: &Path, limits: StoreLimits, now: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let books = Books { ledger: Ledger::new(limits), looked: 0 };
        let store = Self { folder: folder.to_owned(), limits, books: Mutex::new(books) };
        let (probe, _) = store.unfinished()?;
        fs::remove_file(probe)?;
        store.look(&mut store.books(), now)?;
        store.tidy(now);
        Ok(store)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Whatever a panic left undone is set right by the next look into the folder.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: StoredId) -> PathBuf {
        self.folder.join(id.to_string())
    }

    /// A new file that nobody else writes.
    fn unfinished(&self) -> io::Result<(PathBuf, File)> {
        draft(&self.folder, UNFINISHED, |path| {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
        })
    }

    /// Takes into the books what is in the folder. A file that cannot be read is none of ours; it keeps nobody from using
    /// the others.
    fn look(&self, books: &mut Books, now: u64) -> io::Result<()> {
        let mut ledger = Ledger::new(self.limits);
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            let Some(name) = file.file_name().to_str().map(str::to_owned) else { continue };
            if let Err(error) = self.look_at(&file, &name, (&books.ledger, &mut ledger), now) {
                tracing::warn!(name, %error, "a file of the store's folder is left alone");
            }
        }
        *books = Books { ledger, looked: now };
        Ok(())
    }

    fn look_at(
        &self,
        file: &DirEntry,
        name: &str,
        (before, ledger): (&Ledger, &mut Ledger),
        now: u64,
    ) -> io::Result<()> {
        let Some(metadata) = unless_gone(file.metadata())? else { return Ok(()) };
        let used = seconds(metadata.modified()?);
        match name.parse::<StoredId>() {
            Ok(id) if metadata.is_file() => {
                let owner = match before.owner(id) {
                    Some(owner) => Some(owner),
                    None => read_owner(&file.path())?,
                };
                if let Some(owner) = owner {
                    let num_bytes = metadata.len().saturating_sub(HEAD_BYTES as u64);
                    ledger.note(id, (owner, num_bytes), used);
                }
            }
            Ok(_) | Err(_) => {
                let is_left = now.saturating_sub(used) >= UNFINISHED_AGE;
                if name.starts_with(UNFINISHED) && is_left {
                    unless_gone(fs::remove_file(file.path()))?;
                }
            }
        }
        Ok(())
    }

    /// Sees what others do, if it is time, and removes what is too old: before something is written, so that a full disk
    /// has room for it.
    fn tidy(&self, now: u64) {
        let mut books = self.books();
        if now.saturating_sub(books.looked) >= LOOK_INTERVAL
            && let Err(error) = self.look(&mut books, now)
        {
            tracing::warn!(%error, "the store's folder cannot be looked at");
        }
        for gone in books.ledger.remove_old(now) {
            self.discard(gone);
        }
    }

    /// Removes what is wanted least, until `num_bytes` are free that were not.
    fn make_room(&self, kept: StoredId, num_bytes: u64) {
        let mut books = self.books();
        let mut freed = 0;
        while freed <= num_bytes {
            let Some((least, its_bytes)) = books.ledger.evict(kept) else { break };
            self.discard(least);
            freed += its_bytes;
        }
    }

    fn discard(&self, id: StoredId) {
        if let Err(error) = unless_gone(fs::remove_file(self.path(id))) {
            tracing::warn!(%id, %error, "a record that is gone cannot be removed");
        }
    }

    /// Writes the record's file, which has its name once it is whole; what had to go for it is gone.
    fn keep(&self, id: StoredId, record: &Record, now: u64) -> io::Result<()> {
        let (unfinished, file) = self.unfinished()?;
        let kept = fill(file, record, now).and_then(|()| {
            // One after the other: what has to go for another record must not be what has just got its name.
            let mut books = self.books();
            fs::rename(&unfinished, self.path(id))?;
            let holding = (record.owner, record.bytes.len() as u64);
            for gone in books.ledger.insert(id, holding, now) {
                self.discard(gone);
            }
            Ok(())
        });
        kept.inspect_err(|_| {
            let _another_removes_it = fs::remove_file(&unfinished);
        })
    }
}

impl RecordStore for DirectoryStore {
    fn put(&self, id: StoredId, record: &Record, now: u64) -> Result<(), StoreError> {
        self.limits.check(&record.bytes)?;
        self.tidy(now);
        match self.keep(id, record, now) {
            Err(error) if is_full(&error) => {
                self.make_room(id, record.bytes.len() as u64);
                Ok(self.keep(id, record, now)?)
            }
            kept => Ok(kept?),
        }
    }

    fn get(&self, id: StoredId, now: u64) -> Result<Option<Record>, StoreError> {
        let Some(mut file) = unless_gone(File::open(self.path(id)))? else { return Ok(None) };
        let metadata = file.metadata()?;
        let used = seconds(metadata.modified()?);
        let is_too_old = self.books().ledger.is_too_old(used, now);
        let max_bytes = self.limits.max_record_bytes().saturating_add(HEAD_BYTES as u64);
        if is_too_old || metadata.len() > max_bytes {
            return Ok(None);
        }
        let Some(owner) = owner_at_head(&mut file)? else {
            tracing::warn!(%id, "a file of the store is none of ours");
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // Another replica may have removed it meanwhile, and a read-only folder still serves.
        let _only_its_age_is_lost = File::options()
            .write(true)
            .open(self.path(id))
            .and_then(|file| file.set_modified(time(now.max(used))));
        self.books().ledger.note(id, (owner, bytes.len() as u64), now.max(used));
        Ok(Some(Record { owner, bytes: bytes.into() }))
    }

    fn remove(&self, id: StoredId) -> Result<(), StoreError> {
        self.books().ledger.remove(id);
        unless_gone(fs::remove_file(self.path(id)))?;
        Ok(())
    }

    fn limits(&self) -> StoreLimits {
        self.limits
    }
}

/// All of a record's file, used last at `now`; it stays what it is from then on.
fn fill(mut file: File, record: &Record, now: u64) -> io::Result<()> {
    file.write_all(&MAGIC)?;
    file.write_all(&record.owner.0.to_le_bytes())?;
    file.write_all(&record.bytes)?;
    file.set_modified(time(now))?;
    file.sync_all()
}

/// `None` if the file has no head of ours, or is gone.
fn read_owner(path: &Path) -> io::Result<Option<TenantId>> {
    match unless_gone(File::open(path))? {
        Some(mut file) => owner_at_head(&mut file),
        None => Ok(None),
    }
}

fn owner_at_head(file: &mut File) -> io::Result<Option<TenantId>> {
    let mut head = [0; HEAD_BYTES];
    match file.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let Some(owner) = head.strip_prefix(&MAGIC) else { return Ok(None) };
    let owner: Option<[u8; 16]> = owner.try_into().ok();
    Ok(owner.map(|owner| TenantId(u128::from_le_bytes(owner))))
}

/// Whether older records stand in the way.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// What another replica has removed is no error.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! What is kept between requests: records of answers and pictures, each with an owner, bounded in bytes and number, gone
//! some time after they were last used. One trait; memory and a folder implement it. Knows bytes; not what they mean.

mod directory;
mod ledger;
mod memory;
pub(crate) mod stored_id;

use std::fmt;
use std::sync::Arc;

pub use directory::DirectoryStore;
pub use memory::MemoryStore;
pub use stored_id::{InvalidId, StoredId, StoredKind};

use crate::engine::request::TenantId;

/// No record may take more than this share of a store: one document must not drive out everything else.
const MAX_SHARE: u64 = 4;

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreLimits {
    /// Bytes of all records.
    pub max_bytes: u64,
    /// Records.
    pub max_records: usize,
    /// Seconds after its last use in which a record is gone.
    pub max_age: u64,
}

impl StoreLimits {
    /// Bytes of one record.
    pub fn max_record_bytes(&self) -> u64 {
        self.max_bytes / MAX_SHARE
    }

    fn check(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let (num_bytes, limit) = (bytes.len() as u64, self.max_record_bytes());
        if num_bytes > limit { Err(StoreError::TooLarge { num_bytes, limit }) } else { Ok(()) }
    }
}

/// What is kept under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub owner: TenantId,
    /// What it is.
    pub bytes: Arc<[u8]>,
}

/// Whatever keeps records. `now` is in seconds since 1970. All of it may wait for a disk: call it where blocking is
/// allowed.
pub trait RecordStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps `record`, in place of what may be there. Others may have to go: what is too old, then what was not used for
    /// longest of whoever holds most.
    ///
    /// # Errors
    /// If it is too large, or the disk fails.
    fn put(&self, id: StoredId, record: &Record, now: u64) -> Result<(), StoreError>;

    /// What is kept under `id`, which counts as a use; `None` if it never was there or is gone.
    ///
    /// # Errors
    /// If the disk fails.
    fn get(&self, id: StoredId, now: u64) -> Result<Option<Record>, StoreError>;

    /// Forgets `id`.
    ///
    /// # Errors
    /// If the disk fails.
    fn remove(&self, id: StoredId) -> Result<(), StoreError>;

    /// How much it holds.
    fn limits(&self) -> StoreLimits;
}

/// Why a record could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More bytes than one record may have.
    #[error("a record of {num_bytes} bytes: at most {limit} are kept of one")]
    TooLarge {
        /// Bytes of the record.
        num_bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The disk failed.
    #[error("the store's folder: {0}")]
    Io(#[from] std::io::Error),
}

//! Records in this process's memory: gone when it ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ledger::Ledger;
use super::{Record, RecordStore, StoreError, StoreLimits, StoredId};

/// Records in memory.
#[derive(Debug)]
pub struct MemoryStore(Mutex<Shelf>);

#[derive(Debug)]
struct Shelf {
    ledger: Ledger,
    records: HashMap<StoredId, Record>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new(limits: StoreLimits) -> Self {
        Self(Mutex::new(Shelf { ledger: Ledger::new(limits), records: HashMap::new() }))
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Nothing in here panics between two halves of a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordStore for MemoryStore {
    fn put(&self, id: StoredId, record: &Record, now: u64) -> Result<(), StoreError> {
        let shelf = &mut *self.shelf();
        shelf.ledger.limits().check(&record.bytes)?;
        let holding = (record.owner, record.bytes.len() as u64);
        for gone in shelf.ledger.insert(id, holding, now) {
            shelf.records.remove(&gone);
        }
        shelf.records.insert(id, record.clone());
        Ok(())
    }

    fn get(&self, id: StoredId, now: u64) -> Result<Option<Record>, StoreError> {
        let shelf = &mut *self.shelf();
        Ok(if shelf.ledger.renew(id, now) { shelf.records.get(&id).cloned() } else { None })
    }

    fn remove(&self, id: StoredId) -> Result<(), StoreError> {
        let shelf = &mut *self.shelf();
        shelf.ledger.remove(id);
        shelf.records.remove(&id);
        Ok(())
    }

    fn limits(&self) -> StoreLimits {
        self.shelf().ledger.limits()
    }
}

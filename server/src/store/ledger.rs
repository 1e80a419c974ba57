//! The books of a store: who holds how much, what was used when, and what has to go. Pure; holds no contents.

use std::collections::{BTreeMap, HashMap};

use super::{StoreLimits, StoredId};
use crate::engine::request::TenantId;

/// Who holds what.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: StoreLimits,
    entries: HashMap<StoredId, Entry>,
    holdings: BTreeMap<TenantId, Holding>,
    num_bytes: u64,
    /// Uses so far: tells uses of one second apart.
    num_uses: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    owner: TenantId,
    num_bytes: u64,
    used: Use,
}

/// When something was used last: seconds since 1970, then which use it was.
type Use = (u64, u64);

/// What one owner has.
#[derive(Debug, Default)]
struct Holding {
    num_bytes: u64,
    by_use: BTreeMap<Use, StoredId>,
}

impl Ledger {
    pub(super) fn new(limits: StoreLimits) -> Self {
        let (entries, holdings) = (HashMap::new(), BTreeMap::new());
        Self { limits, entries, holdings, num_bytes: 0, num_uses: 0 }
    }

    pub(super) fn limits(&self) -> StoreLimits {
        self.limits
    }

    pub(super) fn owner(&self, id: StoredId) -> Option<TenantId> {
        self.entries.get(&id).map(|entry| entry.owner)
    }

    /// Whether what was last used at `used` is gone at `now`.
    pub(super) fn is_too_old(&self, used: u64, now: u64) -> bool {
        now.saturating_sub(used) >= self.limits.max_age
    }

    /// Notes a record; what has to go for it.
    pub(super) fn insert(
        &mut self,
        id: StoredId,
        (owner, num_bytes): (TenantId, u64),
        now: u64,
    ) -> Vec<StoredId> {
        self.note(id, (owner, num_bytes), now);
        let mut gone = self.remove_old(now);
        while self.num_bytes > self.limits.max_bytes || self.entries.len() > self.limits.max_records
        {
            let Some((least, _)) = self.evict(id) else { break };
            gone.push(least);
        }
        gone
    }

    /// Forgets what is wanted least, `kept` aside; what that was, and its bytes.
    pub(super) fn evict(&mut self, kept: StoredId) -> Option<(StoredId, u64)> {
        let least = self.least_wanted(kept)?;
        let num_bytes = self.entries.get(&least)?.num_bytes;
        self.remove(least);
        Some((least, num_bytes))
    }

    /// Notes a record that is there already.
    pub(super) fn note(&mut self, id: StoredId, (owner, num_bytes): (TenantId, u64), used: u64) {
        self.remove(id);
        self.num_uses += 1;
        let used = (used, self.num_uses);
        self.entries.insert(id, Entry { owner, num_bytes, used });
        let holding = self.holdings.entry(owner).or_default();
        holding.num_bytes += num_bytes;
        holding.by_use.insert(used, id);
        self.num_bytes += num_bytes;
    }

    /// Notes that `id` is used; whether it is there to be used.
    pub(super) fn renew(&mut self, id: StoredId, now: u64) -> bool {
        let Some(Entry { owner, num_bytes, used }) = self.entries.get(&id).copied() else {
            return false;
        };
        if self.is_too_old(used.0, now) {
            return false;
        }
        self.note(id, (owner, num_bytes), now.max(used.0));
        true
    }

    pub(super) fn remove(&mut self, id: StoredId) {
        let Some(Entry { owner, num_bytes, used }) = self.entries.remove(&id) else { return };
        self.num_bytes -= num_bytes;
        if let Some(holding) = self.holdings.get_mut(&owner) {
            holding.num_bytes -= num_bytes;
            holding.by_use.remove(&used);
            if holding.by_use.is_empty() {
                self.holdings.remove(&owner);
            }
        }
    }

    /// Forgets what is too old; what that was.
    pub(super) fn remove_old(&mut self, now: u64) -> Vec<StoredId> {
        let limits = self.limits;
        let old = |&(used, _): &Use| now.saturating_sub(used) >= limits.max_age;
        let gone: Vec<StoredId> = self
            .holdings
            .values()
            .flat_map(|holding| holding.by_use.iter().take_while(|(used, _)| old(used)))
            .map(|(_, id)| *id)
            .collect();
        gone.iter().for_each(|id| self.remove(*id));
        gone
    }

    /// What was not used for longest of whoever holds most, `kept` aside.
    fn least_wanted(&self, kept: StoredId) -> Option<StoredId> {
        let weight = |holding: &Holding| {
            // Shares of either bound, in thousandths: whichever is larger counts.
            let bytes =
                u128::from(holding.num_bytes) * 1000 / u128::from(self.limits.max_bytes.max(1));
            let records =
                holding.by_use.len() as u128 * 1000 / self.limits.max_records.max(1) as u128;
            bytes.max(records)
        };
        let oldest = |holding: &Holding| {
            holding.by_use.iter().find(|(_, id)| **id != kept).map(|(used, id)| (*used, *id))
        };
        let candidates = self
            .holdings
            .values()
            .filter_map(|holding| oldest(holding).map(|(used, id)| (weight(holding), used, id)));
        candidates
            .max_by_key(|(weight, used, _)| (*weight, std::cmp::Reverse(*used)))
            .map(|(.., id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoredKind;

    const LIMITS: StoreLimits = StoreLimits { max_bytes: 100, max_records: 4, max_age: 50 };

    fn id(unique: u128) -> StoredId {
        StoredId { kind: StoredKind::Picture, unique }
    }

    const ONE: TenantId = TenantId(1);
    const OTHER: TenantId = TenantId(2);

    #[test]
    fn whoever_holds_most_loses_what_was_not_used_for_longest() {
        let mut ledger = Ledger::new(LIMITS);
        assert_eq!(ledger.insert(id(1), (OTHER, 20), 0), []);
        assert_eq!(ledger.insert(id(2), (ONE, 25), 1), []);
        assert_eq!(ledger.insert(id(3), (ONE, 25), 2), []);
        assert_eq!(ledger.insert(id(4), (ONE, 25), 3), []);
        assert!(ledger.renew(id(2), 4));
        assert_eq!(ledger.insert(id(5), (OTHER, 5), 5), [id(3)], "five records are one too many");
        assert_eq!(ledger.insert(id(6), (OTHER, 24), 6), [id(1)], "now the other holds most");
        assert_eq!(ledger.owner(id(4)), Some(ONE));
        assert_eq!((ledger.num_bytes, ledger.entries.len()), (79, 4));
    }

    #[test]
    fn what_is_new_stays_even_of_whoever_holds_most() {
        let mut ledger = Ledger::new(LIMITS);
        for unique in 0..4 {
            assert_eq!(ledger.insert(id(unique), (TenantId(unique), 20), 0), []);
        }
        let gone = ledger.insert(id(9), (TenantId(9), 25), 1);
        assert_eq!(gone, [id(0)]);
        assert_eq!(ledger.owner(id(9)), Some(TenantId(9)));
    }

    #[test]
    fn what_is_too_old_goes_first_and_cannot_be_used_any_more() {
        let mut ledger = Ledger::new(LIMITS);
        ledger.insert(id(1), (ONE, 1), 0);
        ledger.insert(id(2), (ONE, 1), 0);
        assert!(ledger.renew(id(2), 49));
        assert!(!ledger.renew(id(1), 50));
        assert_eq!(ledger.insert(id(3), (ONE, 1), 50), [id(1)]);
        assert!(ledger.renew(id(2), 98));
        assert!(!ledger.renew(id(7), 98));
    }

    #[test]
    fn putting_and_removing_again_leaves_nothing_in_the_books() {
        let mut ledger = Ledger::new(LIMITS);
        ledger.insert(id(1), (ONE, 30), 0);
        ledger.insert(id(1), (OTHER, 10), 0);
        assert_eq!(ledger.num_bytes, 10);
        ledger.remove(id(1));
        assert_eq!((ledger.num_bytes, ledger.entries.len(), ledger.holdings.len()), (0, 0, 0));
    }
}

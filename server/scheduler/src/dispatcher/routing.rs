//! Which worker remembers which beginning of a context. A bounded table, kept from what was routed and
//! told; wrong entries cost time, never correctness.

use std::collections::BTreeMap;

use super::identity::{PrefixKey, WorkerId};

/// Prefixes and the worker that last held each.
#[derive(Debug)]
pub(super) struct PrefixMap {
    capacity: usize,
    holders: BTreeMap<PrefixKey, Holder>,
    /// Prefixes by last use.
    ages: BTreeMap<u64, PrefixKey>,
    uses: u64,
}

#[derive(Debug)]
struct Holder {
    worker: WorkerId,
    used: u64,
}

impl PrefixMap {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, holders: BTreeMap::new(), ages: BTreeMap::new(), uses: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.holders.len()
    }

    /// Who holds the longest known beginning; `keys` go from short to long.
    pub(super) fn holder(&self, keys: &[PrefixKey]) -> Option<WorkerId> {
        keys.iter().rev().find_map(|key| self.holders.get(key)).map(|holder| holder.worker)
    }

    /// `worker` is going to compute these.
    pub(super) fn routed(&mut self, keys: &[PrefixKey], worker: WorkerId) {
        // The shortest is used last, so that the longest is forgotten first: a hit needs all before it.
        for key in keys.iter().rev() {
            self.remove(*key);
            self.uses += 1;
            self.holders.insert(*key, Holder { worker, used: self.uses });
            self.ages.insert(self.uses, *key);
            if self.holders.len() > self.capacity {
                let (_, oldest) = self.ages.pop_first().expect("every holder has an age");
                self.holders.remove(&oldest);
            }
        }
    }

    /// `worker` has evicted these.
    pub(super) fn evicted(&mut self, keys: &[PrefixKey], worker: WorkerId) {
        for key in keys {
            if self.holders.get(key).is_some_and(|holder| holder.worker == worker) {
                self.remove(*key);
            }
        }
    }

    /// `worker` has lost everything.
    pub(super) fn forget(&mut self, worker: WorkerId) {
        self.holders.retain(|_, holder| holder.worker != worker);
        self.ages.retain(|_, key| self.holders.contains_key(key));
    }

    fn remove(&mut self, key: PrefixKey) {
        if let Some(holder) = self.holders.remove(&key) {
            self.ages.remove(&holder.used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(numbers: &[u128]) -> Vec<PrefixKey> {
        numbers.iter().copied().map(PrefixKey).collect()
    }

    #[test]
    fn the_longest_known_beginning_decides() {
        let mut map = PrefixMap::new(10);
        map.routed(&keys(&[1, 2]), WorkerId(1));
        map.routed(&keys(&[1]), WorkerId(2));
        assert_eq!(map.holder(&keys(&[1, 2, 3])), Some(WorkerId(1)));
        assert_eq!(map.holder(&keys(&[1, 9])), Some(WorkerId(2)));
        map.evicted(&keys(&[2]), WorkerId(2));
        assert_eq!(map.holder(&keys(&[1, 2])), Some(WorkerId(1)));
        map.forget(WorkerId(1));
        assert_eq!(map.holder(&keys(&[1, 2])), Some(WorkerId(2)));
        assert_eq!((map.len(), map.ages.len()), (1, 1));
    }

    #[test]
    fn the_one_unused_longest_goes_first() {
        let mut map = PrefixMap::new(2);
        map.routed(&keys(&[1]), WorkerId(1));
        map.routed(&keys(&[2]), WorkerId(1));
        map.routed(&keys(&[1]), WorkerId(1));
        map.routed(&keys(&[3]), WorkerId(1));
        assert_eq!(map.holder(&keys(&[2])), None);
        assert_eq!((map.len(), map.ages.len()), (2, 2));
    }
}

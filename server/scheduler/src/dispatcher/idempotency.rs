//! A client's own names for its requests, so that asking twice is asking once. A table with three
//! bounds and an expiry; knows no answers. Room is made by whoever holds the most: nobody can drive out
//! the answers of a tenant that keeps few.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::config::IdempotencyConfig;
use super::identity::{Digest, Micros, RequestId, TenantId};
use crate::planted::{Planted, planted};

/// What a key means for a request that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is new, and taken now.
    New,
    /// The same request is open.
    Open(RequestId),
    /// The same request is answered, and the answer is kept.
    Kept(RequestId),
    /// It was taken by another request.
    Conflict,
    /// No further key fits.
    Full,
}

#[derive(Debug)]
struct Record {
    body: Digest,
    request: RequestId,
    /// Bytes of its answer, once that is kept.
    num_bytes: u64,
    /// `None` while the request is open.
    kept_until: Option<Micros>,
}

/// What one tenant has in the table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Holding {
    num_keys: usize,
    /// Of these, keys of kept answers.
    num_kept: usize,
    num_bytes: u64,
}

/// The keys in use.
#[derive(Debug)]
pub(super) struct Idempotency {
    config: IdempotencyConfig,
    records: BTreeMap<(TenantId, Digest), Record>,
    /// Of every tenant that has a key.
    holdings: BTreeMap<TenantId, Holding>,
    /// Finished ones by the time they are forgotten.
    expiries: BTreeSet<(Micros, TenantId, Digest)>,
    kept_bytes: u64,
}

impl Idempotency {
    pub(super) fn new(config: IdempotencyConfig) -> Self {
        Self {
            config,
            records: BTreeMap::new(),
            holdings: BTreeMap::new(),
            expiries: BTreeSet::new(),
            kept_bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// What `key` means for a request with this `body`; takes nothing.
    pub(super) fn look_up(&self, tenant: TenantId, key: Digest, body: Digest) -> Claim {
        match self.records.get(&(tenant, key)) {
            Some(record) if record.body != body && !planted(Planted::KeyMatchesAnyBody) => {
                Claim::Conflict
            }
            Some(Record { request, kept_until: Some(_), .. }) => Claim::Kept(*request),
            Some(Record { request, kept_until: None, .. }) => Claim::Open(*request),
            None if self.fits(tenant) => Claim::New,
            None => Claim::Full,
        }
    }

    /// Takes a key that [`Self::look_up`] called new; returns whose kept answer made room.
    pub(super) fn take(
        &mut self,
        tenant: TenantId,
        key: Digest,
        body: Digest,
        request: RequestId,
    ) -> Vec<RequestId> {
        let mut forgotten = Vec::new();
        if self.holding(tenant).num_keys >= self.config.max_keys_per_tenant {
            forgotten.extend(self.evict(tenant));
        }
        if self.records.len() >= self.config.max_keys {
            let most = self.who_keeps_most(|holding| holding.num_kept as u64);
            forgotten.extend(most.and_then(|tenant| self.evict(tenant)));
        }
        let record = Record { body, request, num_bytes: 0, kept_until: None };
        self.records.insert((tenant, key), record);
        self.holdings.entry(tenant).or_default().num_keys += 1;
        forgotten
    }

    /// The request is answered: the answer of `num_bytes` is kept for a while. Returns whose kept answers
    /// made room; a larger one than all may be is not kept itself.
    pub(super) fn keep(
        &mut self,
        now: Micros,
        (tenant, key): (TenantId, Digest),
        num_bytes: u64,
    ) -> Vec<RequestId> {
        let mut forgotten = Vec::new();
        if let Some(record) = self.records.get_mut(&(tenant, key)) {
            let until = now.after(self.config.keep_for);
            record.kept_until = Some(until);
            record.num_bytes = num_bytes;
            self.kept_bytes = self.kept_bytes.saturating_add(num_bytes);
            self.expiries.insert((until, tenant, key));
            let holding = self.holdings.entry(tenant).or_default();
            holding.num_kept += 1;
            holding.num_bytes = holding.num_bytes.saturating_add(num_bytes);
        }
        while self.kept_bytes > self.config.max_bytes {
            let most = self.who_keeps_most(|holding| holding.num_bytes);
            let Some(oldest) = most.and_then(|tenant| self.evict(tenant)) else { break };
            forgotten.push(oldest);
        }
        forgotten
    }

    /// The request ended without an answer: the key is free again.
    pub(super) fn release(&mut self, tenant: TenantId, key: Digest) {
        self.remove(tenant, key);
    }

    /// When the next answer is to be forgotten.
    pub(super) fn next_expiry(&self) -> Option<Micros> {
        self.expiries.first().map(|(until, ..)| *until)
    }

    /// Forgets what has been kept long enough; whose answers.
    pub(super) fn expire(&mut self, now: Micros) -> Vec<RequestId> {
        let mut forgotten = Vec::new();
        while self.next_expiry().is_some_and(|until| until <= now) {
            let (_, tenant, key) = self.expiries.pop_first().expect("there is a next expiry");
            forgotten.extend(self.remove(tenant, key));
        }
        forgotten
    }

    fn holding(&self, tenant: TenantId) -> Holding {
        self.holdings.get(&tenant).copied().unwrap_or_default()
    }

    /// Whether a further key fits, if need be in the place of a kept answer.
    fn fits(&self, tenant: TenantId) -> bool {
        let own = self.holding(tenant);
        (own.num_keys < self.config.max_keys_per_tenant || own.num_kept > 0)
            && (self.records.len() < self.config.max_keys || !self.expiries.is_empty())
    }

    /// Of those that have something kept, the first that has the most of it.
    fn who_keeps_most(&self, amount: impl Fn(&Holding) -> u64) -> Option<TenantId> {
        let keepers = self.holdings.iter().filter(|(_, holding)| holding.num_kept > 0);
        keepers.max_by_key(|(tenant, holding)| (amount(holding), Reverse(**tenant))).map(|of| *of.0)
    }

    /// Forgets the answer of a tenant that has been kept longest.
    fn evict(&mut self, tenant: TenantId) -> Option<RequestId> {
        let oldest = self.expiries.iter().find(|(_, of, _)| *of == tenant).copied()?;
        self.expiries.remove(&oldest);
        self.remove(oldest.1, oldest.2)
    }

    fn remove(&mut self, tenant: TenantId, key: Digest) -> Option<RequestId> {
        let record = self.records.remove(&(tenant, key))?;
        self.kept_bytes -= record.num_bytes;
        if let Entry::Occupied(mut holding) = self.holdings.entry(tenant) {
            let of = holding.get_mut();
            of.num_keys -= 1;
            of.num_kept -= usize::from(record.kept_until.is_some());
            of.num_bytes -= record.num_bytes;
            if of.num_keys == 0 {
                holding.remove();
            }
        }
        Some(record.request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Micros = Micros(10);

    fn table() -> Idempotency {
        Idempotency::new(IdempotencyConfig {
            max_keys_per_tenant: 2,
            max_keys: 3,
            max_bytes: 10,
            keep_for: KEEP,
        })
    }

    fn digest(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    #[test]
    fn the_same_body_joins_and_another_conflicts_within_a_tenant_only() {
        let mut table = table();
        assert_eq!(table.look_up(TenantId(1), digest(1), digest(9)), Claim::New);
        assert!(table.take(TenantId(1), digest(1), digest(9), RequestId(7)).is_empty());
        assert_eq!(table.look_up(TenantId(1), digest(1), digest(9)), Claim::Open(RequestId(7)));
        assert_eq!(table.look_up(TenantId(1), digest(1), digest(8)), Claim::Conflict);
        assert_eq!(table.look_up(TenantId(2), digest(1), digest(8)), Claim::New);
        assert!(table.keep(Micros(5), (TenantId(1), digest(1)), 10).is_empty());
        assert_eq!(table.look_up(TenantId(1), digest(1), digest(9)), Claim::Kept(RequestId(7)));
        assert!(table.expire(Micros(14)).is_empty());
        assert_eq!(table.expire(Micros(15)), [RequestId(7)]);
        assert_eq!(table.look_up(TenantId(1), digest(1), digest(8)), Claim::New);
    }

    #[test]
    fn a_kept_answer_makes_room_and_an_open_one_does_not() {
        let mut table = table();
        table.take(TenantId(1), digest(1), digest(1), RequestId(1));
        table.take(TenantId(1), digest(2), digest(2), RequestId(2));
        assert_eq!(table.look_up(TenantId(1), digest(3), digest(3)), Claim::Full);
        table.keep(Micros(0), (TenantId(1), digest(2)), 1);
        assert_eq!(table.look_up(TenantId(1), digest(3), digest(3)), Claim::New);
        assert_eq!(table.take(TenantId(1), digest(3), digest(3), RequestId(3)), [RequestId(2)]);
        assert_eq!(table.len(), 2);
        table.release(TenantId(1), digest(1));
        assert_eq!((table.len(), table.next_expiry(), table.kept_bytes()), (1, None, 0));
    }

    #[test]
    fn kept_answers_are_bounded_in_bytes_and_one_beyond_the_bound_is_not_kept() {
        let mut table = table();
        table.take(TenantId(1), digest(1), digest(1), RequestId(1));
        table.take(TenantId(2), digest(2), digest(2), RequestId(2));
        assert!(table.keep(Micros(1), (TenantId(1), digest(1)), 6).is_empty());
        assert_eq!(table.keep(Micros(2), (TenantId(2), digest(2)), 5), [RequestId(1)]);
        assert_eq!((table.len(), table.kept_bytes()), (1, 5));
        table.take(TenantId(1), digest(3), digest(3), RequestId(3));
        let forgotten = table.keep(Micros(3), (TenantId(1), digest(3)), 11);
        assert_eq!(forgotten, [RequestId(3)]);
        assert_eq!((table.len(), table.kept_bytes()), (1, 5));
    }

    #[test]
    fn whoever_keeps_the_most_makes_room_for_the_others() {
        let mut table = table();
        for (tenant, name) in [(2, 1), (1, 2), (1, 3)] {
            let request = RequestId(name.into());
            table.take(TenantId(tenant), digest(name), digest(name), request);
            assert!(
                table.keep(Micros(name.into()), (TenantId(tenant), digest(name)), 3).is_empty()
            );
        }
        // The table is full, and tenant 2's answer is the oldest.
        assert_eq!(table.take(TenantId(3), digest(4), digest(4), RequestId(4)), [RequestId(2)]);
        assert_eq!(table.keep(Micros(4), (TenantId(3), digest(4)), 8), [RequestId(4)]);
        assert_eq!(table.look_up(TenantId(2), digest(1), digest(1)), Claim::Kept(RequestId(1)));
        assert_eq!((table.len(), table.kept_bytes(), table.holdings.len()), (2, 6, 2));
        assert_eq!(table.expire(Micros(99)), [RequestId(1), RequestId(3)]);
        assert_eq!((table.kept_bytes(), table.holdings.len()), (0, 0));
    }
}

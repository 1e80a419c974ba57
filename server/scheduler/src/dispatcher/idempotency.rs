//! A client's own names for its requests, so that asking twice is asking once. A table with three
//! bounds and an expiry; knows no answers.

use std::collections::{BTreeMap, BTreeSet};

use super::config::IdempotencyConfig;
use super::identity::{Digest, Micros, RequestId, TenantId};
use super::planted::{Planted, planted};

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

/// The keys in use.
#[derive(Debug)]
pub(super) struct Idempotency {
    config: IdempotencyConfig,
    records: BTreeMap<(TenantId, Digest), Record>,
    /// Finished ones by the time they are forgotten.
    expiries: BTreeSet<(Micros, TenantId, Digest)>,
    kept_bytes: u64,
}

impl Idempotency {
    pub(super) fn new(config: IdempotencyConfig) -> Self {
        Self { config, records: BTreeMap::new(), expiries: BTreeSet::new(), kept_bytes: 0 }
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
        if self.count_of(tenant) >= self.config.max_keys_per_tenant {
            forgotten.extend(self.evict(Some(tenant)));
        }
        if self.records.len() >= self.config.max_keys {
            forgotten.extend(self.evict(None));
        }
        self.records
            .insert((tenant, key), Record { body, request, num_bytes: 0, kept_until: None });
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
        }
        while self.kept_bytes > self.config.max_bytes {
            let Some(oldest) = self.evict(None) else { break };
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

    fn count_of(&self, tenant: TenantId) -> usize {
        let keys = (tenant, Digest([0; 32]))..=(tenant, Digest([u8::MAX; 32]));
        self.records.range(keys).count()
    }

    /// Whether a further key fits, if need be in the place of a kept answer.
    fn fits(&self, tenant: TenantId) -> bool {
        let evictable = |owner: Option<TenantId>| {
            self.expiries.iter().any(|(_, of, _)| owner.is_none_or(|owner| owner == *of))
        };
        let tenant_fits = self.count_of(tenant) < self.config.max_keys_per_tenant;
        (tenant_fits || evictable(Some(tenant)))
            && (self.records.len() < self.config.max_keys || evictable(None))
    }

    /// Forgets the answer that has been kept longest, of one tenant or of all.
    fn evict(&mut self, owner: Option<TenantId>) -> Option<RequestId> {
        let oldest = self
            .expiries
            .iter()
            .find(|(_, tenant, _)| owner.is_none_or(|owner| owner == *tenant))
            .copied()?;
        self.expiries.remove(&oldest);
        self.remove(oldest.1, oldest.2)
    }

    fn remove(&mut self, tenant: TenantId, key: Digest) -> Option<RequestId> {
        let record = self.records.remove(&(tenant, key))?;
        self.kept_bytes -= record.num_bytes;
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
        assert_eq!(forgotten, [RequestId(2), RequestId(3)]);
        assert_eq!((table.len(), table.kept_bytes()), (0, 0));
    }
}

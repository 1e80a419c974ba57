//! What may come in, and whose turn it is. Counts of requests and bytes, tags of cost; knows no worker.

use std::collections::BTreeMap;

use super::action::Rejection;
use super::config::AdmissionConfig;
use super::event::Submission;
use super::forecast::Wait;
use super::identity::{Micros, TenantId};
use crate::planted::{Planted, planted};

/// The books of what is open. Fairness is start-time fair queueing (Goyal, Vin, Cheng 1996): a tenant's
/// tag grows by the cost of what it starts, the lowest tag goes first, and nobody saves up credit while
/// away.
#[derive(Debug)]
pub(super) struct Admission {
    config: AdmissionConfig,
    tenants: BTreeMap<TenantId, Tenant>,
    /// The tag of what was started last.
    clock: u64,
    num_open: usize,
    num_waiting: usize,
    reserved_bytes: u64,
}

#[derive(Debug, Default)]
struct Tenant {
    tag: u64,
    num_open: usize,
    num_waiting: usize,
}

impl Admission {
    pub(super) fn new(config: AdmissionConfig) -> Self {
        Self {
            config,
            tenants: BTreeMap::new(),
            clock: 0,
            num_open: 0,
            num_waiting: 0,
            reserved_bytes: 0,
        }
    }

    pub(super) fn num_waiting(&self) -> usize {
        self.num_waiting
    }

    pub(super) fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes
    }

    /// Whether it can never be served by this instance.
    pub(super) fn misfit(&self, submission: &Submission) -> Option<Rejection> {
        let (positions, limit) = (submission.least_positions, self.config.max_positions);
        if positions > limit {
            return Some(Rejection::TooLong { positions, limit });
        }
        let (num_bytes, limit) = (submission.num_bytes, self.config.max_reserved_bytes);
        (num_bytes > limit).then_some(Rejection::TooLarge { num_bytes, limit })
    }

    /// Whether too much is here already; `num_free` more can run at once.
    pub(super) fn overload(
        &self,
        submission: &Submission,
        num_free: usize,
        wait: Wait,
    ) -> Option<Rejection> {
        let retry_after = self.after(wait);
        let waiting = self.num_waiting;
        let slack = usize::from(planted(Planted::QueueOneTooLong));
        if waiting >= self.config.max_waiting + num_free + slack
            || self.num_open >= self.config.max_open
        {
            return Some(Rejection::QueueFull { waiting, retry_after });
        }
        let waiting = self.tenants.get(&submission.tenant).map_or(0, |tenant| tenant.num_waiting);
        if waiting >= self.config.max_waiting_per_tenant + num_free {
            return Some(Rejection::TenantQueueFull { waiting, retry_after });
        }
        let reserved = self.reserved_bytes;
        let fits = reserved.saturating_add(submission.num_bytes) <= self.config.max_reserved_bytes;
        (!fits && !planted(Planted::BytesOverbooked))
            .then_some(Rejection::MemoryFull { reserved, retry_after })
    }

    /// Whether its turn would come too late: after the bound, or after its own deadline. It is `now`, and the
    /// pictures that it insists on take `drawing`; `num_places` run at once. Whoever finds a place free is
    /// never late.
    pub(super) fn lateness(
        &self,
        submission: &Submission,
        wait: Wait,
        (now, drawing, num_places): (Micros, Micros, u64),
    ) -> Option<Rejection> {
        let wait = match wait {
            Wait::Nothing => return None,
            // Nobody knows how long: as many as run may wait for those, one each.
            Wait::Unknown if self.config.max_wait.is_some() => {
                let (waiting, retry_after) = (self.num_waiting, self.retry_after(Micros(0)));
                let is_full = waiting as u64 >= num_places;
                return is_full.then_some(Rejection::QueueFull { waiting, retry_after });
            }
            Wait::Unknown => return None,
            Wait::For(wait) => wait,
        };
        if let Some(left) = submission.deadline.map(|deadline| deadline.since(now))
            && wait.after(drawing) > left
        {
            let retry_after = self.retry_after(wait);
            return Some(Rejection::DeadlineInfeasible { wait, left, retry_after });
        }
        let limit = self.config.max_wait?;
        let retry_after = self.retry_after(wait.since(limit));
        let is_late = wait > limit && !planted(Planted::WaitIgnored);
        is_late.then_some(Rejection::WaitTooLong { wait, limit, retry_after })
    }

    /// When to ask again: once all that is here has its place.
    pub(super) fn after(&self, wait: Wait) -> Micros {
        match wait {
            Wait::Nothing | Wait::Unknown => self.retry_after(Micros(0)),
            Wait::For(wait) => self.retry_after(wait),
        }
    }

    /// A wait as it is suggested, within bounds.
    fn retry_after(&self, wait: Micros) -> Micros {
        let (least, most) = self.config.retry_after;
        wait.clamp(least, most)
    }

    /// It is accepted and waits.
    pub(super) fn admit(&mut self, submission: &Submission) {
        self.num_open += 1;
        self.num_waiting += 1;
        self.reserved_bytes += submission.num_bytes;
        let tag = self.tag_of_newcomer(submission.tenant);
        let tenant = self.tenants.entry(submission.tenant).or_default();
        tenant.tag = tag;
        tenant.num_open += 1;
        tenant.num_waiting += 1;
    }

    /// Whose turn it is: lower is earlier.
    pub(super) fn tag(&self, tenant: TenantId) -> u64 {
        self.tenants.get(&tenant).map_or(self.clock, |tenant| tenant.tag)
    }

    /// The same of a tenant with one more that waits: nobody saves up turns while away.
    pub(super) fn tag_of_newcomer(&self, tenant: TenantId) -> u64 {
        match self.tenants.get(&tenant) {
            Some(tenant) if tenant.num_waiting > 0 => tenant.tag,
            Some(tenant) => tenant.tag.max(self.clock),
            None => self.clock,
        }
    }

    /// It runs for the first time, which is what its tenant pays for.
    pub(super) fn start(&mut self, submission: &Submission) {
        self.leave_queue(submission);
        if let Some(tenant) = self.tenants.get_mut(&submission.tenant) {
            self.clock = self.clock.max(tenant.tag);
            if !planted(Planted::TenantsNeverPay) {
                tenant.tag = tenant.tag.saturating_add(submission.cost);
            }
        }
    }

    /// It has ended without ever running.
    pub(super) fn leave_queue(&mut self, submission: &Submission) {
        self.num_waiting -= 1;
        if let Some(tenant) = self.tenants.get_mut(&submission.tenant) {
            tenant.num_waiting -= 1;
        }
    }

    /// It has ended: its places and bytes are free.
    pub(super) fn release(&mut self, submission: &Submission) {
        self.num_open -= 1;
        self.reserved_bytes -= submission.num_bytes;
        if let Some(tenant) = self.tenants.get_mut(&submission.tenant) {
            tenant.num_open -= 1;
        }
        // A tenant that is ahead of others that wait must not be met as a new one.
        let (clock, nobody_waits) = (self.clock, self.num_waiting == 0);
        self.tenants
            .retain(|_, tenant| tenant.num_open > 0 || (tenant.tag > clock && !nobody_waits));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::{Digest, RequestId};

    const CONFIG: AdmissionConfig = AdmissionConfig {
        max_positions: 10,
        max_waiting: 100,
        max_waiting_per_tenant: 2,
        max_open: 100,
        max_reserved_bytes: 100,
        max_wait: Some(Micros(5_000_000)),
        metered_over: Micros(5_000_000),
        retry_after: (Micros(1_000_000), Micros(60_000_000)),
    };

    fn submission(tenant: u128, cost: u64) -> Submission {
        Submission {
            request: RequestId(0),
            tenant: TenantId(tenant),
            priority: 0,
            cost,
            least_positions: 1,
            num_bytes: 40,
            max_entries: 1,
            pictures: None,
            kv_positions: 1,
            prefix: Vec::new(),
            deadline: None,
            fingerprint: Digest([0; 32]),
            idempotency_key: None,
        }
    }

    #[test]
    fn who_would_wait_too_long_is_told_when_it_would_not() {
        let admission = Admission::new(CONFIG);
        let seconds = |count: u64| Micros(count * 1_000_000);
        let facts = (seconds(100), seconds(2), 1);
        let judged = |wait, deadline| {
            let asked = Submission { deadline, ..submission(1, 1) };
            admission.lateness(&asked, wait, facts)
        };
        assert_eq!(judged(Wait::For(seconds(5)), None), None);
        let (wait, limit, retry_after) = (seconds(9), seconds(5), seconds(4));
        let late = Rejection::WaitTooLong { wait, limit, retry_after };
        assert_eq!(judged(Wait::For(wait), None), Some(late));
        assert_eq!(judged(Wait::For(seconds(3)), Some(seconds(105))), None);
        let (wait, left) = (seconds(4), seconds(5));
        let infeasible = Rejection::DeadlineInfeasible { wait, left, retry_after: wait };
        assert_eq!(judged(Wait::For(wait), Some(seconds(105))), Some(infeasible));
        assert_eq!(judged(Wait::Nothing, Some(seconds(101))), None, "a place is free");
        assert_eq!(
            judged(Wait::For(seconds(5_000)), None),
            Some(Rejection::WaitTooLong { wait: seconds(5_000), limit, retry_after: seconds(60) })
        );
    }

    #[test]
    fn before_anything_is_known_as_many_may_wait_as_run() {
        let mut admission = Admission::new(CONFIG);
        let facts = (Micros(0), Micros(0), 2);
        let judged =
            |admission: &Admission| admission.lateness(&submission(1, 1), Wait::Unknown, facts);
        admission.admit(&submission(1, 1));
        assert_eq!(judged(&admission), None);
        admission.admit(&submission(2, 1));
        let retry_after = Micros(1_000_000);
        assert_eq!(judged(&admission), Some(Rejection::QueueFull { waiting: 2, retry_after }));
        let unbound = Admission::new(AdmissionConfig { max_wait: None, ..CONFIG });
        assert_eq!(judged(&unbound), None);
    }

    #[test]
    fn a_tenant_that_started_much_comes_after_one_that_started_little() {
        let mut admission = Admission::new(CONFIG);
        for tenant in [1, 1, 2] {
            admission.admit(&submission(tenant, 10));
        }
        admission.start(&submission(1, 10));
        assert_eq!((admission.tag(TenantId(1)), admission.tag(TenantId(2))), (10, 0));
        admission.release(&submission(1, 10));
        admission.admit(&submission(1, 10));
        assert_eq!(admission.tag(TenantId(1)), 10, "it is not forgotten while another waits");
    }

    #[test]
    fn bytes_and_a_tenants_places_are_bounded() {
        let mut admission = Admission::new(CONFIG);
        admission.admit(&submission(1, 1));
        admission.admit(&submission(1, 1));
        let tenant = admission.overload(&submission(1, 1), 0, Wait::Unknown);
        assert!(matches!(tenant, Some(Rejection::TenantQueueFull { waiting: 2, .. })));
        let memory = admission.overload(&submission(2, 1), 0, Wait::Unknown);
        assert!(matches!(memory, Some(Rejection::MemoryFull { reserved: 80, .. })));
        admission.leave_queue(&submission(1, 1));
        admission.release(&submission(1, 1));
        assert_eq!(admission.overload(&submission(2, 1), 0, Wait::Unknown), None);
    }
}

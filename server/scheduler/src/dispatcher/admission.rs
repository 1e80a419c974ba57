//! What may come in, and whose turn it is. Counts of requests, bytes and cost; knows no worker.

use std::collections::BTreeMap;

use super::action::Rejection;
use super::config::AdmissionConfig;
use super::event::Submission;
use super::identity::{Micros, TenantId};
use super::planted::{Planted, planted};

/// Windows in which the service rate is measured.
const RATE_WINDOW: Micros = Micros(1_000_000);

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
    waiting_cost: u64,
    reserved_bytes: u64,
    rate: ServiceRate,
}

#[derive(Debug, Default)]
struct Tenant {
    tag: u64,
    num_open: usize,
    num_waiting: usize,
}

/// Cost served in a second, smoothed over windows in which work ended.
#[derive(Debug, Default)]
struct ServiceRate {
    per_second: u64,
    window_start: Micros,
    served: u64,
}

impl ServiceRate {
    fn served(&mut self, now: Micros, cost: u64) {
        self.served = self.served.saturating_add(cost);
        let span = now.since(self.window_start);
        if span < RATE_WINDOW {
            return;
        }
        // A window that was mostly idle says little: it is cut to a few.
        let span = u128::from(span.0.min(4 * RATE_WINDOW.0));
        let latest = u128::from(self.served) * u128::from(RATE_WINDOW.0) / span;
        let latest = u64::try_from(latest).unwrap_or(u64::MAX).max(1);
        self.per_second = match self.per_second {
            0 => latest,
            mean => (mean - mean / 4).saturating_add(latest / 4).max(1),
        };
        self.window_start = now;
        self.served = 0;
    }
}

impl Admission {
    pub(super) fn new(config: AdmissionConfig) -> Self {
        Self {
            config,
            tenants: BTreeMap::new(),
            clock: 0,
            num_open: 0,
            num_waiting: 0,
            waiting_cost: 0,
            reserved_bytes: 0,
            rate: ServiceRate::default(),
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

    /// Whether it cannot be served now; `num_free` more can run at once.
    pub(super) fn overload(&self, submission: &Submission, num_free: usize) -> Option<Rejection> {
        let retry_after = self.retry_after();
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

    /// The time in which what waits is served at the measured rate, within bounds.
    pub(super) fn retry_after(&self) -> Micros {
        let (least, most) = self.config.retry_after;
        let rate = u128::from(self.rate.per_second.max(1));
        let wait = u128::from(self.waiting_cost) * u128::from(RATE_WINDOW.0) / rate;
        Micros(u64::try_from(wait).unwrap_or(u64::MAX)).clamp(least, most)
    }

    /// It is accepted and waits.
    pub(super) fn admit(&mut self, submission: &Submission) {
        self.num_open += 1;
        self.num_waiting += 1;
        self.waiting_cost = self.waiting_cost.saturating_add(submission.cost);
        self.reserved_bytes += submission.num_bytes;
        let clock = self.clock;
        let tenant = self.tenants.entry(submission.tenant).or_default();
        if tenant.num_waiting == 0 {
            tenant.tag = tenant.tag.max(clock);
        }
        tenant.num_open += 1;
        tenant.num_waiting += 1;
    }

    /// Whose turn it is: lower is earlier.
    pub(super) fn tag(&self, tenant: TenantId) -> u64 {
        self.tenants.get(&tenant).map_or(self.clock, |tenant| tenant.tag)
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
        self.waiting_cost = self.waiting_cost.saturating_sub(submission.cost);
        if let Some(tenant) = self.tenants.get_mut(&submission.tenant) {
            tenant.num_waiting -= 1;
        }
    }

    /// It was completed: what the rate is measured by.
    pub(super) fn served(&mut self, now: Micros, submission: &Submission) {
        self.rate.served(now, submission.cost);
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
            draws: false,
            prefix: Vec::new(),
            deadline: None,
            fingerprint: Digest([0; 32]),
            idempotency_key: None,
        }
    }

    #[test]
    fn a_wait_is_what_waits_divided_by_what_is_served() {
        let mut admission = Admission::new(CONFIG);
        assert_eq!(admission.retry_after(), Micros(1_000_000));
        admission.served(Micros(2_000_000), &submission(1, 20));
        admission.admit(&submission(1, 50));
        assert_eq!(admission.retry_after(), Micros(5_000_000));
        admission.admit(&submission(2, 10_000));
        assert_eq!(admission.retry_after(), Micros(60_000_000));
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
        let tenant = admission.overload(&submission(1, 1), 0);
        assert!(matches!(tenant, Some(Rejection::TenantQueueFull { waiting: 2, .. })));
        let memory = admission.overload(&submission(2, 1), 0);
        assert!(matches!(memory, Some(Rejection::MemoryFull { reserved: 80, .. })));
        admission.leave_queue(&submission(1, 1));
        admission.release(&submission(1, 1));
        assert_eq!(admission.overload(&submission(2, 1), 0), None);
    }
}

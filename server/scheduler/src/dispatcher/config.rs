//! The front's limits, complete and without defaults. Knows no flags.

use super::identity::{Micros, Role, WorkerId};

/// Every limit that the dispatcher keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatcherConfig {
    /// The places for workers.
    pub workers: Vec<(WorkerId, Role)>,
    /// What may come in.
    pub admission: AdmissionConfig,
    /// When a worker is suspected, given up, started anew.
    pub liveness: LivenessConfig,
    /// Where work goes.
    pub routing: RoutingConfig,
    /// How far a client may lag.
    pub outbox: OutboxConfig,
    /// What becomes of requests whose workers die.
    pub quarantine: QuarantineConfig,
    /// How long answers are kept for a second asking.
    pub idempotency: IdempotencyConfig,
}

/// What may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionConfig {
    /// Positions of a context, at most: what no worker can hold is refused at once.
    pub max_positions: usize,
    /// Accepted requests that have never run, beyond those that find a place at once. Bounds memory, and how
    /// long an accepted request waits where `max_wait` does not.
    pub max_waiting: usize,
    /// The same of one tenant, so that one cannot take every place.
    pub max_waiting_per_tenant: usize,
    /// Accepted requests that have not ended; as many clients again may read the answers of others. Bounds memory.
    pub max_open: usize,
    /// Bytes reserved by all open requests: bodies, decoded pixels, latents, output.
    pub max_reserved_bytes: u64,
    /// A request that would wait longer for its place is refused; `None` lets it wait. Bounds how long an
    /// accepted request waits.
    pub max_wait: Option<Micros>,
    /// Waiting over which service is metered: what lies further back counts half, then a quarter.
    pub metered_over: Micros,
    /// Bounds of a suggested wait.
    pub retry_after: (Micros, Micros),
}

/// When a worker is suspected, given up, started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivenessConfig {
    /// Silence after which a worker gets no new work.
    pub suspect_after: Micros,
    /// Silence after which a worker is killed and replaced.
    pub hung_after: Micros,
    /// A process that has not said that it is ready by then has failed to start.
    pub start_timeout: Micros,
    /// Wait before the first restart; it doubles with each further one.
    pub first_backoff: Micros,
    /// The longest wait before a restart.
    pub max_backoff: Micros,
    /// Having served so long, a worker's earlier deaths are forgotten.
    pub stable_after: Micros,
    /// Starts that may fail in a row; then the place is given up.
    pub max_failed_starts: u32,
    /// Requests whose numbers may turn out not to be finite on one worker within `not_finite_within`; one more,
    /// and it is the worker: it is replaced. The same request again is the same one.
    pub max_not_finite: usize,
    /// See there.
    pub not_finite_within: Micros,
    /// How often the front looks at least. A longer gap is its own standing still, and counts for no more
    /// than this: it proves nothing against workers and readers.
    pub listen_every: Micros,
}

/// Where work goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutingConfig {
    /// Prefixes whose worker is remembered; the one unused longest goes first.
    pub max_prefixes: usize,
    /// How much more load (cost) the holder of a prefix may have than the least loaded worker.
    pub max_imbalance: u64,
}

/// How far a client may lag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxConfig {
    /// Bytes delivered and not read. Reached, the request gives its worker up until half is read; at
    /// most one entry goes beyond.
    pub max_bytes: u64,
    /// A client that has stalled so long is cut.
    pub max_stall: Micros,
}

/// What becomes of requests whose workers die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantineConfig {
    /// Deaths of any cause after which a request is not tried again.
    pub max_deaths: u32,
    /// Fingerprints that are refused for having been quarantined; the oldest goes first.
    pub max_fingerprints: usize,
    /// How long a fingerprint is refused.
    pub block_for: Micros,
}

/// How long answers are kept for a second asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyConfig {
    /// Keys of one tenant.
    pub max_keys_per_tenant: usize,
    /// Keys of all tenants.
    pub max_keys: usize,
    /// Bytes of all finished answers that are kept; the one kept longest goes first.
    pub max_bytes: u64,
    /// How long a finished answer is kept.
    pub keep_for: Micros,
}

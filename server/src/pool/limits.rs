//! The front's limits, and a request in the dispatcher's numbers. Knows budgets and sizes, no workers and no
//! clients.

use std::time::Duration;

use reverie_model::decoder::KvPool;
use reverie_scheduler::Budget;
use reverie_scheduler::dispatcher::{
    AdmissionConfig, Digest, DispatcherConfig, IdempotencyConfig, LivenessConfig, Micros,
    OutboxConfig, PictureDemand, PrefixKey, QuarantineConfig, RequestId, Role, RoutingConfig,
    Submission, WorkerId,
};
use sha2::Digest as _;

use crate::engine::EngineConfig;
use crate::engine::request::{EngineRequest, ImageChoice, PromptSegment};
use crate::engine::sequence_spec::{
    content_hash, drawing_spec, num_positions, picture_work, sequence_spec,
};

/// How often the front looks around, and a worker that has nothing to say says so.
pub(super) const LISTEN_EVERY: Duration = Duration::from_millis(500);

/// A model of 7 billion parameters from a slow disk.
const START_TIMEOUT: Duration = Duration::from_secs(600);
/// The default of `--worker-timeout`.
const WORKER_TIMEOUT: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// A worker that was silent so long gets nothing new; a share of what it may be silent at all.
const SUSPECT_SHARE: u32 = 3;
const LEAST_SUSPICION: Duration = Duration::from_secs(2);
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// What clients of one answer may leave unread: some twenty large pictures.
const MAX_UNREAD_BYTES: u64 = 32 << 20;
const MAX_STALL: Duration = Duration::from_secs(120);
/// A request whose workers are killed from outside again and again is given up in the end.
const MAX_DEATHS: u32 = 20;
const MAX_FINGERPRINTS: usize = 1024;
const BLOCK_FOR: Duration = Duration::from_secs(600);
/// Numbers that are not finite are a request's own fault now and then, and hardly of so many in a minute.
const MAX_NOT_FINITE: usize = 8;
const NOT_FINITE_WITHIN: Duration = Duration::from_secs(60);
/// What is known of waiting is mostly of the last few seconds of it: a mix that changes is noticed in that time.
const METERED_OVER: Duration = Duration::from_secs(5);
/// Bodies' pictures, latents and answers of all open requests together.
const MAX_RESERVED_BYTES: u64 = 1 << 30;
const MAX_KEYS_PER_TENANT: usize = 1000;
const MAX_KEYS: usize = 10_000;
const MAX_KEPT_BYTES: u64 = 64 << 20;
const KEEP_FOR: Duration = Duration::from_secs(3600);
/// Keys of a prompt's beginnings, and the positions that each goes further, about.
const MAX_PREFIXES: usize = 32;
const PREFIX_STRIDE: usize = 64;
const MAX_KNOWN_PREFIXES: usize = 1 << 16;
/// A prefix is worth that much more work on its worker: computing some hundred positions.
const MAX_IMBALANCE: u64 = 512;
/// Rows of a denoising step cost about as much as so many positions.
const POSITIONS_OF_A_ROW: u64 = 16;
/// What a request takes besides pictures and tokens.
const REQUEST_BYTES: u64 = 4096;
/// With several tenants one may have so many quarters of the places to wait.
const TENANT_QUARTERS: usize = 3;

/// What a pool is.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// What fits into a context; every worker must agree.
    pub budget: Budget,
    /// Each worker's limits; `max_num_waiting` requests wait before all of them.
    pub engine: EngineConfig,
    /// A request that would wait longer for its turn is refused.
    pub max_wait: Option<Duration>,
    /// What each worker does.
    pub roles: Vec<Role>,
    /// Silence after which a worker is replaced.
    pub worker_timeout: Duration,
    /// Starts that may fail in a row.
    pub max_failed_starts: u32,
    /// Whether clients have keys of their own.
    pub has_tenants: bool,
}

pub(super) fn micros(span: Duration) -> Micros {
    Micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

impl PoolConfig {
    /// One worker for everything, that is not started again if it cannot be.
    pub fn of_one(budget: Budget, engine: EngineConfig) -> Self {
        Self {
            budget,
            engine,
            max_wait: None,
            roles: vec![Role::Both],
            worker_timeout: WORKER_TIMEOUT,
            max_failed_starts: 1,
            has_tenants: false,
        }
    }

    /// All limits of the dispatcher.
    pub(super) fn dispatcher(&self) -> DispatcherConfig {
        let workers: Vec<(WorkerId, Role)> =
            (0..).map(WorkerId).zip(self.roles.iter().copied()).collect();
        let writers = self.roles.iter().filter(|role| role.writes());
        let num_running: usize = writers.map(|role| self.engine.max_jobs(*role)).sum();
        let max_waiting = self.engine.max_num_waiting;
        let quarter = max_waiting.div_ceil(4);
        let of_one = if self.has_tenants { TENANT_QUARTERS * quarter } else { max_waiting };
        let suspect_after = (self.worker_timeout / SUSPECT_SHARE).max(LEAST_SUSPICION);
        DispatcherConfig {
            workers,
            admission: AdmissionConfig {
                max_positions: self.budget.max_model_len,
                max_waiting,
                max_waiting_per_tenant: of_one.clamp(1, max_waiting.max(1)),
                max_open: max_waiting + num_running,
                max_reserved_bytes: MAX_RESERVED_BYTES,
                max_wait: self.max_wait.map(micros),
                metered_over: micros(METERED_OVER),
                retry_after: (micros(RETRY_AFTER.0), micros(RETRY_AFTER.1)),
            },
            liveness: LivenessConfig {
                suspect_after: micros(suspect_after),
                hung_after: micros(self.worker_timeout.max(suspect_after)),
                start_timeout: micros(START_TIMEOUT),
                first_backoff: micros(FIRST_BACKOFF),
                max_backoff: micros(MAX_BACKOFF),
                stable_after: micros(STABLE_AFTER),
                max_failed_starts: self.max_failed_starts,
                max_not_finite: MAX_NOT_FINITE,
                not_finite_within: micros(NOT_FINITE_WITHIN),
                listen_every: micros(LISTEN_EVERY),
            },
            routing: RoutingConfig {
                max_prefixes: MAX_KNOWN_PREFIXES,
                max_imbalance: MAX_IMBALANCE,
            },
            outbox: OutboxConfig { max_bytes: MAX_UNREAD_BYTES, max_stall: micros(MAX_STALL) },
            quarantine: QuarantineConfig {
                max_deaths: MAX_DEATHS,
                max_fingerprints: MAX_FINGERPRINTS,
                block_for: micros(BLOCK_FOR),
            },
            idempotency: IdempotencyConfig {
                max_keys_per_tenant: MAX_KEYS_PER_TENANT,
                max_keys: MAX_KEYS,
                max_bytes: MAX_KEPT_BYTES,
                keep_for: micros(KEEP_FOR),
            },
        }
    }

    /// Whether it matters who holds a prefix.
    pub(super) fn has_choice(&self) -> bool {
        self.roles.iter().filter(|role| role.writes()).count() > 1
    }
}

/// Bytes delivered and not read from which on readers tell that they read.
pub(super) const AWAITED_BYTES: u64 = MAX_UNREAD_BYTES / 4;

/// `request` in the dispatcher's numbers; its name and its deadline are the front's to say. Takes as long as
/// hashing its pictures. `is_routed`: whether it matters who holds a prefix.
pub(super) fn submission(request: &EngineRequest, budget: &Budget, is_routed: bool) -> Submission {
    // How large its latents are and how many steps they take changes no position.
    let spec = sequence_spec(
        reverie_scheduler::SequenceId(0),
        request,
        drawing_spec(&request.pictures, 1, 1),
    );
    let used = num_positions(&request.prompt, budget);
    let num_tokens = budget.max_model_len.saturating_sub(used);
    let num_tokens = num_tokens.min(request.stopping.max_tokens.unwrap_or(usize::MAX)) as u64;
    let pictures = &request.pictures;
    let draws = spec.limits.max_images > 0 && spec.limits.choice != ImageChoice::None;
    let likely = if draws { spec.limits.insisted_images().max(1) as u64 } else { 0 };
    let possible = if draws { budget.images_that_fit(used).min(spec.limits.max_images) } else { 0 };
    let pixels = (pictures.width as u64).saturating_mul(pictures.height as u64);
    let drawing = picture_work(pictures).saturating_mul(POSITIONS_OF_A_ROW);
    let demand = PictureDemand {
        least: spec.limits.insisted_images(),
        cost: picture_work(pictures).saturating_mul(pixels),
    };
    let held: u64 = request.prompt.iter().map(segment_bytes).sum();
    Submission {
        request: RequestId(0),
        tenant: request.tenant,
        priority: request.priority,
        cost: (used as u64)
            .saturating_add(num_tokens)
            .saturating_add(likely.saturating_mul(drawing))
            .max(1),
        least_positions: budget.least_positions(&spec),
        num_bytes: REQUEST_BYTES
            .saturating_add(held)
            .saturating_add((possible as u64).saturating_mul(pixels.saturating_mul(3)))
            .saturating_add(pictures.trace.map_or(0, |trace| trace.max_bytes)),
        max_entries: budget.max_model_len,
        pictures: draws.then_some(demand),
        kv_positions: budget.kv_positions(&spec, KvPool::BLOCK_SIZE),
        prefix: if is_routed { prefix_keys(request) } else { Vec::new() },
        deadline: None,
        fingerprint: Digest(request.identity.fingerprint),
        idempotency_key: request.identity.idempotency_key.map(Digest),
    }
}

fn segment_bytes(segment: &PromptSegment) -> u64 {
    match segment {
        PromptSegment::Tokens(ids) => 4 * ids.len() as u64,
        PromptSegment::Picture(picture) => picture.rgb().len() as u64,
        PromptSegment::Dream => 0,
    }
}

/// Keys of the beginnings of a request's context, shortest first; equal keys, equal tenants and contexts.
fn prefix_keys(request: &EngineRequest) -> Vec<PrefixKey> {
    let mut hash = sha2::Sha256::new();
    hash.update(request.tenant.0.to_le_bytes());
    let mut keys = Vec::new();
    let mut push = |hash: &sha2::Sha256| {
        let digest = hash.clone().finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        keys.push(PrefixKey(u128::from_le_bytes(bytes)));
        keys.len() < MAX_PREFIXES
    };
    for segment in &request.prompt {
        match segment {
            PromptSegment::Tokens(ids) => {
                for chunk in ids.chunks(PREFIX_STRIDE) {
                    chunk.iter().for_each(|id| hash.update(id.to_le_bytes()));
                    if chunk.len() == PREFIX_STRIDE && !push(&hash) {
                        return keys;
                    }
                }
                hash.update([0]);
            }
            PromptSegment::Picture(picture) => {
                hash.update(content_hash(picture).0);
                if !push(&hash) {
                    return keys;
                }
            }
            PromptSegment::Dream => hash.update([1]),
        }
    }
    keys
}

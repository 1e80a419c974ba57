//! What the front hears, from clients, workers and the clock. Contents stay outside: tokens and digests
//! are names here.

use super::identity::{
    Digest, Epoch, JobId, Micros, NumericsClass, PrefixKey, RequestId, TenantId, WorkerId,
};
use crate::rules::FinishReason;

/// All that can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client asks for an answer.
    Submit(Submission),
    /// A client is gone, or wants no more.
    Cancel(RequestId),
    /// A client has read the first `num_entries` entries of its answer.
    Consumed {
        /// Whose client.
        request: RequestId,
        /// Entries read, in all.
        num_entries: usize,
    },
    /// Time has passed: due by [`super::Dispatcher::next_deadline`].
    Tick,
    /// A process is loaded and warm.
    WorkerUp {
        /// Where.
        worker: WorkerId,
        /// Which life.
        epoch: Epoch,
        /// What it can hold.
        abilities: Abilities,
    },
    /// A process has ended.
    WorkerDown {
        /// Where.
        worker: WorkerId,
        /// Which life.
        epoch: Epoch,
        /// Why.
        cause: DownCause,
    },
    /// A worker says something.
    Message {
        /// Where.
        worker: WorkerId,
        /// Which life.
        epoch: Epoch,
        /// What.
        message: WorkerMessage,
    },
    /// Take nothing new, finish the rest; said again: end the rest now.
    Drain,
}

/// A request in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Its name.
    pub request: RequestId,
    /// Who pays.
    pub tenant: TenantId,
    /// Lower is earlier; 0 is ordinary.
    pub priority: i32,
    /// Its expected work, in the cost model's units; at least 1.
    pub cost: u64,
    /// Positions without which it cannot be served at all.
    pub least_positions: usize,
    /// Bytes to be reserved while it is open.
    pub num_bytes: u64,
    /// Entries that its answer can have at most.
    pub max_entries: usize,
    /// Pictures that may be drawn in it.
    pub pictures: Option<PictureDemand>,
    /// Positions of the KV cache that it can come to need at once.
    pub kv_positions: usize,
    /// Keys of its context's beginnings, shortest first.
    pub prefix: Vec<PrefixKey>,
    /// When its client gives up.
    pub deadline: Option<Micros>,
    /// What it asks for, seed included: equal fingerprints, equal requests.
    pub fingerprint: Digest,
    /// The client's name for it, so that asking twice is asking once.
    pub idempotency_key: Option<Digest>,
}

/// Pictures of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureDemand {
    /// Those that are insisted on; 0 leaves it to the model.
    pub least: usize,
    /// Work of each, in a unit of its own.
    pub cost: u64,
}

/// What a worker can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Jobs at once; at least 1.
    pub max_jobs: usize,
    /// Positions of its KV cache.
    pub kv_positions: usize,
    /// Whose numbers its answers agree with.
    pub class: NumericsClass,
}

/// Why a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownCause {
    /// By itself: a fault signal, an exit, out of memory. What ran there is suspected.
    Crashed,
    /// From outside (SIGKILL or SIGTERM, no memory limit hit): nothing that ran there is to blame.
    Killed,
}

/// A piece of an answer, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A sampled text token.
    Token(u32),
    /// The token that completed a stop string: only pictures that are insisted on may follow.
    LastToken(u32),
    /// A drawn picture: the digest of its delivered bytes.
    Picture(Digest),
}

/// Why a job ended without its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobFault {
    /// Logits, hidden states or latents were not finite.
    NotFinite,
    /// A stage could not compute it.
    NotComputed,
    /// The worker cannot hold it.
    Refused,
}

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerMessage {
    /// Its loop goes round.
    Heartbeat,
    /// A document has grown.
    Produced {
        /// Which job.
        job: JobId,
        /// Which entry of the answer, from 0.
        position: usize,
        /// What.
        entry: Entry,
        /// Bytes that the client gets for it.
        num_bytes: u64,
    },
    /// A picture of a document is drawn from now on, where it is written.
    Drawing {
        /// Which job.
        job: JobId,
    },
    /// A document cannot go on without a picture that is drawn elsewhere; its condition is held by the
    /// front under (request, position).
    NeedsPicture {
        /// Which job.
        job: JobId,
        /// Which entry of the answer the picture will be.
        position: usize,
        /// Expected work.
        cost: u64,
    },
    /// A picture that was ordered by `Draw` is there.
    Drawn {
        /// Which job.
        job: JobId,
        /// The digest of its delivered bytes.
        picture: Digest,
        /// Bytes that the client gets for it.
        num_bytes: u64,
    },
    /// A document is complete.
    Ended {
        /// Which job.
        job: JobId,
        /// Entries of its answer.
        num_entries: usize,
        /// Why.
        reason: FinishReason,
    },
    /// A job cannot be done.
    Failed {
        /// Which job.
        job: JobId,
        /// Why.
        fault: JobFault,
    },
    /// An aborted job has left, and holds nothing any more.
    Aborted {
        /// Which job.
        job: JobId,
    },
    /// These prefixes are no longer cached there.
    Evicted(Vec<PrefixKey>),
}

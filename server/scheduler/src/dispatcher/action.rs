//! What the front does about what it heard: facts for clients, orders for workers. No status codes.

use super::event::{Entry, JobFault};
use super::identity::{Digest, Epoch, JobId, Micros, RequestId, WorkerId};
use crate::rules::FinishReason;

/// All that the shell around the dispatcher is asked to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The request is accepted: it will have exactly one `Finish`.
    Admit {
        /// Which.
        request: RequestId,
    },
    /// The request is one that is open already: its client reads that answer, from the beginning.
    Attach {
        /// Which.
        request: RequestId,
        /// Whose answer.
        to: RequestId,
    },
    /// The request was answered before: its client gets the kept answer.
    Replay {
        /// Which.
        request: RequestId,
        /// Whose answer.
        of: RequestId,
    },
    /// The request is not accepted.
    Reject {
        /// Which.
        request: RequestId,
        /// Why.
        rejection: Rejection,
    },
    /// One of several clients of an answer is gone.
    Detach {
        /// Which.
        request: RequestId,
    },
    /// The next entry of the answer, for every client of it.
    Deliver {
        /// Whose.
        request: RequestId,
        /// Which entry, from 0.
        position: usize,
        /// What.
        entry: Entry,
    },
    /// The answer has ended.
    Finish {
        /// Whose.
        request: RequestId,
        /// How.
        ending: Ending,
    },
    /// A kept answer will not be asked for any more.
    Forget {
        /// Whose.
        request: RequestId,
    },
    /// Tell a worker.
    Send {
        /// Where.
        worker: WorkerId,
        /// Which life.
        epoch: Epoch,
        /// What.
        order: Order,
    },
    /// Start a process.
    Start {
        /// Where.
        worker: WorkerId,
        /// Its life.
        epoch: Epoch,
    },
    /// Kill a process at once.
    Kill {
        /// Where.
        worker: WorkerId,
        /// Which life.
        epoch: Epoch,
    },
    /// Nothing will ever happen here any more.
    Exit(ExitReason),
}

/// What a worker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Write this document, whose first entries are written already.
    Write {
        /// The attempt.
        job: JobId,
        /// Whose.
        request: RequestId,
        /// What the client has.
        journal: Vec<Entry>,
    },
    /// Draw this picture.
    Draw {
        /// The attempt.
        job: JobId,
        /// Its condition.
        condition: ConditionHandle,
    },
    /// The picture that a document waits for.
    Picture {
        /// Which job.
        job: JobId,
        /// Which entry of the answer it is.
        position: usize,
        /// The digest of its delivered bytes.
        picture: Digest,
    },
    /// Stop at the next step boundary and say `Aborted`.
    Abort {
        /// Which job.
        job: JobId,
    },
    /// Finish nothing, end the process.
    Shutdown,
}

/// Where the front holds a picture's condition until the picture is drawn or the request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConditionHandle {
    /// Whose.
    pub request: RequestId,
    /// Which entry of the answer the picture will be.
    pub position: usize,
}

/// Why a request is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// It can never fit a context.
    TooLong {
        /// Positions it needs at least.
        positions: usize,
        /// Positions there are.
        limit: usize,
    },
    /// It can never fit the memory kept for requests.
    TooLarge {
        /// Bytes it needs.
        num_bytes: u64,
        /// Bytes there are.
        limit: u64,
    },
    /// What it can come to is more than any worker's KV cache holds.
    KvTooSmall {
        /// Positions that it can come to need at once.
        positions: usize,
        /// Positions of the largest KV cache.
        limit: usize,
    },
    /// It would wait for too long.
    WaitTooLong {
        /// How long.
        wait: Micros,
        /// The most that anybody is let wait.
        limit: Micros,
        /// When it would not any more.
        retry_after: Micros,
    },
    /// It could not be complete by its deadline.
    DeadlineInfeasible {
        /// How long it would wait.
        wait: Micros,
        /// What is left of its time.
        left: Micros,
        /// When those before it are expected to have started.
        retry_after: Micros,
    },
    /// Too many wait or are open.
    QueueFull {
        /// How many wait.
        waiting: usize,
        /// When to ask again.
        retry_after: Micros,
    },
    /// Too many of this tenant wait.
    TenantQueueFull {
        /// How many of them wait.
        waiting: usize,
        /// When to ask again.
        retry_after: Micros,
    },
    /// The memory kept for requests is taken.
    MemoryFull {
        /// Bytes taken.
        reserved: u64,
        /// When to ask again.
        retry_after: Micros,
    },
    /// Too many of this tenant's keys are in use.
    KeysFull {
        /// When to ask again.
        retry_after: Micros,
    },
    /// The key was used for another body.
    KeyConflict,
    /// It has killed workers before.
    Quarantined {
        /// Until when it is refused.
        until: Micros,
    },
    /// No worker has been ready yet.
    NotReady,
    /// Nothing new is taken.
    Draining,
    /// No worker can ever do it.
    NoWorker,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The document is complete.
    Complete(FinishReason),
    /// Its client is gone.
    Cancelled,
    /// It cannot be completed.
    Failed(Failure),
}

/// Why an accepted request cannot be completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its deadline has passed.
    Deadline,
    /// It was alone on a worker that died, after it had been on another that did.
    Quarantined,
    /// Too many workers died under it, whatever their causes.
    LostTooOften {
        /// How many.
        deaths: u32,
    },
    /// Its client did not read.
    SlowReader,
    /// A worker could not do it.
    Fault(JobFault),
    /// No worker is left that could do it.
    NoWorker,
    /// The front was told to end at once.
    Aborted,
}

/// Why the front has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// Drained: everything accepted has ended.
    Drained,
    /// Told twice to drain.
    Aborted,
    /// No worker is left that could write.
    NoWorkerLeft,
}

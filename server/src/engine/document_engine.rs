//! The engine as the HTTP edge sees it: a request goes in, events come out. Knows no wire format, and
//! not how documents are made; the scripted engine of the tests is the second implementation.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use super::event::EngineEvent;
use super::request::{EngineRequest, TenantId};

/// The events of one request, in document order. Dropping it gives the request up.
pub struct EventStream {
    created: u64,
    events: Pin<Box<dyn Stream<Item = EngineEvent> + Send>>,
}

impl EventStream {
    /// The events of a request that was first asked at `created`, seconds since 1970.
    pub fn new(created: u64, events: impl Stream<Item = EngineEvent> + Send + 'static) -> Self {
        Self { created, events: Box::pin(events) }
    }

    /// When this answer was first asked for, seconds since 1970.
    pub fn created(&self) -> u64 {
        self.created
    }
}

impl Stream for EventStream {
    type Item = EngineEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EngineEvent>> {
        self.events.as_mut().poll_next(cx)
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EventStream")
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// Whatever writes documents.
pub trait DocumentEngine: Send + Sync + 'static {
    /// Queues `request`; its events follow at once or later.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was queued then.
    fn submit(&self, request: EngineRequest) -> Result<EventStream, SubmitError>;

    /// Whether `tenant` may ask now, at that priority, as far as that can be told of the least request: so that
    /// a full engine costs nobody the reading of a request.
    ///
    /// # Errors
    /// Why it would be refused.
    fn announce(&self, tenant: TenantId, priority: i32) -> Result<(), SubmitError>;

    /// Whether requests can be served.
    fn status(&self) -> EngineStatus;
}

/// Why a request was not queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// As many requests wait as may.
    #[error("{waiting} requests are waiting")]
    QueueFull {
        /// Requests waiting.
        waiting: usize,
        /// When one of them is expected to have started.
        retry_after: Duration,
    },
    /// It would wait for too long.
    #[error("the wait for a place is {wait:?}, and at most {limit:?} is allowed")]
    WaitTooLong {
        /// How long, as far as can be told.
        wait: Duration,
        /// The most.
        limit: Duration,
        /// When it is expected not to be too long any more.
        retry_after: Duration,
    },
    /// It could not be complete by its deadline.
    #[error("the wait for a place is {wait:?}, and {left:?} are left")]
    DeadlineInfeasible {
        /// How long, as far as can be told.
        wait: Duration,
        /// Until its deadline.
        left: Duration,
        /// When whoever waits now is expected to have started.
        retry_after: Duration,
    },
    /// As many requests of this tenant wait as may.
    #[error("{waiting} requests under this key are waiting")]
    TenantQueueFull {
        /// Its requests waiting.
        waiting: usize,
        /// When one of them is expected to have started.
        retry_after: Duration,
    },
    /// What open requests may hold is taken.
    #[error("open requests hold {reserved} bytes")]
    MemoryFull {
        /// Bytes held.
        reserved: u64,
        /// When some of them are expected to be free.
        retry_after: Duration,
    },
    /// As many idempotency keys of this tenant are in use as may.
    #[error("too many idempotency keys are in use")]
    KeysFull {
        /// When one of them is expected to be free.
        retry_after: Duration,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyConflict,
    /// The request has killed workers before.
    #[error("the request has killed workers and is refused for {retry_after:?}")]
    Quarantined {
        /// How long it is refused.
        retry_after: Duration,
    },
    /// Its pictures and its output can never be held.
    #[error("{num_bytes} bytes are needed; requests may hold {limit}")]
    TooLarge {
        /// Bytes that it needs.
        num_bytes: u64,
        /// Bytes that there are.
        limit: u64,
    },
    /// No worker can do it.
    #[error("no worker can do it")]
    NoWorker,
    /// The document can never fit.
    #[error("{positions} positions do not fit into a context of {limit}")]
    TooLong {
        /// Positions of the prompt, and of the pictures it asks for.
        positions: usize,
        /// Positions of the context.
        limit: usize,
    },
    /// All that it can come to hold at once, its beams above all, can never fit.
    #[error("up to {positions} positions are needed at once; the KV cache has {limit}")]
    TooWide {
        /// Positions that it can come to need.
        positions: usize,
        /// Positions of the KV cache.
        limit: usize,
    },
    /// The model is not loaded yet.
    #[error("the model is being loaded")]
    Loading,
    /// The daemon is going down.
    #[error("the engine is finishing what it has accepted and takes nothing new")]
    Draining,
    /// The engine's thread is gone.
    #[error("the engine has failed")]
    Failed,
}

/// Whether requests can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineStatus {
    /// The model is being loaded or warmed up.
    Loading,
    /// Yes.
    Ready,
    /// Not at this moment: workers are being replaced. What is asked meanwhile waits.
    Recovering,
    /// What runs is finished; nothing new is taken.
    Draining,
    /// The engine's thread is gone; only a restart helps.
    Failed,
}

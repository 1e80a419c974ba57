//! The engine as the HTTP edge sees it: a request goes in, events come out. Knows no wire format, and
//! not how documents are made; the scripted engine of the tests is the second implementation.

use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;

use super::event::EngineEvent;
use super::request::EngineRequest;

/// The events of one request, in document order. Dropping it gives the request up.
pub type EventStream = Pin<Box<dyn Stream<Item = EngineEvent> + Send>>;

/// Whatever writes documents.
pub trait DocumentEngine: Send + Sync + 'static {
    /// Queues `request`; its events follow at once or later.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was queued then.
    fn submit(&self, request: EngineRequest) -> Result<EventStream, SubmitError>;

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
    /// The document can never fit.
    #[error("{positions} positions do not fit into a context of {limit}")]
    TooLong {
        /// Positions of the prompt, and of the pictures it asks for.
        positions: usize,
        /// Positions of the context.
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
    /// What runs is finished; nothing new is taken.
    Draining,
    /// The engine's thread is gone; only a restart helps.
    Failed,
}

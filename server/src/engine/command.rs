//! All that can be asked of the engine's thread. Giving a request up needs no command: the thread looks
//! whether a request's events are still wanted before every step.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc;

use super::admission::Place;
use super::event::EngineEvent;
use super::request::EngineRequest;

/// An order to the engine's thread.
#[derive(Debug)]
pub(super) enum Command {
    /// Write this document.
    Submit(Submission),
    /// Finish what is accepted, then end.
    Drain,
}

/// An accepted request.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) request: Arc<EngineRequest>,
    /// Where its events go; large enough for all of them.
    pub(super) events: mpsc::Sender<EngineEvent>,
    pub(super) submitted: Instant,
    pub(super) place: Place,
}

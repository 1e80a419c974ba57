//! What the front's thread hears, and the one bounded way to it. Knows who speaks, not what follows.

use std::sync::mpsc::{SyncSender, TrySendError};

use reverie_scheduler::dispatcher::{DownCause, Epoch, RequestId, Submission, TenantId, WorkerId};

use crate::engine::EngineFailure;
use crate::engine::document_engine::{EventStream, SubmitError};
use crate::engine::order::{EngineMessage, FrontGone, Outbox};
use crate::engine::request::EngineRequest;

/// Events that wait for the front at most, a worker's step being one. Workers wait for room, which slows them down to the front's pace;
/// clients are told to come again.
pub(super) const INBOX: usize = 4096;

/// Something that the front hears.
#[derive(Debug)]
pub(super) enum FrontEvent {
    /// A client asks for an answer.
    Submit {
        request: Box<EngineRequest>,
        wish: Box<Submission>,
        reply: SyncSender<Result<EventStream, SubmitError>>,
    },
    /// A client is about to ask.
    Announce { tenant: TenantId, priority: i32, reply: SyncSender<Result<(), SubmitError>> },
    /// A client is gone.
    Cancel(RequestId),
    /// A client that lagged has read on.
    Read(RequestId),
    /// Look around: something was asked for that is not in this channel.
    Wake,
    /// A worker speaks: what it has said since it last did.
    Said { worker: WorkerId, epoch: Epoch, messages: Vec<EngineMessage> },
    /// A worker has ended.
    Down { worker: WorkerId, epoch: Epoch, end: WorkerEnd },
}

/// How a worker ended.
#[derive(Debug)]
pub struct WorkerEnd {
    /// Whether what ran there is to blame.
    pub cause: DownCause,
    /// In words, for the log.
    pub reason: String,
    /// What its engine said of itself, where that is known.
    pub failure: Option<EngineFailure>,
}

/// A worker's way to the front: one life of one worker.
#[derive(Debug)]
pub struct WorkerLine {
    inbox: SyncSender<FrontEvent>,
    worker: WorkerId,
    epoch: Epoch,
    /// What was said and has not left yet.
    said: Vec<EngineMessage>,
}

impl WorkerLine {
    pub(super) fn new(inbox: SyncSender<FrontEvent>, worker: WorkerId, epoch: Epoch) -> Self {
        Self { inbox, worker, epoch, said: Vec::new() }
    }

    /// The last thing that is heard of this life, after all that it said.
    pub fn down(&mut self, end: WorkerEnd) {
        let (worker, epoch) = (self.worker, self.epoch);
        // A front that has ended needs no news.
        let _ended = self.flush();
        let _ended = self.inbox.send(FrontEvent::Down { worker, epoch, end });
    }

    /// Whose life it is.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }
}

impl Outbox for WorkerLine {
    fn say(&mut self, message: EngineMessage) -> Result<(), FrontGone> {
        self.said.push(message);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), FrontGone> {
        if self.said.is_empty() {
            return Ok(());
        }
        let (worker, epoch, messages) = (self.worker, self.epoch, std::mem::take(&mut self.said));
        match self.inbox.try_send(FrontEvent::Said { worker, epoch, messages }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(mut said)) => {
                // A front that is behind need not hear what the answer does not depend on.
                if let FrontEvent::Said { messages, .. } = &mut said {
                    messages.retain(|message| !message.is_passing());
                }
                self.inbox.send(said).map_err(|_ended| FrontGone)
            }
            Err(TrySendError::Disconnected(_)) => Err(FrontGone),
        }
    }
}

/// Sends what the front will find out by itself if there is no room now.
pub(super) fn nudge(inbox: &SyncSender<FrontEvent>, event: FrontEvent) {
    match inbox.try_send(event) {
        Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
    }
}

//! The pool's doors, for any thread: submit, drain, ask. Knows the way to the front, not what happens there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use reverie_scheduler::{Budget, SchedulerStats};
use tokio::sync::watch;

use super::inbox::{FrontEvent, INBOX, nudge};
use super::limits::submission;
use crate::engine::document_engine::{DocumentEngine, EngineStatus, EventStream, SubmitError};
use crate::engine::request::{EngineRequest, TenantId};

/// When a front that has no time to listen is to be asked again.
const BUSY_FOR: Duration = Duration::from_secs(1);

/// A way to the pool; clones lead to the same one. When the last is gone, the pool finishes what it has
/// accepted and ends.
#[derive(Debug, Clone)]
pub struct PoolHandle(Arc<Door>);

#[derive(Debug)]
struct Door {
    inbox: SyncSender<FrontEvent>,
    drain: Arc<AtomicBool>,
    status: watch::Receiver<EngineStatus>,
    stats: watch::Receiver<SchedulerStats>,
    budget: Budget,
    has_choice: bool,
}

impl Door {
    fn drain(&self) {
        self.drain.store(true, Ordering::Release);
        // Without room the front looks by itself, a little later.
        nudge(&self.inbox, FrontEvent::Wake);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.drain();
    }
}

impl PoolHandle {
    pub(super) fn new(
        inbox: SyncSender<FrontEvent>,
        drain: Arc<AtomicBool>,
        (status, stats): (watch::Receiver<EngineStatus>, watch::Receiver<SchedulerStats>),
        (budget, has_choice): (Budget, bool),
    ) -> Self {
        Self(Arc::new(Door { inbox, drain, status, stats, budget, has_choice }))
    }

    /// Refuses new requests from now on; the pool ends once the accepted ones have.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// The schedulers' numbers after their last steps, of all living workers together.
    pub fn stats(&self) -> SchedulerStats {
        *self.0.stats.borrow()
    }

    /// Waits until the pool has failed; for ever if it never does.
    pub async fn failed(&self) {
        let mut status = self.0.status.clone();
        let failed = status.wait_for(|status| *status == EngineStatus::Failed).await.is_ok();
        if !failed && self.status() != EngineStatus::Failed {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the pool has ended: drained, and everything that was accepted has ended too.
    pub async fn ended(&self) {
        let mut status = self.0.status.clone();
        while status.changed().await.is_ok() {}
    }

    /// Waits until a worker is warm, or none will ever be: returns any status but `Loading`.
    pub async fn loaded(&self) -> EngineStatus {
        let mut status = self.0.status.clone();
        let settled = status.wait_for(|status| *status != EngineStatus::Loading).await;
        settled.map_or(EngineStatus::Failed, |status| *status)
    }

    /// What the front decides about `question`.
    fn ask<T>(
        &self,
        question: impl FnOnce(SyncSender<Result<T, SubmitError>>) -> FrontEvent,
    ) -> Result<T, SubmitError> {
        let (reply, decision) = sync_channel(1);
        match self.0.inbox.try_send(question(reply)) {
            Ok(()) => decision.recv().unwrap_or_else(|_front_ended| Err(self.gone())),
            Err(TrySendError::Full(_)) => {
                Err(SubmitError::QueueFull { waiting: INBOX, retry_after: BUSY_FOR })
            }
            Err(TrySendError::Disconnected(_)) => Err(self.gone()),
        }
    }

    fn gone(&self) -> SubmitError {
        match self.status() {
            EngineStatus::Draining => SubmitError::Draining,
            EngineStatus::Loading
            | EngineStatus::Ready
            | EngineStatus::Recovering
            | EngineStatus::Failed => SubmitError::Failed,
        }
    }
}

impl DocumentEngine for PoolHandle {
    /// Waits for the front's decision, which takes as long as a look at its books.
    fn submit(&self, request: EngineRequest) -> Result<EventStream, SubmitError> {
        let wish = Box::new(submission(&request, &self.0.budget, self.0.has_choice));
        let request = Box::new(request);
        self.ask(|reply| FrontEvent::Submit { request, wish, reply })
    }

    fn announce(&self, tenant: TenantId, priority: i32) -> Result<(), SubmitError> {
        self.ask(|reply| FrontEvent::Announce { tenant, priority, reply })
    }

    fn status(&self) -> EngineStatus {
        let status = *self.0.status.borrow();
        let has_ended = self.0.status.has_changed().is_err();
        let is_draining = self.0.drain.load(Ordering::Acquire);
        match status {
            EngineStatus::Loading | EngineStatus::Ready | EngineStatus::Recovering
                if is_draining =>
            {
                EngineStatus::Draining
            }
            // Its thread went down without a word.
            EngineStatus::Loading | EngineStatus::Ready | EngineStatus::Recovering if has_ended => {
                EngineStatus::Failed
            }
            EngineStatus::Loading
            | EngineStatus::Ready
            | EngineStatus::Recovering
            | EngineStatus::Draining
            | EngineStatus::Failed => status,
        }
    }
}

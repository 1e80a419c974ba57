//! The engine's doors, for any thread: submit, drain, ask. Knows the way in, not the loop behind it.

use std::sync::Arc;

use reverie_scheduler::{Budget, SchedulerStats, SequenceId};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Clock;
use super::admission::Admission;
use super::command::{Command, Submission};
use super::document_engine::{DocumentEngine, EngineStatus, EventStream, SubmitError};
use super::request::EngineRequest;
use super::sequence_spec::{drawing_spec, max_events, sequence_spec};

/// A way to the engine; clones lead to the same one. When the last is gone, the engine finishes what it
/// has accepted and ends.
#[derive(Clone)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    admission: Arc<Admission>,
    clock: Clock,
}

impl std::fmt::Debug for EngineHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EngineHandle").field("admission", &self.admission).finish()
    }
}

impl EngineHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        admission: Arc<Admission>,
        clock: Clock,
    ) -> Self {
        Self { commands, admission, clock }
    }

    /// Refuses new requests from now on; the engine's thread ends once the accepted ones have.
    pub fn drain(&self) {
        if self.admission.close() {
            // A channel that is closed belongs to a thread that has ended: nothing is left to drain.
            let _ended_already = self.commands.try_send(Command::Drain);
        }
    }

    /// How long a context may be and what pictures take in it; `None` while the model is loading.
    pub fn budget(&self) -> Option<Budget> {
        self.admission.budget()
    }

    /// The scheduler's numbers after the last step.
    pub fn stats(&self) -> SchedulerStats {
        self.admission.stats()
    }

    /// Waits until the engine has failed; for ever if it never does.
    pub async fn failed(&self) {
        let mut status = self.admission.watch_status();
        if status.wait_for(|status| *status == EngineStatus::Failed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the engine's loop has ended: drained, and everything that was accepted has ended too.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    /// Waits until the model is warm, or will never be: returns any status but `Loading`.
    pub async fn loaded(&self) -> EngineStatus {
        let mut status = self.admission.watch_status();
        let settled = status.wait_for(|status| *status != EngineStatus::Loading).await;
        settled.map_or(EngineStatus::Failed, |status| *status)
    }
}

impl DocumentEngine for EngineHandle {
    fn submit(&self, request: EngineRequest) -> Result<EventStream, SubmitError> {
        let budget = match (self.status(), self.budget()) {
            (EngineStatus::Ready, Some(budget)) => budget,
            (EngineStatus::Loading | EngineStatus::Ready, _) => return Err(SubmitError::Loading),
            (EngineStatus::Draining, _) => return Err(SubmitError::Draining),
            (EngineStatus::Failed, _) => return Err(SubmitError::Failed),
        };
        // How large its latents are and how many steps they take changes no position.
        let drawing = drawing_spec(&request.pictures, 1, 1);
        let spec = sequence_spec(SequenceId(0), &request, drawing);
        if !budget.admits(&spec) {
            let positions = budget.least_positions(&spec);
            return Err(SubmitError::TooLong { positions, limit: budget.max_model_len });
        }
        let place = self.admission.take_place().map_err(|waiting| SubmitError::QueueFull {
            waiting,
            retry_after: self.admission.retry_after(),
        })?;
        let (events, stream) = mpsc::channel(max_events(&request, &budget));
        let submission =
            Submission { request: Arc::new(request), events, submitted: (self.clock)(), place };
        // Places bound the channel, so it can only be closed: by a drain, or by a failure that the status
        // may not tell yet.
        match (self.commands.try_send(Command::Submit(submission)), self.status()) {
            (Ok(()), _) => Ok(Box::pin(ReceiverStream::new(stream))),
            (Err(_closed), EngineStatus::Draining) => Err(SubmitError::Draining),
            (Err(_closed), EngineStatus::Loading | EngineStatus::Ready | EngineStatus::Failed) => {
                Err(SubmitError::Failed)
            }
        }
    }

    fn status(&self) -> EngineStatus {
        self.admission.status()
    }
}

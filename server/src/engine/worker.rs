//! The loop of the engine's thread: take commands, sweep, schedule, execute, update, publish. Owns the
//! scheduler, the sessions and the runner; knows no tensors and no HTTP.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use reverie_scheduler::{
    FailedRow, FinishReason, RenderedRow, RowFailure, Sampled, SampledRow, Scheduler,
    SchedulerConfig, SequenceEvent, SequenceId, StepOutcome, StepPlan, TokenId,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::admission::Admission;
use super::command::{Command, Submission};
use super::event::{EngineError, EngineEvent};
use super::request::PromptSegment;
use super::runner::{FailedSequence, ModelRunner, OpenedSequence, StepOutput, TokenChoice};
use super::sequence_spec::sequence_spec;
use super::session::{GivenUp, Session, refuse};
use super::{Clock, EngineFailure};

/// The engine's thread, as a value.
pub(super) struct Worker {
    runner: Box<dyn ModelRunner>,
    scheduler: Scheduler,
    sessions: BTreeMap<SequenceId, Session>,
    admission: Arc<Admission>,
    clock: Clock,
    next_id: u64,
    draining: bool,
}

impl Worker {
    pub(super) fn new(
        runner: Box<dyn ModelRunner>,
        config: SchedulerConfig,
        clock: Clock,
        admission: Arc<Admission>,
    ) -> Self {
        let scheduler = Scheduler::new(config);
        let sessions = BTreeMap::new();
        Self { runner, scheduler, sessions, admission, clock, next_id: 0, draining: false }
    }

    /// Serves until drained.
    ///
    /// # Errors
    /// [`EngineFailure::Poisoned`] if the runner became unusable; every open request has failed then.
    pub(super) fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
    ) -> Result<(), EngineFailure> {
        self.admission.open(self.runner.budget());
        let mut ended = Ok(());
        while ended.is_ok() && self.take_commands(&mut commands) {
            self.sweep();
            ended = self.step();
            self.admission.set_stats(self.scheduler.stats());
        }
        commands.close();
        while let Some(command) = commands.blocking_recv() {
            match command {
                Command::Submit(submission) => refuse(&submission, EngineError::ShuttingDown),
                Command::Drain => {}
            }
        }
        ended
    }

    /// Takes in every command there is, and waits for one if there is nothing else to do. Whether to go on.
    fn take_commands(&mut self, commands: &mut mpsc::Receiver<Command>) -> bool {
        loop {
            let idle = self.sessions.is_empty();
            if idle && self.draining {
                return false;
            }
            let command = match commands.try_recv() {
                Ok(command) => Some(command),
                Err(TryRecvError::Empty) if idle => commands.blocking_recv(),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => None,
            };
            match command {
                Some(Command::Submit(submission)) => self.accept(submission),
                Some(Command::Drain) => self.draining = true,
                None => {
                    self.draining = true;
                    return !self.sessions.is_empty();
                }
            }
        }
    }

    fn accept(&mut self, submission: Submission) {
        if self.draining {
            refuse(&submission, EngineError::ShuttingDown);
            return;
        }
        if submission.request.prompt.iter().all(PromptSegment::is_empty) {
            refuse(&submission, EngineError::Model("the prompt has no position".to_owned()));
            return;
        }
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        let request = Arc::clone(&submission.request);
        let OpenedSequence { drawing, text } = match guarded(|| self.runner.open(id, &request)) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(sequence = %id, %error, "request refused by the model");
                refuse(&submission, error);
                return;
            }
        };
        if let Err(refusal) = self.scheduler.add(sequence_spec(id, &request, drawing)) {
            tracing::warn!(sequence = %id, %refusal, "request refused by the scheduler");
            refuse(&submission, EngineError::Model(refusal.to_string()));
            self.close(id);
            return;
        }
        tracing::info!(sequence = %id, "admitted");
        self.sessions.insert(id, Session::new(submission, text));
    }

    /// Gives up what nobody waits for any more.
    fn sweep(&mut self) {
        let now = (self.clock)();
        let given_up: Vec<(SequenceId, GivenUp)> = self
            .sessions
            .iter()
            .filter_map(|(id, session)| session.given_up(now).map(|reason| (*id, reason)))
            .collect();
        for (id, reason) in given_up {
            tracing::info!(sequence = %id, ?reason, "given up");
            self.scheduler.abort(id);
            // Whoever left does not hear it.
            self.end(id, EngineEvent::Failed(EngineError::Deadline));
        }
    }

    fn step(&mut self) -> Result<(), EngineFailure> {
        let plan = self.scheduler.schedule();
        if plan.is_empty() {
            return Ok(());
        }
        let output = guarded(|| self.runner.execute(&plan)).and_then(|output| {
            check_answers(&plan, &output)?;
            Ok(output)
        });
        match output {
            Ok(output) => {
                self.publish(&plan, output);
                Ok(())
            }
            Err(error) => self.fail(&plan, error),
        }
    }

    fn publish(&mut self, plan: &StepPlan, output: StepOutput) {
        let mut outcome = StepOutcome::default();
        for rendered in output.rendered {
            let (sequence, content) = (rendered.sequence, rendered.content);
            outcome.rendered.push(RenderedRow { sequence, content });
            if let Some(session) = self.sessions.get_mut(&sequence) {
                session.image(rendered.picture);
            }
        }
        for FailedSequence { sequence, error } in output.failed {
            tracing::error!(%sequence, %error, "a row failed");
            outcome.failed.push(FailedRow { sequence, failure: RowFailure::NotFinite });
            self.end(sequence, EngineEvent::Failed(error));
        }
        for token in output.sampled {
            if let Some(session) = self.sessions.get_mut(&token.sequence) {
                let sampled = take_choice(session, token.choice);
                outcome.sampled.push(SampledRow { sequence: token.sequence, sampled });
            }
        }
        for (id, event) in self.scheduler.update(plan, &outcome).events {
            self.publish_event(id, event);
        }
    }

    fn publish_event(&mut self, id: SequenceId, event: SequenceEvent) {
        if let SequenceEvent::Finished { reason, usage } = event {
            tracing::info!(sequence = %id, ?reason, ?usage, "finished");
            if let Some(session) = self.sessions.get(&id) {
                self.admission.document_took(session.age((self.clock)()));
            }
            self.end(id, EngineEvent::Finished { reason, usage });
            return;
        }
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match event {
            SequenceEvent::ImageStarted { picture } => session.start_image(picture),
            SequenceEvent::Denoised { picture, num_done, num_steps } => {
                session.image_progress(picture, num_done, num_steps);
            }
            SequenceEvent::Failed { .. } => {
                unreachable!("a failed sequence has no session any more")
            }
            SequenceEvent::Finished { .. } => unreachable!("handled above"),
        }
    }

    /// The sequences of `plan` cannot go on; if the runner cannot either, nobody can.
    fn fail(&mut self, plan: &StepPlan, error: EngineError) -> Result<(), EngineFailure> {
        tracing::error!(sequences = ?plan.sequences(), %error, "engine step failed");
        for id in plan.sequences() {
            self.scheduler.abort(id);
            self.end(id, EngineEvent::Failed(error.clone()));
        }
        if !self.runner.is_poisoned() {
            return Ok(());
        }
        while let Some((id, session)) = self.sessions.pop_first() {
            self.scheduler.abort(id);
            session.end(EngineEvent::Failed(error.clone()));
        }
        Err(EngineFailure::Poisoned(error))
    }

    fn close(&mut self, id: SequenceId) {
        if let Err(error) = guarded(|| {
            self.runner.close(id);
            Ok(())
        }) {
            tracing::error!(sequence = %id, %error, "closing a sequence failed");
        }
    }

    fn end(&mut self, id: SequenceId, event: EngineEvent) {
        self.close(id);
        if let Some(session) = self.sessions.remove(&id) {
            session.end(event);
        }
    }
}

/// A choice as the scheduler sees it; its text is sent on the way.
fn take_choice(session: &mut Session, choice: TokenChoice) -> Sampled {
    match choice {
        TokenChoice::Text(id) => {
            if session.push_token(id) {
                Sampled::StopString(TokenId(id))
            } else {
                Sampled::Text(TokenId(id))
            }
        }
        TokenChoice::EndOfText => Sampled::EndOfText,
        TokenChoice::DreamStart => Sampled::DreamStart,
        TokenChoice::BeamsAdvanced => Sampled::BeamsAdvanced,
        TokenChoice::BeamsFinished { ids, reason } => {
            let stopped = session.push_tokens(&ids);
            match (stopped, reason) {
                (Some(index), _) => Sampled::BeamsFinished {
                    num_tokens: index + 1,
                    reason: FinishReason::StopString,
                },
                (None, FinishReason::EndOfText) => {
                    Sampled::BeamsFinished { num_tokens: ids.len() + 1, reason }
                }
                (None, _) => Sampled::BeamsFinished { num_tokens: ids.len(), reason },
            }
        }
    }
}

/// Every row that asks for an answer has got exactly one, or has failed.
fn check_answers(plan: &StepPlan, output: &StepOutput) -> Result<(), EngineError> {
    let goes_on = |id: &SequenceId| output.failed.iter().all(|failed| failed.sequence != *id);
    let sampling = plan.decode.iter().filter(|row| row.sample.is_some()).map(|row| row.sequence);
    let mut asked: Vec<SequenceId> = sampling.filter(goes_on).collect();
    let mut chosen: Vec<SequenceId> = output.sampled.iter().map(|token| token.sequence).collect();
    let complete = plan.render.iter().filter(|row| row.segments.is_last());
    let mut to_render: Vec<SequenceId> = complete.map(|row| row.sequence).filter(goes_on).collect();
    let mut rendered: Vec<SequenceId> =
        output.rendered.iter().map(|picture| picture.sequence).collect();
    for rows in [&mut asked, &mut chosen, &mut to_render, &mut rendered] {
        rows.sort_unstable();
    }
    if asked == chosen && to_render == rendered {
        return Ok(());
    }
    Err(EngineError::Model(format!(
        "the runner answered tokens for {chosen:?} and pictures for {rendered:?}, \
         where {asked:?} and {to_render:?} were asked for"
    )))
}

/// Calls into the runner; a panic there becomes an error.
fn guarded<T>(call: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|panic| Err(EngineError::Model(format!("panic: {}", panic_text(&*panic)))))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

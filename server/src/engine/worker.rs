//! The loop of an engine: take orders, schedule, execute, update, say what came of it. Owns the scheduler,
//! the sessions and the runner; knows no tensors, no clients and no HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use reverie_model::Picture;
use reverie_model::token_logprobs::TokenLogprobs;
use reverie_scheduler::dispatcher::{JobFault, JobId, Role};
use reverie_scheduler::{
    ContentHash, FailedRow, FinishReason, Nanos, PictureSpec, Refusal, RenderedRow, RowFailure,
    Sampled, SampledRow, Scheduler, SchedulerConfig, SchedulerStats, SequenceEvent, SequenceId,
    StepOutcome, StepPlan, TokenId,
};

use super::event::EngineError;
use super::failpoint;
use super::guarded_call::guarded;
use super::order::{Conditions, EngineMessage, EngineOrder, Outbox};
use super::request::{EngineRequest, PromptSegment};
use super::runner::{FailedSequence, ModelRunner, StepOutput, TokenChoice};
use super::sequence_spec::{picture_work, sequence_spec};
use super::session::{Session, SessionWork};
use super::{Clock, EngineFailure};

/// An idle engine says this often that it lives.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(500);

/// It looks this often whether what a request needs is ready.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// An engine's loop, as a value.
pub(super) struct Worker<'a> {
    runner: Box<dyn ModelRunner>,
    scheduler: Scheduler,
    role: Role,
    /// By which it measures how long steps take.
    clock: Clock,
    sessions: BTreeMap<JobId, Session>,
    names: BTreeMap<SequenceId, JobId>,
    /// Documents that wait until what they need is ready.
    unprepared: Vec<JobId>,
    next_id: u64,
    outbox: &'a mut dyn Outbox,
    /// The scheduler's numbers as they were last said.
    told: SchedulerStats,
    /// Whether anything was said in this turn.
    has_spoken: bool,
    is_unheard: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        runner: Box<dyn ModelRunner>,
        config: SchedulerConfig,
        role: Role,
        clock: Clock,
        outbox: &'a mut dyn Outbox,
    ) -> Self {
        let scheduler = Scheduler::new(config);
        let told = scheduler.stats();
        Self {
            runner,
            scheduler,
            role,
            clock,
            sessions: BTreeMap::new(),
            names: BTreeMap::new(),
            unprepared: Vec::new(),
            next_id: 0,
            outbox,
            told,
            has_spoken: false,
            is_unheard: false,
        }
    }

    /// Works until it is told to end or nobody listens any more.
    ///
    /// # Errors
    /// [`EngineFailure`] if the runner became unusable; what was being done is lost.
    pub(super) fn run(mut self, orders: &Receiver<EngineOrder>) -> Result<(), EngineFailure> {
        while !self.is_unheard && self.take_orders(orders)? {
            self.has_spoken = false;
            self.begin_prepared()?;
            self.flush();
            self.step()?;
            let stats = self.scheduler.stats();
            if stats != self.told {
                self.told = stats;
                self.say(EngineMessage::Stats(stats));
            } else if !self.has_spoken {
                self.say(EngineMessage::Heartbeat);
            }
            self.flush();
            // Where threads wait for a processor, whoever gives orders comes first: a request may have been given up.
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Takes in every order there is, and waits for one if there is nothing else to do. Whether to go on.
    fn take_orders(&mut self, orders: &Receiver<EngineOrder>) -> Result<bool, EngineFailure> {
        loop {
            let order = match orders.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Empty) if self.names.is_empty() => {
                    self.flush();
                    let is_busy = !self.unprepared.is_empty();
                    match orders.recv_timeout(if is_busy { LOOK_EVERY } else { HEARTBEAT_EVERY }) {
                        Ok(order) => order,
                        Err(RecvTimeoutError::Timeout) => return Ok(true),
                        Err(RecvTimeoutError::Disconnected) => return Ok(false),
                    }
                }
                Err(TryRecvError::Empty) => return Ok(true),
                Err(TryRecvError::Disconnected) => return Ok(false),
            };
            match order {
                EngineOrder::Write { job, request, written } => {
                    self.sessions.insert(job, Session::document(job, request, written));
                    self.unprepared.push(job);
                    self.begin_prepared()?;
                }
                EngineOrder::Draw { job, request, picture, conditions } => {
                    self.sessions.insert(job, Session::picture(job, request));
                    self.draw(job, picture, &conditions)?;
                }
                EngineOrder::Picture { job, picture, content } => {
                    self.take_picture(job, picture, content)?;
                }
                EngineOrder::Abort { job } => self.abort(job)?,
                EngineOrder::Shutdown => return Ok(false),
            }
        }
    }

    fn next_sequence(&mut self, job: JobId) -> SequenceId {
        let id = SequenceId(self.next_id);
        self.next_id += 1;
        self.names.insert(id, job);
        if let Some(session) = self.sessions.get_mut(&job) {
            session.sequence = Some(id);
        }
        id
    }

    /// Begins what needs not wait any more.
    fn begin_prepared(&mut self) -> Result<(), EngineFailure> {
        for job in std::mem::take(&mut self.unprepared) {
            // A job that was given up meanwhile waits for nothing.
            let Some(session) = self.sessions.get(&job) else { continue };
            let (runner, request) = (&mut self.runner, &session.request);
            match guarded(|| runner.is_prepared(request))? {
                Ok(true) => self.begin(job)?,
                Ok(false) => self.unprepared.push(job),
                Err(error) => self.fail_job(job, JobFault::Refused, cause(&error))?,
            }
        }
        Ok(())
    }

    /// Gives a document, as far as it is written, to the runner and the scheduler.
    fn begin(&mut self, job: JobId) -> Result<(), EngineFailure> {
        let id = self.next_sequence(job);
        let Some(session) = self.sessions.get_mut(&job) else { return Ok(()) };
        let request = Arc::clone(&session.request);
        if !self.role.writes() || request.prompt.iter().all(PromptSegment::is_empty) {
            let cause = "the prompt has no position".to_owned();
            return self.fail_job(job, JobFault::Refused, cause);
        }
        let runner = &mut self.runner;
        let opened = match guarded(|| runner.open(id, &request))? {
            Ok(opened) => opened,
            Err(error) => return self.fail_job(job, JobFault::Refused, cause(&error)),
        };
        let Some(document) = session.document_mut() else { return Ok(()) };
        document.read_back(opened.text, &request.stopping.stop);
        let written = document.written();
        let pieces = &document.written;
        if !pieces.is_empty()
            && let Err(error) = guarded(|| runner.resume(id, pieces))?
        {
            return self.fail_job(job, JobFault::Refused, cause(&error));
        }
        let mut spec = sequence_spec(id, &request, opened.drawing);
        spec.written = written;
        let added = self.scheduler.add(spec);
        self.taken_on(job, added)
    }

    fn taken_on(&mut self, job: JobId, added: Result<(), Refusal>) -> Result<(), EngineFailure> {
        match added {
            Ok(()) => Ok(()),
            Err(refusal) => self.fail_job(job, JobFault::Refused, refusal.to_string()),
        }
    }

    /// Gives a picture to the runner and the scheduler.
    fn draw(
        &mut self,
        job: JobId,
        picture: usize,
        conditions: &Conditions,
    ) -> Result<(), EngineFailure> {
        let id = self.next_sequence(job);
        let Some(session) = self.sessions.get(&job) else { return Ok(()) };
        let request = Arc::clone(&session.request);
        let runner = &mut self.runner;
        let drawing = match guarded(|| runner.open_picture(id, &request, picture, conditions))? {
            Ok(drawing) => drawing,
            Err(error) => return self.fail_job(job, JobFault::Refused, cause(&error)),
        };
        let EngineRequest { tenant, priority, .. } = *request;
        let added =
            self.scheduler.add_picture(&PictureSpec { id, tenant, priority, picture, drawing });
        self.taken_on(job, added)
    }

    /// A picture from elsewhere: its document goes on after it.
    fn take_picture(
        &mut self,
        job: JobId,
        picture: Arc<Picture>,
        content: ContentHash,
    ) -> Result<(), EngineFailure> {
        let Some(session) = self.sessions.get_mut(&job) else { return Ok(()) };
        if session.sequence.is_some() {
            return Ok(());
        }
        let Some(document) = session.document_mut() else { return Ok(()) };
        let _the_front_has_it = document.push_picture(job, picture, content);
        self.begin(job)
    }

    fn abort(&mut self, job: JobId) -> Result<(), EngineFailure> {
        if self.sessions.contains_key(&job) {
            self.close(job)?;
            self.say(EngineMessage::Aborted { job });
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), EngineFailure> {
        let since = (self.clock)();
        let plan = self.scheduler.schedule();
        if plan.is_empty() {
            return Ok(());
        }
        let request_of = |id| {
            let job = self.names.get(&id)?;
            self.sessions.get(job).map(|session| &*session.request)
        };
        failpoint::strike(&plan, request_of);
        let not_finite = failpoint::not_finite(&plan, request_of);
        let runner = &mut self.runner;
        let output = guarded(|| {
            let mut output = runner.execute(&plan)?;
            failpoint::spoil(&mut output, &not_finite);
            output.check(&plan)?;
            Ok(output)
        })?;
        match output {
            Ok(output) => self.publish(&plan, output)?,
            Err(error) => self.fail(&plan, error)?,
        }
        let taken = (self.clock)().saturating_duration_since(since).as_nanos();
        self.scheduler.took(&plan, Nanos(u64::try_from(taken).unwrap_or(u64::MAX)));
        Ok(())
    }

    fn publish(&mut self, plan: &StepPlan, output: StepOutput) -> Result<(), EngineFailure> {
        let mut outcome = StepOutcome::default();
        let previews =
            output.previews.into_iter().map(|preview| (preview.sequence, preview.picture));
        let mut previews: BTreeMap<SequenceId, Arc<Picture>> = previews.collect();
        for traced in output.traced {
            if let Some(job) = self.names.get(&traced.sequence).copied() {
                let parts = traced.records.into_iter();
                parts.for_each(|record| self.say(EngineMessage::Traced { job, record }));
            }
        }
        for rendered in output.rendered {
            let (sequence, content) = (rendered.sequence, rendered.content);
            outcome.rendered.push(RenderedRow { sequence, content });
            self.rendered(sequence, rendered.picture, content);
        }
        for FailedSequence { sequence, error } in output.failed {
            tracing::error!(%sequence, %error, "a row failed");
            // Only numbers that are not finite say something of the worker; a text that cannot go on says it of itself.
            let (failure, fault) = if matches!(error, EngineError::NotFinite(_)) {
                (RowFailure::NotFinite, JobFault::NotFinite)
            } else {
                (RowFailure::NotComputed, JobFault::NotComputed)
            };
            outcome.failed.push(FailedRow { sequence, failure });
            if let Some(job) = self.names.get(&sequence).copied() {
                self.fail_job(job, fault, cause(&error))?;
            }
        }
        for token in output.sampled {
            self.judge(token.sequence, token.logprobs);
            if let Some(sampled) = self.take_choice(token.sequence, token.choice) {
                outcome.sampled.push(SampledRow { sequence: token.sequence, sampled });
            }
        }
        for (id, event) in self.scheduler.update(plan, &outcome).events {
            self.publish_event(id, event, previews.remove(&id))?;
        }
        Ok(())
    }

    fn session_of(&mut self, id: SequenceId) -> Option<&mut Session> {
        let job = self.names.get(&id)?;
        self.sessions.get_mut(job)
    }

    fn rendered(&mut self, id: SequenceId, picture: Arc<Picture>, content: ContentHash) {
        let Some(session) = self.session_of(id) else { return };
        let job = session.job;
        let message = match &mut session.work {
            SessionWork::Document(document) => document.push_picture(job, picture, content),
            SessionWork::Picture => EngineMessage::Drawn { job, picture, content },
        };
        self.say(message);
    }

    /// Says how likely the token was that is chosen next.
    fn judge(&mut self, id: SequenceId, logprobs: Option<TokenLogprobs>) {
        let Some((logprobs, session)) = logprobs.zip(self.session_of(id)) else { return };
        let (job, position) = (session.job, session.num_entries());
        self.say(EngineMessage::Judged { job, position, logprobs });
    }

    /// A choice as the scheduler sees it; it is said on the way.
    fn take_choice(&mut self, id: SequenceId, choice: TokenChoice) -> Option<Sampled> {
        let session = self.session_of(id)?;
        let job = session.job;
        let document = session.document_mut()?;
        match choice {
            TokenChoice::Text(token) => {
                let (message, stopped) = document.push_token(job, token);
                self.say(message);
                let token = TokenId(token);
                Some(if stopped { Sampled::StopString(token) } else { Sampled::Text(token) })
            }
            TokenChoice::EndOfText => Some(Sampled::EndOfText),
            TokenChoice::DreamStart => Some(Sampled::DreamStart),
            TokenChoice::BeamsAdvanced => Some(Sampled::BeamsAdvanced),
            TokenChoice::BeamsFinished { ids, reason } => {
                let mut messages = Vec::with_capacity(ids.len());
                let mut sampled = Sampled::BeamsFinished {
                    num_tokens: ids.len() + usize::from(reason == FinishReason::EndOfText),
                    reason,
                };
                for (index, id) in ids.into_iter().enumerate() {
                    let (message, stopped) = document.push_token(job, id);
                    messages.push(message);
                    if stopped {
                        let (num_tokens, reason) = (index + 1, FinishReason::StopString);
                        sampled = Sampled::BeamsFinished { num_tokens, reason };
                        break;
                    }
                }
                messages.into_iter().for_each(|message| self.say(message));
                Some(sampled)
            }
        }
    }

    /// `preview` is of the picture that `id` draws.
    fn publish_event(
        &mut self,
        id: SequenceId,
        event: SequenceEvent,
        preview: Option<Arc<Picture>>,
    ) -> Result<(), EngineFailure> {
        let is_complete = self.runner.is_complete(id);
        let Some(session) = self.session_of(id) else { return Ok(()) };
        let (job, position) = (session.job, session.num_entries());
        match event {
            SequenceEvent::ImageStarted { .. } => {
                self.say(EngineMessage::ImageStarted { job, position });
                if !self.role.draws() {
                    self.hand_over(id, job, position)?;
                }
            }
            SequenceEvent::Denoised { num_done: step, num_steps, .. } => {
                self.say(EngineMessage::Denoised { job, step, num_steps, preview });
            }
            SequenceEvent::Finished { reason, usage } => {
                let reason = if is_complete { FinishReason::EndOfText } else { reason };
                let message = match session.work {
                    SessionWork::Document(_) => {
                        Some(EngineMessage::Ended { job, num_entries: position, reason, usage })
                    }
                    SessionWork::Picture => None,
                };
                self.close(job)?;
                message.into_iter().for_each(|message| self.say(message));
            }
            SequenceEvent::Failed { .. } => {
                unreachable!("a failed sequence has no session any more")
            }
        }
        Ok(())
    }

    /// A picture that is drawn elsewhere: the document leaves until it comes.
    fn hand_over(
        &mut self,
        id: SequenceId,
        job: JobId,
        position: usize,
    ) -> Result<(), EngineFailure> {
        let runner = &mut self.runner;
        let conditions = match guarded(|| runner.take_conditions(id))? {
            Ok(conditions) => conditions,
            Err(error) => return self.fail_job(job, JobFault::NotComputed, cause(&error)),
        };
        let Some(session) = self.sessions.get_mut(&job) else { return Ok(()) };
        session.sequence = None;
        let cost = picture_work(&session.request.pictures);
        self.names.remove(&id);
        self.scheduler.abort(id);
        self.close_sequence(id)?;
        self.say(EngineMessage::NeedsPicture { job, position, cost, conditions });
        Ok(())
    }

    /// The sequences of `plan` cannot go on; if the runner cannot either, nobody can.
    fn fail(&mut self, plan: &StepPlan, error: EngineError) -> Result<(), EngineFailure> {
        tracing::error!(sequences = ?plan.sequences(), %error, "engine step failed");
        if self.runner.is_poisoned() {
            return Err(EngineFailure::Poisoned(error));
        }
        for id in plan.sequences() {
            if let Some(job) = self.names.get(&id).copied() {
                self.fail_job(job, JobFault::NotComputed, cause(&error))?;
            }
        }
        Ok(())
    }

    fn fail_job(
        &mut self,
        job: JobId,
        fault: JobFault,
        cause: String,
    ) -> Result<(), EngineFailure> {
        self.close(job)?;
        self.say(EngineMessage::Failed { job, fault, cause });
        Ok(())
    }

    /// Forgets a job, wherever it stands.
    fn close(&mut self, job: JobId) -> Result<(), EngineFailure> {
        let session = self.sessions.remove(&job);
        let Some(id) = session.and_then(|session| session.sequence) else { return Ok(()) };
        self.names.remove(&id);
        self.scheduler.abort(id);
        self.close_sequence(id)
    }

    fn close_sequence(&mut self, id: SequenceId) -> Result<(), EngineFailure> {
        let runner = &mut self.runner;
        let closed = guarded(|| {
            runner.close(id);
            Ok(())
        })?;
        closed.map_err(EngineFailure::Poisoned)
    }

    fn say(&mut self, message: EngineMessage) {
        self.has_spoken = true;
        self.is_unheard |= self.outbox.say(message).is_err();
    }

    /// What a step says leaves together: whoever listens is woken once, not once for every row.
    fn flush(&mut self) {
        self.is_unheard |= self.outbox.flush().is_err();
    }
}

/// What the front is to say that the model said.
fn cause(error: &EngineError) -> String {
    match error {
        EngineError::Model(reason) => reason.clone(),
        other => other.to_string(),
    }
}

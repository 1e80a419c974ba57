//! The front's thread: it owns the dispatcher, every open answer and every worker by `&mut`. It hears events
//! one by one and does what the dispatcher says about them; it computes nothing and waits for nobody.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use reverie_scheduler::SchedulerStats;
use reverie_scheduler::dispatcher::{
    Abilities, Action, Dispatcher, DownCause, Epoch, Event, ExitReason, JobFault, JobId, Micros,
    Order, RequestId, Submission, WorkerId, WorkerMessage,
};
use tokio::sync::watch;

use super::answer::{Answer, KeptAnswer};
use super::inbox::{FrontEvent, WorkerEnd, WorkerLine};
use super::limits::{AWAITED_BYTES, LISTEN_EVERY, PoolConfig, micros};
use super::wording::submit_error;
use super::worker_port::{TellError, WorkerPlace, WorkerPort};
use super::{PoolFailure, TextSource};
use crate::engine::document_engine::{EngineStatus, EventStream, SubmitError};
use crate::engine::order::{EngineMessage, EngineOrder, WrittenPiece};
use crate::engine::request::EngineRequest;
use crate::engine::{Clock, EngineFailure};

/// The front of a pool, as a value.
pub(super) struct Front {
    pub(super) config: PoolConfig,
    pub(super) text: TextSource,
    dispatcher: Dispatcher,
    workers: BTreeMap<WorkerId, WorkerSeat>,
    pub(super) answers: BTreeMap<RequestId, Answer>,
    pub(super) kept: BTreeMap<RequestId, KeptAnswer>,
    pub(super) jobs: BTreeMap<JobId, Attempt>,
    next_client: u64,
    /// The client whose request is being judged.
    pub(super) asking: Option<Asking>,
    inbox: Receiver<FrontEvent>,
    pub(super) sender: SyncSender<FrontEvent>,
    drain: Arc<AtomicBool>,
    is_draining: bool,
    was_ready: bool,
    status: watch::Sender<EngineStatus>,
    stats: watch::Sender<SchedulerStats>,
    clock: Clock,
    started: Instant,
    swept: Micros,
    failure: Option<PoolFailure>,
    exit: Option<ExitReason>,
}

/// A place for workers, and who sits there.
struct WorkerSeat {
    place: Box<dyn WorkerPlace>,
    epoch: Epoch,
    port: Option<Box<dyn WorkerPort>>,
    /// Its scheduler's numbers as it last said them.
    stats: SchedulerStats,
}

/// Whose attempt a job is, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) request: RequestId,
    pub(super) worker: WorkerId,
}

/// A client that waits to hear whether it is let in.
pub(super) struct Asking {
    pub(super) request: Arc<EngineRequest>,
    pub(super) reply: SyncSender<Result<EventStream, SubmitError>>,
}

/// The front's ways in and out.
pub(super) struct Lines {
    pub(super) inbox: Receiver<FrontEvent>,
    pub(super) sender: SyncSender<FrontEvent>,
    pub(super) drain: Arc<AtomicBool>,
    pub(super) status: watch::Sender<EngineStatus>,
    pub(super) stats: watch::Sender<SchedulerStats>,
}

/// Whose order it is, if it is one to work.
fn job_of(order: &Order) -> Option<JobId> {
    match order {
        Order::Write { job, .. } | Order::Draw { job, .. } | Order::Picture { job, .. } => {
            Some(*job)
        }
        Order::Abort { .. } | Order::Shutdown => None,
    }
}

impl Front {
    pub(super) fn new(
        config: PoolConfig,
        places: Vec<Box<dyn WorkerPlace>>,
        text: TextSource,
        lines: Lines,
        clock: Clock,
    ) -> Self {
        let dispatcher = Dispatcher::new(config.dispatcher());
        let seat = |place| WorkerSeat {
            place,
            epoch: Epoch(0),
            port: None,
            stats: SchedulerStats::default(),
        };
        let workers = (0..).map(WorkerId).zip(places.into_iter().map(seat)).collect();
        let started = clock();
        let Lines { inbox, sender, drain, status, stats } = lines;
        Self {
            config,
            text,
            dispatcher,
            workers,
            answers: BTreeMap::new(),
            kept: BTreeMap::new(),
            jobs: BTreeMap::new(),
            next_client: 1,
            asking: None,
            inbox,
            sender,
            drain,
            is_draining: false,
            was_ready: false,
            status,
            stats,
            clock,
            started,
            swept: Micros(0),
            failure: None,
            exit: None,
        }
    }

    /// Works until everything that was accepted has ended and nothing more is taken, or no worker is left.
    ///
    /// # Errors
    /// If no worker is left.
    pub(super) fn run(mut self) -> Result<(), PoolFailure> {
        self.handle(Event::Tick, None);
        while self.exit.is_none() {
            match self.inbox.recv_timeout(self.patience()) {
                Ok(event) => self.hear(event),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    self.handle(Event::Tick, None);
                }
            }
            self.look_around();
        }
        match self.exit {
            Some(ExitReason::NoWorkerLeft) => Err(self.failure.unwrap_or(PoolFailure::NoWorker)),
            Some(ExitReason::Drained | ExitReason::Aborted) | None => Ok(()),
        }
    }

    pub(super) fn now(&self) -> Micros {
        let since = (self.clock)().saturating_duration_since(self.started);
        Micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    fn patience(&self) -> Duration {
        let due = self.dispatcher.next_deadline().map(|due| due.since(self.now()));
        due.map_or(LISTEN_EVERY, |span| Duration::from_micros(span.0).min(LISTEN_EVERY))
    }

    /// What no event tells: an order to drain, clients that left or read when there was no room to say so.
    fn look_around(&mut self) {
        if !self.is_draining && self.drain.load(Ordering::Acquire) {
            self.is_draining = true;
            self.handle(Event::Drain, None);
        }
        let now = self.now();
        if now.since(self.swept).0 < LISTEN_EVERY.as_micros() as u64 {
            return;
        }
        self.swept = now;
        let departed: Vec<RequestId> = self.answers.values().flat_map(Answer::departed).collect();
        for client in departed {
            self.handle(Event::Cancel(client), None);
        }
        let open: Vec<RequestId> = self.answers.keys().copied().collect();
        for request in open {
            self.tell_read(request);
        }
    }

    fn hear(&mut self, event: FrontEvent) {
        if !self.is_draining && self.drain.load(Ordering::Acquire) {
            self.is_draining = true;
            self.handle(Event::Drain, None);
        }
        match event {
            FrontEvent::Submit { request, wish, reply } => self.submit(*request, *wish, reply),
            FrontEvent::Announce { tenant, priority, reply } => {
                let refusal = self.dispatcher.refuses_all(tenant, priority);
                let now = self.now();
                let answer = refusal.map_or(Ok(()), |why| Err(submit_error(why, now)));
                // Whoever left meanwhile does not ask.
                let _left = reply.try_send(answer);
            }
            FrontEvent::Cancel(client) => self.handle(Event::Cancel(client), None),
            FrontEvent::Read(client) => {
                let answers = self.answers.iter();
                let read = answers.filter(|(_, answer)| answer.is_read_by(client));
                let read: Vec<RequestId> = read.map(|(request, _)| *request).collect();
                read.into_iter().for_each(|request| self.tell_read(request));
            }
            FrontEvent::Wake => self.handle(Event::Tick, None),
            FrontEvent::Said { worker, epoch, messages } => {
                messages.into_iter().for_each(|message| self.said(worker, epoch, message));
            }
            FrontEvent::Down { worker, epoch, end } => self.down(worker, epoch, end),
        }
    }

    fn submit(
        &mut self,
        request: EngineRequest,
        wish: Submission,
        reply: SyncSender<Result<EventStream, SubmitError>>,
    ) {
        if self.exit.is_some() {
            return; // the dropped reply says it
        }
        let client = RequestId(self.next_client);
        self.next_client += 1;
        let deadline = request.deadline.map(|span| self.now().after(micros(span)));
        let wish = Submission { request: client, deadline, ..wish };
        self.asking = Some(Asking { request: Arc::new(request), reply });
        self.handle(Event::Submit(wish), None);
        self.asking = None;
    }

    /// Passes on how far the quickest client of an answer is.
    fn tell_read(&mut self, request: RequestId) {
        let furthest = self.answers.get(&request).and_then(Answer::furthest);
        if let Some((client, num_entries)) = furthest {
            self.handle(Event::Consumed { request: client, num_entries }, None);
        }
    }

    /// Lets the dispatcher know, and does what it says. `at_hand` is the piece that the event is about.
    pub(super) fn handle(&mut self, event: Event, at_hand: Option<&WrittenPiece>) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let actions = self.dispatcher.handle(self.now(), event);
            // Before anybody hears of it.
            self.tell_status();
            for action in actions {
                events.extend(self.act(action, at_hand));
            }
        }
        self.tell_status();
    }

    /// Does what the dispatcher says; what comes of it at once.
    fn act(&mut self, action: Action, at_hand: Option<&WrittenPiece>) -> Option<Event> {
        match action {
            Action::Admit { request } => self.admit(request),
            Action::Attach { request, to } => self.attach(request, to),
            Action::Replay { request, of } => self.replay(request, of),
            Action::Reject { rejection, .. } => {
                let now = self.now();
                self.answer_asking(Err(submit_error(rejection, now)));
            }
            Action::Detach { request } => {
                self.answers.values_mut().for_each(|answer| answer.detach(request));
            }
            Action::Deliver { request, .. } => {
                if let (Some(answer), Some(piece)) = (self.answers.get_mut(&request), at_hand) {
                    answer.deliver(piece.clone());
                    answer.await_readers(answer.unread_bytes() >= AWAITED_BYTES);
                }
            }
            Action::Finish { request, ending } => self.finish(request, ending),
            Action::Forget { request } => {
                self.kept.remove(&request);
            }
            Action::Send { worker, epoch, order } => {
                let job = job_of(&order);
                return match (self.contents_of(worker, order, at_hand), job) {
                    (Some(order), _) => self.tell(worker, epoch, order),
                    (None, Some(job)) => {
                        tracing::error!(job = job.0, "the contents of an order are missing");
                        let message = WorkerMessage::Failed { job, fault: JobFault::Refused };
                        Some(Event::Message { worker, epoch, message })
                    }
                    (None, None) => None,
                };
            }
            Action::Start { worker, epoch } => return self.start(worker, epoch),
            Action::Kill { worker, epoch } => {
                tracing::warn!(worker = worker.0, epoch = epoch.0, "worker is killed");
                if let Some(port) = self.port(worker, epoch) {
                    port.kill();
                }
            }
            Action::Exit(reason) => self.exit = Some(reason),
        }
        None
    }

    fn port(&mut self, worker: WorkerId, epoch: Epoch) -> Option<&mut Box<dyn WorkerPort>> {
        let seat = self.workers.get_mut(&worker).filter(|seat| seat.epoch == epoch)?;
        seat.port.as_mut()
    }

    fn tell(&mut self, worker: WorkerId, epoch: Epoch, order: EngineOrder) -> Option<Event> {
        let port = self.port(worker, epoch)?;
        match port.tell(order) {
            Ok(()) | Err(TellError::Ended) => None,
            Err(TellError::Full) => {
                tracing::error!(worker = worker.0, "worker does not take its orders");
                port.kill();
                Some(Event::WorkerDown { worker, epoch, cause: DownCause::Crashed })
            }
        }
    }

    fn start(&mut self, worker: WorkerId, epoch: Epoch) -> Option<Event> {
        let line = WorkerLine::new(self.sender.clone(), worker, epoch);
        let seat = self.workers.get_mut(&worker)?;
        seat.epoch = epoch;
        match seat.place.start(line) {
            Ok(port) => {
                seat.port = Some(port);
                None
            }
            Err(error) => {
                tracing::error!(worker = worker.0, %error, "worker cannot be started");
                seat.port = None;
                Some(Event::WorkerDown { worker, epoch, cause: DownCause::Crashed })
            }
        }
    }

    /// A worker speaks. What an earlier life says is not listened to.
    fn said(&mut self, worker: WorkerId, epoch: Epoch, message: EngineMessage) {
        if self.port(worker, epoch).is_none() {
            return;
        }
        if let EngineMessage::Ready { budget, max_jobs, kv_positions, class } = message {
            if budget == self.config.budget {
                let max_jobs = max_jobs.max(1);
                let abilities = Abilities { max_jobs, kv_positions, class };
                self.failure = None;
                tracing::info!(worker = worker.0, epoch = epoch.0, "worker is ready");
                self.handle(Event::WorkerUp { worker, epoch, abilities }, None);
            } else {
                tracing::error!(worker = worker.0, ?budget, "worker has another model");
                self.drop_worker(worker, epoch);
            }
            return;
        }
        if let EngineMessage::Stats(stats) = message {
            self.tell_stats(worker, stats);
        }
        let Some((message, piece)) = self.take_in(message) else {
            return self
                .handle(Event::Message { worker, epoch, message: WorkerMessage::Heartbeat }, None);
        };
        self.handle(Event::Message { worker, epoch, message }, piece.as_ref());
    }

    /// A worker that cannot be worked with.
    fn drop_worker(&mut self, worker: WorkerId, epoch: Epoch) {
        if let Some(port) = self.port(worker, epoch) {
            port.kill();
        }
        self.handle(Event::WorkerDown { worker, epoch, cause: DownCause::Crashed }, None);
    }

    fn down(&mut self, worker: WorkerId, epoch: Epoch, end: WorkerEnd) {
        let Some(seat) = self.workers.get_mut(&worker).filter(|seat| seat.epoch == epoch) else {
            return;
        };
        seat.port = None;
        self.tell_stats(worker, SchedulerStats::default());
        let WorkerEnd { cause, reason, failure } = end;
        let lost = self.jobs.values().filter(|attempt| attempt.worker == worker);
        let lost: Vec<RequestId> = lost.map(|attempt| attempt.request).collect();
        let is_drawing =
            |request: &&RequestId| self.answers.get(request).is_some_and(Answer::is_drawing);
        let num_drawing = lost.iter().filter(is_drawing).count();
        if self.exit.is_none() {
            let (num_lost, worker, epoch) = (lost.len(), worker.0, epoch.0);
            tracing::warn!(worker, epoch, reason, num_lost, num_drawing, "worker has ended");
        }
        self.jobs.retain(|_, attempt| attempt.worker != worker);
        self.remember_failure(failure, reason);
        self.handle(Event::WorkerDown { worker, epoch, cause }, None);
    }

    /// The first failure since a worker was ready says why there is none, once there is none.
    fn remember_failure(&mut self, failure: Option<EngineFailure>, reason: String) {
        self.failure.get_or_insert(match failure {
            Some(failure) => PoolFailure::Engine(failure),
            None => PoolFailure::Lost { reason },
        });
    }

    fn tell_stats(&mut self, worker: WorkerId, stats: SchedulerStats) {
        if let Some(seat) = self.workers.get_mut(&worker) {
            seat.stats = stats;
        }
        self.stats.send_replace(self.workers.values().map(|seat| seat.stats).sum());
    }

    fn tell_status(&mut self) {
        let is_ready = self.dispatcher.is_ready();
        self.was_ready |= is_ready;
        let status = match self.exit {
            Some(ExitReason::NoWorkerLeft) => EngineStatus::Failed,
            Some(ExitReason::Drained | ExitReason::Aborted) => EngineStatus::Draining,
            None if self.is_draining => EngineStatus::Draining,
            None if is_ready => EngineStatus::Ready,
            None if self.was_ready => EngineStatus::Recovering,
            None => EngineStatus::Loading,
        };
        self.status.send_if_modified(|known| std::mem::replace(known, status) != status);
    }
}

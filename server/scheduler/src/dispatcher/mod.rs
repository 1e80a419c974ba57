//! The front of N workers: who is let in, who works for whom, and what happens when a worker dies. Knows
//! names, counts and times that it is given; refuses to know bytes, sockets, processes and clocks.
//!
//! [`Dispatcher::handle`] takes one [`Event`] and returns the [`Action`]s that follow, in order. Events
//! and actions are all there is: given the same events at the same times, it does the same.
//!
//! ```text
//!  Submit ─ admission ─▶ Waiting ─ placement ─▶ Writing ──────────▶ Finish(Complete)
//!                          ▲  ▲                  │  │ │
//!                          │  └─ worker died ────┘  │ └─ NeedsPicture ─▶ Drawing, on another worker
//!                          └──── client read ── Stalled ◀─ client did not read
//! ```
//!
//! **Replay.** Every entry that a client has been given stands in its request's journal. A request that
//! has lost its worker goes back to waiting and is given to another one together with the journal, after
//! whose last entry that one goes on. Answers depend on (seed, choice, position) only, so the bytes are
//! the same. What a job says is taken if its worker lives the same life, the job is not aborted, and the
//! position is the next one: nothing is delivered twice, nothing is missing. A client that does not read
//! costs no worker: its request is taken back in the same way and goes on later.

mod action;
mod admission;
mod answers;
mod clients;
mod clock;
mod config;
mod event;
mod forecast;
mod idempotency;
mod identity;
mod journal;
mod placement;
mod quarantine;
mod request;
mod routing;
mod worker;
mod workers;

use std::collections::{BTreeMap, BTreeSet};

pub use action::{Action, ConditionHandle, Ending, ExitReason, Failure, Order, Rejection};
pub use config::{
    AdmissionConfig, DispatcherConfig, IdempotencyConfig, LivenessConfig, OutboxConfig,
    QuarantineConfig, RoutingConfig,
};
pub use event::{
    Abilities, DownCause, Entry, Event, JobFault, PictureDemand, Submission, WorkerMessage,
};
pub use identity::{
    Digest, Epoch, JobId, Micros, NumericsClass, PrefixKey, RequestId, Role, TenantId, WorkerId,
};

use admission::Admission;
use clock::Clock;
use forecast::Forecast;
use idempotency::Idempotency;
use quarantine::Quarantine;
use request::{Job, Request, RequestState};
use routing::PrefixMap;
use worker::Worker;

use crate::planted::{Planted, planted};

/// What the front is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No worker has been ready yet.
    Starting,
    Serving,
    /// Nothing new is taken.
    Draining,
    /// Nothing happens any more.
    Exited,
}

/// What the front holds, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that are accepted and have not ended.
    pub open: usize,
    /// Of these, those that no worker has ever had.
    pub waiting: usize,
    /// Of these, those whose client does not read.
    pub stalled: usize,
    /// Attempts on workers, aborted ones included until they have left.
    pub jobs: usize,
    /// Bytes reserved by open requests.
    pub reserved_bytes: u64,
    /// Bytes delivered and not read, of the request that has most.
    pub most_unread_bytes: u64,
    /// Prefixes whose worker is remembered.
    pub prefixes: usize,
    /// Idempotency keys in use.
    pub keys: usize,
    /// Bytes of answers that are kept for a second asking.
    pub kept_bytes: u64,
    /// Fingerprints refused.
    pub blocked: usize,
    /// Clients that read another's answer.
    pub attached: usize,
    /// Times at which something is due.
    pub timers: usize,
}

/// The front of N workers.
#[derive(Debug)]
pub struct Dispatcher {
    config: DispatcherConfig,
    mode: Mode,
    clock: Clock,
    due: Option<Micros>,
    num_accepted: u64,
    num_jobs: u64,
    workers: BTreeMap<WorkerId, Worker>,
    requests: BTreeMap<RequestId, Request>,
    jobs: BTreeMap<JobId, Job>,
    /// Requests whose document is to be placed.
    to_write: BTreeSet<RequestId>,
    /// Requests whose picture is to be placed.
    to_draw: BTreeSet<RequestId>,
    /// Clients that read another request's answer, and whose.
    attached: BTreeMap<RequestId, RequestId>,
    deadlines: BTreeSet<(Micros, RequestId)>,
    /// When clients that have stalled are cut, on the listening clock.
    cuts: BTreeSet<(Micros, RequestId)>,
    admission: Admission,
    forecast: Forecast,
    prefixes: PrefixMap,
    quarantine: Quarantine,
    idempotency: Idempotency,
}

impl Dispatcher {
    /// A front with no process yet: the first [`Event::Tick`] starts them.
    ///
    /// # Panics
    /// If no worker can write.
    pub fn new(config: DispatcherConfig) -> Self {
        assert!(config.workers.iter().any(|(_, role)| role.writes()), "a worker can write");
        let workers = config.workers.iter().map(|(id, role)| (*id, Worker::new(*id, *role)));
        Self {
            mode: Mode::Starting,
            clock: Clock::default(),
            due: Some(Micros(0)),
            num_accepted: 0,
            num_jobs: 0,
            workers: workers.collect(),
            requests: BTreeMap::new(),
            jobs: BTreeMap::new(),
            to_write: BTreeSet::new(),
            to_draw: BTreeSet::new(),
            attached: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            cuts: BTreeSet::new(),
            admission: Admission::new(config.admission),
            forecast: Forecast::new(config.admission.metered_over),
            prefixes: PrefixMap::new(config.routing.max_prefixes),
            quarantine: Quarantine::new(config.quarantine),
            idempotency: Idempotency::new(config.idempotency),
            config,
        }
    }

    /// What follows from `event`. A `now` before an earlier one is taken for that.
    pub fn handle(&mut self, now: Micros, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.mode == Mode::Exited {
            return actions;
        }
        let before = self.clock.listened;
        self.clock.pass(now, self.config.liveness.listen_every);
        self.meter(self.clock.listened.since(before));
        match event {
            Event::Submit(submission) => self.submit(submission, &mut actions),
            Event::Cancel(client) => self.cancel(client, &mut actions),
            Event::Consumed { request, num_entries } => self.consumed(request, num_entries),
            Event::Tick => {}
            Event::WorkerUp { worker, epoch, abilities } => {
                self.worker_up(worker, epoch, abilities, &mut actions);
            }
            Event::WorkerDown { worker, epoch, cause } => {
                self.worker_down(worker, epoch, cause, &mut actions);
            }
            Event::Message { worker, epoch, message } => {
                self.message(worker, epoch, message, &mut actions);
            }
            Event::Drain => self.drain(&mut actions),
        }
        self.keep_time(&mut actions);
        self.place(&mut actions);
        self.exit_if_drained(&mut actions);
        self.due = self.earliest();
        actions
    }

    /// When [`Event::Tick`] is to be handled at the latest, unless something else happens before.
    pub fn next_deadline(&self) -> Option<Micros> {
        self.due
    }

    /// Whether a new request would be considered.
    pub fn is_ready(&self) -> bool {
        self.mode == Mode::Serving
            && self.workers.values().any(|worker| {
                worker.role.writes()
                    && worker.is_routable(self.clock.listened, &self.config.liveness)
            })
    }

    /// What is held now.
    pub fn counters(&self) -> Counters {
        let is_stalled = |request: &&Request| match request.state {
            RequestState::Stalled { .. } => true,
            RequestState::Waiting | RequestState::Writing { .. } => false,
        };
        let unread = self.requests.values().map(|request| request.journal.unread_bytes());
        Counters {
            open: self.requests.len(),
            waiting: self.admission.num_waiting(),
            stalled: self.requests.values().filter(is_stalled).count(),
            jobs: self.jobs.len(),
            reserved_bytes: self.admission.reserved_bytes(),
            most_unread_bytes: unread.max().unwrap_or(0),
            prefixes: self.prefixes.len(),
            keys: self.idempotency.len(),
            kept_bytes: self.idempotency.kept_bytes(),
            blocked: self.quarantine.len(),
            attached: self.attached.len(),
            timers: self.deadlines.len() + self.cuts.len(),
        }
    }

    /// Does what is due.
    fn keep_time(&mut self, actions: &mut Vec<Action>) {
        for request in self.idempotency.expire(self.clock.now) {
            actions.push(Action::Forget { request });
        }
        self.end_overdue(actions);
        self.mind_workers(actions);
    }

    fn earliest(&self) -> Option<Micros> {
        let liveness = &self.config.liveness;
        let workers =
            self.workers.values().filter_map(|worker| worker.deadline(self.clock, liveness));
        let cut = self.cuts.first().map(|(at, _)| at.since(self.clock.listened));
        let cut = cut.map(|span| self.clock.now.after(span.min(liveness.listen_every)));
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        workers.chain(cut).chain(deadline).chain(self.idempotency.next_expiry()).min()
    }

    fn exit_if_drained(&mut self, actions: &mut Vec<Action>) {
        let is_done = self.requests.values().all(|request| match request.state {
            RequestState::Stalled { .. } => planted(Planted::DrainForgetsStalled),
            RequestState::Waiting | RequestState::Writing { .. } => false,
        });
        if self.mode == Mode::Draining && is_done {
            self.exit(ExitReason::Drained, actions);
        }
    }
}

//! A whole daemon as a value: one production `Dispatcher`, several workers that each drive a production
//! `Scheduler`, clients, a clock and everything that goes wrong, all from one seed. After every event the
//! ledger says whether a promise is broken.

mod accounts;
pub(crate) mod coverage;
pub(crate) mod dice;
mod engine;
mod happenings;
mod ledger;
mod machine;
mod oracle;
mod placement;
pub(crate) mod run;
pub(crate) mod script;

use std::collections::BTreeMap;

use reverie_scheduler::ImageChoice;
use reverie_scheduler::dispatcher::{
    Digest, Dispatcher, Epoch, Event, Micros, Order, PictureDemand, PrefixKey, RequestId,
    Submission, TenantId, WorkerId, WorkerMessage,
};

use coverage::{Coverage, FaultKind, Phase};
use dice::{Dice, mix};
use ledger::{Broken, Ledger, promise};
use machine::Machine;
use oracle::Memory;
use script::{Fault, Script, Wish};

/// Something that is going to happen in the world.
#[derive(Debug, Clone)]
enum Happening {
    Asks(u64),
    GoesWrong(Fault),
    Loaded(usize, Epoch),
    Steps(usize, Epoch),
    Beats(usize, Epoch),
    Reads(u64),
    /// The front hears this of itself, of a client, or of a process.
    Heard(Event),
    /// The front hears a worker speak; the mark of garbage, and of having been held up already.
    Said {
        worker: usize,
        epoch: Epoch,
        message: WorkerMessage,
        is_garbage: bool,
        is_late: bool,
    },
    Told {
        worker: usize,
        epoch: Epoch,
        order: Order,
    },
}

#[derive(Debug)]
struct Client {
    is_reading: bool,
    frozen_until: Micros,
}

/// What became of a world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) num_steps: u64,
    pub(crate) num_requests: u64,
    pub(crate) num_complete: u64,
    pub(crate) num_deaths: u64,
    pub(crate) num_workers: u64,
    /// When each answer that was completed was asked for, and when it ended.
    pub(crate) answers: Vec<(Micros, Micros)>,
    /// A hash of everything that the front did.
    pub(crate) trace: u64,
    pub(crate) coverage: Coverage,
}

/// The world.
#[derive(Debug)]
struct World {
    script: Script,
    dice: Dice,
    now: Micros,
    queue: BTreeMap<(Micros, u64), Happening>,
    num_happenings: u64,
    front: Dispatcher,
    /// The front does nothing before.
    front_stops_until: Micros,
    ledger: Ledger,
    machines: Vec<Machine>,
    clients: BTreeMap<u64, Client>,
    conditions: BTreeMap<(u64, usize), Memory>,
    poisonings: BTreeMap<u64, u32>,
    report: Report,
}

/// The end of a world that does not come is a broken promise.
const MAX_HAPPENINGS: u64 = 400_000;

/// How long a world may go on after the last thing has gone wrong.
const MAX_HEALING: Micros = Micros(8_000_000);

impl World {
    fn new(script: &Script) -> Self {
        let machines = script.config.workers.iter().zip(&script.abilities);
        let machines = machines
            .map(|((_, role), abilities)| Machine::new(*role, *abilities, script.budget))
            .collect();
        let mut world = Self {
            dice: Dice::new(mix(script.seed, 1)),
            now: Micros(0),
            queue: BTreeMap::new(),
            num_happenings: 0,
            front: Dispatcher::new(script.config.clone()),
            front_stops_until: Micros(0),
            ledger: Ledger::new(script),
            machines,
            clients: BTreeMap::new(),
            conditions: BTreeMap::new(),
            poisonings: BTreeMap::new(),
            report: Report::default(),
            script: script.clone(),
        };
        for wish in &script.wishes {
            world.plan(wish.at, Happening::Asks(wish.id));
        }
        for fault in &script.faults {
            world.plan(fault.at, Happening::GoesWrong(*fault));
        }
        world
    }

    fn plan(&mut self, at: Micros, happening: Happening) {
        self.num_happenings += 1;
        self.queue.insert((at, self.num_happenings), happening);
    }

    fn later(&mut self, least: u64, most: u64) -> Micros {
        self.now.after(Micros(self.dice.between(least, most)))
    }

    /// Lets everything happen, to the end.
    fn play(mut self) -> Result<Report, Broken> {
        let last = self.queue.keys().map(|(at, _)| *at).max().unwrap_or_default();
        while !self.ledger.has_exited {
            let due = self.front.next_deadline().map(|due| due.max(self.front_stops_until));
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let is_settled = self.is_settled();
            match (due, next) {
                (None, None) => return Err("nothing will ever happen again".to_owned()),
                _ if is_settled => {
                    self.now = self.now.max(self.front_stops_until);
                    self.hear(&Event::Drain)?;
                }
                (Some(due), next) if next.is_none_or(|next| due <= next) => {
                    self.now = self.now.max(due);
                    self.hear(&Event::Tick)?;
                }
                (_, Some(_)) => self.happen()?,
                (Some(_), None) => unreachable!("a deadline comes before nothing"),
            }
            promise!(self.now <= last.after(MAX_HEALING), "it does not end");
            promise!(self.num_happenings < MAX_HAPPENINGS, "too much happens");
        }
        self.close()
    }

    /// Whether all that was wished for has its end, and nothing more will go wrong.
    fn is_settled(&self) -> bool {
        let is_planned = |happening: &Happening| match happening {
            Happening::Asks(_) | Happening::GoesWrong(_) => true,
            Happening::Heard(event) => *event == Event::Drain,
            Happening::Loaded(..)
            | Happening::Steps(..)
            | Happening::Beats(..)
            | Happening::Reads(_)
            | Happening::Said { .. }
            | Happening::Told { .. } => false,
        };
        self.ledger.num_drains == 0
            && self.ledger.open().next().is_none()
            && !self.queue.values().any(is_planned)
    }

    fn happen(&mut self) -> Result<(), Broken> {
        let Some(((at, order), happening)) = self.queue.pop_first() else { return Ok(()) };
        if at < self.front_stops_until && happening.concerns_front() {
            self.queue.insert((self.front_stops_until, order), happening);
            return Ok(());
        }
        self.now = self.now.max(at);
        match happening {
            Happening::Asks(id) => {
                let event = Event::Submit(self.submission(id));
                self.hear(&event)
            }
            Happening::GoesWrong(fault) => self.go_wrong(fault),
            Happening::Loaded(worker, epoch) => {
                self.loaded(worker, epoch);
                Ok(())
            }
            Happening::Steps(worker, epoch) => self.step(worker, epoch),
            Happening::Beats(worker, epoch) => {
                self.beat(worker, epoch);
                Ok(())
            }
            Happening::Reads(client) => self.read(client),
            Happening::Heard(event) => self.hear(&event),
            Happening::Said { worker, epoch, message, is_garbage, is_late } => {
                let is_lost = !self.machines[worker].is_living(epoch);
                if is_lost && !is_late && !self.script.sockets_survive {
                    return self.lose(worker, epoch, message);
                }
                self.ledger.is_garbage = is_garbage;
                self.remember_condition(worker, &message);
                let worker = WorkerId(worker as u32);
                let heard = self.hear(&Event::Message { worker, epoch, message });
                self.ledger.is_garbage = false;
                heard
            }
            Happening::Told { worker, epoch, order } => {
                self.obey(worker, epoch, order);
                Ok(())
            }
        }
    }

    /// What a dead process had said arrives after the news of its death, or never.
    fn lose(&mut self, worker: usize, epoch: Epoch, message: WorkerMessage) -> Result<(), Broken> {
        if self.dice.chance(self.script.late_answers) {
            let at = self.later(3_100, 30_000);
            let is_late = true;
            let said = Happening::Said { worker, epoch, message, is_garbage: false, is_late };
            self.plan(at, said);
        }
        Ok(())
    }

    /// The front hears something, does something about it, and is checked.
    fn hear(&mut self, event: &Event) -> Result<(), Broken> {
        let phases = self.phases_of_overdue();
        self.ledger.enter_event(self.now, event);
        let actions = self.front.handle(self.now, event.clone());
        for action in &actions {
            self.ledger.enter_action(self.now, event, action)?;
        }
        for phase in phases {
            self.report.coverage.met(FaultKind::Deadline, phase);
        }
        let ahead = self.front.next_deadline().is_none_or(|due| due > self.now);
        promise!(ahead || self.ledger.has_exited, "what is due is not done");
        self.ledger.check_between(self.now, &self.front.counters())?;
        for action in actions {
            self.report.trace = mix(self.report.trace, hash(&action));
            self.act(action)?;
        }
        Ok(())
    }

    /// Everything is over: nothing is held, everybody has an answer, culprits have cost what they may.
    fn close(mut self) -> Result<Report, Broken> {
        let counters = self.front.counters();
        let held = (counters.open, counters.waiting, counters.stalled, counters.timers);
        promise!(held == (0, 0, 0, 0), "something is held in the end: {counters:?}");
        promise!(counters.reserved_bytes == 0, "bytes are held in the end: {counters:?}");
        promise!(counters.attached == 0, "clients are held in the end: {counters:?}");
        for (id, deaths) in &self.poisonings {
            promise!(*deaths <= 2, "request {id} has killed {deaths} workers");
        }
        self.report.num_requests = self.script.wishes.len() as u64;
        self.report.num_workers = self.machines.len() as u64;
        let is_complete = |page: &&ledger::RequestPage| {
            matches!(page.ending, Some(reverie_scheduler::dispatcher::Ending::Complete(_)))
        };
        let complete = self.ledger.requests.values().filter(is_complete);
        self.report.answers = complete.map(|page| (page.admitted, page.ended)).collect();
        self.report.num_complete = self.report.answers.len() as u64;
        Ok(self.report)
    }

    fn submission(&self, id: u64) -> Submission {
        let wish = &self.ledger.wishes[&id];
        let budget = &self.script.budget;
        let insisted = wish.limits.insisted_images() * budget.drawing_positions();
        let draws = wish.limits.max_images > 0 && wish.limits.choice != ImageChoice::None;
        Submission {
            request: RequestId(id),
            tenant: TenantId(wish.tenant),
            priority: wish.priority,
            cost: cost(wish),
            least_positions: budget.positions(&wish.prompt) + insisted + 1,
            num_bytes: wish.num_bytes,
            max_entries: budget.max_model_len,
            pictures: draws.then_some(PictureDemand {
                least: wish.limits.insisted_images(),
                cost: wish.num_steps as u64,
            }),
            kv_positions: wish.kv_positions,
            prefix: wish.prefix.iter().copied().map(PrefixKey).collect(),
            deadline: wish.patience.map(|patience| self.now.after(Micros(patience))),
            fingerprint: digest(wish.content),
            idempotency_key: wish.key.map(|key| digest(u64::from(key))),
        }
    }

    /// What a request is at, on the front and on its workers.
    fn phases(&self, id: u64) -> Vec<Phase> {
        let Some(page) = self.ledger.requests.get(&id).filter(|page| page.is_open()) else {
            return Vec::new();
        };
        let mut phases = Vec::new();
        for (index, worker) in self.ledger.workers.iter().enumerate() {
            let known = self.machines[index].engine.phases();
            for (job, of) in worker.jobs.iter().filter(|(_, of)| of.request == id) {
                if of.is_aborted {
                    continue;
                }
                let phase = known.iter().find(|(name, ..)| name == job);
                phases.push(phase.map_or(Phase::Queued, |(.., phase)| *phase));
                if page.is_suspect {
                    phases.push(Phase::Isolated);
                }
            }
        }
        if phases.is_empty() {
            phases.push(match (page.has_started(), page.lags_since) {
                (false, _) => Phase::Waiting,
                (true, Some(_)) => Phase::Stalled,
                (true, None) => Phase::Returning,
            });
        }
        phases
    }

    fn phases_of_overdue(&self) -> Vec<Phase> {
        let is_overdue =
            |page: &ledger::RequestPage| page.deadline().is_some_and(|due| due <= self.now);
        self.ledger
            .open()
            .filter(|(_, page)| is_overdue(page))
            .flat_map(|(id, _)| self.phases(*id))
            .collect()
    }
}

impl Happening {
    /// Whether it waits while the front stands still.
    fn concerns_front(&self) -> bool {
        match self {
            Self::Asks(_) | Self::GoesWrong(_) | Self::Reads(_) => true,
            Self::Heard(_) | Self::Said { .. } => true,
            Self::Loaded(..) | Self::Steps(..) | Self::Beats(..) | Self::Told { .. } => false,
        }
    }
}

/// A document's expected work.
fn cost(wish: &Wish) -> u64 {
    10 + wish.content % 90
}

fn digest(content: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&content.to_le_bytes());
    Digest(bytes)
}

fn hash(value: &impl std::fmt::Debug) -> u64 {
    format!("{value:?}").bytes().fold(0, |hash, byte| mix(hash, u64::from(byte)))
}

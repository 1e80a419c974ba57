//! What happens in a world outside the front: processes load, step, speak and die, clients read, orders
//! arrive, things go wrong.

use reverie_scheduler::dispatcher::{
    Action, DownCause, Entry, Epoch, Event, Micros, Order, PrefixKey, RequestId, WorkerId,
    WorkerMessage,
};

use super::coverage::{FaultKind, Phase};
use super::ledger::{Broken, promise};
use super::machine::Life;
use super::oracle::Memory;
use super::script::Fault;
use super::{Client, Happening, World};

impl World {
    /// The shell around the front: does what the front asks for.
    pub(super) fn act(&mut self, action: Action) -> Result<(), Broken> {
        match action {
            Action::Admit { request } => {
                let client = Client { is_reading: false, frozen_until: Micros(0) };
                self.clients.insert(request.0, client);
            }
            Action::Attach { request, .. } => {
                let client = Client { is_reading: false, frozen_until: Micros(0) };
                self.clients.insert(request.0, client);
                self.begin_reading(request.0);
            }
            Action::Deliver { request, .. } => {
                let mut clients = vec![request.0];
                let attached = &self.ledger.attached;
                clients.extend(attached.iter().filter(|(_, to)| **to == request.0).map(|of| *of.0));
                for client in clients {
                    self.begin_reading(client);
                }
            }
            Action::Finish { request, .. } => {
                self.conditions.retain(|(of, _), _| *of != request.0);
            }
            Action::Send { worker, epoch, order } => {
                if let Order::Draw { condition, .. } = &order {
                    let name = (condition.request.0, condition.position);
                    promise!(self.conditions.contains_key(&name), "{condition:?} is not held");
                }
                let (least, most) = (20, 400);
                let at = self.later(least, most);
                let machine = &mut self.machines[worker.0 as usize];
                machine.told = machine.told.max(at);
                let at = machine.told;
                self.plan(at, Happening::Told { worker: worker.0 as usize, epoch, order });
            }
            Action::Start { worker, epoch } => self.start(worker.0 as usize, epoch),
            Action::Kill { worker, epoch } => return self.kill(worker, epoch),
            Action::Reject { .. }
            | Action::Replay { .. }
            | Action::Detach { .. }
            | Action::Forget { .. }
            | Action::Exit(_) => {}
        }
        Ok(())
    }

    fn start(&mut self, worker: usize, epoch: Epoch) {
        self.machines[worker].load(epoch);
        if self.machines[worker].num_failing > 0 {
            self.machines[worker].num_failing -= 1;
            self.machines[worker].life = Life::None;
            let is_silent = self.dice.chance(40);
            if !is_silent {
                self.report_death(worker, epoch, DownCause::Crashed);
            }
            return;
        }
        let at = self.later(1_000, 4_000);
        self.plan(at, Happening::Loaded(worker, epoch));
    }

    /// The front kills a process: only one that is silent, mad, late or no longer needed.
    fn kill(&mut self, id: WorkerId, epoch: Epoch) -> Result<(), Broken> {
        let worker = id.0 as usize;
        let patience = self.script.config.liveness.hung_after;
        let machine = &self.machines[worker];
        let is_sick = machine.frozen_until > self.now.after(patience)
            || machine.is_long_silent
            || self.ledger.workers[worker].is_recycled
            || machine.life != Life::Living
            || self.ledger.is_garbage
            || self.ledger.has_exited;
        promise!(is_sick || machine.epoch != epoch, "worker {worker} is well and is killed");
        if machine.epoch == epoch {
            // Who has just ended one that is replaced for other reasons is not found out this time.
            let culprit = self.machines[worker].ended_by.take();
            if let Some(id) = culprit.filter(|_| self.ledger.workers[worker].is_recycled) {
                self.poisonings.entry(id).and_modify(|count| *count -= 1);
            }
            self.machines[worker].die(self.script.budget);
            self.report.num_deaths += 1;
            self.report_death(worker, epoch, DownCause::Killed);
        }
        Ok(())
    }

    fn report_death(&mut self, worker: usize, epoch: Epoch, cause: DownCause) {
        let at = self.later(100, 3_000);
        let worker = WorkerId(worker as u32);
        self.plan(at, Happening::Heard(Event::WorkerDown { worker, epoch, cause }));
    }

    pub(super) fn loaded(&mut self, worker: usize, epoch: Epoch) {
        let machine = &mut self.machines[worker];
        if machine.epoch != epoch || machine.life != Life::Loading {
            return;
        }
        machine.live(self.script.budget);
        let abilities = machine.abilities;
        let pace = self.dice.between(300, 1_500);
        self.machines[worker].pace = pace;
        let at = self.later(20, 400);
        self.machines[worker].said = at;
        let id = WorkerId(worker as u32);
        self.plan(at, Happening::Heard(Event::WorkerUp { worker: id, epoch, abilities }));
        self.plan(self.now.after(Micros(4_000)), Happening::Beats(worker, epoch));
    }

    pub(super) fn beat(&mut self, worker: usize, epoch: Epoch) {
        if !self.machines[worker].is_living(epoch) {
            return;
        }
        let frozen = self.machines[worker].frozen_until;
        if frozen > self.now {
            self.plan(frozen, Happening::Beats(worker, epoch));
            return;
        }
        self.say(worker, WorkerMessage::Heartbeat, false);
        self.plan(self.now.after(Micros(5_000)), Happening::Beats(worker, epoch));
    }

    fn say(&mut self, worker: usize, message: WorkerMessage, is_garbage: bool) {
        let at = self.later(20, 300);
        let machine = &mut self.machines[worker];
        machine.said = machine.said.max(at);
        let (at, epoch, is_late) = (machine.said, machine.epoch, false);
        let is_echoed = machine.echoes_until > self.now;
        let said = Happening::Said { worker, epoch, message, is_garbage, is_late };
        if is_echoed {
            self.plan(at, said.clone());
        }
        self.plan(at, said);
    }

    pub(super) fn obey(&mut self, worker: usize, epoch: Epoch, order: Order) {
        if !self.machines[worker].is_living(epoch) {
            return;
        }
        let frozen = self.machines[worker].frozen_until;
        if frozen > self.now {
            self.plan(frozen, Happening::Told { worker, epoch, order });
            return;
        }
        let (wish, memory) = match &order {
            Order::Write { request, .. } => (self.ledger.wishes.get(&request.0).cloned(), None),
            Order::Draw { condition, .. } => {
                let request = condition.request.0;
                let wish = self.ledger.wishes.get(&request).cloned();
                let memory = wish.as_ref().map(|wish| self.memory_at(wish.id, condition.position));
                (wish, memory)
            }
            Order::Picture { .. } | Order::Abort { .. } | Order::Shutdown => (None, None),
        };
        for message in self.machines[worker].engine.order(order, wish.as_ref(), memory) {
            self.say(worker, message, false);
        }
        if !self.machines[worker].is_stepping {
            self.machines[worker].is_stepping = true;
            self.plan(self.now, Happening::Steps(worker, epoch));
        }
    }

    pub(super) fn step(&mut self, worker: usize, epoch: Epoch) -> Result<(), Broken> {
        if !self.machines[worker].is_living(epoch) {
            return Ok(());
        }
        let frozen = self.machines[worker].frozen_until;
        if frozen > self.now {
            self.plan(frozen, Happening::Steps(worker, epoch));
            return Ok(());
        }
        let plan = self.machines[worker].engine.plan();
        if plan.is_empty() {
            self.machines[worker].is_stepping = false;
            return Ok(());
        }
        self.report.num_steps += 1;
        if let Some(culprit) = self.machines[worker].engine.poisoned_by(&plan) {
            let Some(poison) = culprit.poison else { return Ok(()) };
            let kind = if poison.hangs { FaultKind::PoisonHang } else { FaultKind::Poison };
            self.report.coverage.met(kind, poison.phase);
            if self.ledger.requests.get(&culprit.id).is_some_and(|page| page.is_suspect) {
                self.report.coverage.met(kind, Phase::Isolated);
            }
            *self.poisonings.entry(culprit.id).or_default() += 1;
            self.machines[worker].ended_by = Some(culprit.id);
            self.strike_down(worker, (!poison.hangs).then_some(DownCause::Crashed));
            return Ok(());
        }
        for message in self.machines[worker].engine.execute(&plan) {
            self.say(worker, message, false);
        }
        let at = self.now.after(Micros(self.machines[worker].pace));
        self.plan(at, Happening::Steps(worker, epoch));
        Ok(())
    }

    /// A process dies of `cause`, or hangs for ever.
    fn strike_down(&mut self, worker: usize, cause: Option<DownCause>) {
        let epoch = self.machines[worker].epoch;
        match cause {
            Some(cause) => {
                self.machines[worker].die(self.script.budget);
                self.report.num_deaths += 1;
                self.report_death(worker, epoch, cause);
            }
            None => self.machines[worker].frozen_until = Micros(u64::MAX),
        }
    }

    /// The shell keeps a picture's condition when it comes in.
    pub(super) fn remember_condition(&mut self, worker: usize, message: &WorkerMessage) {
        let WorkerMessage::NeedsPicture { job, position, .. } = message else { return };
        let Some(page) = self.ledger.workers[worker].jobs.get(job) else { return };
        let (request, position) = (page.request, *position);
        if self.ledger.requests.get(&request).is_some_and(|page| page.is_open()) {
            let memory = self.memory_at(request, position);
            self.conditions.insert((request, position), memory);
        }
    }

    fn memory_at(&self, request: u64, position: usize) -> Memory {
        let page = &self.ledger.requests[&request];
        let known: &[Entry] = &page.answer.0;
        Memory::after(&page.wish, &known[..position.min(known.len())])
    }

    fn begin_reading(&mut self, client: u64) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        if state.is_reading {
            return;
        }
        state.is_reading = true;
        let delay = self.ledger.wishes[&client].read_delay;
        let at = self.later(delay, 2 * delay);
        self.plan(at, Happening::Reads(client));
    }

    pub(super) fn read(&mut self, client: u64) -> Result<(), Broken> {
        let Some(state) = self.clients.get_mut(&client) else { return Ok(()) };
        if state.frozen_until > self.now {
            let at = state.frozen_until;
            self.plan(at, Happening::Reads(client));
            return Ok(());
        }
        state.is_reading = false;
        let id = self.ledger.attached.get(&client).copied().unwrap_or(client);
        let Some(page) = self.ledger.requests.get(&id) else { return Ok(()) };
        let num_entries = page.delivered.len();
        self.hear(&Event::Consumed { request: RequestId(client), num_entries })
    }

    pub(super) fn go_wrong(&mut self, fault: Fault) -> Result<(), Broken> {
        let worker = (fault.victim % self.machines.len() as u64) as usize;
        let open: Vec<u64> = self.ledger.open().map(|(id, _)| *id).collect();
        let victim = open.get((fault.victim % open.len().max(1) as u64) as usize).copied();
        self.count(fault.what, worker, victim, &open);
        let until = |least: u64, span: u64| Micros(least + fault.amount % span);
        match fault.what {
            FaultKind::FrontStops => {
                self.front_stops_until = self.now.after(until(6_000, 80_000));
                self.ledger.front_is_back = self.front_stops_until;
            }
            FaultKind::Cancel => {
                let client = victim.unwrap_or(fault.victim % 16);
                return self.hear(&Event::Cancel(RequestId(client)));
            }
            FaultKind::SlowReader => {
                if let Some(client) = victim.and_then(|id| self.clients.get_mut(&id)) {
                    let is_for_ever = fault.amount.is_multiple_of(4);
                    let span = if is_for_ever { Micros(10_000_000) } else { until(10_000, 90_000) };
                    client.frozen_until = self.now.after(span);
                }
            }
            FaultKind::Drain => return self.hear(&Event::Drain),
            FaultKind::SecondDrain => {
                self.plan(self.now.after(until(0, 30_000)), Happening::Heard(Event::Drain));
                return self.hear(&Event::Drain);
            }
            FaultKind::Kill
            | FaultKind::Crash
            | FaultKind::Hang
            | FaultKind::Silence
            | FaultKind::FailedStart
            | FaultKind::NeverStarts
            | FaultKind::Garbage
            | FaultKind::Echo
            | FaultKind::Evict
            | FaultKind::NotFinite => self.go_wrong_at(worker, fault),
            FaultKind::Deadline | FaultKind::Poison | FaultKind::PoisonHang => {
                unreachable!("these are part of a wish")
            }
        }
        Ok(())
    }

    /// Something goes wrong on a worker.
    fn go_wrong_at(&mut self, worker: usize, fault: Fault) {
        let machine = &mut self.machines[worker];
        let is_living = machine.life == Life::Living;
        let until = |least: u64, span: u64| self.now.after(Micros(least + fault.amount % span));
        match fault.what {
            FaultKind::FailedStart => {
                machine.num_failing = machine.num_failing.saturating_add(1 + fault.amount % 2);
            }
            FaultKind::NeverStarts => machine.num_failing = u64::MAX,
            FaultKind::Echo => machine.echoes_until = until(1_000, 40_000),
            FaultKind::Silence if is_living => {
                machine.is_long_silent |= machine.frozen_until > self.now;
                machine.frozen_until = machine.frozen_until.max(until(10_000, 15_000));
            }
            FaultKind::Kill if machine.life != Life::None => {
                // Whoever made it hang is not found out this time.
                if let Some(id) = machine.ended_by.take() {
                    self.poisonings.entry(id).and_modify(|count| *count -= 1);
                }
                self.strike_down(worker, Some(DownCause::Killed));
            }
            FaultKind::Crash if is_living => self.strike_down(worker, Some(DownCause::Crashed)),
            FaultKind::Hang if is_living => self.strike_down(worker, None),
            FaultKind::Garbage if is_living => self.say_garbage(worker),
            FaultKind::Evict if is_living => {
                let keys = (0..3).chain(100..130).map(PrefixKey).collect();
                self.say(worker, WorkerMessage::Evicted(keys), false);
            }
            FaultKind::NotFinite => {
                let jobs = machine.engine.phases();
                let job = jobs.get((fault.amount % jobs.len().max(1) as u64) as usize);
                if let Some(failed) = job.and_then(|(job, ..)| machine.engine.fail(*job)) {
                    self.say(worker, failed, false);
                }
            }
            // There is no process that this could happen to, or it is not a worker's.
            _ => {}
        }
    }

    fn say_garbage(&mut self, worker: usize) {
        if let Some((job, next)) = self.machines[worker].engine.some_document() {
            let (position, entry) = (next + 5, Entry::Token(0));
            let message = WorkerMessage::Produced { job, position, entry, num_bytes: 4 };
            self.say(worker, message, true);
        }
    }

    /// Enters what the fault meets in the table of coverage.
    fn count(&mut self, what: FaultKind, worker: usize, victim: Option<u64>, open: &[u64]) {
        let mut phases = Vec::new();
        match what {
            FaultKind::Kill
            | FaultKind::Crash
            | FaultKind::Hang
            | FaultKind::Silence
            | FaultKind::Garbage
            | FaultKind::Echo
            | FaultKind::Evict
            | FaultKind::NotFinite => {
                if self.machines[worker].life == Life::Living {
                    for (_, id, phase) in self.machines[worker].engine.phases() {
                        phases.push(phase);
                        let page = self.ledger.requests.get(&id);
                        if page.is_some_and(|page| page.is_suspect && page.is_open()) {
                            phases.push(Phase::Isolated);
                        }
                    }
                }
            }
            FaultKind::Cancel | FaultKind::SlowReader => {
                phases.extend(victim.into_iter().flat_map(|id| self.phases(id)));
            }
            FaultKind::FailedStart
            | FaultKind::NeverStarts
            | FaultKind::FrontStops
            | FaultKind::Drain
            | FaultKind::SecondDrain => {
                phases.extend(open.iter().flat_map(|id| self.phases(*id)));
            }
            FaultKind::Deadline | FaultKind::Poison | FaultKind::PoisonHang => {}
        }
        for phase in phases {
            self.report.coverage.met(what, phase);
        }
    }
}

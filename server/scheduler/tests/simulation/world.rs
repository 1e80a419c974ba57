//! A seeded world: requests arrive, leave, fail and are preempted, plans are carried out by actors, and
//! the invariants are checked after each step, until everything has come to its end.

use std::collections::{BTreeMap, BTreeSet};

use reverie_scheduler::{
    Branch, FailedRow, Nanos, PassId, Refusal, RenderedRow, RowFailure, SampledRow, Scheduler,
    SchedulerConfig, SequenceEvent, SequenceId, SequenceStatus, Span, StepOutcome, StepPlan,
    TenantId,
};

use crate::actor::{Actor, Stage};
use crate::coverage::{Coverage, Event, Phase};
use crate::dice::{Dice, mix};
use crate::document::{Part, written_alone};
use crate::invariants::{
    Patience, Planned, check_blocks, check_order, check_plan, check_preempted,
};
use crate::memory::Memory;
use crate::requests::{self, Swarm};

/// More than any world takes: whoever is here then is stuck.
const MAX_STEPS: usize = 20_000;

/// What a world comes to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: usize,
    pub(crate) requests: usize,
    pub(crate) finished: usize,
    pub(crate) pictures: usize,
    pub(crate) refused: usize,
    pub(crate) preemptions: usize,
    pub(crate) hits: u64,
    pub(crate) bounded_steps: usize,
    pub(crate) forced_steps: usize,
    pub(crate) coverage: Coverage,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.requests += other.requests;
        self.finished += other.finished;
        self.pictures += other.pictures;
        self.refused += other.refused;
        self.preemptions += other.preemptions;
        self.hits += other.hits;
        self.bounded_steps += other.bounded_steps;
        self.forced_steps += other.forced_steps;
        self.coverage.add(&other.coverage);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { steps, requests, finished, pictures, refused, .. } = self;
        let Self { preemptions, hits, bounded_steps, forced_steps, coverage, .. } = self;
        writeln!(
            formatter,
            "{steps} steps ({bounded_steps} bounded, {forced_steps} beyond the bound), {requests} \
             requests ({finished} finished, {refused} refused), {pictures} pictures, \
             {preemptions} preemptions, {hits} positions found in the cache"
        )?;
        write!(formatter, "{coverage}")
    }
}

/// Where everybody stands before a step.
type Phases = BTreeMap<SequenceId, Phase>;

pub(crate) struct World {
    dice: Dice,
    swarm: Swarm,
    pub(crate) config: SchedulerConfig,
    pub(crate) scheduler: Scheduler,
    pub(crate) actors: BTreeMap<SequenceId, Actor>,
    ended: BTreeSet<SequenceId>,
    earlier: Vec<(TenantId, Vec<Span>)>,
    memory: Memory,
    /// Who is in a pass that rests, and who in a decoding.
    open_pass: Option<(PassId, Vec<SequenceId>)>,
    open_render: Option<SequenceId>,
    patience: Patience,
    to_come: u64,
    seed: u64,
    tally: Tally,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let swarm = Swarm::draw(&mut dice);
        let config = requests::config(&mut dice);
        Self {
            scheduler: Scheduler::new(config.clone()),
            memory: Memory::new(config.kv.num_blocks, config.kv.block_size),
            actors: BTreeMap::new(),
            ended: BTreeSet::new(),
            earlier: Vec::new(),
            open_pass: None,
            open_render: None,
            patience: Patience::default(),
            to_come: swarm.num_requests as u64,
            tally: Tally::default(),
            dice,
            swarm,
            config,
            seed,
        }
    }

    /// Runs to the end of all there is.
    pub(crate) fn run(mut self) -> Tally {
        while self.tally.steps < MAX_STEPS {
            let heals = self.to_come == 0;
            if self.to_come > 0 && self.dice.chance(self.swarm.arrivals) {
                self.arrive();
            }
            let phases = self.phases();
            if !heals && self.dice.chance(self.swarm.aborts) {
                self.abort(Event::Abort, &phases);
            }
            self.step(heals, &phases);
            if self.to_come == 0 && self.actors.is_empty() {
                let stats = self.scheduler.stats();
                assert_eq!((stats.num_running, stats.num_waiting, stats.kv_blocks_used), (0, 0, 0));
                self.tally.preemptions = stats.num_preemptions as usize;
                self.tally.hits = stats.prefix_cache_hits;
                return self.tally;
            }
        }
        panic!("a document never ended");
    }

    fn arrive(&mut self) {
        let budget = self.config.budget;
        let id = self.to_come;
        self.to_come -= 1;
        let spec = requests::request(&mut self.dice, &self.swarm, id, &budget, &self.earlier);
        let before = self.scheduler.stats();
        match self.scheduler.add(spec.clone()) {
            Ok(()) => {
                self.tally.requests += 1;
                let actor = Actor::new(spec, mix(self.seed, id), budget);
                self.actors.insert(SequenceId(id), actor);
            }
            Err(refusal) => {
                self.tally.refused += 1;
                assert_eq!(self.scheduler.stats(), before, "a refusal changes nothing");
                self.check_refusal(refusal);
            }
        }
    }

    fn check_refusal(&self, refusal: Refusal) {
        let here = self.actors.len();
        match refusal {
            Refusal::QueueFull { .. } => {
                assert_eq!(here, self.config.max_num_seqs + self.config.max_num_waiting);
            }
            Refusal::KvCacheTooSmall { needed, available } => assert!(needed > available),
            Refusal::ContextTooLong { .. } => panic!("requests that fit are drawn"),
        }
    }

    fn abort(&mut self, event: Event, phases: &Phases) {
        if self.actors.is_empty() {
            return;
        }
        // Seldom places are met as often as common ones.
        let stand: BTreeSet<Phase> = self.actors.keys().map(|id| phases[id]).collect();
        let phase = *stand.iter().nth(self.dice.below(stand.len())).expect("within bounds");
        let there: Vec<_> = self.actors.keys().filter(|id| phases[*id] == phase).collect();
        let id = *there[self.dice.below(there.len())];
        self.tally.coverage.count(event, phases[&id]);
        assert!(self.scheduler.abort(id), "an open sequence can be aborted at any time");
        assert!(!self.scheduler.abort(id), "and only once");
        self.end(id);
    }

    fn end(&mut self, id: SequenceId) -> Actor {
        self.ended.insert(id);
        if let Some((_, members)) = &mut self.open_pass {
            members.retain(|member| *member != id);
        }
        if self.open_render == Some(id) {
            self.open_render = None;
        }
        self.actors.remove(&id).expect("open sequences have an actor")
    }

    fn phases(&self) -> Phases {
        self.actors.keys().map(|id| (*id, self.phase(*id))).collect()
    }

    /// Where a sequence stands.
    fn phase(&self, id: SequenceId) -> Phase {
        let actor = &self.actors[&id];
        let rests = self.open_pass.as_ref().is_some_and(|(_, members)| members.contains(&id));
        match actor.stage {
            _ if self.scheduler.status(id) == Some(SequenceStatus::Waiting) => {
                if actor.seated.is_some() { Phase::Preempted } else { Phase::New }
            }
            Stage::Denoising(_) if rests => Phase::InPass,
            Stage::Denoising(_) => Phase::Denoising,
            Stage::Rendering if self.open_render == Some(id) => Phase::InRender,
            Stage::Rendering => Phase::Rendering,
            Stage::Computing if actor.generates() => Phase::Generating,
            Stage::Computing if actor.main.condition.is_some() => Phase::Dreaming,
            Stage::Computing | Stage::Over => Phase::Prefill,
        }
    }

    fn step(&mut self, heals: bool, phases: &Phases) {
        let plan = self.scheduler.schedule();
        assert_eq!(plan.is_empty(), self.actors.is_empty(), "there is work while anybody is here");
        if plan.is_empty() {
            self.tally.steps += 1;
            return;
        }
        for id in &plan.preempted {
            self.tally.coverage.count(Event::Preempt, phases[id]);
            self.actors.get_mut(id).expect("who is preempted is open").lose_blocks();
        }
        self.find_cached(&plan, phases);
        check_order(&mut self.actors, &self.scheduler, self.tally.steps);
        check_preempted(&plan, &self.actors, &self.scheduler);
        let planned = Planned {
            plan: &plan,
            config: &self.config,
            actors: &self.actors,
            scheduler: &self.scheduler,
        };
        let sort = check_plan(planned);
        self.patience.check(planned, sort);
        self.tally.bounded_steps += usize::from(sort.is_bounded);
        self.tally.forced_steps += usize::from(sort.is_forced);
        let mut outcome = self.execute(&plan);
        if !heals {
            self.fail_some(&plan, &mut outcome, phases);
        }
        if !heals && self.dice.chance(self.swarm.aborts_in_step) {
            self.abort(Event::AbortInStep, phases);
        }
        self.take_in(&plan, &outcome);
        let percent = self.dice.between(50, 200) as u64;
        self.scheduler.took(&plan, Nanos(plan.predicted.0.saturating_mul(percent) / 100));
        check_blocks(&self.scheduler, &self.config, &self.actors, &self.ended);
        self.tally.steps += 1;
    }

    /// Contexts that begin behind a cached prefix; what it holds is compared when it is read.
    fn find_cached(&mut self, plan: &StepPlan, phases: &Phases) {
        for (id, actor) in &mut self.actors {
            let (_, computed) = self.scheduler.positions(*id).expect("an open sequence is known");
            if actor.main.computed == 0 && computed > 0 {
                actor.main.begin_at(computed, &self.memory);
                self.tally.coverage.count(Event::Hit, phases[id]);
            }
        }
        for row in plan.decode.iter().filter(|row| row.branch == Branch::Negative) {
            let actor = self.actors.get_mut(&row.sequence).expect("rows are of open sequences");
            let negative = actor.negative.as_mut().expect("it is to be computed");
            if negative.computed == 0 && row.start > 0 {
                negative.begin_at(row.start, &self.memory);
                self.tally.coverage.count(Event::Hit, Phase::Dreaming);
            }
        }
    }

    /// Actors compute the decoder's rows; what they choose is not taken yet.
    fn execute(&mut self, plan: &StepPlan) -> StepOutcome {
        let mut outcome = StepOutcome::default();
        for row in &plan.encode {
            self.actors.get_mut(&row.sequence).expect("rows are of open sequences").encode(row);
        }
        for row in &plan.decode {
            for (place, block) in row.blocks.iter().enumerate() {
                let end = row.start + row.num_positions();
                let size = self.config.kv.block_size;
                if place >= row.start / size && place < end.div_ceil(size) {
                    let owners = self.scheduler.block_references(*block);
                    assert_eq!(owners, 1, "a block has one writer");
                }
            }
            let actor = self.actors.get_mut(&row.sequence).expect("rows are of open sequences");
            if let Some(sampled) = actor.decode(row, &mut self.memory) {
                outcome.sampled.push(SampledRow { sequence: row.sequence, sampled });
            }
        }
        if let Some(row) = plan.render.filter(|row| row.segments.is_last()) {
            let content = self.actors[&row.sequence].picture();
            outcome.rendered.push(RenderedRow { sequence: row.sequence, content });
        }
        outcome
    }

    fn fail_some(&mut self, plan: &StepPlan, outcome: &mut StepOutcome, phases: &Phases) {
        for id in plan.sequences() {
            if self.dice.chance(self.swarm.failures) {
                let failure = RowFailure::NotFinite;
                outcome.failed.push(FailedRow { sequence: id, failure });
                outcome.sampled.retain(|row| row.sequence != id);
                outcome.rendered.retain(|row| row.sequence != id);
                self.tally.coverage.count(Event::Fail, phases[&id]);
            }
        }
    }

    fn take_in(&mut self, plan: &StepPlan, outcome: &StepOutcome) {
        let report = self.scheduler.update(plan, outcome);
        for failed in &outcome.failed {
            if self.actors.contains_key(&failed.sequence) {
                self.end(failed.sequence);
                assert!(report.events.iter().any(|(id, event)| {
                    *id == failed.sequence && matches!(event, SequenceEvent::Failed { .. })
                }));
            }
        }
        for row in &outcome.sampled {
            if let Some(actor) = self.actors.get_mut(&row.sequence) {
                actor.take(row.sampled);
            }
        }
        self.take_pictures(plan);
        for (id, event) in report.events {
            if let SequenceEvent::Finished { usage, .. } = event {
                let actor = self.end(id);
                self.tally.finished += 1;
                self.tally.pictures += usage.images;
                self.check_document(&actor, event);
            }
        }
        assert!(self.actors.values().all(|actor| actor.stage != Stage::Over), "who is done, ends");
    }

    fn take_pictures(&mut self, plan: &StepPlan) {
        if let Some(group) = &plan.denoise {
            let members = group.members.iter().map(|row| row.sequence);
            let here: Vec<_> = members.filter(|id| self.actors.contains_key(id)).collect();
            if group.segments.is_last() {
                self.open_pass = None;
                for row in &group.members {
                    if let Some(actor) = self.actors.get_mut(&row.sequence) {
                        actor.denoise(row);
                    }
                }
                self.patience.passed(&here, &mut self.actors);
            } else {
                self.open_pass = Some((group.pass, here));
            }
        }
        if let Some(row) = plan.render {
            let Some(actor) = self.actors.get_mut(&row.sequence) else { return };
            if row.segments.is_last() {
                self.open_render = None;
                actor.rendered();
            } else {
                self.open_render = Some(row.sequence);
            }
        }
    }

    /// What was written among others is what is written alone.
    fn check_document(&mut self, actor: &Actor, event: SequenceEvent) {
        let SequenceEvent::Finished { reason, usage } = event else {
            panic!("only finished documents are compared")
        };
        let alone = written_alone(&actor.spec, actor.seed, &self.config.budget);
        assert_eq!(actor.parts, alone, "neighbours change nothing");
        assert_eq!(actor.parts.last(), Some(&Part::End(reason)));
        assert!(usage.images >= actor.spec.limits.insisted_images(), "insisted pictures are drawn");
        let positions = usage.positions_used + usage.positions_left;
        assert_eq!(positions, self.config.budget.max_model_len);
        assert_eq!(usage.positions_used, actor.main.len());
        if actor.spec.num_beams == 1 && self.earlier.len() < 8 {
            self.earlier.push((actor.spec.tenant, actor.document()));
        }
    }
}

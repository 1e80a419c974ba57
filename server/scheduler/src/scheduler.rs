//! The turn of the engine: add · schedule · update · abort, and who has a place and blocks. Nothing here
//! can fail but taking on a document; what must not happen is asserted.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::SchedulerConfig;
use crate::content::TenantId;
use crate::context::Context;
use crate::cost::Nanos;
use crate::kv::{BlockId, Kv};
use crate::pace::Pace;
use crate::picture_work::PictureWork;
use crate::plan::{Branch, StepPlan};
use crate::planner::Planner;
use crate::planted::{Planted, planted};
use crate::refusal::Refusal;
use crate::sequence::{PictureSpec, Sequence, SequenceId, SequenceSpec, SequenceStatus};
use crate::stats::SchedulerStats;
use crate::waiting_queue::{Turn, Waiting, WaitingQueue};
use crate::work_turns::WorkTurns;

/// Decides what each engine step computes.
///
/// A sequence has a *place* from its first step to its end, unless it is preempted while its context is
/// computed. Sequences with a place are ordered by age: by priority, then by when they first got one.
/// The oldest is never preempted, so that it comes to its end; then the next one is the oldest.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) config: SchedulerConfig,
    pub(crate) sequences: BTreeMap<SequenceId, Sequence>,
    /// Those with a place, oldest first.
    running: Vec<SequenceId>,
    waiting: WaitingQueue,
    pub(crate) kv: Kv,
    pub(crate) pictures: PictureWork,
    turns: WorkTurns,
    pace: Pace,
    next_turn: u64,
    num_preemptions: u64,
    pub(crate) num_denoised_rows: u64,
    pub(crate) num_denoiser_passes: u64,
}

impl Scheduler {
    /// A scheduler with nothing to do.
    ///
    /// # Panics
    /// If a limit of `config` is one under which something could never run.
    pub fn new(config: SchedulerConfig) -> Self {
        config.check();
        Self {
            kv: Kv::new(&config.kv),
            config,
            sequences: BTreeMap::new(),
            running: Vec::new(),
            waiting: WaitingQueue::default(),
            pictures: PictureWork::new(),
            turns: WorkTurns::new(),
            pace: Pace::new(),
            next_turn: 0,
            num_preemptions: 0,
            num_denoised_rows: 0,
            num_denoiser_passes: 0,
        }
    }

    /// Takes on a document. It gets its place in one of the next steps.
    ///
    /// # Errors
    /// [`Refusal`] if it can never fit, or if `max_num_seqs + max_num_waiting` documents are here already.
    ///
    /// # Panics
    /// If its prompt is empty, its pictures take no step, or its name was used before.
    pub fn add(&mut self, spec: SequenceSpec) -> Result<(), Refusal> {
        Refusal::check_fit(&spec, &self.config)?;
        self.check_queue()?;
        self.take_on(Sequence::new(spec, self.config.budget, &self.config.kv));
        Ok(())
    }

    /// Takes on a picture whose condition was computed elsewhere. It needs no KV blocks; its end is
    /// reported as a document's is.
    ///
    /// # Errors
    /// [`Refusal::QueueFull`].
    ///
    /// # Panics
    /// If it takes no step, or its name was used before.
    pub fn add_picture(&mut self, spec: &PictureSpec) -> Result<(), Refusal> {
        self.check_queue()?;
        self.take_on(Sequence::of_picture(spec, self.config.budget));
        Ok(())
    }

    fn check_queue(&self) -> Result<(), Refusal> {
        if self.sequences.len() >= self.config.max_num_seqs + self.config.max_num_waiting {
            return Err(Refusal::QueueFull { waiting: self.waiting.len() });
        }
        Ok(())
    }

    fn take_on(&mut self, sequence: Sequence) {
        let id = sequence.id;
        let known = self.sequences.insert(id, sequence);
        assert!(known.is_none(), "a name is used once");
        self.enqueue(id);
    }

    /// What to compute next; empty only if there is nothing to do at all. Every plan is carried out, and
    /// [`Self::update`] follows, before the next one is asked for.
    pub fn schedule(&mut self) -> StepPlan {
        let mut plan = StepPlan::default();
        let stalled = self.make_room(&mut plan.preempted);
        // Blocks that were just taken from one are not for a younger one, nor for the same one.
        if plan.preempted.is_empty() && stalled.is_empty() {
            self.admit();
        }
        Planner {
            config: &self.config,
            sequences: &self.sequences,
            running: &self.running,
            stalled: &stalled,
            pictures: &mut self.pictures,
            turns: &mut self.turns,
            max_token_gap: self.pace.limit(self.config.max_token_gap),
        }
        .fill(&mut plan);
        assert!(
            !plan.is_empty() || self.sequences.is_empty(),
            "an open sequence has something to compute, or waits for one that has"
        );
        plan
    }

    /// `plan` took so long from [`Self::schedule`] to the end of [`Self::update`]. Only how much later steps take on
    /// follows from it, so that the bound on the token gap is kept also where the costs are not what they were.
    pub fn took(&mut self, plan: &StepPlan, time: Nanos) {
        if plan.is_filled {
            self.pace.took(plan.predicted, time);
        }
    }

    /// Forgets a sequence, wherever it stands, and frees all that it holds. Whether it was known.
    pub fn abort(&mut self, id: SequenceId) -> bool {
        self.remove(id).is_some()
    }

    /// Where a sequence stands; `None` if it is not known (any more).
    pub fn status(&self, id: SequenceId) -> Option<SequenceStatus> {
        self.sequences.get(&id).map(|sequence| sequence.status)
    }

    /// Positions of a sequence's context, and how many of them are computed.
    pub fn positions(&self, id: SequenceId) -> Option<(usize, usize)> {
        let main = self.sequences.get(&id)?.main();
        Some((main.len(), main.computed()))
    }

    /// The KV blocks of a sequence's context, in order; empty if it is not known or has no such context.
    pub fn blocks(&self, id: SequenceId, branch: Branch) -> &[BlockId] {
        let sequence = self.sequences.get(&id);
        sequence.and_then(|sequence| sequence.context(branch)).map_or(&[], Context::table)
    }

    /// How many contexts own a KV block.
    pub fn block_references(&self, block: BlockId) -> usize {
        self.kv.pool.references(block)
    }

    /// Sequences without a place.
    pub fn num_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sequences with a place.
    pub fn num_running(&self) -> usize {
        self.running.len()
    }

    /// Its numbers.
    pub fn stats(&self) -> SchedulerStats {
        let denoising = |id: &&SequenceId| {
            matches!(self.sequences[*id].status, SequenceStatus::Denoising { .. })
        };
        let pool = &self.kv.pool;
        SchedulerStats {
            num_running: self.running.len(),
            num_waiting: self.waiting.len(),
            num_denoising: self.running.iter().filter(denoising).count(),
            num_denoiser_members: self.pictures.num_members(),
            kv_blocks: pool.len(),
            kv_blocks_used: pool.len() - pool.num_available(),
            kv_blocks_cached: pool.num_idle(),
            prefix_cache_queries: self.kv.num_queried,
            prefix_cache_hits: self.kv.num_hit,
            num_preemptions: self.num_preemptions,
            num_denoised_rows: self.num_denoised_rows,
            num_denoiser_passes: self.num_denoiser_passes,
        }
    }

    /// Everything that a sequence holds is free again.
    pub(crate) fn remove(&mut self, id: SequenceId) -> Option<Sequence> {
        let mut sequence = self.sequences.remove(&id)?;
        if !planted(Planted::EndKeepsBlocks) {
            sequence.release(&mut self.kv);
        }
        self.pictures.forget(id);
        if !self.waiting.remove(id) {
            self.running.retain(|running| *running != id);
        }
        self.waiting.forget_absent(&self.running_by_tenant());
        Some(sequence)
    }

    /// A sequence whose context is to be computed and that has no blocks waits for them like anybody else.
    pub(crate) fn wait_if_preempted(&mut self, id: SequenceId) {
        let sequence = self.sequences.get_mut(&id).expect("only open sequences go on");
        if sequence.status != SequenceStatus::Running || sequence.holds_blocks() {
            return;
        }
        sequence.status = SequenceStatus::Waiting;
        self.running.retain(|running| *running != id);
        self.enqueue(id);
    }

    /// Gives every context that has grown the blocks it needs, oldest first, and takes them from the
    /// youngest where there are none. Returns who must wait for blocks.
    fn make_room(&mut self, preempted: &mut Vec<SequenceId>) -> BTreeSet<SequenceId> {
        let mut stalled = BTreeSet::new();
        for id in self.running.clone() {
            let sequence = &self.sequences[&id];
            if sequence.status != SequenceStatus::Running {
                continue;
            }
            let missing = sequence.num_missing_blocks(&self.kv);
            while missing > self.kv.pool.num_available() {
                let Some(youngest) = self.youngest_behind(id) else { break };
                self.preempt(youngest);
                preempted.push(youngest);
            }
            if missing > self.kv.pool.num_available() {
                stalled.insert(id);
            } else if let Some(sequence) = self.sequences.get_mut(&id) {
                sequence.allocate_missing(&mut self.kv);
            }
        }
        stalled
    }

    /// The youngest sequence younger than `id` that has blocks to give.
    fn youngest_behind(&self, id: SequenceId) -> Option<SequenceId> {
        let younger = self.running.iter().rev().take_while(|running| **running != id);
        let mut victims = younger.copied().filter(|running| {
            let sequence = &self.sequences[running];
            sequence.is_preemptible() && sequence.holds_blocks()
        });
        if planted(Planted::OlderGivesWay) { victims.last() } else { victims.next() }
    }

    /// Takes a sequence's blocks. A picture that it is drawing goes on: latents are not in the KV cache.
    fn preempt(&mut self, id: SequenceId) {
        self.num_preemptions += 1;
        let sequence = self.sequences.get_mut(&id).expect("running sequences are known");
        sequence.release(&mut self.kv);
        self.wait_if_preempted(id);
    }

    /// Gives places to those who wait, in their order, as long as there are places and blocks.
    fn admit(&mut self) {
        while self.running.len() < self.config.max_num_seqs {
            let Some(next) = self.waiting.next(&self.running_by_tenant()) else { break };
            let cached = self.sequences[&next.id].cached_prefix(&self.kv);
            if !self.has_blocks_for(next.id, &cached) {
                break;
            }
            self.waiting.remove(next.id);
            self.begin(next, cached);
        }
    }

    /// Whether the whole context of a waiting sequence has room, and one more block of each running one.
    fn has_blocks_for(&self, id: SequenceId, cached: &[BlockId]) -> bool {
        let pool = &self.kv.pool;
        let missing = self.sequences[&id].num_missing_blocks(&self.kv) - cached.len();
        let idle = cached.iter().filter(|block| pool.references(**block) == 0).count();
        let holders = self.running.iter().filter(|running| self.sequences[running].holds_blocks());
        missing + idle + holders.count() <= pool.num_available()
    }

    fn begin(&mut self, next: Waiting, cached: Vec<BlockId>) {
        let turn = next.turn.unwrap_or(Turn(self.next_turn));
        if next.turn.is_none() {
            self.next_turn += 1;
            self.waiting.took_turn(next.tenant, turn);
        }
        let sequence = self.sequences.get_mut(&next.id).expect("waiting sequences are known");
        sequence.turn = Some(turn);
        sequence.begin(cached, &mut self.kv);
        let age = |id: &SequenceId| {
            let sequence = &self.sequences[id];
            (sequence.priority, sequence.turn)
        };
        let place = self.running.partition_point(|running| age(running) < age(&next.id));
        self.running.insert(place, next.id);
    }

    fn enqueue(&mut self, id: SequenceId) {
        let Sequence { tenant, priority, turn, .. } = self.sequences[&id];
        let turn = turn.filter(|_| !planted(Planted::PreemptedLosesTurn));
        self.waiting.push(Waiting { id, tenant, priority, turn });
    }

    fn running_by_tenant(&self) -> BTreeMap<TenantId, usize> {
        let mut tenants = BTreeMap::new();
        for id in &self.running {
            *tenants.entry(self.sequences[id].tenant).or_default() += 1;
        }
        tenants
    }
}

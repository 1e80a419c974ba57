//! What is true of every plan and after every step, computed from the numbers of the plan and the actors
//! alone.

use std::collections::{BTreeMap, BTreeSet};

use reverie_scheduler::{
    BlockId, Branch, Nanos, NextMove, Scheduler, SchedulerConfig, SequenceId, SequenceStatus,
    StepPlan,
};

use crate::actor::{Actor, Stage};

type Actors = BTreeMap<SequenceId, Actor>;

/// A plan, before it is carried out, and those whom it concerns.
#[derive(Clone, Copy)]
pub(crate) struct Planned<'a> {
    pub(crate) plan: &'a StepPlan,
    pub(crate) config: &'a SchedulerConfig,
    pub(crate) actors: &'a Actors,
    pub(crate) scheduler: &'a Scheduler,
}

/// What kind of step it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepSort {
    /// A text goes on, and the time is bounded.
    pub(crate) is_bounded: bool,
    /// It takes longer than the bound.
    pub(crate) is_forced: bool,
}

/// Blocks are conserved, owned as often as they stand in tables, and never shared across tenants.
pub(crate) fn check_blocks(
    scheduler: &Scheduler,
    config: &SchedulerConfig,
    actors: &Actors,
    ended: &BTreeSet<SequenceId>,
) {
    let stats = scheduler.stats();
    assert_eq!(stats.num_running + stats.num_waiting, actors.len());
    assert!(stats.num_running <= config.max_num_seqs, "places are bounded");
    assert!(actors.len() <= config.max_num_seqs + config.max_num_waiting, "the queue is bounded");
    let mut owners: Vec<(usize, Option<u128>)> = vec![(0, None); config.kv.num_blocks];
    for (id, actor) in actors {
        let (len, computed) = scheduler.positions(*id).expect("an open sequence is known");
        assert_eq!(len, actor.main.len(), "the context is what the document came to");
        let waits = scheduler.status(*id) == Some(SequenceStatus::Waiting);
        assert!(computed == actor.main.computed || (waits && computed == 0));
        let holds = scheduler.blocks(*id, Branch::Main).len();
        assert!(computed <= len && computed <= holds * config.kv.block_size);
        let computes = scheduler.status(*id) == Some(SequenceStatus::Running);
        assert!(!computes || holds > 0, "a context is computed with blocks or waits for them");
        for branch in [Branch::Main, Branch::Negative] {
            for BlockId(block) in scheduler.blocks(*id, branch) {
                let (count, tenant) = &mut owners[*block as usize];
                *count += 1;
                let known = *tenant.get_or_insert(actor.spec.tenant.0);
                assert_eq!(known, actor.spec.tenant.0, "no block is shared across tenants");
            }
        }
    }
    let mut used = 0;
    for (block, (count, _)) in (0..).zip(&owners) {
        assert_eq!(scheduler.block_references(BlockId(block)), *count, "references are owners");
        used += usize::from(*count > 0);
    }
    assert_eq!(stats.kv_blocks_used, used);
    assert!(used + stats.kv_blocks_cached <= stats.kv_blocks, "free, owned and cached are all");
    if let Some(last) = ended.last() {
        assert_eq!(scheduler.status(*last), None, "an ended sequence is forgotten");
    }
}

/// Who gets a first place has nobody of a lower priority waiting, nobody of its own who had a place before,
/// and nobody of its tenant who came earlier. Names fall as time goes.
pub(crate) fn check_order(actors: &mut Actors, scheduler: &Scheduler, step: usize) {
    let waits = |id: &SequenceId| scheduler.status(*id) == Some(SequenceStatus::Waiting);
    let waiting: Vec<(i32, bool, u128, SequenceId)> = actors
        .iter()
        .filter(|(id, _)| waits(id))
        .map(|(id, actor)| {
            let spec = &actor.spec;
            (spec.priority, actor.seated.is_some(), spec.tenant.0, *id)
        })
        .collect();
    for (id, actor) in actors.iter_mut().filter(|(id, actor)| actor.seated.is_none() && !waits(id))
    {
        let spec = &actor.spec;
        for (priority, had_place, tenant, other) in &waiting {
            let is_equal = *priority == spec.priority;
            let came_earlier = *tenant == spec.tenant.0 && other > id;
            assert!(*priority >= spec.priority, "lower priorities come first");
            assert!(!is_equal || !had_place, "who had a place comes before who had none");
            assert!(!is_equal || !came_earlier, "first come, first served within a class");
        }
        actor.seated = Some(step);
    }
}

/// Blocks are taken from the youngest first, and never for the sake of a younger one.
pub(crate) fn check_preempted(plan: &StepPlan, actors: &Actors, scheduler: &Scheduler) {
    let age = |actor: &Actor| (actor.spec.priority, actor.seated);
    for id in &plan.preempted {
        let victim = &actors[id];
        assert_eq!(victim.spec.num_beams, 1, "a beam search is never preempted");
        for (other, actor) in actors.iter().filter(|(other, _)| *other != id) {
            let holds = !scheduler.blocks(*other, Branch::Main).is_empty();
            let spared = holds && actor.spec.num_beams == 1 && age(actor) > age(victim);
            assert!(!spared, "the youngest gives way first");
        }
    }
}

/// The budgets of a step, and that every text that can go on does.
pub(crate) fn check_plan(planned: Planned<'_>) -> StepSort {
    let Planned { plan, config, actors, scheduler } = planned;
    let positions: usize = plan.decode.iter().map(|row| row.num_positions()).sum();
    assert!(positions <= config.max_num_batched_tokens, "a step keeps to its token budget");
    assert!(plan.encode.len() <= config.max_num_encodes, "a step keeps to its encode budget");
    let (generated, caught_up): (Vec<_>, Vec<_>) =
        plan.decode.iter().partition(|row| actors[&row.sequence].generates());
    let able = actors
        .iter()
        .filter(|(id, actor)| actor.generates() && has_blocks(**id, actor, config, scheduler));
    let able: BTreeSet<SequenceId> = able.map(|(id, _)| *id).collect();
    let planned: BTreeSet<SequenceId> = generated.iter().map(|row| row.sequence).collect();
    assert_eq!(able, planned, "every text goes on in every step");

    let cost = &config.cost;
    let beams: usize = generated.iter().map(|row| actors[&row.sequence].spec.num_beams).sum();
    let caught_up: usize = caught_up.iter().map(|row| row.num_positions()).sum();
    let mut time = cost.decode_position.times(beams + caught_up)
        + cost.encode_picture.times(plan.encode.len());
    if positions > 0 {
        time += cost.decode_base;
    }
    let mut units = caught_up + plan.render.map_or(0, |row| row.segments.end - row.segments.start);
    if let Some(row) = plan.render {
        let size = actors[&row.sequence].spec.drawing.size;
        cost.render[row.segments.start..row.segments.end]
            .iter()
            .for_each(|segment| time += segment.of(1, size));
    }
    if let Some(group) = &plan.denoise {
        units += group.segments.end - group.segments.start;
        let rows: usize =
            group.members.iter().map(|row| actors[&row.sequence].spec.drawing.num_rows()).sum();
        assert!(rows <= config.max_num_denoise_rows.max(2), "a pass keeps to its rows");
        let sizes = group.members.iter().map(|row| actors[&row.sequence].spec.drawing.size);
        sizes.for_each(|size| assert_eq!(size, group.size, "a pass has one size"));
        let segments = &cost.denoise[group.segments.start..group.segments.end];
        segments.iter().for_each(|segment| time += segment.of(rows, group.size));
    }
    // Rows of members that ended go on unseen: a pass may take longer than its members alone.
    assert!(plan.predicted >= time, "the prediction counts every row");
    let over = !generated.is_empty() && plan.predicted > config.max_token_gap;
    assert!(!over || units <= 1, "beyond the bound a step takes one unit of work besides texts");
    StepSort { is_bounded: !generated.is_empty(), is_forced: over && units == 1 }
}

/// Whether all that is to be computed has a place in the KV cache.
fn has_blocks(
    id: SequenceId,
    actor: &Actor,
    config: &SchedulerConfig,
    scheduler: &Scheduler,
) -> bool {
    let holds = |branch, len| scheduler.blocks(id, branch).len() * config.kv.block_size >= len;
    let negative = actor.negative.as_ref().filter(|_| actor.pending == NextMove::Draw);
    holds(Branch::Main, actor.main.len())
        && negative.is_none_or(|context| holds(Branch::Negative, context.len()))
}

/// For how long each kind of work has waited, and what the promise about token gaps has cost.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    prefill: usize,
    denoise: usize,
    render: usize,
    since_forced: usize,
    was_forced: bool,
}

impl Patience {
    /// Nothing waits longer than its turn comes, and the bound is broken only for what waited.
    pub(crate) fn check(&mut self, planned: Planned<'_>, sort: StepSort) {
        let Planned { plan, config, actors, scheduler } = planned;
        let most = 3 * (config.max_num_deferred + 1);
        let running = |id: &SequenceId| scheduler.status(*id) != Some(SequenceStatus::Waiting);
        let any = |stage: fn(&Actor) -> bool| {
            actors.iter().any(|(id, actor)| running(id) && stage(actor))
        };
        let has_denoise = any(|actor| matches!(actor.stage, Stage::Denoising(_)));
        let has_render = any(|actor| actor.stage == Stage::Rendering);
        let has_prefill = actors.iter().any(|(id, actor)| {
            scheduler.status(*id) == Some(SequenceStatus::Running)
                && !actor.generates()
                && has_blocks(*id, actor, config, scheduler)
        });
        let prefills = plan.decode.iter().any(|row| !actors[&row.sequence].generates());
        let step = |waited: &mut usize, has: bool, advances: bool| {
            *waited = if has && !advances { *waited + 1 } else { 0 };
            assert!(*waited <= most, "every kind of work advances in its turn");
        };
        step(&mut self.denoise, has_denoise, plan.denoise.is_some());
        step(&mut self.render, has_render, plan.render.is_some());
        step(&mut self.prefill, has_prefill, prefills);
        if sort.is_forced {
            let early = self.was_forced && self.since_forced < config.max_num_deferred;
            assert!(!early, "the bound holds until something has waited long enough");
            (self.was_forced, self.since_forced) = (true, 0);
        } else {
            self.since_forced += 1;
        }
        assert!(plan.predicted < Nanos::MAX, "costs are finite");
    }

    /// A pass has ended: nobody misses more of them than can come before it.
    pub(crate) fn passed(&mut self, members: &[SequenceId], actors: &mut Actors) {
        let (mut sizes, mut waiting) = (BTreeSet::new(), 0);
        for actor in actors.values().filter(|actor| matches!(actor.stage, Stage::Denoising(_))) {
            sizes.insert(actor.spec.drawing.size);
            waiting += 1;
        }
        let most = 3 * (waiting + members.len() + 1) * (sizes.len() + 1);
        for (id, actor) in actors.iter_mut() {
            let waits = matches!(actor.stage, Stage::Denoising(_)) && !members.contains(id);
            actor.passes_missed = if waits { actor.passes_missed + 1 } else { 0 };
            assert!(actor.passes_missed <= most, "pictures take turns");
        }
    }
}

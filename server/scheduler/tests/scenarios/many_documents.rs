//! Stories of several documents: who shares a step, who comes first, and who is refused.

use reverie_scheduler::{
    FailedRow, FinishReason, ImageChoice, Refusal, RowFailure, Sampled, SampledRow, Scheduler,
    SequenceEvent, SequenceId, StepOutcome, TenantId,
};

use crate::kit::{TEXT, config, finish, finish_with, scheduler, spec, tokens};

/// Whose rows a plan has, in order, with their lengths.
fn decoded(plan: &reverie_scheduler::StepPlan) -> Vec<(u64, usize)> {
    plan.decode.iter().map(|row| (row.sequence.0, row.num_positions())).collect()
}

#[test]
fn texts_go_on_together_while_a_long_prompt_is_computed_beside_them() {
    let mut config = config();
    config.max_num_batched_tokens = 12;
    let mut scheduler = Scheduler::new(config);
    scheduler.add(spec(1, &[tokens(4)])).unwrap();
    scheduler.add(spec(2, &[tokens(5)])).unwrap();
    scheduler.add(spec(3, &[tokens(23)])).unwrap();
    let mut plans = Vec::new();
    for _ in 0..4 {
        let plan = scheduler.schedule();
        plans.push(decoded(&plan));
        finish(&mut scheduler, &plan);
    }
    assert_eq!(
        plans,
        [
            vec![(1, 4), (2, 5), (3, 3)],
            vec![(1, 1), (2, 1), (3, 10)],
            vec![(1, 1), (2, 1), (3, 10)],
            vec![(1, 1), (2, 1), (3, 1)],
        ]
    );
}

#[test]
fn a_row_that_fails_ends_its_sequence_and_no_other() {
    let mut scheduler = Scheduler::new(config());
    for id in 1..=3 {
        scheduler.add(spec(id, &[tokens(5)])).unwrap();
    }
    let plan = scheduler.schedule();
    let sampled = [1, 3].map(|id| SampledRow { sequence: SequenceId(id), sampled: TEXT });
    let failure = RowFailure::NotFinite;
    let failed = vec![FailedRow { sequence: SequenceId(2), failure }];
    let outcome = StepOutcome { sampled: sampled.to_vec(), failed, ..StepOutcome::default() };
    let report = scheduler.update(&plan, &outcome);
    assert_eq!(report.events, [(SequenceId(2), SequenceEvent::Failed { failure })]);
    assert_eq!(decoded(&scheduler.schedule()), [(1, 1), (3, 1)]);
}

#[test]
fn lower_priorities_come_first_and_then_tenants_in_turn() {
    let mut scheduler = scheduler(64);
    let requests = [(1, 0, 7), (2, 0, 7), (3, 0, 8)];
    for (id, priority, tenant) in requests {
        let mut request = spec(id, &[tokens(5)]);
        (request.priority, request.tenant) = (priority, TenantId(tenant));
        scheduler.add(request).unwrap();
    }
    let plan = scheduler.schedule();
    finish_with(&mut scheduler, &plan, Sampled::EndOfText);
    let mut urgent = spec(4, &[tokens(5)]);
    urgent.priority = -1;
    scheduler.add(urgent).unwrap();
    let mut order = vec![plan.sequences()[0].0];
    for _ in 0..3 {
        let plan = scheduler.schedule();
        order.push(plan.sequences()[0].0);
        finish_with(&mut scheduler, &plan, Sampled::EndOfText);
    }
    assert_eq!(order, [1, 4, 3, 2]);
}

#[test]
fn who_waits_for_blocks_is_not_passed_over_by_a_shorter_one() {
    let mut scheduler = Scheduler::new(config());
    scheduler.add(spec(1, &[tokens(90)])).unwrap();
    scheduler.add(spec(2, &[tokens(98)])).unwrap();
    scheduler.add(spec(3, &[tokens(5)])).unwrap();
    let mut order = Vec::new();
    for _ in 0..20 {
        let plan = scheduler.schedule();
        for id in plan.sequences() {
            if !order.contains(&id.0) {
                order.push(id.0);
            }
        }
        finish(&mut scheduler, &plan);
    }
    assert_eq!(order, [1, 2, 3]);
}

#[test]
fn what_can_never_fit_is_refused_with_both_numbers() {
    let mut scheduler = Scheduler::new(config());
    let too_long = spec(1, &[tokens(100)]);
    assert_eq!(
        scheduler.add(too_long),
        Err(Refusal::ContextTooLong { needed: 101, max_model_len: 100 })
    );
    let mut beams = spec(2, &[tokens(5)]);
    beams.limits.choice = ImageChoice::None;
    beams.num_beams = 3;
    let refusal = Refusal::KvCacheTooSmall { needed: 3 * 7 * 16, available: 14 * 16 };
    assert_eq!(scheduler.add(beams.clone()), Err(refusal));
    beams.limits.max_tokens = Some(27);
    assert_eq!(scheduler.add(beams), Ok(()));
}

#[test]
fn a_beam_search_owns_its_blocks_from_the_start_and_gives_none_back() {
    let mut scheduler = Scheduler::new(config());
    let mut beams = spec(1, &[tokens(5)]);
    beams.limits.choice = ImageChoice::None;
    beams.limits.max_tokens = Some(60);
    beams.num_beams = 2;
    scheduler.add(beams).unwrap();
    scheduler.add(spec(2, &[tokens(40)])).unwrap();
    let both = |beams| {
        let sampled = [(1, beams), (2, TEXT)]
            .map(|(id, sampled)| SampledRow { sequence: SequenceId(id), sampled })
            .to_vec();
        StepOutcome { sampled, ..StepOutcome::default() }
    };
    let plan = scheduler.schedule();
    assert_eq!(scheduler.stats().kv_blocks_used, 2 * 5 + 3);
    scheduler.update(&plan, &both(Sampled::BeamsAdvanced));
    for _ in 0..20 {
        let plan = scheduler.schedule();
        assert_eq!(decoded(&plan), [(1, 1), (2, 1)]);
        scheduler.update(&plan, &both(Sampled::BeamsAdvanced));
    }
    assert_eq!(scheduler.stats().kv_blocks_used, 2 * 5 + 4);
    let plan = scheduler.schedule();
    let reason = FinishReason::EndOfText;
    scheduler.update(&plan, &both(Sampled::BeamsFinished { num_tokens: 1, reason }));
    assert_eq!(scheduler.stats().kv_blocks_used, 4);
}

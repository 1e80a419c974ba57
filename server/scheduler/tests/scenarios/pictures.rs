//! Stories of pictures: who shares a denoiser pass, how a pass is split while texts go on, and what an
//! abort leaves of it.

use reverie_scheduler::{
    LatentSize, Nanos, PassId, PictureSpec, Sampled, Scheduler, Segments, SequenceEvent,
    SequenceId, StepPlan, TenantId,
};

use crate::kit::{config, drawing, finish, finish_with, spec, split_config, steps_until, tokens};

/// Who makes which step.
fn members(plan: &StepPlan) -> Vec<(u64, usize)> {
    plan.denoise_rows().iter().map(|row| (row.sequence.0, row.step)).collect()
}

fn segments(plan: &StepPlan) -> Option<(usize, usize)> {
    plan.denoise.as_ref().map(|group| (group.segments.start, group.segments.end))
}

#[test]
fn pictures_of_one_size_join_and_leave_a_pass_at_their_own_steps() {
    let mut scheduler = Scheduler::new(config());
    scheduler.add(drawing(1)).unwrap();
    let mut longer = drawing(2);
    longer.drawing.num_denoising_steps = 3;
    let plan = scheduler.schedule();
    finish(&mut scheduler, &plan);
    scheduler.add(longer).unwrap();
    let mut passes = Vec::new();
    for _ in 0..4 {
        let plan = scheduler.schedule();
        passes.push(members(&plan));
        finish(&mut scheduler, &plan);
    }
    assert_eq!(passes, [vec![(1, 0)], vec![(2, 0), (1, 1)], vec![(2, 1)], vec![(2, 2)]]);
}

#[test]
fn sizes_take_turns_and_so_do_pictures_that_find_no_row() {
    let mut config = config();
    config.max_num_denoise_rows = 5;
    config.max_num_seqs = 6;
    let mut scheduler = Scheduler::new(config);
    for id in 1..=4 {
        let mut request = drawing(id);
        request.drawing.num_denoising_steps = 50;
        request.drawing.is_guided = id != 2;
        let height = if id == 4 { 16 } else { 8 };
        request.drawing.size = LatentSize { height, width: 8 };
        scheduler.add(request).unwrap();
    }
    let first = steps_until(&mut scheduler, |plan| plan.denoise.is_some());
    assert_eq!(members(&first), [(1, 0), (2, 0), (3, 0)], "two guided ones and one without");
    finish(&mut scheduler, &first);
    let mut fourth = drawing(5);
    fourth.drawing.num_denoising_steps = 50;
    scheduler.add(fourth).unwrap();
    let mut passes = Vec::new();
    for _ in 0..5 {
        let plan = scheduler.schedule();
        passes.push(members(&plan).into_iter().map(|(id, _)| id).collect::<Vec<_>>());
        finish(&mut scheduler, &plan);
    }
    assert_eq!(passes, [vec![4], vec![5, 1, 2], vec![4], vec![3, 1, 2], vec![4]]);
}

/// A text that goes on under a gap of `gap`, and a picture to be drawn.
fn text_beside_drawing(gap: u64) -> Scheduler {
    let mut scheduler = Scheduler::new(split_config(gap));
    scheduler.add(drawing(1)).expect("there is a place");
    scheduler.add(spec(2, &[tokens(5)])).expect("there is a place");
    let plan = scheduler.schedule();
    finish(&mut scheduler, &plan);
    scheduler
}

#[test]
fn a_pass_is_split_while_a_text_goes_on_and_whole_when_none_does() {
    let mut scheduler = text_beside_drawing(30);
    let mut parts = Vec::new();
    for _ in 0..2 {
        let plan = scheduler.schedule();
        assert_eq!(plan.decode.len(), 1, "the text goes on in every step");
        assert_eq!(plan.predicted.0, 30);
        parts.push(segments(&plan));
        finish(&mut scheduler, &plan);
    }
    assert_eq!(parts, [Some((0, 2)), Some((2, 4))]);
    scheduler.abort(SequenceId(2));
    let plan = scheduler.schedule();
    assert_eq!((segments(&plan), members(&plan)), (Some((0, 4)), vec![(1, 1)]));
    let events = finish(&mut scheduler, &plan);
    assert_eq!(events, [SequenceEvent::Denoised { picture: 0, num_done: 2, num_steps: 2 }]);
    let plan = scheduler.schedule();
    assert_eq!(plan.render.map(|row| row.segments), Some(Segments { start: 0, end: 2, num: 2 }));
}

#[test]
fn where_steps_take_longer_than_predicted_less_is_put_beside_a_text() {
    let mut scheduler = text_beside_drawing(30);
    let mut parts = Vec::new();
    for _ in 0..3 {
        let plan = scheduler.schedule();
        parts.push(segments(&plan));
        finish(&mut scheduler, &plan);
        scheduler.took(&plan, Nanos(2 * plan.predicted.0));
    }
    assert_eq!(parts, [Some((0, 2)), Some((2, 3)), Some((3, 4))]);
}

#[test]
fn a_part_that_never_fits_is_computed_after_its_wait() {
    let mut scheduler = text_beside_drawing(15);
    let mut steps = Vec::new();
    for _ in 0..6 {
        let plan = scheduler.schedule();
        steps.push((segments(&plan), plan.predicted.0));
        finish(&mut scheduler, &plan);
    }
    let (waits, first, second) = ((None, 10), (Some((0, 1)), 20), (Some((1, 2)), 20));
    assert_eq!(steps, [waits, waits, first, waits, waits, second]);
}

#[test]
fn who_leaves_a_pass_that_rests_is_not_seen_again_and_the_others_make_their_step() {
    let mut scheduler = Scheduler::new(split_config(20));
    scheduler.add(drawing(1)).unwrap();
    scheduler.add(drawing(2)).unwrap();
    scheduler.add(spec(3, &[tokens(5)])).unwrap();
    let plan = steps_until(&mut scheduler, |plan| plan.denoise.is_some());
    assert_eq!(members(&plan), [(1, 0), (2, 0)]);
    finish(&mut scheduler, &plan);
    assert!(scheduler.abort(SequenceId(1)));
    let mut events = Vec::new();
    for start in 1..4 {
        let plan = scheduler.schedule();
        assert_eq!(plan.denoise.as_ref().map(|group| group.pass), Some(PassId(1)));
        assert_eq!((segments(&plan), members(&plan)), (Some((start, start + 1)), vec![(2, 0)]));
        events = finish(&mut scheduler, &plan);
    }
    assert_eq!(events, [SequenceEvent::Denoised { picture: 0, num_done: 1, num_steps: 2 }]);
}

#[test]
fn a_pass_that_everybody_left_is_given_up_and_its_late_outcome_is_passed_over() {
    let mut scheduler = Scheduler::new(split_config(20));
    scheduler.add(drawing(1)).unwrap();
    scheduler.add(spec(3, &[tokens(5)])).unwrap();
    let plan = steps_until(&mut scheduler, |plan| plan.denoise.is_some());
    scheduler.abort(SequenceId(1));
    scheduler.add(drawing(2)).unwrap();
    assert_eq!(finish_with(&mut scheduler, &plan, Sampled::EndOfText).len(), 1);
    let plan = steps_until(&mut scheduler, |plan| plan.denoise.is_some());
    assert_eq!(plan.denoise.as_ref().map(|group| group.pass), Some(PassId(2)));
    assert_eq!((segments(&plan), members(&plan)), (Some((0, 4)), vec![(2, 0)]));
}

#[test]
fn a_picture_whose_condition_came_from_elsewhere_needs_no_blocks_and_keeps_its_number() {
    let mut scheduler = Scheduler::new(config());
    let picture = PictureSpec {
        id: SequenceId(1),
        tenant: TenantId(0),
        priority: 0,
        picture: 2,
        drawing: drawing(1).drawing,
    };
    scheduler.add_picture(&picture).expect("there is a place");
    let plan = scheduler.schedule();
    assert!(plan.decode.is_empty() && plan.encode.is_empty(), "there is no context");
    let rows: Vec<_> = plan.denoise_rows().iter().map(|row| (row.picture, row.step)).collect();
    assert_eq!(rows, [(2, 0)]);
    assert_eq!(scheduler.stats().kv_blocks_used, 0);
    finish(&mut scheduler, &plan);
    let plan = steps_until(&mut scheduler, |plan| plan.render.is_some());
    assert_eq!(plan.render.map(|row| row.picture), Some(2));
    let events = finish(&mut scheduler, &plan);
    assert!(matches!(events[..], [SequenceEvent::Finished { .. }]), "{events:?}");
    assert!(scheduler.schedule().is_empty());
}

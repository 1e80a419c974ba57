//! Stories of one document, step by step, with the plans spelled out.

use reverie_scheduler::{
    BlockId, Branch, DecodeRow, DreamRole, FinishReason, ImageChoice, LegalTokens, Piece, Refusal,
    Sampled, SequenceEvent, SequenceId, SequenceStatus, Span, StepPlan, Usage,
};

use crate::kit::{ANY, BUDGET, PICTURE, TEXT, finish, finish_with, scheduler, spec, tokens};

/// The rows of the only sequence, without their blocks.
fn rows(plan: &StepPlan) -> Vec<DecodeRow> {
    plan.decode.iter().cloned().map(|row| DecodeRow { blocks: Vec::new(), ..row }).collect()
}

fn row(start: usize, pieces: &[Piece], sample: Option<LegalTokens>) -> DecodeRow {
    let (sequence, pieces, blocks) = (SequenceId(1), pieces.to_vec(), Vec::<BlockId>::new());
    DecodeRow { sequence, branch: Branch::Main, start, pieces, blocks, sample }
}

#[test]
fn a_document_with_one_picture_goes_text_dream_denoise_render_picture_text() {
    let mut scheduler = scheduler(64);
    scheduler.add(spec(1, &[tokens(5)])).unwrap();

    let plan = scheduler.schedule();
    assert_eq!(rows(&plan), [row(0, &[Piece::Tokens { start: 0, len: 5 }], Some(ANY))]);
    assert_eq!(finish_with(&mut scheduler, &plan, TEXT), []);

    let plan = scheduler.schedule();
    assert_eq!(rows(&plan), [row(5, &[Piece::Tokens { start: 5, len: 1 }], Some(ANY))]);
    assert_eq!(finish_with(&mut scheduler, &plan, Sampled::DreamStart), []);

    let plan = scheduler.schedule();
    let dream = Piece::Dream { role: DreamRole::Condition, start: 0, len: 4 };
    assert_eq!(rows(&plan), [row(6, &[dream], None)]);
    assert_eq!(finish(&mut scheduler, &plan), [SequenceEvent::ImageStarted { picture: 0 }]);

    for step in 0..2 {
        let status = SequenceStatus::Denoising { num_done: step };
        assert_eq!(scheduler.status(SequenceId(1)), Some(status));
        let plan = scheduler.schedule();
        assert_eq!((plan.denoise_rows().len(), plan.denoise_rows()[0].step), (1, step));
        let event = SequenceEvent::Denoised { picture: 0, num_done: step + 1, num_steps: 2 };
        assert_eq!(finish(&mut scheduler, &plan), [event]);
    }

    let plan = scheduler.schedule();
    assert_eq!(plan.render.map(|row| row.picture), Some(0));
    assert_eq!(finish(&mut scheduler, &plan), []);

    let plan = scheduler.schedule();
    assert_eq!((plan.encode.len(), plan.encode[0].picture), (1, 0));
    let picture = Piece::Picture { picture: 0, start: 0, len: 6 };
    assert_eq!(rows(&plan), [row(10, &[picture], Some(ANY))]);
    assert_eq!(finish_with(&mut scheduler, &plan, TEXT), []);

    let plan = scheduler.schedule();
    assert_eq!(rows(&plan), [row(16, &[Piece::Tokens { start: 6, len: 1 }], Some(ANY))]);
    let usage = Usage {
        prompt_positions: 5,
        prompt_image_positions: 0,
        prompt_cached_positions: 0,
        prompt_images: 0,
        text_tokens: 3,
        image_positions: 10,
        images: 1,
        positions_used: 17,
        positions_left: 83,
        images_left: 8,
    };
    let reason = FinishReason::EndOfText;
    assert_eq!(
        finish_with(&mut scheduler, &plan, Sampled::EndOfText),
        [SequenceEvent::Finished { reason, usage }]
    );
    assert!(scheduler.schedule().is_empty());
}

#[test]
fn a_prompt_is_computed_in_chunks_and_samples_only_at_its_end() {
    let mut scheduler = scheduler(7);
    let prompt = [tokens(3), PICTURE, Span::Dream, PICTURE, tokens(2)];
    scheduler.add(spec(1, &prompt)).unwrap();
    let mut found = Vec::new();
    let mut encodes = Vec::new();
    for _ in 0..3 {
        let plan = scheduler.schedule();
        encodes.push(plan.encode.iter().map(|row| row.picture).collect::<Vec<_>>());
        found.extend(rows(&plan));
        finish_with(&mut scheduler, &plan, TEXT);
    }
    let history = |start, len| Piece::Dream { role: DreamRole::History, start, len };
    let picture = |picture, start, len| Piece::Picture { picture, start, len };
    assert_eq!(
        found,
        [
            row(0, &[Piece::Tokens { start: 0, len: 3 }, picture(0, 0, 4)], None),
            row(7, &[picture(0, 4, 2), history(0, 4), picture(1, 0, 1)], None),
            row(14, &[picture(1, 1, 5), Piece::Tokens { start: 3, len: 2 }], Some(ANY)),
        ]
    );
    assert_eq!(encodes, [vec![0], vec![1], vec![]]);
}

#[test]
fn a_step_embeds_at_most_max_num_encodes_pictures_and_computes_up_to_the_next() {
    let mut scheduler = scheduler(64);
    scheduler.add(spec(1, &[PICTURE, PICTURE, tokens(1)])).unwrap();
    let plan = scheduler.schedule();
    assert_eq!(plan.encode.len(), 1);
    assert_eq!(rows(&plan), [row(0, &[Piece::Picture { picture: 0, start: 0, len: 6 }], None)]);
    finish(&mut scheduler, &plan);
    let plan = scheduler.schedule();
    assert_eq!((plan.encode.len(), plan.encode[0].picture), (1, 1));
    assert_eq!(plan.decode[0].num_positions(), 7);
    assert!(plan.decode[0].sample.is_some());
}

#[test]
fn a_negative_prompt_is_computed_once_before_the_first_denoising_step() {
    let mut scheduler = scheduler(6);
    let mut request = spec(1, &[tokens(5)]);
    request.negative = Some(vec![tokens(3)]);
    request.limits.choice = ImageChoice::Exactly(2);
    request.limits.max_tokens = Some(0);
    scheduler.add(request).unwrap();
    let mut rows = Vec::new();
    loop {
        let plan = scheduler.schedule();
        if plan.is_empty() {
            break;
        }
        assert!(plan.decode.iter().map(DecodeRow::num_positions).sum::<usize>() <= 6);
        rows.extend(plan.decode.iter().map(|row| (row.branch, row.start, row.num_positions())));
        if plan.denoise.is_some() {
            assert!(rows.len() >= 4, "both branches are computed before a picture is denoised");
        }
        finish(&mut scheduler, &plan);
    }
    assert_eq!(
        rows,
        [
            (Branch::Main, 0, 6),
            (Branch::Main, 6, 3),
            (Branch::Negative, 0, 3),
            (Branch::Negative, 3, 4),
            // The first picture is fed back together with the second one's dream block.
            (Branch::Main, 9, 6),
            (Branch::Main, 15, 4),
        ]
    );
}

#[test]
fn the_last_picture_of_a_document_without_text_is_not_fed_back() {
    let mut scheduler = scheduler(64);
    let mut request = spec(1, &[tokens(5)]);
    request.limits.choice = ImageChoice::Exactly(1);
    request.limits.max_tokens = Some(0);
    scheduler.add(request).unwrap();
    let mut encodes = 0;
    let mut last = Vec::new();
    loop {
        let plan = scheduler.schedule();
        if plan.is_empty() {
            break;
        }
        encodes += plan.encode.len();
        last = finish(&mut scheduler, &plan);
    }
    assert_eq!(encodes, 0);
    let [SequenceEvent::Finished { reason: FinishReason::EndOfText, usage }] = last[..] else {
        panic!("{last:?}")
    };
    assert_eq!((usage.images, usage.text_tokens, usage.positions_used), (1, 0, 15));
}

#[test]
fn a_document_that_may_neither_speak_nor_draw_ends_after_its_prompt() {
    let mut scheduler = scheduler(64);
    let mut request = spec(1, &[tokens(5)]);
    request.limits.max_tokens = Some(0);
    scheduler.add(request).unwrap();
    let plan = scheduler.schedule();
    assert_eq!(plan.decode[0].sample, None);
    let events = finish(&mut scheduler, &plan);
    assert!(matches!(
        events[..],
        [SequenceEvent::Finished { reason: FinishReason::EndOfText, .. }]
    ));
}

#[test]
fn documents_run_one_after_another_in_the_order_they_came() {
    let mut scheduler = scheduler(64);
    for id in 1..=3 {
        scheduler.add(spec(id, &[tokens(5)])).unwrap();
    }
    assert_eq!(scheduler.add(spec(4, &[tokens(5)])), Err(Refusal::QueueFull { waiting: 3 }));
    for id in 1..=3 {
        let plan = scheduler.schedule();
        assert_eq!(plan.sequences(), [SequenceId(id)]);
        finish_with(&mut scheduler, &plan, Sampled::EndOfText);
    }
    assert!(scheduler.schedule().is_empty());
}

#[test]
fn an_aborted_sequence_frees_its_place_for_the_next_and_its_late_outcome_is_passed_over() {
    let mut scheduler = scheduler(64);
    for id in 1..=3 {
        scheduler.add(spec(id, &[tokens(5)])).unwrap();
    }
    let plan = scheduler.schedule();
    assert!(scheduler.abort(SequenceId(1)));
    assert!(scheduler.abort(SequenceId(2)));
    assert!(!scheduler.abort(SequenceId(2)));
    assert_eq!(finish_with(&mut scheduler, &plan, TEXT), []);
    assert_eq!(scheduler.schedule().sequences(), [SequenceId(3)]);
    assert_eq!(scheduler.num_waiting(), 0);
}

#[test]
fn a_prompt_that_fills_the_context_but_one_position_yields_one_token() {
    let mut scheduler = scheduler(200);
    let request = spec(1, &[tokens(99)]);
    assert!(BUDGET.admits(&request));
    assert!(!BUDGET.admits(&spec(1, &[tokens(100)])));
    scheduler.add(request).unwrap();
    let plan = scheduler.schedule();
    let events = finish_with(&mut scheduler, &plan, TEXT);
    let [SequenceEvent::Finished { reason: FinishReason::ContextFull, usage }] = events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((usage.text_tokens, usage.positions_left, usage.images_left), (1, 0, 0));
}

#[test]
fn a_request_is_admitted_exactly_when_the_pictures_it_insists_on_fit() {
    let mut request = spec(1, &[tokens(79)]);
    request.limits.choice = ImageChoice::Exactly(2);
    assert_eq!(BUDGET.least_positions(&request), 100);
    assert!(BUDGET.admits(&request));
    request.prompt = vec![tokens(80)];
    assert!(!BUDGET.admits(&request));
    request.limits.max_images = 1;
    assert!(BUDGET.admits(&request));
    request.negative = Some(vec![tokens(97)]);
    assert_eq!(BUDGET.least_positions(&request), 101);
    assert!(!BUDGET.admits(&request));
}

#[test]
fn a_beam_search_grows_by_one_position_a_step_and_counts_its_best_hypothesis() {
    let mut scheduler = scheduler(64);
    let mut request = spec(1, &[tokens(5)]);
    request.limits.choice = ImageChoice::None;
    request.num_beams = 2;
    scheduler.add(request).unwrap();
    for _ in 0..3 {
        let plan = scheduler.schedule();
        assert_eq!(finish_with(&mut scheduler, &plan, Sampled::BeamsAdvanced), []);
    }
    let plan = scheduler.schedule();
    assert_eq!((plan.decode[0].start, plan.decode[0].num_positions()), (7, 1));
    let reason = FinishReason::EndOfText;
    let sampled = Sampled::BeamsFinished { num_tokens: 2, reason };
    let events = finish_with(&mut scheduler, &plan, sampled);
    let [SequenceEvent::Finished { usage, .. }] = events[..] else { panic!("{events:?}") };
    assert_eq!((usage.text_tokens, usage.positions_used), (2, 8));
}

//! Stories of KV blocks: who finds whose prefix, who gives way to whom, and what a preempted document
//! keeps.

use reverie_scheduler::{
    Branch, ContentHash, ImageChoice, KvConfig, Sampled, Scheduler, SchedulerConfig, SequenceEvent,
    SequenceId, SequenceStatus, Span, TenantId, TokenId,
};

use crate::kit::{PICTURE, config, drawing, finish, finish_with, spec, steps_until, tokens};

fn caching() -> SchedulerConfig {
    let kv = KvConfig { block_size: 4, num_blocks: 60, enable_prefix_caching: true };
    SchedulerConfig { kv, ..config() }
}

/// Where the first row of a new sequence begins.
fn begins_at(scheduler: &mut Scheduler, id: u64) -> usize {
    let plan = steps_until(scheduler, |plan| plan.sequences().contains(&SequenceId(id)));
    let row = plan.decode.iter().find(|row| row.sequence == SequenceId(id)).expect("its row");
    let start = row.start;
    finish(scheduler, &plan);
    start
}

#[test]
fn a_prefix_is_found_by_its_tenant_and_never_by_another() {
    let mut scheduler = Scheduler::new(caching());
    let mut request = |id: u64, tenant: u128| {
        let mut request = spec(id, &[tokens(10), PICTURE, tokens(5)]);
        request.tenant = TenantId(tenant);
        scheduler.add(request).unwrap();
        let start = begins_at(&mut scheduler, id);
        scheduler.abort(SequenceId(id));
        start
    };
    assert_eq!(request(1, 7), 0);
    assert_eq!(request(2, 8), 0);
    // All 21 positions are known; the block of the last one is computed again for its hidden state.
    assert_eq!(request(3, 7), 20);
    assert_eq!(request(4, 8), 20);
    assert_eq!(scheduler.stats().prefix_cache_hits, 40);
}

#[test]
fn usage_says_how_much_of_the_prompt_was_found() {
    let mut scheduler = Scheduler::new(caching());
    let mut found = |id: u64, tenant: u128| {
        let mut request = spec(id, &[tokens(20)]);
        request.tenant = TenantId(tenant);
        scheduler.add(request).unwrap();
        loop {
            let plan = scheduler.schedule();
            for event in finish_with(&mut scheduler, &plan, Sampled::EndOfText) {
                if let SequenceEvent::Finished { usage, .. } = event {
                    return usage.prompt_cached_positions;
                }
            }
        }
    };
    assert_eq!([found(1, 7), found(2, 7), found(3, 8)], [0, 16, 0]);
}

#[test]
fn a_whole_prompt_that_is_known_computes_its_last_block() {
    let mut scheduler = Scheduler::new(caching());
    for (id, start) in [(1, 0), (2, 12)] {
        scheduler.add(spec(id, &[tokens(16)])).unwrap();
        assert_eq!(begins_at(&mut scheduler, id), start);
    }
}

#[test]
fn another_picture_or_another_token_ends_a_prefix() {
    let mut scheduler = Scheduler::new(caching());
    let other = Span::Picture(ContentHash([9; 32]));
    let token = Span::Tokens([vec![TokenId(9); 4], vec![TokenId(8); 20]].concat());
    let prompts = [
        (1, vec![tokens(6), PICTURE, tokens(6)], 0),
        (2, vec![tokens(6), other, tokens(6)], 4),
        (3, vec![token], 4),
        (4, vec![tokens(6), PICTURE, tokens(9)], 16),
    ];
    for (id, prompt, start) in prompts {
        scheduler.add(spec(id, &prompt)).unwrap();
        assert_eq!(begins_at(&mut scheduler, id), start, "request {id}");
        scheduler.abort(SequenceId(id));
    }
}

#[test]
fn a_drawn_picture_that_comes_back_in_the_next_turn_is_known() {
    let mut scheduler = Scheduler::new(caching());
    let mut first = spec(1, &[tokens(5)]);
    first.limits.choice = ImageChoice::Exactly(1);
    first.limits.max_tokens = Some(3);
    scheduler.add(first).unwrap();
    // Three tokens, the dream block, the picture: with the prompt 18 positions, of which the picture's are
    // not computed, for nothing follows it.
    steps_until(&mut scheduler, |plan| plan.is_empty());
    let said = Span::Tokens([vec![TokenId(9); 5], vec![TokenId(1); 3]].concat());
    let drawn = Span::Picture(ContentHash([8; 32]));
    scheduler.add(spec(2, &[said, Span::Dream, drawn, tokens(3)])).unwrap();
    assert_eq!(begins_at(&mut scheduler, 2), 12);
}

#[test]
fn a_dream_block_whose_states_are_wanted_is_computed_although_it_is_known() {
    let mut scheduler = Scheduler::new(caching());
    for id in [1, 2] {
        let mut request = drawing(id);
        request.prompt = vec![tokens(8)];
        scheduler.add(request).unwrap();
    }
    let plan = scheduler.schedule();
    finish(&mut scheduler, &plan);
    let mut third = drawing(3);
    third.prompt = vec![tokens(8)];
    scheduler.add(third).unwrap();
    assert_eq!(begins_at(&mut scheduler, 3), 8);
}

#[test]
fn a_prefix_is_evicted_from_its_end() {
    let mut config = caching();
    config.kv.num_blocks = 25;
    let mut scheduler = Scheduler::new(config);
    let other = |count| Span::Tokens(vec![TokenId(3); count]);
    // Five blocks of the first prompt stay; the second takes twenty-two, two of which it has to evict.
    for (id, prompt, start) in [(1, tokens(20), 0), (2, other(86), 0), (3, tokens(20), 12)] {
        scheduler.add(spec(id, &[prompt])).unwrap();
        if id == 2 {
            steps_until(&mut scheduler, |plan| plan.decode[0].sample.is_some());
        } else {
            assert_eq!(begins_at(&mut scheduler, id), start);
        }
        scheduler.abort(SequenceId(id));
    }
}

#[test]
fn equal_prefixes_are_held_once() {
    let mut scheduler = Scheduler::new(caching());
    scheduler.add(spec(1, &[tokens(16)])).unwrap();
    scheduler.add(spec(2, &[tokens(16)])).unwrap();
    let plan = scheduler.schedule();
    assert_eq!(scheduler.stats().kv_blocks_used, 8);
    finish(&mut scheduler, &plan);
    assert_eq!(scheduler.stats().kv_blocks_used, 4);
    let blocks = |id| scheduler.blocks(SequenceId(id), Branch::Main).to_vec();
    assert_eq!(blocks(1), blocks(2));
    assert_eq!(scheduler.block_references(blocks(1)[0]), 2);
}

#[test]
fn the_youngest_gives_way_and_comes_back_before_anybody_new() {
    let mut scheduler = Scheduler::new(config());
    for id in 1..=3 {
        scheduler.add(spec(id, &[tokens(64)])).unwrap();
    }
    // 14 blocks: four for each of three prompts, one for each to go on; then the oldest needs more.
    let plan = steps_until(&mut scheduler, |plan| !plan.preempted.is_empty());
    assert_eq!(plan.preempted, [SequenceId(3)]);
    assert_eq!(scheduler.status(SequenceId(3)), Some(SequenceStatus::Waiting));
    finish(&mut scheduler, &plan);
    scheduler.add(spec(4, &[tokens(5)])).unwrap();
    let plan = steps_until(&mut scheduler, |plan| plan.sequences().contains(&SequenceId(3)));
    let row = plan.decode.iter().find(|row| row.sequence == SequenceId(3)).unwrap();
    assert_eq!(row.start, 0, "its context is computed again");
    assert!(scheduler.positions(SequenceId(4)).is_some_and(|(_, computed)| computed == 0));
}

#[test]
fn a_preempted_dreamer_goes_on_denoising_and_computes_its_context_again_afterwards() {
    let mut config = config();
    config.kv.num_blocks = 12;
    let mut scheduler = Scheduler::new(config);
    scheduler.add(spec(1, &[tokens(40)])).unwrap();
    let mut dreamer = spec(2, &[tokens(80)]);
    dreamer.limits.choice = ImageChoice::Required;
    dreamer.limits.max_tokens = Some(1);
    dreamer.drawing.num_denoising_steps = 80;
    scheduler.add(dreamer).unwrap();
    let mut steps = Vec::new();
    let mut was_preempted = false;
    let plan = loop {
        let plan = scheduler.schedule();
        was_preempted |= plan.preempted.contains(&SequenceId(2));
        steps.extend(plan.denoise_rows().iter().map(|row| row.step));
        if plan.render.is_some() {
            break plan;
        }
        finish(&mut scheduler, &plan);
    };
    assert!(was_preempted, "the older one has grown to the end of its context");
    assert_eq!(steps, (0..80).collect::<Vec<_>>(), "no step is lost and none made twice");
    let ended = finish(&mut scheduler, &plan);
    assert_eq!(ended.len(), 1, "a document that ends with its picture needs no context: {ended:?}");
}

//! Seeded worlds: documents of every kind arrive, dream, leave and end in random order, and the books
//! balance after every step. A world that fails prints its seed.

use std::collections::{BTreeMap, BTreeSet};

use reverie_scheduler::{
    Budget, DocumentLimits, ImageChoice, LegalTokens, Sampled, SampledRow, Scheduler,
    SchedulerConfig, SequenceEvent, SequenceId, SequenceSpec, SequenceStatus, Span, StepOutcome,
    StepPlan,
};

/// Knuth's 64-bit linear congruential generator; the high bits are used.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// Phases in which a sequence can be aborted; every world's aborts are counted by phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Waiting,
    Computing,
    CaughtUpInStep,
    Denoising,
    Rendering,
}

#[derive(Default)]
struct Books {
    /// Insisted pictures, by accepted and unended sequence.
    open: BTreeMap<SequenceId, usize>,
    ended: BTreeSet<SequenceId>,
    aborts: BTreeMap<Phase, usize>,
    finished: usize,
    pictures: usize,
    refused: usize,
}

fn random_spec(dice: &mut Dice, id: u64, budget: &Budget) -> SequenceSpec {
    let mut prompt = vec![Span::Tokens(1 + dice.below(12))];
    for _ in 0..dice.below(3) {
        if dice.chance(30) {
            prompt.push(Span::Dream);
        }
        prompt.push(Span::Picture);
        prompt.push(Span::Tokens(1 + dice.below(6)));
    }
    let choice = match dice.below(4) {
        0 => ImageChoice::Auto,
        1 => ImageChoice::None,
        2 => ImageChoice::Required,
        _ => ImageChoice::Exactly(dice.below(4)),
    };
    let limits = DocumentLimits {
        choice,
        max_images: dice.below(4),
        max_tokens: dice.chance(70).then(|| dice.below(20)),
        min_tokens: dice.below(5),
        ignore_eos: dice.chance(10),
    };
    let negative = dice.chance(30).then(|| {
        let mut spans = vec![Span::Tokens(1 + dice.below(6))];
        if dice.chance(30) {
            spans.push(Span::Picture);
        }
        spans
    });
    let spec = SequenceSpec {
        id: SequenceId(id),
        prompt,
        negative,
        limits,
        num_denoising_steps: 1 + dice.below(5),
    };
    if budget.admits(&spec) { spec } else { random_spec(dice, id, budget) }
}

fn random_sample(dice: &mut Dice, legal: LegalTokens) -> Sampled {
    match dice.below(10) {
        0 if legal.end_of_text => Sampled::EndOfText,
        1 if legal.dream_start => Sampled::DreamStart,
        2 if dice.chance(20) => Sampled::StopString,
        _ => Sampled::Text,
    }
}

fn outcome(dice: &mut Dice, plan: &StepPlan) -> StepOutcome {
    let samples =
        plan.decode.iter().filter_map(|row| row.sample.map(|legal| (row.sequence, legal)));
    let sampled = samples
        .map(|(sequence, legal)| SampledRow { sequence, sampled: random_sample(dice, legal) })
        .collect();
    StepOutcome { sampled }
}

fn check(scheduler: &Scheduler, config: &SchedulerConfig, books: &Books) {
    assert!(scheduler.num_running() <= 1, "one sequence runs at a time");
    assert!(scheduler.num_waiting() <= config.max_num_waiting, "the queue is bounded");
    assert_eq!(scheduler.num_running() + scheduler.num_waiting(), books.open.len());
    for id in books.open.keys() {
        let (len, computed) = scheduler.positions(*id).expect("an open sequence is known");
        assert!(computed <= len, "nothing is computed that is not there");
        assert!(len <= config.budget.max_model_len, "a context never outgrows the model");
    }
    for id in &books.ended {
        assert_eq!(scheduler.status(*id), None, "an ended sequence is forgotten");
    }
}

fn check_plan(plan: &StepPlan, config: &SchedulerConfig) {
    let positions: usize = plan.decode.iter().map(|row| row.num_positions()).sum();
    assert!(positions <= config.max_num_batched_tokens, "a step keeps to its token budget");
    assert!(plan.encode.len() <= config.max_num_encodes, "a step keeps to its encode budget");
    assert!(plan.decode.iter().all(|row| row.num_positions() > 0), "no row is empty");
}

fn phase(scheduler: &Scheduler, id: SequenceId, in_step: bool) -> Phase {
    match scheduler.status(id).expect("an open sequence is known") {
        SequenceStatus::Waiting => Phase::Waiting,
        SequenceStatus::Running if in_step => Phase::CaughtUpInStep,
        SequenceStatus::Running => Phase::Computing,
        SequenceStatus::Denoising { .. } => Phase::Denoising,
        SequenceStatus::Rendering => Phase::Rendering,
        SequenceStatus::Finished(_) => unreachable!("finished sequences are forgotten"),
    }
}

fn maybe_abort(dice: &mut Dice, scheduler: &mut Scheduler, books: &mut Books, in_step: bool) {
    if books.open.is_empty() || !dice.chance(2) {
        return;
    }
    let id = *books.open.keys().nth(dice.below(books.open.len())).expect("within bounds");
    *books.aborts.entry(phase(scheduler, id, in_step)).or_default() += 1;
    assert!(scheduler.abort(id), "an open sequence can be aborted at any time");
    books.open.remove(&id);
    books.ended.insert(id);
}

fn arrivals(
    dice: &mut Dice,
    scheduler: &mut Scheduler,
    budget: &Budget,
    next: u64,
    books: &mut Books,
) {
    let spec = random_spec(dice, next, budget);
    let (id, insisted) = (spec.id, spec.limits.insisted_images());
    match scheduler.add(spec) {
        Ok(()) => {
            books.open.insert(id, insisted);
        }
        Err(full) => {
            assert_eq!(full.waiting, scheduler.num_waiting());
            books.refused += 1;
        }
    }
}

fn world(seed: u64) -> Books {
    let mut dice = Dice(seed);
    let budget = Budget {
        max_model_len: 80 + dice.below(80),
        dream_positions: 3 + dice.below(4),
        image_positions: 3 + dice.below(12),
    };
    let config = SchedulerConfig {
        budget,
        max_num_batched_tokens: 1 + dice.below(40),
        max_num_encodes: 1 + dice.below(2),
        max_num_waiting: dice.below(5),
    };
    let mut scheduler = Scheduler::new(config);
    let mut books = Books::default();
    let mut to_come = 1 + dice.below(20) as u64;
    for _ in 0..20_000 {
        if to_come > 0 && dice.chance(20) {
            arrivals(&mut dice, &mut scheduler, &budget, to_come, &mut books);
            to_come -= 1;
        }
        maybe_abort(&mut dice, &mut scheduler, &mut books, false);
        let plan = scheduler.schedule();
        assert_eq!(plan.is_empty(), books.open.is_empty(), "there is work while anything is open");
        check_plan(&plan, &config);
        maybe_abort(&mut dice, &mut scheduler, &mut books, true);
        let outcome = outcome(&mut dice, &plan);
        for (id, event) in scheduler.update(&plan, &outcome).events {
            let SequenceEvent::Finished { usage, .. } = event else { continue };
            let insisted = books.open.remove(&id).expect("only open sequences finish");
            assert!(usage.images >= insisted, "insisted pictures are drawn");
            assert_eq!(usage.positions_used + usage.positions_left, budget.max_model_len);
            books.ended.insert(id);
            books.finished += 1;
            books.pictures += usage.images;
        }
        check(&scheduler, &config, &books);
        if to_come == 0 && books.open.is_empty() {
            return books;
        }
    }
    panic!("a document never ended");
}

#[test]
fn two_thousand_random_worlds_keep_their_books_and_come_to_an_end() {
    let mut aborts: BTreeMap<Phase, usize> = BTreeMap::new();
    let (mut finished, mut pictures, mut refused) = (0, 0, 0);
    for seed in 0..2_000 {
        let books = std::panic::catch_unwind(|| world(seed))
            .unwrap_or_else(|_| panic!("the world of seed {seed} fails"));
        for (phase, count) in books.aborts {
            *aborts.entry(phase).or_default() += count;
        }
        finished += books.finished;
        pictures += books.pictures;
        refused += books.refused;
    }
    assert_eq!(aborts.len(), 5, "aborts met every phase: {aborts:?}");
    assert!(
        finished > 5_000 && pictures > 3_000 && refused > 100,
        "the worlds are busy: {finished} documents, {pictures} pictures, {refused} refusals"
    );
}

//! What a world is made of, drawn by dice: limits, costs, and requests of every kind, some of which go on
//! from an earlier one.

use reverie_scheduler::{
    Budget, CostModel, DocumentLimits, DrawingSpec, ImageChoice, KvConfig, LatentSize, Nanos,
    SchedulerConfig, SegmentCost, SequenceId, SequenceSpec, Span, TenantId, TokenId, Written,
};

use crate::dice::Dice;
use crate::document::content;

/// Which kinds of trouble exist in a world, and how much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Swarm {
    pub(crate) aborts: usize,
    pub(crate) aborts_in_step: usize,
    pub(crate) failures: usize,
    pub(crate) arrivals: usize,
    pub(crate) num_requests: usize,
    pub(crate) num_tenants: usize,
    pub(crate) num_priorities: usize,
    pub(crate) num_sizes: usize,
    negatives: usize,
    beams: usize,
    pictures: usize,
}

impl Swarm {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let mut some = |most: usize| if dice.chance(600) { 1 + dice.below(most) } else { 0 };
        Self {
            aborts: some(30),
            aborts_in_step: some(30),
            failures: some(16),
            negatives: some(600),
            beams: some(200),
            pictures: 300 + some(600),
            arrivals: 40 + some(500),
            num_requests: 12 + some(16),
            num_tenants: 1 + some(2),
            num_priorities: 1 + some(2),
            num_sizes: 1 + some(2),
        }
    }
}

pub(crate) fn config(dice: &mut Dice) -> SchedulerConfig {
    let budget = Budget {
        max_model_len: dice.between(90, 220),
        dream_positions: dice.between(3, 6),
        image_positions: dice.between(3, 14),
    };
    let block_size = dice.between(1, 16);
    let least = budget.max_model_len.div_ceil(block_size);
    let max_num_seqs = dice.between(1, 10);
    let is_tight = dice.chance(600);
    let cost = cost(dice);
    SchedulerConfig {
        budget,
        max_num_seqs,
        max_num_batched_tokens: max_num_seqs + dice.below(40),
        max_num_encodes: dice.between(1, 2),
        max_num_denoise_rows: dice.between(2, 8),
        max_num_waiting: dice.between(6, 24),
        kv: KvConfig {
            block_size,
            num_blocks: if is_tight { least + dice.below(least) } else { least * max_num_seqs * 2 },
            enable_prefix_caching: dice.chance(700),
        },
        max_token_gap: if dice.chance(700) {
            Nanos(dice.between(30, 300) as u64)
        } else {
            Nanos::MAX
        },
        max_num_deferred: dice.below(5),
        cost,
    }
}

fn cost(dice: &mut Dice) -> CostModel {
    let mut segments = |most: usize| -> Vec<SegmentCost> {
        (0..dice.between(1, most))
            .map(|_| SegmentCost {
                base: Nanos(dice.below(90) as u64),
                per_cell: Nanos(dice.below(12) as u64),
            })
            .collect()
    };
    let (denoise, render) = (segments(6), segments(4));
    CostModel {
        decode_base: Nanos(dice.below(30) as u64),
        decode_position: Nanos(dice.below(6) as u64),
        encode_picture: Nanos(dice.below(80) as u64),
        denoise,
        render,
    }
}

/// A request that fits into a context.
pub(crate) fn request(
    dice: &mut Dice,
    swarm: &Swarm,
    id: u64,
    budget: &Budget,
    earlier: &[(TenantId, Vec<Span>)],
) -> SequenceSpec {
    loop {
        let tenant = TenantId(dice.below(swarm.num_tenants) as u128);
        let mut own = earlier.iter().filter(|(whose, _)| *whose == tenant);
        let prompt = match own.nth(dice.below(4)) {
            Some((_, document)) if dice.chance(500) => next_turn(dice, document),
            _ => prompt(dice),
        };
        let spec = SequenceSpec {
            id: SequenceId(id),
            tenant,
            priority: dice.below(swarm.num_priorities) as i32,
            prompt,
            written: Written::default(),
            negative: dice.chance(swarm.negatives).then(|| prompt_of(dice, 300)),
            limits: limits(dice, swarm),
            num_beams: 1,
            drawing: DrawingSpec {
                size: LatentSize { height: 1 + dice.below(swarm.num_sizes), width: 2 },
                num_denoising_steps: 1 + dice.below(8),
                is_guided: dice.chance(600),
            },
        };
        let spec = if dice.chance(swarm.beams) { with_beams(dice, spec) } else { spec };
        if budget.admits(&spec) {
            return spec;
        }
    }
}

fn with_beams(dice: &mut Dice, mut spec: SequenceSpec) -> SequenceSpec {
    spec.num_beams = 2 + dice.below(2);
    spec.negative = None;
    spec.limits.choice = ImageChoice::None;
    spec.limits.max_tokens = Some(1 + dice.below(12));
    spec
}

fn next_turn(dice: &mut Dice, document: &[Span]) -> Vec<Span> {
    let mut prompt = document.to_vec();
    prompt.push(tokens(dice, 6));
    prompt
}

fn prompt(dice: &mut Dice) -> Vec<Span> {
    prompt_of(dice, 600)
}

fn prompt_of(dice: &mut Dice, pictures: usize) -> Vec<Span> {
    let mut prompt = vec![tokens(dice, 20)];
    for _ in 0..2 {
        if dice.chance(pictures) {
            if dice.chance(300) {
                prompt.push(Span::Dream);
            }
            prompt.push(Span::Picture(content(dice.below(4) as u64)));
            prompt.push(tokens(dice, 6));
        }
    }
    prompt
}

/// Few different beginnings, so that some are met again.
fn tokens(dice: &mut Dice, most: usize) -> Span {
    let style = dice.below(2) as u32;
    Span::Tokens(
        (0..dice.between(1, most)).map(|place| TokenId(style + place as u32 % 3)).collect(),
    )
}

fn limits(dice: &mut Dice, swarm: &Swarm) -> DocumentLimits {
    let choice = match dice.below(4) {
        _ if !dice.chance(swarm.pictures) => ImageChoice::None,
        0 | 1 => ImageChoice::Auto,
        2 => ImageChoice::Required,
        _ => ImageChoice::Exactly(dice.below(5)),
    };
    DocumentLimits {
        choice,
        max_images: dice.below(6),
        max_tokens: dice.chance(700).then(|| dice.below(80)),
        min_tokens: dice.below(50),
        ignore_eos: dice.chance(200),
        ends_with_images: dice.chance(100),
    }
}

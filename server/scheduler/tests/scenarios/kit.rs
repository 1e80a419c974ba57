//! What the stories stand on: a small budget, plain requests, and steps that succeed.

use reverie_scheduler::{
    Budget, ContentHash, CostModel, DocumentLimits, DrawingSpec, ImageChoice, KvConfig, LatentSize,
    LegalTokens, Nanos, RenderedRow, Sampled, SampledRow, Scheduler, SchedulerConfig, SegmentCost,
    SequenceEvent, SequenceId, SequenceSpec, Span, StepOutcome, StepPlan, TenantId, TokenId,
    Written,
};

pub(crate) const BUDGET: Budget =
    Budget { max_model_len: 100, dream_positions: 4, image_positions: 6 };
pub(crate) const ANY: LegalTokens = LegalTokens { dream_start: true, end_of_text: true };
pub(crate) const TEXT: Sampled = Sampled::Text(TokenId(1));
pub(crate) const PICTURE: Span = Span::Picture(ContentHash([7; 32]));

/// One sequence at a time, chunks of so many positions.
pub(crate) fn scheduler(max_num_batched_tokens: usize) -> Scheduler {
    let mut config = config();
    config.max_num_seqs = 1;
    config.max_num_batched_tokens = max_num_batched_tokens;
    Scheduler::new(config)
}

/// Four sequences at once, without a bound on time.
pub(crate) fn config() -> SchedulerConfig {
    SchedulerConfig {
        budget: BUDGET,
        max_num_seqs: 4,
        max_num_batched_tokens: 64,
        max_num_encodes: 1,
        max_num_denoise_rows: 8,
        max_num_waiting: 2,
        kv: KvConfig { block_size: 16, num_blocks: 14, enable_prefix_caching: false },
        cost: CostModel::unmeasured(),
        max_token_gap: Nanos::MAX,
        max_num_deferred: 0,
    }
}

/// Four stretches of 10 in a pass, two of 10 in a decoding, a decoder pass of 10, under a gap of `gap`.
pub(crate) fn split_config(gap: u64) -> SchedulerConfig {
    let segment = SegmentCost { base: Nanos(10), per_cell: Nanos::ZERO };
    let cost = CostModel {
        decode_base: Nanos(10),
        decode_position: Nanos::ZERO,
        encode_picture: Nanos::ZERO,
        denoise: vec![segment; 4],
        render: vec![segment; 2],
    };
    SchedulerConfig { cost, max_token_gap: Nanos(gap), max_num_deferred: 2, ..config() }
}

pub(crate) fn tokens(count: usize) -> Span {
    Span::Tokens(vec![TokenId(9); count])
}

pub(crate) fn spec(id: u64, prompt: &[Span]) -> SequenceSpec {
    SequenceSpec {
        id: SequenceId(id),
        tenant: TenantId(0),
        priority: 0,
        prompt: prompt.to_vec(),
        written: Written::default(),
        negative: None,
        limits: DocumentLimits {
            choice: ImageChoice::Auto,
            max_images: 4,
            max_tokens: None,
            min_tokens: 0,
            ignore_eos: false,
            ends_with_images: false,
        },
        num_beams: 1,
        drawing: DrawingSpec {
            size: LatentSize { height: 8, width: 8 },
            num_denoising_steps: 2,
            is_guided: true,
        },
    }
}

pub(crate) fn finish(scheduler: &mut Scheduler, plan: &StepPlan) -> Vec<SequenceEvent> {
    finish_with(scheduler, plan, TEXT)
}

pub(crate) fn finish_with(
    scheduler: &mut Scheduler,
    plan: &StepPlan,
    sampled: Sampled,
) -> Vec<SequenceEvent> {
    let rows = plan.decode.iter().filter(|row| row.sample.is_some());
    let sampled = rows.map(|row| SampledRow { sequence: row.sequence, sampled }).collect();
    let content = ContentHash([8; 32]);
    let rendered = plan.render.iter().map(|row| RenderedRow { sequence: row.sequence, content });
    let outcome = StepOutcome { sampled, rendered: rendered.collect(), failed: Vec::new() };
    let report = scheduler.update(plan, &outcome);
    report.events.into_iter().map(|(_, event)| event).collect()
}

/// A request for one picture and no text.
pub(crate) fn drawing(id: u64) -> SequenceSpec {
    let mut spec = spec(id, &[tokens(5)]);
    spec.limits.choice = ImageChoice::Exactly(1);
    spec.limits.max_tokens = Some(0);
    spec
}

/// Carries out steps until a plan `is_wanted`, which is not carried out.
pub(crate) fn steps_until(
    scheduler: &mut Scheduler,
    is_wanted: impl Fn(&StepPlan) -> bool,
) -> StepPlan {
    for _ in 0..1000 {
        let plan = scheduler.schedule();
        if is_wanted(&plan) {
            return plan;
        }
        finish(scheduler, &plan);
    }
    panic!("no such plan comes");
}

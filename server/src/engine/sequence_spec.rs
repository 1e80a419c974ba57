//! A request in numbers: what the scheduler gets to know of it, and how many events it can have.

use reverie_scheduler::{Budget, DocumentLimits, ImageChoice, SequenceId, SequenceSpec, Span};

use super::request::{EngineRequest, PromptSegment};

/// Guidance up to this scale is none (`guidance_scale > 1` in the reference).
const NO_GUIDANCE: f32 = 1.0;

/// Events besides text and pictures: held-back text released at the end, and the end itself.
const CLOSING_EVENTS: usize = 2;

/// Events of a picture besides its progress: held-back text, its start, the picture.
const EVENTS_PER_IMAGE: usize = 3;

/// Passes that a sampler may take beyond `num_inference_steps` (PNDM takes one).
const EXTRA_DENOISING_STEPS: usize = 1;

/// The numbers of `request`, whose pictures take `num_denoising_steps` denoiser passes each.
pub fn sequence_spec(
    id: SequenceId,
    request: &EngineRequest,
    num_denoising_steps: usize,
) -> SequenceSpec {
    let limits = document_limits(request);
    let draws = limits.max_images > 0 && limits.choice != ImageChoice::None;
    let guided = request.pictures.guidance_scale > NO_GUIDANCE;
    let negative = request.pictures.negative_prompt.as_ref().filter(|_| draws && guided);
    SequenceSpec {
        id,
        prompt: spans(&request.prompt),
        negative: negative.map(|segments| spans(segments)),
        limits,
        num_denoising_steps,
    }
}

/// An upper bound of the events that `request` can cause, so that sending one never has to wait.
pub(super) fn max_events(request: &EngineRequest, budget: &Budget) -> usize {
    let used = budget.positions(&spans(&request.prompt));
    let limits = document_limits(request);
    let num_tokens = (budget.max_model_len - used).min(limits.max_tokens.unwrap_or(usize::MAX));
    let num_images = budget.images_that_fit(used).min(limits.max_images);
    let progress = if request.pictures.report_progress {
        request.pictures.num_inference_steps.saturating_add(EXTRA_DENOISING_STEPS)
    } else {
        0
    };
    num_images
        .saturating_mul(progress.saturating_add(EVENTS_PER_IMAGE))
        .saturating_add(num_tokens + CLOSING_EVENTS)
        .min(tokio::sync::Semaphore::MAX_PERMITS)
}

fn document_limits(request: &EngineRequest) -> DocumentLimits {
    let beams = request.sampling.num_beams > 1;
    DocumentLimits {
        choice: if beams { ImageChoice::None } else { request.pictures.choice },
        max_images: request.pictures.max_images,
        max_tokens: request.stopping.max_tokens,
        min_tokens: request.stopping.min_tokens,
        ignore_eos: request.stopping.ignore_eos,
    }
}

fn spans(segments: &[PromptSegment]) -> Vec<Span> {
    let span = |segment: &PromptSegment| match segment {
        PromptSegment::Tokens(ids) => Span::Tokens(ids.len()),
        PromptSegment::Picture(_) => Span::Picture,
        PromptSegment::Dream => Span::Dream,
    };
    segments.iter().map(span).collect()
}

//! A request in numbers: what the scheduler gets to know of it, and how many events it can have.

use reverie_model::Picture;
use reverie_scheduler::{
    Budget, ContentHash, DocumentLimits, DrawingSpec, ImageChoice, LatentSize, SequenceId,
    SequenceSpec, Span, TokenId, Written,
};
use sha2::{Digest, Sha256};

use super::request::{EngineRequest, PictureParams, PromptSegment};

/// Guidance up to this scale is none (`guidance_scale > 1` in the reference).
const NO_GUIDANCE: f32 = 1.0;

/// Events besides text and pictures: held-back text released at the end, how pictures were drawn, the end itself.
const CLOSING_EVENTS: usize = 3;

/// Events of a picture besides its progress, which has its own way: held-back text, its start, the picture.
const EVENTS_PER_IMAGE: usize = 3;

/// The numbers of `request`, whose pictures are drawn as `drawing` says.
pub fn sequence_spec(
    id: SequenceId,
    request: &EngineRequest,
    drawing: DrawingSpec,
) -> SequenceSpec {
    let limits = document_limits(request);
    let draws = limits.max_images > 0 && limits.choice != ImageChoice::None;
    let negative = request.pictures.negative_prompt.as_ref().filter(|_| draws && drawing.is_guided);
    SequenceSpec {
        id,
        tenant: request.tenant,
        priority: request.priority,
        prompt: spans(&request.prompt),
        written: Written::default(),
        negative: negative.map(|segments| spans(segments)),
        limits,
        num_beams: request.sampling.num_beams,
        drawing,
    }
}

/// Positions that `request` takes at least: its prompt, the pictures that it insists on, and a token.
pub fn least_positions(request: &EngineRequest, budget: &Budget) -> usize {
    // How large its latents are and how many steps they take changes no position.
    let spec = sequence_spec(SequenceId(0), request, drawing_spec(&request.pictures, 1, 1));
    budget.least_positions(&spec)
}

/// How pictures are drawn whose latents have one cell for each `cell` by `cell` pixels, in
/// `num_denoising_steps` denoiser passes.
pub fn drawing_spec(
    pictures: &PictureParams,
    cell: usize,
    num_denoising_steps: usize,
) -> DrawingSpec {
    DrawingSpec {
        size: LatentSize { height: pictures.height / cell, width: pictures.width / cell },
        num_denoising_steps,
        is_guided: pictures.guidance_scale > NO_GUIDANCE,
    }
}

/// Rows of all denoising steps of one picture.
pub fn picture_work(pictures: &PictureParams) -> u64 {
    let rows = if pictures.guidance_scale > NO_GUIDANCE { 2 } else { 1 };
    (pictures.num_inference_steps as u64).saturating_mul(rows)
}

/// Positions of `segments`.
pub fn num_positions(segments: &[PromptSegment], budget: &Budget) -> usize {
    segments.iter().map(|segment| positions_of(segment, budget)).sum()
}

/// Of how pictures become patch embeddings; another one for whatever changes these.
const PREPROCESSING_VERSION: u32 = 1;

/// What tells a picture from every other one: its size and its pixels as the vision tower is given them,
/// and how they are preprocessed.
pub fn content_hash(picture: &Picture) -> ContentHash {
    let mut hash = Sha256::new();
    hash.update(PREPROCESSING_VERSION.to_le_bytes());
    hash.update(picture.sha256());
    ContentHash(hash.finalize().into())
}

/// An upper bound of the events that `request` can cause besides progress, so that sending one never has to wait.
pub(crate) fn max_events(request: &EngineRequest, budget: &Budget) -> usize {
    let used = num_positions(&request.prompt, budget);
    let limits = document_limits(request);
    let num_tokens = (budget.max_model_len - used).min(limits.max_tokens.unwrap_or(usize::MAX));
    let num_images = budget.images_that_fit(used).min(limits.max_images);
    num_images
        .saturating_mul(EVENTS_PER_IMAGE)
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
        ends_with_images: request.stopping.ends_with_images,
    }
}

fn positions_of(segment: &PromptSegment, budget: &Budget) -> usize {
    match segment {
        PromptSegment::Tokens(ids) => ids.len(),
        PromptSegment::Picture(_) => budget.image_positions,
        PromptSegment::Dream => budget.dream_positions,
    }
}

fn spans(segments: &[PromptSegment]) -> Vec<Span> {
    let span = |segment: &PromptSegment| match segment {
        PromptSegment::Tokens(ids) => Span::Tokens(ids.iter().copied().map(TokenId).collect()),
        PromptSegment::Picture(picture) => Span::Picture(content_hash(picture)),
        PromptSegment::Dream => Span::Dream,
    };
    segments.iter().map(span).collect()
}

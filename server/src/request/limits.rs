//! What requests may ask for, and what those that do not say get. Decides nothing about any request.

use std::ops::RangeInclusive;
use std::sync::Arc;

use reverie_model::config::Abilities;
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_model::diffusion::trace::TraceSize;
use reverie_model::json_grammar::JsonGrammars;
use reverie_proto::Sampler;
use reverie_scheduler::Budget;

use super::picture_url::PictureUrlPolicy;
use crate::picture_codec::PictureLimits;
use crate::template::{CheckpointDefaults, TextToImage};

/// What a request may ask for, complete.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Names a request may use for the model; the first is the canonical one.
    pub model_names: Vec<String>,
    /// What the model was trained for.
    pub abilities: Abilities,
    /// How a request that is nothing but a wish for a picture is written down.
    pub text_to_image: TextToImage,
    /// Positions of the context.
    pub max_model_len: usize,
    /// No token stands for more bytes of text than this; bounds positions from below without encoding.
    pub max_token_bytes: usize,
    /// Whether the tokenizer drops some spaces, so that none can be counted on.
    pub drops_spaces: bool,
    /// Which tokens an answer may have.
    pub tokens: WritableTokens,
    /// Compiles what an answer's text must follow.
    pub json_grammars: Arc<JsonGrammars>,
    /// Positions of a picture block: patches + 2.
    pub picture_positions: usize,
    /// Positions of a dream block: queries + 2.
    pub dream_positions: usize,
    /// Pictures in a request, history included.
    pub max_input_images: usize,
    /// Bytes of one picture file, decoded from base64.
    pub max_image_bytes: usize,
    /// What a picture's header may promise.
    pub picture: PictureLimits,
    /// Where pictures may be fetched from.
    pub picture_urls: PictureUrlPolicy,
    /// Pictures of a request that may have to be fetched.
    pub max_image_urls: usize,
    /// Pictures in an answer that a request may allow.
    pub max_images: usize,
    /// Answers to one request: each takes a place in the engine.
    pub max_choices: usize,
    /// Denoising steps of a picture.
    pub max_num_inference_steps: usize,
    /// The noise that steps are taken through; not every sampler has room for every number of them.
    pub noise_schedule: Arc<NoiseSchedule>,
    /// Sides of a drawn picture, pixels.
    pub side: RangeInclusive<usize>,
    /// Both sides are multiples of this, pixels.
    pub side_multiple: usize,
    /// Width × height of a drawn picture, pixels.
    pub max_drawn_pixels: usize,
    /// Whether requests may say that they are more urgent than others.
    pub has_priorities: bool,
    /// What requests that do not say get.
    pub defaults: Defaults,
    /// Whether it may be recorded how pictures are drawn.
    pub allow_trace: bool,
    /// How large such records become.
    pub trace_size: TraceSize,
}

impl Limits {
    /// Bytes of text that are looked at, for what a tokenizer drops costs time and memory as well: eight
    /// for each one that could take room.
    pub(super) fn max_text_bytes(&self) -> usize {
        self.max_model_len.saturating_mul(self.max_token_bytes.max(1)).saturating_mul(8)
    }

    /// What fits into a context.
    pub fn budget(&self) -> Budget {
        Budget {
            max_model_len: self.max_model_len,
            dream_positions: self.dream_positions,
            image_positions: self.picture_positions,
        }
    }

    /// Bytes of `text` that surely take room in the context.
    pub(super) fn countable_bytes(&self, text: &str) -> usize {
        let is_space = |symbol: &char| self.drops_spaces && matches!(symbol, ' ' | '▁');
        text.len() - text.chars().filter(is_space).map(char::len_utf8).sum::<usize>()
    }
}

/// Which tokens an answer may have: text, `</s>` and `<dream_start>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WritableTokens {
    /// Ids are below this.
    pub vocab_size: usize,
    /// Ids that are never sampled, ascending.
    pub forbidden: Arc<[u32]>,
}

impl WritableTokens {
    /// Whether `token` is one of them.
    pub fn can_be_written(&self, token: u32) -> bool {
        (token as usize) < self.vocab_size && self.forbidden.binary_search(&token).is_err()
    }
}

/// What requests that do not say get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// The update rule.
    pub sampler: Sampler,
    /// Denoising steps.
    pub num_inference_steps: usize,
    /// Strength of guidance.
    pub guidance_scale: f64,
    /// How adventurous text is.
    pub temperature: f64,
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
}

impl Defaults {
    /// Nucleus sampling is off.
    pub const TOP_P: f64 = 1.0;
    /// No limit to the tokens that are chosen from.
    pub const TOP_K: i64 = 0;
    /// No beam search.
    pub const NUM_BEAMS: u64 = 1;
    /// Guidance is not rescaled.
    pub const GUIDANCE_RESCALE: f64 = 0.0;
    /// DDIM adds no noise.
    pub const ETA: f64 = 0.0;

    /// What the checkpoint says, else the reference's values (`stable_diffusion_pipeline`: DDPM,
    /// 50 steps, guidance 7.5) and OpenAI's temperature of 1. `side` is the checkpoint's own, pixels.
    pub fn of_checkpoint(checkpoint: CheckpointDefaults, side: usize) -> Self {
        Self {
            sampler: checkpoint.sampler.unwrap_or(Sampler::Ddpm),
            num_inference_steps: checkpoint.num_inference_steps.unwrap_or(50),
            guidance_scale: checkpoint.guidance_scale.unwrap_or(7.5),
            temperature: checkpoint.temperature.unwrap_or(1.0),
            width: side,
            height: side,
        }
    }
}

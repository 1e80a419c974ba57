//! What the engine is asked to do: complete, checked, free of any wire format.

use std::sync::Arc;
use std::time::Duration;

use reverie_model::Picture;
use reverie_model::diffusion::SamplerKind;
use reverie_model::logit_adjustment::LogitAdjustment;
use reverie_model::picture_codec::PictureFormat;
pub use reverie_scheduler::{ImageChoice, TenantId};
use sha2::{Digest as _, Sha256};

/// Whose every request is where keys are not told apart.
pub const ONE_TENANT: TenantId = TenantId(0);

/// A piece of the context, in order.
#[derive(Debug, Clone)]
pub enum PromptSegment {
    /// Token ids, control tokens already spliced in (`<s>` first).
    Tokens(Vec<u32>),
    /// A picture block: `<im_start>`, patches, `<im_end>`.
    Picture(Arc<Picture>),
    /// A dream block: `<dream_start>`, queries, `<dream_end>`; precedes the assistant's own pictures in history.
    Dream,
}

impl PromptSegment {
    /// Whether it takes no position.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Tokens(ids) => ids.is_empty(),
            Self::Picture(_) | Self::Dream => false,
        }
    }
}

/// One document to write.
#[derive(Debug, Clone)]
pub struct EngineRequest {
    /// The context so far.
    pub prompt: Vec<PromptSegment>,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// When the text ends.
    pub stopping: StoppingParams,
    /// Whether and how pictures are drawn.
    pub pictures: PictureParams,
    /// Which of several answers to one request it is, from 0: part of the key of each random draw.
    pub choice: u32,
    /// Give up this long after submission, if set.
    pub deadline: Option<Duration>,
    /// Whose it is: what it computes is reused for nobody else.
    pub tenant: TenantId,
    /// Lower is earlier; 0 is ordinary.
    pub priority: i32,
    /// How the same request is recognised.
    pub identity: RequestIdentity,
}

/// How a request is recognised when it comes again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestIdentity {
    /// SHA-256 of what its client sent: equal fingerprints, equal requests.
    pub fingerprint: [u8; 32],
    /// SHA-256 of its client's name for it: asking twice under one name is asking once.
    pub idempotency_key: Option<[u8; 32]>,
    /// When it was asked, seconds since 1970.
    pub created: u64,
}

impl RequestIdentity {
    /// Of the answer with this number to the same request: each is recognised by itself.
    pub fn of_choice(self, choice: u32) -> Self {
        let numbered = |digest: [u8; 32]| match choice {
            0 => digest,
            _ => Sha256::new()
                .chain_update(digest)
                .chain_update(choice.to_le_bytes())
                .finalize()
                .into(),
        };
        Self {
            fingerprint: numbered(self.fingerprint),
            idempotency_key: self.idempotency_key.map(numbered),
            created: self.created,
        }
    }
}

/// How a token is chosen from its logits (vLLM's names).
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// 0 is greedy.
    pub temperature: f32,
    /// Nucleus, in (0, 1].
    pub top_p: f32,
    /// 0 is off.
    pub top_k: usize,
    /// 0 is off.
    pub min_p: f32,
    /// 0 is off.
    pub presence_penalty: f32,
    /// 0 is off.
    pub frequency_penalty: f32,
    /// 1 is off.
    pub repetition_penalty: f32,
    /// Added to the logits of tokens.
    pub logit_bias: Vec<TokenBias>,
    /// How many of the likeliest tokens are told of at each place; `None`: not even the chosen one.
    pub num_logprobs: Option<usize>,
    /// Keys every random draw of this request; drawn by the front where the client gave none.
    pub seed: u64,
    /// The JSON schema that the text follows, if it is not free.
    pub json_schema: Option<Arc<String>>,
    /// 1, or the width of a beam search (text only).
    pub num_beams: usize,
}

/// What is added to a token's logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenBias {
    /// Which token.
    pub token: u32,
    /// How much.
    pub bias: f32,
}

impl SamplingParams {
    /// The likeliest token each time, as the model has it.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: Vec::new(),
            num_logprobs: None,
            seed: 0,
            json_schema: None,
            num_beams: 1,
        }
    }

    /// What these change about logits.
    pub fn adjustment(&self) -> LogitAdjustment {
        LogitAdjustment {
            bias: self.logit_bias.iter().map(|TokenBias { token, bias }| (*token, *bias)).collect(),
            repetition_penalty: self.repetition_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
        }
    }
}

/// When the text ends.
#[derive(Debug, Clone)]
pub struct StoppingParams {
    /// At most this many sampled tokens; `None` is "as many as fit".
    pub max_tokens: Option<usize>,
    /// `</s>` is forbidden before this many.
    pub min_tokens: usize,
    /// `</s>` is forbidden altogether.
    pub ignore_eos: bool,
    /// The text ends once the pictures that are insisted on are drawn.
    pub ends_with_images: bool,
    /// Strings that end the text; never part of it.
    pub stop: Vec<String>,
}

/// How pictures are drawn (diffusers' names).
#[derive(Debug, Clone)]
pub struct PictureParams {
    /// Who decides.
    pub choice: ImageChoice,
    /// Drawn pictures never exceed this.
    pub max_images: usize,
    /// Pixels across, a multiple of the VAE's factor.
    pub width: usize,
    /// Pixels down, a multiple of the VAE's factor.
    pub height: usize,
    /// Denoising steps.
    pub num_inference_steps: usize,
    /// 1 and below: no guidance.
    pub guidance_scale: f32,
    /// 0 is off.
    pub guidance_rescale: f32,
    /// DDIM's eta.
    pub eta: f32,
    /// What pictures should not show, as a context of its own (starting with `<s>`).
    pub negative_prompt: Option<Vec<PromptSegment>>,
    /// Which update rule.
    pub sampler: SamplerKind,
    /// Keys the noise of this request's pictures.
    pub seed: u64,
    /// How they are delivered; what a lossy format leaves of a picture is what the model sees of it.
    pub format: PictureFormat,
    /// What is told of a picture while it is drawn, if anything.
    pub progress: Option<ProgressReports>,
    /// Whether it is recorded how they are drawn.
    pub trace: Option<TraceWish>,
}

/// That it is recorded how pictures are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceWish {
    /// Bytes that the records of all pictures take, at most.
    pub max_bytes: u64,
}

/// Every denoising step is told as `EngineEvent::ImageProgress`, some of them with a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressReports {
    /// Previews of each picture, at most: one before every step but the last, no more.
    pub num_previews: usize,
}

impl ProgressReports {
    /// Whether a preview belongs to step `step`, from 1, of `num_steps`. Previews are spread evenly, and the picture
    /// itself stands at the end.
    pub fn wants_preview(self, step: usize, num_steps: usize) -> bool {
        let parts = (self.num_previews as u128) + 1;
        let part = |step: usize| step as u128 * parts / num_steps.max(1) as u128;
        (1..num_steps).contains(&step) && part(step) > part(step - 1)
    }
}

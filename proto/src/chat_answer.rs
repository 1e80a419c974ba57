//! What `POST /v1/chat/completions` answers, whole and in chunks.
//!
//! `content` is a string and pictures are in `images`, because that is the only shape every OpenAI client
//! survives; another one comes on request only. The order of a stream is the order of its deltas; the order of a
//! whole answer is in `content_parts`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::logit_bias::LogitBias;
use crate::logprobs::ChatLogprobs;
use crate::message::{Content, ImageItem, OrderedPart, Role};
use crate::provenance::Provenance;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatCompletion {
    /// `chatcmpl-…`.
    pub id: String,
    /// Always `chat.completion`.
    pub object: String,
    /// When the request was accepted, seconds since 1970.
    pub created: u64,
    /// The served model's name.
    pub model: String,
    /// As many answers as were asked for.
    pub choices: Vec<Choice>,
    /// What it took.
    pub usage: Usage,
    /// What the request's parameters came to (extension).
    pub effective: EffectiveParameters,
    /// What was left out of the conversation; only where the request lets that happen (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation: Option<TruncationReport>,
    /// What it takes to write it again; only where the request asks for it (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// How its pictures were drawn; only where the request asks for it (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<DrawingTrace>,
}

/// How pictures were drawn: tensors that the model's authors have names for, in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrawingTrace {
    /// Always `safetensors`.
    pub format: String,
    /// The file in base64. Its tensors are called `picture.INDEX.NAME`.
    pub data: String,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// Counts answers from 0.
    pub index: usize,
    /// The answer.
    pub message: AnswerMessage,
    /// How likely the tokens of its text were; null unless asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Why it ended, exactly (extension).
    pub finish_details: FinishDetails,
}

/// The assistant's message. Sent back as it is, it becomes history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerMessage {
    /// Always `assistant`.
    pub role: Role,
    /// All text; with its pictures only where the request asks for that.
    pub content: Content,
    /// Always null.
    pub refusal: Option<()>,
    /// All pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageItem>,
    /// Text and pictures in order (extension); left out where `content` says it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_parts: Option<Vec<OrderedPart>>,
}

/// A piece of a streamed answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatCompletionChunk {
    /// `chatcmpl-…`, the same in all chunks.
    pub id: String,
    /// Always `chat.completion.chunk`.
    pub object: String,
    /// When the request was accepted, seconds since 1970.
    pub created: u64,
    /// The served model's name.
    pub model: String,
    /// One delta, or none in the usage chunk.
    pub choices: Vec<ChunkChoice>,
    /// What the answer took; only in the usage chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the request's parameters came to; only in the chunk with `finish_reason` (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectiveParameters>,
    /// What was left out of the conversation; only in the chunk with `finish_reason`, and only where the request
    /// lets that happen (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncation: Option<TruncationReport>,
    /// What it takes to write the answer again; only in the chunk with `finish_reason`, and only where the
    /// request asks for it (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// How far a picture is; only beside an empty delta, and only where the request asks for it (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<PictureProgress>,
    /// How the answer's pictures were drawn; only in the chunk with `finish_reason`, and only where the request asks
    /// for it (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<DrawingTrace>,
}

/// How far a picture is. A client that reads slowly is not told of every step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PictureProgress {
    /// Which picture of the answer: the `index` that it will have in `images`.
    pub index: u64,
    /// Denoising steps done, from 1.
    pub step: usize,
    /// Denoising steps in all.
    pub num_steps: usize,
    /// What the picture would be if it were complete now: a data URL of a small JPEG file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
}

/// What a chunk adds to one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkChoice {
    /// Counts answers from 0.
    pub index: usize,
    /// What is new.
    pub delta: Delta,
    /// How likely the tokens of its text were; null unless asked for.
    pub logprobs: Option<ChatLogprobs>,
    /// Why it ended; null before the end.
    pub finish_reason: Option<FinishReason>,
    /// Why it ended, exactly; only with `finish_reason` (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_details: Option<FinishDetails>,
}

/// What was left out of a conversation because it was longer than the context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TruncationReport {
    /// Places in the request's `messages`, ascending; none if everything did fit.
    pub dropped_messages: Vec<usize>,
}

/// What is new: a role, some text, or one complete picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delta {
    /// `assistant`, in the first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Text to append; where the request asks for parts, a picture is a list of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// One complete picture, at its place in the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageItem>,
}

/// Why an answer ended, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// By itself, or at a stop string.
    Stop,
    /// At a limit.
    Length,
}

/// Why an answer ended, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FinishDetails {
    /// The model ended it.
    EndOfText,
    /// A stop string came up.
    StopString,
    /// `max_tokens` were sampled.
    MaxTokens,
    /// The model wanted a picture beyond `max_images`.
    MaxImages,
    /// The context is full.
    ContextFull,
}

/// What an answer took, in positions of the context (OpenAI says tokens).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Positions of the prompt.
    pub prompt_tokens: usize,
    /// Positions of the answer.
    pub completion_tokens: usize,
    /// Their sum.
    pub total_tokens: usize,
    /// Of the prompt's.
    pub prompt_tokens_details: PromptTokensDetails,
    /// Of the answer's.
    pub completion_tokens_details: CompletionTokensDetails,
    /// What pictures took and what is left (extension).
    pub images: ImageUsage,
}

/// Where the prompt's positions went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PromptTokensDetails {
    /// Positions that had been computed for an earlier request of the same tenant.
    pub cached_tokens: usize,
    /// Positions of pictures.
    pub image_tokens: usize,
}

/// Where the answer's positions went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompletionTokensDetails {
    /// Always 0: DreamLLM does not reason aside. Some clients insist on the field.
    pub reasoning_tokens: usize,
    /// Positions of pictures: dream block and picture block.
    pub image_tokens: usize,
}

/// Pictures and the room they leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageUsage {
    /// Pictures in the prompt.
    pub input: usize,
    /// Pictures drawn.
    pub output: usize,
    /// Positions of the context now used.
    pub positions_used: usize,
    /// Positions of the context still free.
    pub positions_left: usize,
    /// Pictures that would still fit.
    pub more_images_fit: usize,
}

/// What the request's parameters came to: sent again, they give the same answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectiveParameters {
    /// As given, or as drawn.
    pub seed: u64,
    /// As given, or as it follows from `seed`.
    pub image_seed: u64,
    /// As given, or the checkpoint's.
    pub temperature: f64,
    /// As given, or 1.
    pub top_p: f64,
    /// As given, or 0, which is off.
    pub top_k: u64,
    /// As given, where it is not 0, which is off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_p: f64,
    /// As given, where it is not 0, which is off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub presence_penalty: f64,
    /// As given, where it is not 0, which is off.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub frequency_penalty: f64,
    /// As given, where it is not 1, which is off.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub repetition_penalty: f64,
    /// As given, where there is any.
    #[serde(default, skip_serializing_if = "has_no_bias")]
    pub logit_bias: LogitBias,
    /// As given, or 1.
    pub num_beams: u64,
    /// As given, or the checkpoint's.
    pub size: String,
    /// As given, or the checkpoint's.
    pub sampler: crate::chat_request::Sampler,
    /// As given, or the checkpoint's.
    pub num_inference_steps: usize,
    /// As given, or the checkpoint's.
    pub guidance_scale: f64,
    /// As given, or 0, which is off.
    pub guidance_rescale: f64,
    /// As given, or 0.
    pub eta: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_one(value: &f64) -> bool {
    *value == 1.0
}

fn one() -> f64 {
    1.0
}

fn has_no_bias(bias: &LogitBias) -> bool {
    bias.0.is_empty()
}

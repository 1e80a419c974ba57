//! What `/v1/responses` answers: the response as a whole, lists of its input, and the events of its stream.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat_answer::{EffectiveParameters, FinishDetails, ImageUsage};
use crate::chat_request::{ImageFormat, Truncation};
use crate::error_body::ErrorDetail;
use crate::image_request::{Background, Quality};
use crate::response_item::{InputItem, OutputItem, OutputText};
use crate::response_request::{ImageTool, Reasoning, ResponseToolChoice, TextConfig};

/// A response, at any moment of its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Response {
    /// `resp_…`.
    pub id: String,
    /// Always `response`.
    pub object: String,
    /// When it was asked for, seconds since 1970.
    pub created_at: u64,
    /// When it was complete, seconds since 1970.
    pub completed_at: Option<u64>,
    /// How far it is.
    pub status: ResponseStatus,
    /// Always false.
    pub background: bool,
    /// Why it failed.
    pub error: Option<ResponseError>,
    /// Why it was cut off.
    pub incomplete_details: Option<IncompleteDetails>,
    /// As asked.
    pub instructions: Option<String>,
    /// As asked.
    pub max_output_tokens: Option<u64>,
    /// As asked.
    pub max_tool_calls: Option<u64>,
    /// The served model's name.
    pub model: String,
    /// Texts and pictures in order.
    pub output: Vec<OutputItem>,
    /// Always true.
    pub parallel_tool_calls: bool,
    /// As asked.
    pub previous_response_id: Option<String>,
    /// As asked.
    pub prompt_cache_key: Option<String>,
    /// Always empty.
    pub reasoning: Reasoning,
    /// As asked.
    pub safety_identifier: Option<String>,
    /// Always `default`.
    pub service_tier: String,
    /// Whether it is kept.
    pub store: bool,
    /// As given, or the checkpoint's.
    pub temperature: f64,
    /// As asked; its format is always said.
    pub text: TextConfig,
    /// As asked.
    pub tool_choice: ResponseToolChoice,
    /// As asked.
    pub tools: Vec<ImageTool>,
    /// Always 0.
    pub top_logprobs: u64,
    /// As given, or 1.
    pub top_p: f64,
    /// As asked.
    pub truncation: Truncation,
    /// What was left out of a conversation that was too long, where it may be: ids of stored items, or places in the
    /// request such as `input[0]` (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_items: Option<Vec<String>>,
    /// What it took, once it has ended.
    pub usage: Option<ResponseUsage>,
    /// As asked.
    pub user: Option<String>,
    /// As asked.
    pub metadata: BTreeMap<String, String>,
    /// What the request's parameters came to (extension).
    pub effective: EffectiveParameters,
}

/// How far a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseStatus {
    /// It is being written.
    InProgress,
    /// It is complete.
    Completed,
    /// It was cut off at a limit.
    Incomplete,
    /// It could not be completed.
    Failed,
}

/// Why a response failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseError {
    /// Always `server_error`: OpenAI's list is closed.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// Why a response was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IncompleteDetails {
    /// In OpenAI's words.
    pub reason: IncompleteReason,
    /// Exactly (extension).
    pub finish_details: FinishDetails,
}

/// Why a response was cut off, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncompleteReason {
    /// At a limit.
    MaxOutputTokens,
}

/// What a response took, in positions of the context (OpenAI says tokens).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseUsage {
    /// Positions of the prompt.
    pub input_tokens: usize,
    /// Of the prompt's.
    pub input_tokens_details: InputTokensDetails,
    /// Positions of the answer.
    pub output_tokens: usize,
    /// Of the answer's.
    pub output_tokens_details: OutputTokensDetails,
    /// Their sum.
    pub total_tokens: usize,
    /// What pictures took and what is left (extension).
    pub images: ImageUsage,
}

/// Where the prompt's positions went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputTokensDetails {
    /// Positions that had been computed for an earlier request of the same tenant.
    pub cached_tokens: usize,
    /// Always 0: what is kept for later is not counted apart.
    pub cache_write_tokens: usize,
    /// Positions of pictures (extension).
    pub image_tokens: usize,
}

/// Where the answer's positions went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputTokensDetails {
    /// Always 0.
    pub reasoning_tokens: usize,
    /// Positions of pictures (extension).
    pub image_tokens: usize,
}

/// What `DELETE /v1/responses/{id}` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedResponse {
    /// Whose id it was.
    pub id: String,
    /// Always `response`.
    pub object: String,
    /// Always true.
    pub deleted: bool,
}

/// A page of a response's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InputItemList {
    /// Always `list`.
    pub object: String,
    /// The items.
    pub data: Vec<InputItem>,
    /// The first one's id.
    pub first_id: Option<String>,
    /// The last one's id.
    pub last_id: Option<String>,
    /// Whether there are more after it.
    pub has_more: bool,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseEvent {
    /// Counts the stream's events from 0.
    pub sequence_number: u64,
    /// What happened.
    #[serde(flatten)]
    pub happening: ResponseHappening,
}

/// Where a text that grows stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TextPlace {
    /// The item's id.
    pub item_id: String,
    /// The item's place in `output`.
    pub output_index: usize,
    /// Always 0.
    pub content_index: usize,
}

/// Where a picture that is drawn stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallPlace {
    /// The item's id.
    pub item_id: String,
    /// The item's place in `output`.
    pub output_index: usize,
}

/// What can happen in a stream: OpenAI's events, and no others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
#[expect(missing_docs, reason = "their names say it")]
pub enum ResponseHappening {
    #[serde(rename = "response.created")]
    Created { response: Box<Response> },
    #[serde(rename = "response.in_progress")]
    InProgress { response: Box<Response> },
    #[serde(rename = "response.output_item.added")]
    ItemAdded { output_index: usize, item: OutputItem },
    #[serde(rename = "response.output_item.done")]
    ItemDone { output_index: usize, item: OutputItem },
    #[serde(rename = "response.content_part.added")]
    PartAdded {
        #[serde(flatten)]
        place: TextPlace,
        part: OutputText,
    },
    #[serde(rename = "response.content_part.done")]
    PartDone {
        #[serde(flatten)]
        place: TextPlace,
        part: OutputText,
    },
    #[serde(rename = "response.output_text.delta")]
    TextDelta {
        #[serde(flatten)]
        place: TextPlace,
        delta: String,
        logprobs: [(); 0],
    },
    #[serde(rename = "response.output_text.done")]
    TextDone {
        #[serde(flatten)]
        place: TextPlace,
        text: String,
        logprobs: [(); 0],
    },
    #[serde(rename = "response.image_generation_call.in_progress")]
    CallInProgress(CallPlace),
    #[serde(rename = "response.image_generation_call.generating")]
    CallGenerating(CallPlace),
    #[serde(rename = "response.image_generation_call.partial_image")]
    PartialImage {
        #[serde(flatten)]
        place: CallPlace,
        partial_image_index: usize,
        partial_image_b64: String,
        output_format: ImageFormat,
        size: String,
        quality: Quality,
        background: Background,
    },
    #[serde(rename = "response.image_generation_call.completed")]
    CallCompleted(CallPlace),
    #[serde(rename = "response.completed")]
    Completed { response: Box<Response> },
    #[serde(rename = "response.incomplete")]
    Incomplete { response: Box<Response> },
    #[serde(rename = "response.failed")]
    Failed { response: Box<Response> },
    /// Both OpenAI's event and, in `error`, what its SDKs raise on.
    #[serde(rename = "error")]
    Error { code: Option<String>, message: String, param: Option<String>, error: ErrorDetail },
}

impl ResponseHappening {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "response.created",
            Self::InProgress { .. } => "response.in_progress",
            Self::ItemAdded { .. } => "response.output_item.added",
            Self::ItemDone { .. } => "response.output_item.done",
            Self::PartAdded { .. } => "response.content_part.added",
            Self::PartDone { .. } => "response.content_part.done",
            Self::TextDelta { .. } => "response.output_text.delta",
            Self::TextDone { .. } => "response.output_text.done",
            Self::CallInProgress(_) => "response.image_generation_call.in_progress",
            Self::CallGenerating(_) => "response.image_generation_call.generating",
            Self::PartialImage { .. } => "response.image_generation_call.partial_image",
            Self::CallCompleted(_) => "response.image_generation_call.completed",
            Self::Completed { .. } => "response.completed",
            Self::Incomplete { .. } => "response.incomplete",
            Self::Failed { .. } => "response.failed",
            Self::Error { .. } => "error",
        }
    }
}

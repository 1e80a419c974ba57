//! What `POST /v1/images/generations` and `/v1/images/edits` answer, whole and as events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat_answer::EffectiveParameters;
use crate::chat_request::ImageFormat;
use crate::image_request::{Background, Quality};

/// All pictures at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImagesAnswer {
    /// When the request was accepted, seconds since 1970.
    pub created: u64,
    /// Always `opaque`.
    pub background: Background,
    /// What the files are.
    pub output_format: ImageFormat,
    /// `WIDTHxHEIGHT` in pixels.
    pub size: String,
    /// One for each of `n`, in order.
    pub data: Vec<ImageData>,
    /// What they took.
    pub usage: ImagesUsage,
    /// What the request's parameters came to (extension).
    pub effective: EffectiveParameters,
}

/// One picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageData {
    /// The file in base64, without any prefix.
    B64Json(String),
    /// Where the file is.
    Url(String),
}

/// What pictures took, in positions of contexts (OpenAI says tokens). The prompt is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImagesUsage {
    /// Positions of the prompt.
    pub input_tokens: usize,
    /// Where they went.
    pub input_tokens_details: ImagesTokensDetails,
    /// Positions of what was written and drawn.
    pub output_tokens: usize,
    /// Where they went.
    pub output_tokens_details: ImagesTokensDetails,
    /// Their sum.
    pub total_tokens: usize,
}

/// Pictures' positions and text's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImagesTokensDetails {
    /// Of pictures.
    pub image_tokens: usize,
    /// Of text.
    pub text_tokens: usize,
}

/// What a picture would be if it were complete now; the event's `type` is also its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImagePartialEvent {
    /// What happened.
    pub r#type: ImagePartialEventType,
    /// The file in base64, without any prefix.
    pub b64_json: String,
    /// Counts what was sent of this picture before, from 0.
    pub partial_image_index: usize,
    /// When the request was accepted, seconds since 1970.
    pub created_at: u64,
    /// `WIDTHxHEIGHT` in pixels.
    pub size: String,
    /// Always `auto`.
    pub quality: Quality,
    /// Always `opaque`.
    pub background: Background,
    /// What the file is.
    pub output_format: ImageFormat,
    /// Which of `n` pictures this is of, from 0 (extension).
    pub index: usize,
}

/// Which route's picture is being drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePartialEventType {
    /// A drawing.
    #[serde(rename = "image_generation.partial_image")]
    Generation,
    /// An edited picture.
    #[serde(rename = "image_edit.partial_image")]
    Edit,
}

impl ImagePartialEventType {
    /// The event's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Generation => "image_generation.partial_image",
            Self::Edit => "image_edit.partial_image",
        }
    }
}

/// A picture that is complete; the event's `type` is also its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageStreamEvent {
    /// What happened.
    pub r#type: ImageStreamEventType,
    /// The file in base64, without any prefix.
    pub b64_json: String,
    /// When the request was accepted, seconds since 1970.
    pub created_at: u64,
    /// `WIDTHxHEIGHT` in pixels.
    pub size: String,
    /// Always `auto`.
    pub quality: Quality,
    /// Always `opaque`.
    pub background: Background,
    /// What the file is.
    pub output_format: ImageFormat,
    /// Which of `n` pictures this is of, from 0 (extension).
    pub index: usize,
    /// What the picture took.
    pub usage: ImagesUsage,
    /// What the request's parameters came to (extension).
    pub effective: EffectiveParameters,
}

/// What happened to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImageStreamEventType {
    /// A drawing is complete.
    #[serde(rename = "image_generation.completed")]
    GenerationCompleted,
    /// An edited picture is complete.
    #[serde(rename = "image_edit.completed")]
    EditCompleted,
}

impl ImageStreamEventType {
    /// The event's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::GenerationCompleted => "image_generation.completed",
            Self::EditCompleted => "image_edit.completed",
        }
    }
}

//! Where an answer and its pictures come from: what it takes to write them again, and to tell whether that
//! succeeded. Knows shapes; what the digests are taken of is said here, not computed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat_answer::EffectiveParameters;

/// The note under which a picture's file holds its [`PictureProvenance`], as JSON.
pub const PICTURE_NOTE: &str = "reverie:provenance";

/// How an answer came to be, as far as it says nothing of what was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recipe {
    /// Program and version.
    pub software: String,
    /// The model's name, as the client used it.
    pub model: String,
    /// Its weights: the same for every layout of a checkpoint, and after its conversion.
    pub model_sha256: String,
    /// Where this is equal, bits are.
    pub numerics_class: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// What the request's parameters came to.
    pub parameters: EffectiveParameters,
    /// Whether there was a negative prompt.
    pub negative_prompt: bool,
}

/// What an answer says of where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// How it came to be.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// The question as the model was given it: tokens, and pictures as it sees them.
    pub context_sha256: String,
    /// What was drawn, in order.
    pub pictures: Vec<PictureDigest>,
    /// The request, if it was to be kept: what changes nothing is left out, the seed is filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
}

/// What a picture's file says of where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PictureProvenance {
    /// How it came to be.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Which picture it is.
    #[serde(flatten)]
    pub picture: PictureDigest,
    /// As in [`Provenance`], if the request asks for provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_sha256: Option<String>,
    /// As in [`Provenance`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
}

/// A drawn picture, told from every other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PictureDigest {
    /// Counts the answer's pictures from 0.
    pub index: u64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// SHA-256 of width and height, four bytes each, little-endian, and of the pixels that decoding the
    /// delivered file yields: red, green and blue, a byte each, rows from the top.
    pub pixels_sha256: String,
}

//! `POST /v1/images/generations` and `POST /v1/images/edits`, as the client typed them, in JSON or as a form.
//! Knows types; not ranges, defaults or limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat_request::{ImageFormat, Sampler};
use crate::parse::{Empty, bounded};

/// At most this many pictures to edit, checked while parsing.
pub const MAX_EDITED_IMAGES: usize = 1024;

/// A request for pictures alone. Null means the same as absent; any other field is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageRequest {
    /// A served model's name; the only one where it is not given.
    pub model: Option<String>,
    /// What to draw, or what to change.
    pub prompt: String,
    /// The pictures to change, in JSON; a form has them as files. Edits only.
    #[serde(default, deserialize_with = "bounded::some::<_, _, MAX_EDITED_IMAGES>")]
    #[schemars(length(min = 1, max = MAX_EDITED_IMAGES))]
    pub images: Option<Vec<ImageReference>>,
    /// Where to change them: not supported. Edits only.
    pub mask: Option<ImageReference>,
    /// Accepted and ignored: the CLIP tower has one resolution. Edits only.
    pub input_fidelity: Option<InputFidelity>,

    /// Pictures drawn independently of one another.
    pub n: Option<u64>,
    /// `WIDTHxHEIGHT` in pixels, or `auto`.
    pub size: Option<String>,
    /// Keys every random draw (extension).
    pub seed: Option<u64>,
    /// Denoising steps (diffusers' name, extension).
    pub num_inference_steps: Option<u64>,
    /// Short for `num_inference_steps` (extension).
    pub steps: Option<u64>,
    /// Strength of guidance (diffusers' name, extension).
    pub guidance_scale: Option<f64>,
    /// Rescaling of the guided prediction, 0 to 1 (diffusers' name, extension).
    pub guidance_rescale: Option<f64>,
    /// DDIM's eta, 0 to 1 (extension).
    pub eta: Option<f64>,
    /// What pictures should not show (extension).
    pub negative_prompt: Option<String>,
    /// The update rule (extension).
    pub sampler: Option<Sampler>,
    /// Lower is served earlier, 0 is ordinary (vLLM's name, extension); other values only where the server says so.
    pub priority: Option<i64>,

    /// How pictures are sent.
    pub output_format: Option<ImageFormat>,
    /// Quality of JPEG and WebP, 0 to 100; at 100 WebP is lossless, and PNG knows 100 only.
    pub output_compression: Option<u64>,
    /// Where pictures' files are.
    pub response_format: Option<ImageResponseFormat>,
    /// Send pictures as they come.
    pub stream: Option<bool>,
    /// Previews of each picture in a stream, 0 to 3.
    pub partial_images: Option<u64>,

    /// Only `auto` and `opaque`: pictures have no alpha.
    pub background: Option<Background>,
    /// Accepted and ignored: `num_inference_steps` says how much work a picture is.
    pub quality: Option<Quality>,
    /// Accepted and ignored.
    pub style: Option<Style>,
    /// Accepted and ignored: nothing is moderated.
    pub moderation: Option<Moderation>,
    /// Accepted and ignored.
    pub user: Option<String>,
}

impl ImageRequest {
    /// The first field that only edits have, if one is given.
    pub(crate) fn edits_only(&self) -> Option<&'static str> {
        [
            ("images", self.images.is_some()),
            ("mask", self.mask.is_some()),
            ("input_fidelity", self.input_fidelity.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// A picture to edit, in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageReference {
    /// A base64 data URL (RFC 2397), or a signed address of this service.
    pub image_url: String,
    /// Must be null or empty: no files are kept here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_id: Option<Empty>,
}

/// How pictures come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageResponseFormat {
    /// In the answer.
    B64Json,
    /// At a signed address, kept for a while.
    Url,
}

/// What lies behind what is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// The model decides.
    Auto,
    /// Something.
    Opaque,
    /// Nothing: not supported.
    Transparent,
}

/// How much work a picture is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// The service decides.
    Auto,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// DALL-E 2's and 3's word for little.
    Standard,
    /// DALL-E 3's word for much.
    Hd,
}

/// DALL-E 3's manners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// Dramatic.
    Vivid,
    /// Plain.
    Natural,
}

/// How strictly OpenAI moderates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Moderation {
    /// As usual.
    Auto,
    /// Less.
    Low,
}

/// How closely OpenAI's models keep to the pictures they edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputFidelity {
    /// Loosely.
    Low,
    /// Closely.
    High,
}

//! What `GET /v1/capabilities` says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat_request::{ImageFormat, Sampler};
use crate::model_list::ModelAbility;

/// What an instance serves and what requests may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capabilities {
    /// Always `capabilities`.
    pub object: String,
    /// Names a request may use.
    pub models: Vec<String>,
    /// What the model was trained for.
    pub abilities: Vec<ModelAbility>,
    /// What contexts hold.
    pub positions: ContextPositions,
    /// What requests may ask for at most.
    pub limits: CapabilityLimits,
    /// What requests that do not say get.
    pub defaults: CapabilityDefaults,
    /// Update rules.
    pub samplers: Vec<Sampler>,
    /// Picture files that are read.
    pub input_formats: Vec<String>,
    /// Picture files that are written.
    pub output_formats: Vec<ImageFormat>,
    /// By route: what is taken and ignored, for clients send it by themselves.
    pub ignored_parameters: BTreeMap<String, Vec<String>>,
}

/// What a context holds, in positions (OpenAI says tokens).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContextPositions {
    /// All of a document, text and pictures.
    pub max_model_len: usize,
    /// A picture in the prompt.
    pub image: usize,
    /// A picture that is drawn: what it is drawn from, and itself.
    pub drawing: usize,
}

/// What requests may ask for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityLimits {
    /// Bytes of a body.
    pub max_body_bytes: usize,
    /// Pictures in a request, history included.
    pub max_input_images: usize,
    /// Pictures of them that may be http(s) URLs; 0 where nothing is fetched.
    pub max_image_urls: usize,
    /// Bytes of one picture file.
    pub max_image_bytes: usize,
    /// Bytes of a request whose response is stored, and of a picture that is sent by its address.
    pub max_stored_bytes: u64,
    /// Seconds after its last use in which a stored response or a kept picture is gone.
    pub stored_seconds: u64,
    /// Pixels of one picture file.
    pub max_image_pixels: u64,
    /// Pictures in an answer.
    pub max_images: usize,
    /// `n`.
    pub max_n: usize,
    /// `top_logprobs`, and `logprobs` of completions.
    pub max_top_logprobs: u64,
    /// Tokens in `logit_bias`.
    pub max_logit_bias: usize,
    /// Denoising steps.
    pub max_num_inference_steps: usize,
    /// Sides of a drawn picture at least, pixels.
    pub min_side: usize,
    /// Sides of a drawn picture at most, pixels.
    pub max_side: usize,
    /// Sides of a drawn picture are multiples of this, pixels.
    pub side_multiple: usize,
    /// Width × height of a drawn picture, pixels.
    pub max_drawn_pixels: usize,
}

/// What requests that do not say get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapabilityDefaults {
    /// `WIDTHxHEIGHT`, pixels.
    pub size: String,
    /// The update rule.
    pub sampler: Sampler,
    /// Denoising steps.
    pub num_inference_steps: usize,
    /// Strength of guidance.
    pub guidance_scale: f64,
    /// 0: guidance is not rescaled.
    pub guidance_rescale: f64,
    /// 0: DDIM adds no noise.
    pub eta: f64,
    /// How adventurous text is; 0 in a beam search.
    pub temperature: f64,
    /// 1: nucleus sampling is off.
    pub top_p: f64,
    /// 0: off.
    pub top_k: i64,
    /// 1: no beam search.
    pub num_beams: u64,
}

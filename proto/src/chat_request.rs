//! `POST /v1/chat/completions`, as the client typed it. Knows types; not ranges, defaults or limits.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::logit_bias::LogitBias;
use crate::message::{MAX_MESSAGES, Message};
use crate::parse::{Empty, bounded};
use crate::response_format::ResponseFormat;

/// At most this many pairs of metadata, checked while parsing.
pub const MAX_METADATA_PAIRS: usize = 16;
/// At most this many stop strings, checked while parsing.
pub const MAX_STOP_STRINGS: usize = 16;

/// A chat request. Null means the same as absent in every optional field; any other field is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatCompletionRequest {
    /// A served model's name.
    pub model: String,
    /// The conversation; the user speaks last.
    #[serde(deserialize_with = "bounded::array::<_, _, MAX_MESSAGES>")]
    #[schemars(length(min = 1, max = MAX_MESSAGES))]
    pub messages: Vec<Message>,

    /// 0 is greedy; at most 2.
    pub temperature: Option<f64>,
    /// Nucleus, in (0, 1].
    pub top_p: Option<f64>,
    /// 0 and -1 are off.
    pub top_k: Option<i64>,
    /// Keys every random draw.
    pub seed: Option<u64>,
    /// Width of a beam search; text only.
    pub num_beams: Option<u64>,
    /// Keeps tokens at least this likely as a share of the likeliest one, 0 to 1 (vLLM's name).
    pub min_p: Option<f64>,
    /// Taken from the logit of each token that the answer has, -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Taken from the logit of each token for each time that the answer has it, -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Divides what speaks for each token that prompt or answer have (vLLM's name); 1 is off.
    pub repetition_penalty: Option<f64>,
    /// Added to the logits of tokens, -100 to 100.
    pub logit_bias: Option<LogitBias>,
    /// Whether the answer says how likely its tokens were.
    pub logprobs: Option<bool>,
    /// How many of the likeliest tokens it names at each place, 0 to 20; needs `logprobs`.
    pub top_logprobs: Option<u64>,
    /// What happens to a conversation that is longer than the context (OpenAI's Responses have it).
    pub truncation: Option<Truncation>,
    /// Answers to one prompt, each with draws of its own.
    pub n: Option<u64>,

    /// Older name of `max_completion_tokens`.
    pub max_tokens: Option<u64>,
    /// At most this many sampled tokens.
    pub max_completion_tokens: Option<u64>,
    /// The answer does not end by itself before this many.
    pub min_tokens: Option<u64>,
    /// The answer does not end by itself at all.
    pub ignore_eos: Option<bool>,
    /// Strings that end the answer.
    pub stop: Option<Stop>,

    /// Lower is served earlier, 0 is ordinary (vLLM's name); other values only where the server says so.
    pub priority: Option<i64>,

    /// Send the answer as it is written.
    pub stream: Option<bool>,
    /// How to stream.
    pub stream_options: Option<StreamOptions>,

    /// What the answer may consist of.
    #[serde(default, deserialize_with = "bounded::some::<_, _, 8>")]
    #[schemars(length(max = 8))]
    pub modalities: Option<Vec<Modality>>,
    /// Who decides that a picture is drawn (extension).
    pub image_choice: Option<ImageChoice>,
    /// At most this many pictures (extension).
    pub max_images: Option<u64>,
    /// `WIDTHxHEIGHT` in pixels, or `auto`.
    pub size: Option<String>,
    /// Denoising steps (diffusers' name).
    pub num_inference_steps: Option<u64>,
    /// Short for `num_inference_steps`.
    pub steps: Option<u64>,
    /// Strength of guidance (diffusers' name).
    pub guidance_scale: Option<f64>,
    /// Rescaling of the guided prediction, 0 to 1 (diffusers' name).
    pub guidance_rescale: Option<f64>,
    /// DDIM's eta, 0 to 1.
    pub eta: Option<f64>,
    /// What pictures should not show.
    pub negative_prompt: Option<String>,
    /// The update rule.
    pub sampler: Option<Sampler>,
    /// Keys the noise of pictures; follows from `seed` where it is not given.
    pub image_seed: Option<u64>,
    /// How pictures are sent.
    pub image_format: Option<ImageFormat>,
    /// Quality of JPEG and WebP, 1 to 100; WebP is lossless at 100, and where nothing is said.
    pub image_quality: Option<u64>,
    /// Where pictures' files are (extension).
    pub image_delivery: Option<ImageDelivery>,
    /// Where pictures stand (extension).
    pub image_content: Option<ImageContent>,
    /// Whether the answer says what it takes to write it again (extension).
    pub provenance: Option<ProvenanceWish>,
    /// What a stream tells of a picture while it is drawn (extension).
    pub progress: Option<ProgressWish>,
    /// Whether the answer comes with a record of how its pictures were drawn; only where the operator allows it
    /// (extension).
    pub trace: Option<bool>,

    /// Accepted and ignored.
    pub user: Option<String>,
    /// Accepted and ignored.
    pub safety_identifier: Option<String>,
    /// Accepted and ignored.
    pub prompt_cache_key: Option<String>,
    /// Accepted and ignored.
    pub service_tier: Option<String>,
    /// Accepted and ignored.
    pub reasoning_effort: Option<String>,
    /// Accepted and ignored.
    pub verbosity: Option<String>,
    /// Accepted and ignored: nothing is stored.
    pub store: Option<bool>,
    /// Accepted and ignored.
    pub parallel_tool_calls: Option<bool>,
    /// Accepted and ignored; more than [`MAX_METADATA_PAIRS`] are not even read.
    #[serde(default, deserialize_with = "bounded::some_pairs::<_, MAX_METADATA_PAIRS>")]
    pub metadata: Option<BTreeMap<String, String>>,

    /// Only `[]`: DreamLLM calls no tools.
    pub tools: Option<Empty>,
    /// Only `none`: DreamLLM calls no tools.
    pub tool_choice: Option<ToolChoice>,
    /// What shape the text must have.
    pub response_format: Option<ResponseFormat>,
}

/// One string or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Stop {
    /// One.
    One(String),
    /// At most [`MAX_STOP_STRINGS`].
    Many(#[schemars(length(max = MAX_STOP_STRINGS))] Vec<String>),
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StopVisitor;
        impl<'de> serde::de::Visitor<'de> for StopVisitor {
            type Value = Stop;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string or an array of strings")
            }
            fn visit_str<E>(self, text: &str) -> Result<Stop, E> {
                Ok(Stop::One(text.to_owned()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Stop, A::Error> {
                bounded::sequence::<_, _, MAX_STOP_STRINGS>(seq).map(Stop::Many)
            }
        }
        deserializer.deserialize_any(StopVisitor)
    }
}

/// How to stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamOptions {
    /// A last chunk without choices says what the answer took.
    pub include_usage: Option<bool>,
    /// Accepted and ignored: chunks are never padded.
    pub include_obfuscation: Option<bool>,
}

/// What happens to a conversation that is longer than the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Truncation {
    /// Whole oldest exchanges are left out until the rest fits.
    Auto,
    /// It is refused.
    Disabled,
}

/// What an answer may consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Text.
    Text,
    /// Pictures.
    Image,
}

/// Who decides that a picture is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageChoice {
    /// The model.
    Auto,
    /// Nobody: no pictures.
    None,
    /// At least one picture.
    Required,
    /// Exactly so many pictures.
    Exactly(u64),
}

impl Serialize for ImageChoice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::None => serializer.serialize_str("none"),
            Self::Required => serializer.serialize_str("required"),
            Self::Exactly(count) => serializer.serialize_u64(*count),
        }
    }
}

impl<'de> Deserialize<'de> for ImageChoice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ImageChoiceVisitor;
        impl serde::de::Visitor<'_> for ImageChoiceVisitor {
            type Value = ImageChoice;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("`auto`, `none`, `required` or a whole number")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ImageChoice, E> {
                match text {
                    "auto" => Ok(ImageChoice::Auto),
                    "none" => Ok(ImageChoice::None),
                    "required" => Ok(ImageChoice::Required),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_u64<E>(self, count: u64) -> Result<ImageChoice, E> {
                Ok(ImageChoice::Exactly(count))
            }
        }
        deserializer.deserialize_any(ImageChoiceVisitor)
    }
}

/// The update rule that turns a prediction into the next latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Ancestral DDPM, the reference's default.
    Ddpm,
    /// DDIM, with `eta`.
    Ddim,
    /// PNDM without Runge-Kutta steps.
    Pndm,
    /// DPM-Solver++ 2M.
    #[serde(rename = "dpmpp_2m")]
    DpmSolverPlusPlus2M,
    /// DPM-Solver++ 2M with Karras sigmas.
    #[serde(rename = "dpmpp_2m_karras")]
    DpmSolverPlusPlus2MKarras,
    /// Euler.
    Euler,
    /// Euler ancestral.
    EulerAncestral,
    /// UniPC.
    #[serde(rename = "unipc")]
    UniPc,
}

impl Sampler {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Ddpm,
        Self::Ddim,
        Self::Pndm,
        Self::DpmSolverPlusPlus2M,
        Self::DpmSolverPlusPlus2MKarras,
        Self::Euler,
        Self::EulerAncestral,
        Self::UniPc,
    ];
}

/// How pictures are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageFormat {
    /// Lossless; the default.
    Png,
    /// Lossy.
    Jpeg,
    /// Lossless at the best quality, else lossy.
    Webp,
}

/// Where the files of an answer's pictures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageDelivery {
    /// In the answer, as data URLs.
    Inline,
    /// At signed addresses, kept for a while.
    Url,
    /// The same, written as Markdown in the text.
    Markdown,
}

/// Where pictures stand in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageContent {
    /// In `images`, beside a `content` that is always a string.
    Images,
    /// In `content`, which then is a list of parts.
    Parts,
}

/// What an answer and its pictures say of where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvenanceWish {
    /// `false`: pictures hold their recipe, and nothing that follows from what the client wrote.
    Recipe,
    /// `true`: the answer says it, too, and both hold a digest of the question.
    Digests,
    /// `full`: both hold the whole request, so that either can be replayed alone.
    Full,
}

impl Serialize for ProvenanceWish {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Recipe => serializer.serialize_bool(false),
            Self::Digests => serializer.serialize_bool(true),
            Self::Full => serializer.serialize_str("full"),
        }
    }
}

impl<'de> Deserialize<'de> for ProvenanceWish {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProvenanceVisitor;
        impl serde::de::Visitor<'_> for ProvenanceVisitor {
            type Value = ProvenanceWish;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("true, false or `full`")
            }
            fn visit_bool<E>(self, wish: bool) -> Result<ProvenanceWish, E> {
                Ok(if wish { ProvenanceWish::Digests } else { ProvenanceWish::Recipe })
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ProvenanceWish, E> {
                match text {
                    "full" => Ok(ProvenanceWish::Full),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(ProvenanceVisitor)
    }
}

/// What a stream tells of a picture while it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressWish {
    /// `false`: nothing.
    Nothing,
    /// `true`: its denoising steps.
    Steps,
    /// `{"previews": k}`: its steps, and at k of them, evenly spread, a preview.
    Previews(u64),
}

/// The object that [`ProgressWish::Previews`] is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Previews {
    previews: u64,
}

impl Serialize for ProgressWish {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Nothing => serializer.serialize_bool(false),
            Self::Steps => serializer.serialize_bool(true),
            Self::Previews(previews) => Previews { previews }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ProgressWish {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProgressVisitor;
        impl<'de> serde::de::Visitor<'de> for ProgressVisitor {
            type Value = ProgressWish;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("true, false or {\"previews\": a whole number}")
            }
            fn visit_bool<E>(self, wish: bool) -> Result<ProgressWish, E> {
                Ok(if wish { ProgressWish::Steps } else { ProgressWish::Nothing })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<ProgressWish, A::Error> {
                let object = serde::de::value::MapAccessDeserializer::new(map);
                Previews::deserialize(object).map(|wish| ProgressWish::Previews(wish.previews))
            }
        }
        deserializer.deserialize_any(ProgressVisitor)
    }
}

/// Which tool to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ToolChoice {
    /// None.
    None,
}

//! `POST /v1/responses`, as the client typed it. Knows types; not ranges, defaults or limits.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat_request::{ImageChoice, ImageFormat, MAX_METADATA_PAIRS, Sampler, Truncation};
use crate::image_request::{Background, InputFidelity, Moderation, Quality};
use crate::parse::{Empty, bounded};
use crate::response_format::ResponseFormatType;
use crate::response_item::ResponseInput;

/// A request for a response. Null means the same as absent; any other field is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseRequest {
    /// A served model's name.
    pub model: String,
    /// What is new in the conversation; the user speaks last.
    pub input: ResponseInput,
    /// Replaces the template's system text, for this response only.
    pub instructions: Option<String>,
    /// The stored response that the conversation goes on from.
    pub previous_response_id: Option<String>,
    /// Keep the response for later ones; true unless it is said.
    pub store: Option<bool>,
    /// Send the response as it is written.
    pub stream: Option<bool>,
    /// How to stream.
    pub stream_options: Option<ResponseStreamOptions>,

    /// At most this many sampled tokens.
    pub max_output_tokens: Option<u64>,
    /// At most this many pictures: the only tool there is draws.
    pub max_tool_calls: Option<u64>,
    /// 0 is greedy; at most 2.
    pub temperature: Option<f64>,
    /// Nucleus, in (0, 1].
    pub top_p: Option<f64>,
    /// How the pictures are drawn; they may be without it.
    #[serde(default, deserialize_with = "bounded::some::<_, _, 1>")]
    pub tools: Option<Vec<ImageTool>>,
    /// Who decides that a picture is drawn.
    pub tool_choice: Option<ResponseToolChoice>,
    /// What happens to a conversation that is too long.
    pub truncation: Option<Truncation>,
    /// The shape of the text.
    pub text: Option<TextConfig>,
    /// Kept with the response and given back.
    #[serde(default, deserialize_with = "bounded::some_pairs::<_, MAX_METADATA_PAIRS>")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// What more to say; none of it has anything to say here.
    #[serde(default, deserialize_with = "bounded::some::<_, _, 16>")]
    pub include: Option<Vec<Includable>>,

    /// 0 and -1 are off (extension).
    pub top_k: Option<i64>,
    /// Keys every random draw (extension).
    pub seed: Option<u64>,
    /// Who decides that a picture is drawn, more exactly than `tool_choice` (extension).
    pub image_choice: Option<ImageChoice>,
    /// At most this many pictures (extension).
    pub max_images: Option<u64>,
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
    /// Keys the noise of pictures (extension).
    pub image_seed: Option<u64>,

    /// Accepted and ignored.
    pub user: Option<String>,
    /// Accepted and ignored.
    pub safety_identifier: Option<String>,
    /// Accepted and ignored.
    pub prompt_cache_key: Option<String>,
    /// Accepted and ignored.
    pub prompt_cache_retention: Option<String>,
    /// Accepted and ignored.
    pub service_tier: Option<String>,
    /// Accepted and ignored: DreamLLM does not reason aside.
    pub reasoning: Option<Reasoning>,
    /// Accepted and ignored: pictures are drawn one after another.
    pub parallel_tool_calls: Option<bool>,

    /// Only 0 yet.
    pub top_logprobs: Option<u64>,
    /// Only `false`: a response lives as long as its connection.
    pub background: Option<Empty>,
    /// Only empty: conversations are chains of responses.
    pub conversation: Option<Empty>,
    /// Only empty: no prompts are stored.
    pub prompt: Option<Empty>,
    /// Only empty.
    pub context_management: Option<Empty>,
    /// Only empty: nothing is moderated.
    pub moderation: Option<Empty>,
}

/// How to stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseStreamOptions {
    /// Accepted and ignored: events are never padded.
    pub include_obfuscation: Option<bool>,
}

/// How pictures are drawn and sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageTool {
    /// Always `image_generation`.
    pub r#type: ImageToolType,
    /// `WIDTHxHEIGHT` in pixels, or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// How pictures are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_format: Option<ImageFormat>,
    /// Quality of JPEG and WebP, 0 to 100; at 100 WebP is lossless, and PNG knows 100 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_compression: Option<u64>,
    /// Previews of each picture in a stream, 0 to 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_images: Option<u64>,
    /// Only `auto` and `opaque`: pictures have no alpha.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Background>,
    /// Accepted and ignored: `num_inference_steps` says how much work a picture is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Accepted and ignored: every picture is drawn in the context of those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ImageAction>,
    /// Accepted and ignored: one model writes and draws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Accepted and ignored: nothing is moderated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moderation: Option<Moderation>,
    /// Accepted and ignored: the CLIP tower has one resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_fidelity: Option<InputFidelity>,
    /// Only empty: the model does not inpaint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_image_mask: Option<Empty>,
}

/// The one tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageToolType {
    /// Drawing.
    ImageGeneration,
}

/// Whether OpenAI's tool draws anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageAction {
    /// The model decides.
    Auto,
    /// It does.
    Generate,
    /// It changes a picture.
    Edit,
}

/// Who decides that a picture is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseToolChoice {
    /// The model.
    Auto,
    /// Nobody: no pictures.
    None,
    /// At least one picture.
    Required,
    /// The same, by the tool's name.
    ImageGeneration,
}

/// The tool choice that is an object.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedTool {
    r#type: ImageToolType,
}

impl Serialize for ResponseToolChoice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::None => serializer.serialize_str("none"),
            Self::Required => serializer.serialize_str("required"),
            Self::ImageGeneration => {
                NamedTool { r#type: ImageToolType::ImageGeneration }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for ResponseToolChoice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoiceVisitor;
        impl<'de> serde::de::Visitor<'de> for ChoiceVisitor {
            type Value = ResponseToolChoice;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("`auto`, `none`, `required` or an object with `type`")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ResponseToolChoice, E> {
                match text {
                    "auto" => Ok(ResponseToolChoice::Auto),
                    "none" => Ok(ResponseToolChoice::None),
                    "required" => Ok(ResponseToolChoice::Required),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<ResponseToolChoice, A::Error> {
                let map = serde::de::value::MapAccessDeserializer::new(map);
                let NamedTool { r#type: ImageToolType::ImageGeneration } =
                    NamedTool::deserialize(map)?;
                Ok(ResponseToolChoice::ImageGeneration)
            }
        }
        deserializer.deserialize_any(ChoiceVisitor)
    }
}

/// What shape the text must have: `response_format` of chats, without its inner object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextFormat {
    /// Which kind of shape; the fields below belong to `json_schema`.
    pub r#type: ResponseFormatType,
    /// For the client alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For the client alone: the model does not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The schema itself, an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Accepted and ignored: a schema is always followed to the letter, or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

impl TextFormat {
    /// Text, of no shape.
    pub fn plain() -> Self {
        Self {
            r#type: ResponseFormatType::Text,
            name: None,
            description: None,
            schema: None,
            strict: None,
        }
    }
}

/// How the text is to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Its shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TextFormat>,
    /// Accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbosity: Option<String>,
}

/// How OpenAI's models reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reasoning {
    /// Accepted and ignored.
    pub effort: Option<String>,
    /// Accepted and ignored.
    pub summary: Option<String>,
    /// Accepted and ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate_summary: Option<String>,
}

/// What OpenAI's responses can say besides: all of it is of things that never are in ours, or is always said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Includable {
    /// Always said.
    #[serde(rename = "message.input_image.image_url")]
    InputImageUrl,
    /// There is none.
    #[serde(rename = "reasoning.encrypted_content")]
    EncryptedReasoning,
    /// There are none.
    #[serde(rename = "file_search_call.results")]
    FileSearchResults,
    /// There are none.
    #[serde(rename = "web_search_call.results")]
    WebSearchResults,
    /// There are none.
    #[serde(rename = "web_search_call.action.sources")]
    WebSearchSources,
    /// There are none.
    #[serde(rename = "computer_call_output.output.image_url")]
    ComputerOutputImageUrl,
    /// There are none.
    #[serde(rename = "code_interpreter_call.outputs")]
    CodeInterpreterOutputs,
}

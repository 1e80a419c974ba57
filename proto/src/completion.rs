//! `POST /v1/completions`: a raw prompt that goes on, as the client typed it and as it is answered, whole
//! and in chunks. Text only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat_answer::{EffectiveParameters, FinishReason, Usage};
use crate::chat_request::{Stop, StreamOptions};
use crate::logit_bias::LogitBias;
use crate::logprobs::CompletionLogprobs;
use crate::parse::Empty;

/// A raw prompt to go on with. Null means the same as absent; any other field is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompletionRequest {
    /// A served model's name.
    pub model: String,
    /// What to go on with: no template, nothing trimmed.
    pub prompt: CompletionPrompt,

    /// At most this many sampled tokens.
    pub max_tokens: Option<u64>,
    /// The text does not end by itself before this many.
    pub min_tokens: Option<u64>,
    /// The text does not end by itself at all.
    pub ignore_eos: Option<bool>,
    /// Strings that end the text.
    pub stop: Option<Stop>,
    /// 0 is greedy; at most 2.
    pub temperature: Option<f64>,
    /// Nucleus, in (0, 1].
    pub top_p: Option<f64>,
    /// 0 and -1 are off.
    pub top_k: Option<i64>,
    /// As in a chat.
    pub min_p: Option<f64>,
    /// As in a chat.
    pub presence_penalty: Option<f64>,
    /// As in a chat.
    pub frequency_penalty: Option<f64>,
    /// As in a chat.
    pub repetition_penalty: Option<f64>,
    /// As in a chat.
    pub logit_bias: Option<LogitBias>,
    /// Whether the text says how likely its tokens were, and how many of the likeliest it names, 0 to 20.
    pub logprobs: Option<u64>,
    /// Keys every random draw.
    pub seed: Option<u64>,
    /// Lower is served earlier, 0 is ordinary (vLLM's name); other values only where the server says so.
    pub priority: Option<i64>,
    /// Send the text as it is written.
    pub stream: Option<bool>,
    /// How to stream.
    pub stream_options: Option<StreamOptions>,
    /// Accepted and ignored.
    pub user: Option<String>,

    /// Texts that go on from the prompt, each with draws of its own.
    pub n: Option<u64>,
    /// Only as many as `n`.
    pub best_of: Option<u64>,
    /// Only `false` yet.
    pub echo: Option<bool>,
    /// Only empty: DreamLLM does not fill gaps.
    pub suffix: Option<Empty>,
}

/// A string, or an array of one string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CompletionPrompt(pub String);

impl<'de> Deserialize<'de> for CompletionPrompt {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PromptVisitor;
        impl<'de> serde::de::Visitor<'de> for PromptVisitor {
            type Value = CompletionPrompt;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string or an array of one string, not token ids")
            }
            fn visit_str<E>(self, text: &str) -> Result<CompletionPrompt, E> {
                Ok(CompletionPrompt(text.to_owned()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<CompletionPrompt, A::Error> {
                use serde::de::Error as _;
                let only: Option<OneString> = seq.next_element()?;
                let only = only.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                match seq.next_element::<serde::de::IgnoredAny>()? {
                    None => Ok(CompletionPrompt(only.0)),
                    Some(_) => Err(A::Error::invalid_length(2, &self)),
                }
            }
        }
        deserializer.deserialize_any(PromptVisitor)
    }
}

/// An item of a prompt's array: says, where it is something else, what the array must be.
struct OneString(String);

impl<'de> Deserialize<'de> for OneString {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringVisitor;
        impl serde::de::Visitor<'_> for StringVisitor {
            type Value = OneString;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string: token ids are not taken")
            }
            fn visit_str<E>(self, text: &str) -> Result<OneString, E> {
                Ok(OneString(text.to_owned()))
            }
        }
        deserializer.deserialize_any(StringVisitor)
    }
}

/// A whole answer, or a piece of a streamed one: both have one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Completion {
    /// `cmpl-…`, the same in all chunks.
    pub id: String,
    /// Always `text_completion`.
    pub object: String,
    /// When the request was accepted, seconds since 1970.
    pub created: u64,
    /// The served model's name.
    pub model: String,
    /// All texts, what is new of one, or none in the usage chunk.
    pub choices: Vec<CompletionChoice>,
    /// What it took; in chunks only in the usage chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the request's parameters came to; in chunks only in the one with `finish_reason` (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectiveParameters>,
}

/// One text, or what is new of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompletionChoice {
    /// Counts texts from 0.
    pub index: usize,
    /// What follows the prompt.
    pub text: String,
    /// How likely its tokens were; null unless asked for.
    pub logprobs: Option<CompletionLogprobs>,
    /// Why it ended; null before the end.
    pub finish_reason: Option<FinishReason>,
}

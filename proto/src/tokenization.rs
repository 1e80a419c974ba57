//! `POST /tokenize` and `POST /detokenize`, in vLLM's shapes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::message::{MAX_MESSAGES, Message};
use crate::parse::bounded;

/// At most this many ids to detokenize, checked while parsing.
pub const MAX_TOKENS: usize = 1 << 17;

/// Text, or a conversation, whose ids are wanted; exactly one of the two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenizeRequest {
    /// A served model's name; the only one where it is not given.
    pub model: Option<String>,
    /// Plain text.
    pub prompt: Option<String>,
    /// A conversation, written down as the template says.
    #[serde(default, deserialize_with = "bounded::some::<_, _, MAX_MESSAGES>")]
    #[schemars(length(min = 1, max = MAX_MESSAGES))]
    pub messages: Option<Vec<Message>>,
    /// Whether `<s>` comes first; true where it is not given. A conversation always has it.
    pub add_special_tokens: Option<bool>,
    /// Only true: a conversation ends with the opening of the answer.
    pub add_generation_prompt: Option<bool>,
    /// Whether the answer spells each token.
    pub return_token_strs: Option<bool>,
}

/// The ids, every position of the context one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenizeAnswer {
    /// How many there are.
    pub count: usize,
    /// Positions a document may have.
    pub max_model_len: usize,
    /// The ids; a picture is its control tokens around one patch token for each patch.
    pub tokens: Vec<u32>,
    /// Their spelling in the vocabulary, if asked for.
    pub token_strs: Option<Vec<String>>,
}

/// Ids whose text is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DetokenizeRequest {
    /// A served model's name; the only one where it is not given.
    pub model: Option<String>,
    /// The ids.
    #[serde(deserialize_with = "bounded::array::<_, _, MAX_TOKENS>")]
    #[schemars(length(max = MAX_TOKENS))]
    pub tokens: Vec<u64>,
}

/// The text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DetokenizeAnswer {
    /// What the ids spell.
    pub prompt: String,
}

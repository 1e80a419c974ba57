//! How likely the tokens of an answer were, in the shapes of both text routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Log-probabilities of a chat's tokens, or of those that a chunk adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatLogprobs {
    /// One for each token of the text.
    pub content: Vec<TokenLogprob>,
    /// Always null.
    pub refusal: Option<()>,
}

/// A token of the text, and what else could have stood there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenLogprob {
    /// Its text; bytes that are no whole character are U+FFFD.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// Exactly what it adds to the text, as UTF-8 once all tokens' are put together; null of a control token.
    pub bytes: Option<Vec<u8>>,
    /// The likeliest tokens, best first; as many as were asked for.
    pub top_logprobs: Vec<TopLogprob>,
}

/// A token that could have stood there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopLogprob {
    /// As [`TokenLogprob::token`].
    pub token: String,
    /// As [`TokenLogprob::logprob`].
    pub logprob: f32,
    /// As [`TokenLogprob::bytes`].
    pub bytes: Option<Vec<u8>>,
}

/// Log-probabilities of a completion's tokens: four lists of one length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompletionLogprobs {
    /// Characters of the completion before each token.
    pub text_offset: Vec<usize>,
    /// Natural logarithms of their probabilities.
    pub token_logprobs: Vec<f32>,
    /// Their texts.
    pub tokens: Vec<String>,
    /// For each the likeliest tokens, best first, and its own, which is among them or follows them.
    pub top_logprobs: Vec<TopByText>,
}

/// Texts of tokens and their log-probabilities, in order; an object on the wire.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopByText(pub Vec<(String, f32)>);

impl Serialize for TopByText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(text, logprob)| (text, logprob)))
    }
}

impl<'de> Deserialize<'de> for TopByText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = std::collections::BTreeMap::<String, f32>::deserialize(deserializer)?;
        let mut texts: Vec<(String, f32)> = texts.into_iter().collect();
        texts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Ok(Self(texts))
    }
}

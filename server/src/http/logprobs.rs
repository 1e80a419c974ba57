//! From judged tokens to OpenAI's log-probabilities. Knows how tokens are spelled, not how likely they are.

use std::sync::Arc;

use reverie_model::token_logprobs::TokenLogprob as Judged;
use reverie_proto::{ChatLogprobs, CompletionLogprobs, TokenLogprob, TopByText, TopLogprob};

use super::{AppState, ServedModel};
use crate::engine::event::JudgedToken;

/// Spells the tokens of one request's answers.
#[derive(Debug, Clone)]
pub(super) struct TokenSpelling {
    model: Arc<ServedModel>,
    is_asked_for: bool,
}

/// A token as text.
struct Spelled {
    token: String,
    /// `None` of a control token.
    bytes: Option<Vec<u8>>,
}

impl TokenSpelling {
    /// `is_asked_for`: whether answers say how likely their tokens were.
    pub(super) fn new(state: &AppState, is_asked_for: bool) -> Self {
        Self { model: Arc::clone(&state.model), is_asked_for }
    }

    /// Tokens as a chat names them.
    pub(super) fn in_chat(&self, judged: &[JudgedToken]) -> Vec<TokenLogprob> {
        judged.iter().map(|judged| self.chat_token(judged)).collect()
    }

    /// `content` as it is sent; nothing where nobody asked.
    pub(super) fn chat_logprobs(&self, content: Vec<TokenLogprob>) -> Option<ChatLogprobs> {
        self.is_asked_for.then_some(ChatLogprobs { content, refusal: None })
    }

    /// Adds tokens as a completion names them to `logprobs`, the first at character `offset` of its text; returns
    /// where they end.
    pub(super) fn add_to_completion(
        &self,
        judged: &[JudgedToken],
        mut offset: usize,
        logprobs: &mut CompletionLogprobs,
    ) -> usize {
        for judged in judged {
            let drops_space = self.drops_space(judged);
            let token = legacy_text(self.spell_written(judged));
            let mut top: Vec<(String, f32)> = Vec::new();
            let others =
                judged.logprobs.top.iter().map(|other| {
                    (legacy_text(self.spell(other.token, drops_space)), other.logprob)
                });
            for (text, logprob) in others.chain([(token.clone(), judged.logprobs.chosen)]) {
                // Keys of an object: two tokens of one spelling are the likelier one.
                if top.iter().all(|(known, _)| *known != text) {
                    top.push((text, logprob));
                }
            }
            logprobs.text_offset.push(offset);
            logprobs.token_logprobs.push(judged.logprobs.chosen);
            logprobs.tokens.push(token);
            logprobs.top_logprobs.push(TopByText(top));
            offset += judged.text.chars().count();
        }
        offset
    }

    /// `logprobs` as they are sent; nothing where nobody asked.
    pub(super) fn completion_logprobs(
        &self,
        logprobs: CompletionLogprobs,
    ) -> Option<CompletionLogprobs> {
        self.is_asked_for.then_some(logprobs)
    }

    fn chat_token(&self, judged: &JudgedToken) -> TokenLogprob {
        let drops_space = self.drops_space(judged);
        let Spelled { token, bytes } = self.spell_written(judged);
        let top = judged.logprobs.top.iter().map(|Judged { token, logprob }| {
            let Spelled { token, bytes } = self.spell(*token, drops_space);
            TopLogprob { token, logprob: *logprob, bytes }
        });
        let top_logprobs = top.collect();
        TokenLogprob { token, logprob: judged.logprobs.chosen, bytes, top_logprobs }
    }

    /// Whether it stands where a text drops its first space: no other token would have kept it either.
    fn drops_space(&self, judged: &JudgedToken) -> bool {
        let own = (self.model.vocabulary.bytes)(judged.token);
        own.first() == Some(&b' ') && own[1..] == *judged.text.as_bytes()
    }

    /// A token of the text, as the text has it.
    fn spell_written(&self, judged: &JudgedToken) -> Spelled {
        self.spell(judged.token, self.drops_space(judged))
    }

    fn spell(&self, token: u32, drops_space: bool) -> Spelled {
        let vocabulary = &self.model.vocabulary;
        let mut bytes = (vocabulary.bytes)(token);
        if bytes.is_empty() {
            return Spelled { token: (vocabulary.spell)(token), bytes: None };
        }
        if drops_space && bytes[0] == b' ' {
            bytes.remove(0);
        }
        let token = String::from_utf8_lossy(&bytes).into_owned();
        Spelled { token, bytes: Some(bytes) }
    }
}

/// The older route has no bytes beside the text: what is no whole character is spelled out, as OpenAI does.
fn legacy_text(spelled: Spelled) -> String {
    let Spelled { token, bytes } = spelled;
    match bytes {
        Some(bytes) if std::str::from_utf8(&bytes).is_err() => {
            bytes.iter().fold("bytes:".to_owned(), |text, byte| text + &format!("\\x{byte:02x}"))
        }
        Some(_) | None => token,
    }
}

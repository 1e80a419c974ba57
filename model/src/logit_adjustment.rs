//! What a request changes about logits before a token is chosen: a bias on some tokens, penalties on those that
//! were written. Knows ids and counts, no texts; what is written decides alone, so a document that goes on
//! elsewhere is adjusted the same.

use std::collections::{BTreeMap, BTreeSet};

/// What is changed. In this order: bias, repetition, frequency, presence (as vLLM does it).
#[derive(Debug, Clone, PartialEq)]
pub struct LogitAdjustment {
    /// Added to the logits of these tokens.
    pub bias: Vec<(u32, f32)>,
    /// Divides the positive logits, and multiplies the negative ones, of tokens that prompt or answer have; 1 is
    /// off.
    pub repetition_penalty: f32,
    /// Taken from a logit for each time that the answer has its token.
    pub frequency_penalty: f32,
    /// Taken from the logit of each token that the answer has.
    pub presence_penalty: f32,
}

impl Default for LogitAdjustment {
    /// Nothing is changed.
    fn default() -> Self {
        Self {
            bias: Vec::new(),
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
        }
    }
}

/// The tokens of one document, as far as its penalties ask for them.
#[derive(Debug, Clone, Default)]
pub struct TokenHistory {
    is_counted: bool,
    /// How often the answer has each of its text tokens.
    written: BTreeMap<u32, u32>,
    /// Tokens of the prompt; empty if they do not matter.
    prompt: BTreeSet<u32>,
}

impl TokenHistory {
    /// Behind a prompt of these tokens, before an answer whose logits are changed by `adjustment`.
    pub fn behind(prompt: impl Iterator<Item = u32>, adjustment: &LogitAdjustment) -> Self {
        let repeats = adjustment.repetition_penalty != 1.0;
        let is_counted =
            repeats || adjustment.frequency_penalty != 0.0 || adjustment.presence_penalty != 0.0;
        let prompt = if repeats { prompt.collect() } else { BTreeSet::new() };
        Self { is_counted, written: BTreeMap::new(), prompt }
    }

    /// The answer has another text token.
    pub fn push(&mut self, token: u32) {
        if self.is_counted {
            *self.written.entry(token).or_default() += 1;
        }
    }
}

impl LogitAdjustment {
    /// Changes `logits` (one for each token of the vocabulary) of a document with this history. Takes as long as
    /// there are different tokens in it, not as the vocabulary is long. Ids outside the vocabulary are passed over.
    pub fn apply(&self, logits: &mut [f32], history: &TokenHistory) {
        for (token, bias) in &self.bias {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit += bias;
            }
        }
        if self.repetition_penalty != 1.0 {
            let only_asked = history.prompt.iter().filter(|id| !history.written.contains_key(id));
            for token in only_asked.chain(history.written.keys()) {
                if let Some(logit) = logits.get_mut(*token as usize) {
                    *logit = self.less_repetitive(*logit);
                }
            }
        }
        for (token, count) in &history.written {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit -= self.frequency_penalty * *count as f32;
                *logit -= self.presence_penalty;
            }
        }
    }

    fn less_repetitive(&self, logit: f32) -> f32 {
        if logit > 0.0 { logit / self.repetition_penalty } else { logit * self.repetition_penalty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(adjustment: &LogitAdjustment, prompt: &[u32], written: &[u32]) -> Vec<f32> {
        let mut history = TokenHistory::behind(prompt.iter().copied(), adjustment);
        written.iter().for_each(|token| history.push(*token));
        let mut logits = vec![1.0, -1.0, 2.0, f32::NEG_INFINITY, 0.5];
        adjustment.apply(&mut logits, &history);
        logits
    }

    #[test]
    fn nothing_is_changed_by_default() {
        let unchanged = [1.0, -1.0, 2.0, f32::NEG_INFINITY, 0.5];
        assert_eq!(adjusted(&LogitAdjustment::default(), &[0, 1], &[2, 3, 2]), unchanged);
    }

    #[test]
    fn penalties_follow_openai_formula_over_written_tokens_alone() {
        let both = LogitAdjustment {
            frequency_penalty: 0.25,
            presence_penalty: 1.5,
            ..LogitAdjustment::default()
        };
        let logits = adjusted(&both, &[0, 4], &[2, 1, 2, 2]);
        assert_eq!(logits, [1.0, -1.0 - 0.25 - 1.5, 2.0 - 0.75 - 1.5, f32::NEG_INFINITY, 0.5]);
        let reward = LogitAdjustment { presence_penalty: -2.0, ..LogitAdjustment::default() };
        assert_eq!(adjusted(&reward, &[], &[4])[4], 2.5);
    }

    #[test]
    fn repetition_weakens_what_speaks_for_tokens_of_prompt_and_answer_once() {
        let adjustment = LogitAdjustment { repetition_penalty: 2.0, ..LogitAdjustment::default() };
        let logits = adjusted(&adjustment, &[0, 3, 0, 2], &[1, 2, 2]);
        assert_eq!(logits, [0.5, -2.0, 1.0, f32::NEG_INFINITY, 0.5]);
    }

    #[test]
    fn a_bias_is_added_before_anything_else_and_only_within_the_vocabulary() {
        let adjustment = LogitAdjustment {
            bias: vec![(0, -3.0), (4, 100.0), (5, 1.0), (u32::MAX, 1.0)],
            repetition_penalty: 2.0,
            ..LogitAdjustment::default()
        };
        let logits = adjusted(&adjustment, &[0], &[]);
        assert_eq!(logits, [-4.0, -1.0, 2.0, f32::NEG_INFINITY, 100.5]);
    }

    #[test]
    fn ids_outside_the_vocabulary_are_passed_over() {
        let adjustment = LogitAdjustment {
            repetition_penalty: 2.0,
            frequency_penalty: 1.0,
            ..LogitAdjustment::default()
        };
        assert_eq!(adjusted(&adjustment, &[9], &[99])[0], 1.0);
    }
}

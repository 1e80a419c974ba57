//! How likely a token was, and which were the likeliest. Knows ids, not texts.

use crate::token_sampler::TokenMask;

/// How likely the token at one place of a text was.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    /// Natural logarithm of the chosen token's probability.
    pub chosen: f32,
    /// The likeliest tokens, best first; of equals the lower id.
    pub top: Vec<TokenLogprob>,
}

/// A token and the natural logarithm of its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogprob {
    /// Which.
    pub token: u32,
    /// At most 0, and finite.
    pub logprob: f32,
}

/// What a row of logits says of every token, before a request changes anything.
#[derive(Debug)]
pub struct Distribution<'a> {
    logits: &'a [f32],
    impossible: &'a TokenMask,
    /// Logarithm of the sum of all exponentials.
    log_total: f64,
}

impl<'a> Distribution<'a> {
    /// Over the tokens that are not `impossible`: those that no document has at all. `logits` are the model's own,
    /// one for each token of the vocabulary: no temperature, no penalty and no mask of one request or one moment
    /// (vLLM's `raw_logprobs`). Sums are taken in f64 in the order of ids.
    ///
    /// # Panics
    /// If mask and logits differ in size: a defect of the caller.
    pub fn new(logits: &'a [f32], impossible: &'a TokenMask) -> Self {
        assert_eq!(logits.len(), impossible.vocab_size(), "one logit for each token");
        let mut distribution = Self { logits, impossible, log_total: 0.0 };
        let maximum = distribution.possible().map(|(_, logit)| logit).fold(f64::MIN, f64::max);
        let exponentials = distribution.possible().map(|(_, logit)| libm::exp(logit - maximum));
        let total: f64 = exponentials.sum();
        distribution.log_total = maximum + libm::log(total);
        distribution
    }

    /// How likely `chosen` was, beside the `num_top` likeliest tokens.
    ///
    /// # Panics
    /// If `chosen` is outside the vocabulary.
    pub fn around(&self, chosen: u32, num_top: usize) -> TokenLogprobs {
        let mut top: Vec<TokenLogprob> = Vec::with_capacity(num_top + 1);
        for (token, logit) in self.possible() {
            let logprob = self.logprob(logit);
            let is_better =
                top.len() < num_top || top.last().is_some_and(|last| logprob > last.logprob);
            if num_top == 0 || !is_better {
                continue;
            }
            let place = top.partition_point(|better| better.logprob >= logprob);
            top.insert(place, TokenLogprob { token, logprob });
            top.truncate(num_top);
        }
        TokenLogprobs { chosen: self.logprob(f64::from(self.logits[chosen as usize])), top }
    }

    fn logprob(&self, logit: f64) -> f32 {
        // JSON has no infinity; nothing that is this unlikely can be told from anything else.
        ((logit - self.log_total) as f32).max(LEAST_LOGPROB)
    }

    fn possible(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        let tokens = (0u32..).zip(self.logits);
        let possible = tokens
            .filter(|(token, logit)| !self.impossible.is_forbidden(*token) && !logit.is_nan());
        possible.map(|(token, logit)| (token, f64::from(*logit)))
    }
}

/// OpenAI's value for "very unlikely".
const LEAST_LOGPROB: f32 = -9999.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f32, b: f64) -> bool {
        (f64::from(a) - b).abs() < 1e-6
    }

    #[test]
    fn probabilities_are_the_softmax_of_what_is_possible() {
        let mut impossible = TokenMask::allow_all(5);
        impossible.forbid(0);
        let logits = [50.0, 1.0, 3.0, 2.0, 3.0];
        let distribution = Distribution::new(&logits, &impossible);
        let around = distribution.around(1, 3);
        let total: f64 = [1.0f64, 3.0, 2.0, 3.0].iter().map(|x| x.exp()).sum();
        assert!(near(around.chosen, 1.0 - total.ln()), "{around:?}");
        let ids: Vec<u32> = around.top.iter().map(|top| top.token).collect();
        assert_eq!(ids, [2, 4, 3], "best first, of equals the lower id");
        assert!(near(around.top[2].logprob, 2.0 - total.ln()));
        assert!(distribution.around(2, 0).top.is_empty());
        assert_eq!(distribution.around(2, 20).top.len(), 4, "no more than there are");
    }

    #[test]
    fn what_has_no_chance_is_still_a_number() {
        let logits = [f32::NEG_INFINITY, 0.0, f32::NAN, -1e30];
        let distribution_mask = TokenMask::allow_all(4);
        let around = Distribution::new(&logits, &distribution_mask).around(0, 4);
        assert_eq!(around.chosen, LEAST_LOGPROB);
        assert_eq!(around.top.len(), 3, "a NaN is no chance");
        assert!(around.top.iter().all(|top| top.logprob.is_finite()));
    }
}

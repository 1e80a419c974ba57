//! A row of logits in, a token out. Knows ids, not texts, and nothing of how the logits came about.

use std::cmp::Ordering;

use rand_chacha::rand_core::RngCore;

use crate::noise::{draw_stream, unit_interval};

/// Which tokens may not be chosen: a bit for each token of the vocabulary.
///
/// A request's standing mask holds the control tokens; a copy of it takes what holds for one step only
/// (`</s>` before `min_tokens`, `<dream_start>` when no more pictures fit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMask {
    forbidden: Vec<u64>,
    vocab_size: usize,
}

impl TokenMask {
    /// Nothing forbidden among `vocab_size` tokens.
    pub fn allow_all(vocab_size: usize) -> Self {
        Self { forbidden: vec![0; vocab_size.div_ceil(64)], vocab_size }
    }

    /// Everything forbidden among `vocab_size` tokens, to be allowed one by one.
    pub fn forbid_all(vocab_size: usize) -> Self {
        let mut mask = Self::allow_all(vocab_size);
        for token in 0..vocab_size {
            mask.forbid(token as u32);
        }
        mask
    }

    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Takes `token` out of the choice.
    ///
    /// # Panics
    /// If it is outside the vocabulary.
    pub fn forbid(&mut self, token: u32) {
        let (word, bit) = self.place(token);
        self.forbidden[word] |= bit;
    }

    /// Puts `token` back into the choice.
    ///
    /// # Panics
    /// If it is outside the vocabulary.
    pub fn allow(&mut self, token: u32) {
        let (word, bit) = self.place(token);
        self.forbidden[word] &= !bit;
    }

    /// Takes every token out of the choice whose bit is not set in `allowed`: token 0 is the lowest bit of the first
    /// word; what has no bit is not allowed.
    pub fn forbid_all_but(&mut self, allowed: &[u32]) {
        let mut allowed = allowed.iter().copied().map(u64::from);
        for (index, forbidden) in self.forbidden.iter_mut().enumerate() {
            let (low, high) = (allowed.next().unwrap_or(0), allowed.next().unwrap_or(0));
            let beyond = match self.vocab_size - 64 * index {
                left @ 0..64 => u64::MAX << left,
                _ => 0,
            };
            *forbidden |= !(low | high << 32) & !beyond;
        }
    }

    /// Whether nothing is left to choose from.
    pub fn forbids_all(&self) -> bool {
        self.first_allowed().is_none()
    }

    /// Whether `token` may not be chosen.
    ///
    /// # Panics
    /// If it is outside the vocabulary.
    pub fn is_forbidden(&self, token: u32) -> bool {
        let (word, bit) = self.place(token);
        self.forbidden[word] & bit != 0
    }

    /// Sets the logits (or scores) of forbidden tokens to -inf.
    ///
    /// # Panics
    /// If there is not one logit for each token of the vocabulary.
    pub fn apply(&self, logits: &mut [f32]) {
        assert_eq!(logits.len(), self.vocab_size, "one logit for each token");
        for (logits, forbidden) in logits.chunks_mut(64).zip(&self.forbidden) {
            let mut left = *forbidden;
            while left != 0 {
                logits[left.trailing_zeros() as usize] = f32::NEG_INFINITY;
                left &= left - 1;
            }
        }
    }

    fn first_allowed(&self) -> Option<u32> {
        (0..self.vocab_size as u32).find(|token| !self.is_forbidden(*token))
    }

    fn place(&self, token: u32) -> (usize, u64) {
        let token = token as usize;
        assert!(token < self.vocab_size, "token {token} of {}", self.vocab_size);
        (token / 64, 1 << (token % 64))
    }
}

/// How one request's tokens are chosen. A draw depends on the seed, the choice and the position only, never on
/// what else is being sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenSampler {
    /// Divides the logits; 0 (and anything too small to divide by) is greedy.
    pub temperature: f32,
    /// Keeps the likeliest tokens until their probabilities reach this, in (0, 1]; 1 is off.
    pub top_p: f32,
    /// Keeps this many of the likeliest tokens, and those that tie with the last; 0 is off.
    pub top_k: usize,
    /// Keeps tokens at least this likely as a share of the likeliest one, 0 to 1; 0 is off.
    pub min_p: f32,
    /// Keys the draws.
    pub seed: u64,
    /// Which of a request's alternative answers.
    pub choice: u32,
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    logit: f32,
    /// Its probability, up to a common factor.
    weight: f64,
}

impl TokenSampler {
    /// The token after `logits` (one for each token of the vocabulary); `position` is the place it will take.
    /// Forbidden tokens' logits become -inf. Temperature first, then min-p, then top-k, then top-p (vLLM's
    /// order); one token always stays. Greedy choice takes the first maximum. A NaN is never
    /// chosen; where nothing finite is left the first allowed token is.
    ///
    /// The draw, exactly: the first 64-bit integer of the ChaCha20 stream keyed as in
    /// [`CounterNoise`](crate::noise::CounterNoise) with the text `RVtoken1`, the seed, the choice, 0, and the
    /// position's lower and upper half; its upper 53 bits are u in [0, 1). Weights are summed in f64 in the
    /// order of token ids; the first token whose running sum exceeds u times the total is drawn.
    ///
    /// # Panics
    /// If every token is forbidden, or mask, logits and vocabulary differ in size: defects of the caller.
    pub fn sample(&self, logits: &mut [f32], position: u64, forbidden: &TokenMask) -> u32 {
        forbidden.apply(logits);
        let Some((best, maximum)) = first_maximum(logits) else {
            return forbidden
                .first_allowed()
                .expect("the caller leaves at least one token allowed");
        };
        // Dividing by a subnormal overflows; below, everything but the maximum would vanish anyway.
        if !self.temperature.is_normal() || self.temperature < 0.0 || maximum.is_infinite() {
            return best;
        }
        let mut candidates = self.candidates(logits, maximum);
        self.keep_min_p(&mut candidates);
        self.keep_top_k(&mut candidates);
        self.keep_top_p(&mut candidates);
        self.draw(&candidates, position)
    }

    fn candidates(&self, logits: &[f32], maximum: f32) -> Vec<Candidate> {
        let (maximum, temperature) = (f64::from(maximum), f64::from(self.temperature));
        let weigh = |(token, logit): (usize, &f32)| Candidate {
            token: token as u32,
            logit: *logit,
            weight: libm::exp((f64::from(*logit) - maximum) / temperature),
        };
        // A NaN compares false, too.
        logits.iter().enumerate().map(weigh).filter(|candidate| candidate.weight > 0.0).collect()
    }

    /// The likeliest token's weight is 1.
    fn keep_min_p(&self, candidates: &mut Vec<Candidate>) {
        if self.min_p <= 0.0 {
            return;
        }
        let least = f64::from(self.min_p);
        candidates.retain(|candidate| candidate.weight >= least);
    }

    fn keep_top_k(&self, candidates: &mut Vec<Candidate>) {
        if self.top_k == 0 || self.top_k >= candidates.len() {
            return;
        }
        let mut logits: Vec<_> = candidates.iter().map(|candidate| candidate.logit).collect();
        let (_, threshold, _) =
            logits.select_nth_unstable_by(self.top_k - 1, |a, b| b.total_cmp(a));
        candidates.retain(|candidate| candidate.logit >= *threshold);
    }

    /// Drops a token if those likelier than it already reach `top_p`; among equals the lower id is likelier.
    fn keep_top_p(&self, candidates: &mut Vec<Candidate>) {
        if self.top_p >= 1.0 {
            return;
        }
        let mut likeliest_first = candidates.clone();
        likeliest_first.sort_unstable_by(by_likelihood);
        let total: f64 = likeliest_first.iter().map(|candidate| candidate.weight).sum();
        let enough = f64::from(self.top_p) * total;
        let mut sum = 0.0;
        let kept = likeliest_first.iter().take_while(|candidate| {
            let likelier = sum;
            sum += candidate.weight;
            likelier < enough
        });
        let last = likeliest_first[kept.count().max(1) - 1];
        candidates.retain(|candidate| by_likelihood(candidate, &last) != Ordering::Greater);
    }

    fn draw(&self, candidates: &[Candidate], position: u64) -> u32 {
        let (low, high) = (position as u32, (position >> 32) as u32);
        let mut stream = draw_stream(b"RVtoken1", self.seed, [self.choice, 0, low, high]);
        let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        let target = unit_interval(stream.next_u64()) * total;
        let mut sum = 0.0;
        for candidate in candidates {
            sum += candidate.weight;
            if sum > target {
                return candidate.token;
            }
        }
        // u < 1, so only rounding could lead here.
        candidates[candidates.len() - 1].token
    }
}

fn by_likelihood(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

/// The first of the largest logits and its value; none if all are NaN or -inf.
fn first_maximum(logits: &[f32]) -> Option<(u32, f32)> {
    let mut best = None;
    let mut maximum = f32::NEG_INFINITY;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > maximum {
            (best, maximum) = (Some(token as u32), *logit);
        }
    }
    best.map(|token| (token, maximum))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: TokenSampler =
        TokenSampler { temperature: 1.0, top_p: 1.0, top_k: 0, min_p: 0.0, seed: 42, choice: 0 };

    fn sample(sampler: TokenSampler, logits: &[f32], position: u64) -> u32 {
        sampler.sample(&mut logits.to_vec(), position, &TokenMask::allow_all(logits.len()))
    }

    /// How often each token is drawn at positions `0..draws`.
    fn frequencies(sampler: TokenSampler, logits: &[f32], draws: u64) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        for position in 0..draws {
            counts[sample(sampler, logits, position) as usize] += 1.0 / draws as f64;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_first_maximum_and_never_a_nan() {
        let logits = [1.0, f32::NAN, 3.0, 3.0, f32::NEG_INFINITY];
        for temperature in [0.0, -0.0, 1e-40, -1.0, f32::NAN] {
            assert_eq!(sample(TokenSampler { temperature, ..PLAIN }, &logits, 0), 2);
        }
        assert_eq!(sample(PLAIN, &[0.0, f32::INFINITY, 5.0], 9), 1);
    }

    #[test]
    fn the_smallest_normal_temperature_is_as_good_as_greedy() {
        let sampler = TokenSampler { temperature: f32::MIN_POSITIVE, ..PLAIN };
        for position in 0..64 {
            assert_eq!(sample(sampler, &[f32::MIN, 0.0, 1e-30, f32::MAX], position), 3);
        }
    }

    #[test]
    fn a_nan_is_never_drawn() {
        let drawn = frequencies(PLAIN, &[0.0, f32::NAN, 0.0], 500);
        assert!(drawn[1] == 0.0 && drawn[0] > 0.4 && drawn[2] > 0.4);
    }

    #[test]
    fn a_forbidden_token_is_never_chosen_not_even_where_all_is_nan() {
        let mut mask = TokenMask::allow_all(130);
        for token in [0, 63, 64, 129] {
            mask.forbid(token);
        }
        let mut logits = vec![0.0; 130];
        logits[64] = 50.0;
        for position in 0..500 {
            assert!(!mask.is_forbidden(PLAIN.sample(&mut logits.clone(), position, &mask)));
        }
        assert_eq!(PLAIN.sample(&mut vec![f32::NAN; 130], 0, &mask), 1);
        mask.allow(64);
        assert!(!mask.is_forbidden(64) && mask.is_forbidden(63));
        let greedy = TokenSampler { temperature: 0.0, ..PLAIN };
        assert_eq!(greedy.sample(&mut logits, 0, &mask), 64);
    }

    #[test]
    fn a_mask_that_forbids_all_allows_exactly_what_is_put_back() {
        let mut mask = TokenMask::forbid_all(70);
        mask.allow(69);
        for position in 0..20 {
            assert_eq!(PLAIN.sample(&mut vec![0.0; 70], position, &mask), 69);
        }
    }

    #[test]
    fn what_is_not_allowed_by_bits_is_forbidden() {
        let mut mask = TokenMask::allow_all(70);
        mask.forbid(33);
        mask.forbid_all_but(&[1, 0b11, 1 << 5 | 1 << 31]);
        let allowed = (0..70).filter(|token| !mask.is_forbidden(*token));
        assert_eq!(allowed.collect::<Vec<_>>(), [0, 32, 69]);
        let mut logits = vec![0.0; 70];
        mask.apply(&mut logits);
        assert_eq!(logits.iter().filter(|logit| logit.is_finite()).count(), 3);
        assert!(!mask.forbids_all());
        mask.forbid_all_but(&[]);
        assert!(mask.forbids_all());
    }

    #[test]
    #[should_panic(expected = "at least one token allowed")]
    fn a_mask_that_forbids_all_is_a_defect_of_the_caller() {
        PLAIN.sample(&mut [0.0; 3], 0, &TokenMask::forbid_all(3));
    }

    #[test]
    fn draws_follow_the_softmax_of_the_tempered_logits() {
        let logits: [f32; 4] = [0.0, 1.0, 2.0, -1.0];
        let draws = 40_000;
        let drawn = frequencies(TokenSampler { temperature: 0.7, ..PLAIN }, &logits, draws);
        let total: f64 = logits.iter().map(|x| f64::from(x / 0.7).exp()).sum();
        for (logit, frequency) in logits.iter().zip(drawn) {
            let wanted = f64::from(logit / 0.7).exp() / total;
            let five_errors = 5.0 * (wanted * (1.0 - wanted) / draws as f64).sqrt();
            assert!((frequency - wanted).abs() < five_errors, "{frequency} {wanted}");
        }
    }

    #[test]
    fn top_k_keeps_the_likeliest_and_their_ties() {
        let logits = [1.0, 3.0, 2.0, 2.0, 0.0];
        let kept = |top_k| -> Vec<usize> {
            let drawn = frequencies(TokenSampler { top_k, ..PLAIN }, &logits, 2_000);
            (0..5).filter(|token| drawn[*token] > 0.0).collect()
        };
        assert_eq!(kept(1), [1]);
        assert_eq!(kept(2), [1, 2, 3]);
        assert_eq!(kept(4), [0, 1, 2, 3]);
        assert_eq!(kept(99), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn top_p_keeps_tokens_until_their_mass_is_reached_and_never_fewer_than_one() {
        // Probabilities 0.5, 0.25, 0.125, 0.125; binary logarithms times ln 2.
        let logits = [-1.0f32, -2.0, -3.0, -3.0].map(|x| x * std::f32::consts::LN_2);
        let kept = |top_p, top_k| -> Vec<usize> {
            let drawn = frequencies(TokenSampler { top_p, top_k, ..PLAIN }, &logits, 2_000);
            (0..4).filter(|token| drawn[*token] > 0.0).collect()
        };
        assert_eq!(kept(0.0, 0), [0]);
        assert_eq!(kept(0.4, 0), [0]);
        assert_eq!(kept(0.6, 0), [0, 1]);
        assert_eq!(kept(0.8, 0), [0, 1, 2]);
        assert_eq!(kept(0.99, 0), [0, 1, 2, 3]);
        // After top-k the rest is renormalised: 0.5 of 0.75 is already two thirds.
        assert_eq!(kept(0.66, 2), [0]);
    }

    #[test]
    fn min_p_keeps_what_is_likely_beside_the_likeliest() {
        let logits = [-1.0f32, -2.0, -3.0, -3.0].map(|x| x * std::f32::consts::LN_2);
        let kept = |min_p, temperature| -> Vec<usize> {
            let drawn = frequencies(TokenSampler { min_p, temperature, ..PLAIN }, &logits, 2_000);
            (0..4).filter(|token| drawn[*token] > 0.0).collect()
        };
        assert_eq!(kept(1.0, 1.0), [0]);
        assert_eq!(kept(0.4, 1.0), [0, 1]);
        assert_eq!(kept(0.2, 1.0), [0, 1, 2, 3]);
        assert_eq!(kept(0.4, 2.0), [0, 1, 2, 3], "after the temperature");
    }

    #[test]
    fn a_draw_depends_on_seed_choice_and_position_and_on_nothing_else() {
        let logits = vec![0.0; 1 << 16];
        let first = sample(PLAIN, &logits, 7);
        assert_eq!(sample(PLAIN, &logits, 7), first);
        assert_ne!(sample(PLAIN, &logits, 8), first);
        assert_ne!(sample(PLAIN, &logits, 7 + (1 << 32)), first);
        assert_ne!(sample(TokenSampler { seed: 43, ..PLAIN }, &logits, 7), first);
        assert_ne!(sample(TokenSampler { choice: 1, ..PLAIN }, &logits, 7), first);
    }

    #[test]
    fn the_first_draws_of_a_seed_never_change() {
        // u = 0.13744, 0.80836, 0.91843, 0.05889, by a second implementation in another language.
        let logits = vec![0.0; 1000];
        let drawn = [0, 1, 2, 3].map(|position| sample(PLAIN, &logits, position));
        assert_eq!(drawn, [137, 808, 918, 58]);
    }
}

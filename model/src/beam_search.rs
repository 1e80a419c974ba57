//! Beam search, one step at a time: scores in, surviving beams out. Knows tokens and scores; the owner runs
//! the decoder and forks its caches.

use std::cmp::Ordering;

use crate::error::ModelError;
use crate::token_sampler::TokenMask;

/// What a beam search is asked for (transformers' names).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BeamSearchParams {
    /// Beams kept alive, at least 2; the reference's visual question answering uses 5.
    pub num_beams: usize,
    /// `</s>`: ends a hypothesis. To ignore it, forbid it.
    pub eos: u32,
    /// A hypothesis has at most this many new tokens, at least 1.
    pub max_new_tokens: usize,
    /// `</s>` is forbidden before this many.
    pub min_new_tokens: usize,
    /// Positions of the prompt. They count in a hypothesis' length, as transformers 4.35 counts them.
    pub prompt_len: usize,
    /// A hypothesis' score is its log-probability divided by its length to this power.
    pub length_penalty: f64,
}

/// Beam search as `generate(num_beams, do_sample=False, early_stopping=False)` of transformers 4.35 runs it
/// (`BeamSearchScorer`, `BeamHypotheses`).
#[derive(Debug)]
pub struct BeamSearch {
    params: BeamSearchParams,
    live: Vec<LiveBeam>,
    hypotheses: Hypotheses,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Finished,
}

/// What to do after a step.
#[derive(Debug, Clone, PartialEq)]
pub enum BeamStep {
    /// The next live beams, best first: each continues a beam of this step by one token. A parent may occur
    /// several times (fork its cache) or not at all (drop it).
    Continue(Vec<BeamMove>),
    /// The search is over.
    Finished(BeamOutcome),
}

/// One beam's continuation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeamMove {
    /// Which of the rows just given.
    pub parent: usize,
    /// What follows it.
    pub token: u32,
}

/// The best hypothesis.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamOutcome {
    /// Its new tokens, the closing `</s>` included if it has one.
    pub ids: Vec<u32>,
    /// Whether it ended by `</s>` rather than at `max_new_tokens`.
    pub ended_by_eos: bool,
    /// Its log-probability over its length, prompt included, to the power of the length penalty.
    pub score: f64,
}

#[derive(Debug, Clone)]
struct LiveBeam {
    ids: Vec<u32>,
    /// Summed in f32, as the reference sums.
    log_probability: f32,
}

/// A beam's continuation by any token.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: u32,
    log_probability: f32,
}

impl BeamSearch {
    /// A search about to see the logits at the end of the prompt.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if there are fewer than two beams or no new tokens.
    pub fn new(params: BeamSearchParams) -> Result<Self, ModelError> {
        let at_least = |parameter, found: usize, least: usize| {
            if found >= least {
                return Ok(());
            }
            let (found, wanted) = (found.to_string(), format!("at least {least}"));
            Err(ModelError::Parameter { parameter, found, wanted })
        };
        at_least("num_beams", params.num_beams, 2)?;
        at_least("max_new_tokens", params.max_new_tokens, 1)?;
        Ok(Self {
            params,
            // One beam: the reference's other beams start at -1e9 and never win.
            live: vec![LiveBeam { ids: Vec::new(), log_probability: 0.0 }],
            hypotheses: Hypotheses::new(&params),
            state: State::Running,
        })
    }

    /// Beams whose logits the next [`advance`](Self::advance) needs: 1 at first.
    pub fn num_live(&self) -> usize {
        self.live.len()
    }

    /// One step: the logits after each live beam, in the order of the last step's moves. The masks of forbidden
    /// tokens apply after the log-softmax, as the reference's logits processors do.
    ///
    /// # Panics
    /// If the search is over, there is not one row for each live beam, or a row is not as long as the mask.
    pub fn advance(&mut self, logits: &[Vec<f32>], forbidden: &TokenMask) -> BeamStep {
        assert_eq!(self.state, State::Running, "a finished search does not go on");
        assert_eq!(logits.len(), self.live.len(), "one row of logits for each live beam");
        let candidates = self.candidates(logits, forbidden);
        let moves = self.process(&candidates);
        let num_new = self.live.first().map_or(0, |beam| beam.ids.len());
        let best = candidates.first().map_or(f32::NEG_INFINITY, |best| best.log_probability);
        let done = self.hypotheses.cannot_improve(best);
        if !done && !moves.is_empty() && num_new < self.params.max_new_tokens {
            return BeamStep::Continue(moves);
        }
        self.state = State::Finished;
        if !done {
            for beam in std::mem::take(&mut self.live) {
                self.hypotheses.add(beam.ids, beam.log_probability, Ending::Open);
            }
        }
        BeamStep::Finished(self.hypotheses.best(&self.params))
    }

    /// The `2 * num_beams` likeliest continuations of all live beams, best first.
    fn candidates(&self, logits: &[Vec<f32>], forbidden: &TokenMask) -> Vec<Candidate> {
        let mut best = BestCandidates::new(2 * self.params.num_beams);
        for (parent, (beam, logits)) in self.live.iter().zip(logits).enumerate() {
            let mut scores = log_softmax(logits);
            forbidden.apply(&mut scores);
            if beam.ids.len() < self.params.min_new_tokens {
                scores[self.params.eos as usize] = f32::NEG_INFINITY;
            }
            for (token, score) in scores.iter().enumerate() {
                let log_probability = beam.log_probability + score;
                best.offer(Candidate { parent, token: token as u32, log_probability });
            }
        }
        best.candidates
    }

    /// Closes the hypotheses that end here and makes the other candidates the live beams
    /// (`BeamSearchScorer.process`).
    fn process(&mut self, candidates: &[Candidate]) -> Vec<BeamMove> {
        let (mut moves, mut live) = (Vec::new(), Vec::new());
        for (rank, candidate) in candidates.iter().enumerate() {
            let parent = &self.live[candidate.parent];
            if candidate.token != self.params.eos {
                let mut ids = parent.ids.clone();
                ids.push(candidate.token);
                live.push(LiveBeam { ids, log_probability: candidate.log_probability });
                moves.push(BeamMove { parent: candidate.parent, token: candidate.token });
            } else if rank < self.params.num_beams {
                let ids = parent.ids.clone();
                self.hypotheses.add(ids, candidate.log_probability, Ending::EndOfText);
            }
            if live.len() == self.params.num_beams {
                break;
            }
        }
        self.hypotheses.cur_len += 1;
        self.live = live;
        moves
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    EndOfText,
    Open,
}

#[derive(Debug)]
struct Hypothesis {
    ids: Vec<u32>,
    score: f64,
    ending: Ending,
}

/// The best finished hypotheses so far (`BeamHypotheses`).
#[derive(Debug)]
struct Hypotheses {
    kept: Vec<Hypothesis>,
    max_kept: usize,
    length_penalty: f64,
    prompt_len: usize,
    /// Length of the live beams, prompt included.
    cur_len: usize,
    worst_score: f64,
}

impl Hypotheses {
    fn new(params: &BeamSearchParams) -> Self {
        Self {
            kept: Vec::new(),
            max_kept: params.num_beams,
            length_penalty: params.length_penalty,
            prompt_len: params.prompt_len,
            cur_len: params.prompt_len,
            worst_score: 1e9,
        }
    }

    fn add(&mut self, ids: Vec<u32>, log_probability: f32, ending: Ending) {
        // A prompt of length 0 ended at once has no length to be divided by; 1 keeps the score finite.
        let length = (self.prompt_len + ids.len()).max(1);
        let score = self.normalised(log_probability, length);
        if self.kept.len() >= self.max_kept && score <= self.worst_score {
            return;
        }
        self.kept.push(Hypothesis { ids, score, ending });
        if self.kept.len() <= self.max_kept {
            self.worst_score = self.worst_score.min(score);
            return;
        }
        let worst = (0..self.kept.len())
            .min_by(|a, b| self.kept[*a].score.total_cmp(&self.kept[*b].score))
            .expect("a hypothesis was just added");
        self.kept.remove(worst);
        self.worst_score = self.kept.iter().map(|kept| kept.score).fold(f64::INFINITY, f64::min);
    }

    /// Whether no live beam is expected to beat the worst kept hypothesis: the heuristic of
    /// `early_stopping=False`, with the best candidate's score at the current length.
    fn cannot_improve(&self, best_log_probability: f32) -> bool {
        self.kept.len() >= self.max_kept
            && self.worst_score >= self.normalised(best_log_probability, self.cur_len)
    }

    fn normalised(&self, log_probability: f32, length: usize) -> f64 {
        f64::from(log_probability) / libm::pow(length as f64, self.length_penalty)
    }

    /// The best; among equals the one added last, as a stable sort's last element.
    fn best(&mut self, params: &BeamSearchParams) -> BeamOutcome {
        let by_score = |a: &Hypothesis, b: &Hypothesis| a.score.total_cmp(&b.score);
        let Some(best) = std::mem::take(&mut self.kept).into_iter().max_by(by_score) else {
            // Every token was forbidden or NaN at the first step.
            return BeamOutcome { ids: Vec::new(), ended_by_eos: false, score: f64::NEG_INFINITY };
        };
        let ended_by_eos = best.ending == Ending::EndOfText;
        let mut ids = best.ids;
        if ended_by_eos {
            ids.push(params.eos);
        }
        BeamOutcome { ids, ended_by_eos, score: best.score }
    }
}

/// The best candidates offered so far, best first; among equals the one offered first.
struct BestCandidates {
    candidates: Vec<Candidate>,
    limit: usize,
}

impl BestCandidates {
    fn new(limit: usize) -> Self {
        Self { candidates: Vec::with_capacity(limit + 1), limit }
    }

    fn offer(&mut self, candidate: Candidate) {
        let score = candidate.log_probability;
        let full = self.candidates.len() == self.limit;
        let enough = match self.candidates.last() {
            Some(worst) if full => score > worst.log_probability,
            Some(_) | None => score > f32::NEG_INFINITY, // neither forbidden nor NaN
        };
        if !enough {
            return;
        }
        let place = self
            .candidates
            .partition_point(|kept| kept.log_probability.total_cmp(&score) != Ordering::Less);
        self.candidates.insert(place, candidate);
        self.candidates.truncate(self.limit);
    }
}

/// `x - max - ln Σ exp(x - max)`, elements in f32, the sum in f64 in the order of ids.
fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| libm::exp(f64::from(x - maximum))).sum();
    let log_sum = libm::log(sum) as f32;
    logits.iter().map(|x| x - maximum - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: BeamSearchParams = BeamSearchParams {
        num_beams: 2,
        eos: 0,
        max_new_tokens: 3,
        min_new_tokens: 0,
        prompt_len: 4,
        length_penalty: 1.0,
    };

    fn allow_all() -> TokenMask {
        TokenMask::allow_all(4)
    }

    /// Gives every live beam the same logits until the search ends.
    fn run(params: BeamSearchParams, logits: [f32; 4], mask: &TokenMask) -> BeamOutcome {
        let mut search = BeamSearch::new(params).unwrap();
        loop {
            let rows = vec![logits.to_vec(); search.num_live()];
            if let BeamStep::Finished(outcome) = search.advance(&rows, mask) {
                return outcome;
            }
        }
    }

    #[test]
    fn the_first_step_spreads_one_beam_and_later_steps_name_their_parents() {
        let mut search = BeamSearch::new(PARAMS).unwrap();
        assert_eq!(search.num_live(), 1);
        let moved = |moves: &[(usize, u32)]| {
            let moves =
                moves.iter().map(|(parent, token)| BeamMove { parent: *parent, token: *token });
            BeamStep::Continue(moves.collect())
        };
        let first = search.advance(&[vec![-9.0, 1.0, 2.0, 0.0]], &allow_all());
        assert_eq!(first, moved(&[(0, 2), (0, 1)]));
        let rows = [vec![-9.0, 0.0, 0.0, 0.1], vec![-9.0, 9.0, 0.0, 0.0]];
        assert_eq!(search.advance(&rows, &allow_all()), moved(&[(1, 1), (0, 3)]));
    }

    #[test]
    fn a_forbidden_token_is_in_no_beam() {
        let mut mask = allow_all();
        mask.forbid(1);
        mask.forbid(0);
        assert_eq!(run(PARAMS, [8.0, 9.0, 1.0, 0.0], &mask).ids, [2, 2, 2]);
    }

    #[test]
    fn the_end_waits_for_the_least_number_of_tokens() {
        let logits = [9.0, 1.0, 0.5, 0.0];
        assert_eq!(run(PARAMS, logits, &allow_all()).ids, [0]);
        let patient = BeamSearchParams { min_new_tokens: 2, ..PARAMS };
        let outcome = run(patient, logits, &allow_all());
        assert_eq!((outcome.ids.as_slice(), outcome.ended_by_eos), (&[1, 1, 0][..], true));
    }

    #[test]
    fn a_search_without_any_allowed_token_ends_with_nothing() {
        let outcome = run(PARAMS, [f32::NAN; 4], &allow_all());
        assert_eq!((outcome.ids.as_slice(), outcome.ended_by_eos), (&[][..], false));
        let outcome = run(PARAMS, [0.0; 4], &TokenMask::forbid_all(4));
        assert!(outcome.ids.is_empty());
    }

    #[test]
    fn fewer_allowed_tokens_than_beams_still_reach_the_end() {
        let mut mask = TokenMask::forbid_all(4);
        mask.allow(3);
        assert_eq!(run(PARAMS, [0.0; 4], &mask).ids, [3, 3, 3]);
    }

    #[test]
    fn one_beam_or_no_tokens_is_refused() {
        for (params, wanted) in [
            (BeamSearchParams { num_beams: 1, ..PARAMS }, "num_beams"),
            (BeamSearchParams { max_new_tokens: 0, ..PARAMS }, "max_new_tokens"),
        ] {
            let refused = BeamSearch::new(params).unwrap_err();
            assert!(
                matches!(refused, ModelError::Parameter { parameter, .. } if parameter == wanted)
            );
        }
    }

    #[test]
    #[should_panic(expected = "a finished search does not go on")]
    fn a_finished_search_does_not_go_on() {
        let mut search = BeamSearch::new(BeamSearchParams { max_new_tokens: 1, ..PARAMS }).unwrap();
        search.advance(&[vec![0.0; 4]], &allow_all());
        search.advance(&[vec![0.0; 4]], &allow_all());
    }
}

//! A beam search over forked caches: one ragged decoder pass a step for all its beams. Knows the caches;
//! which beams survive is the search's.

use candle_core::Tensor;
use reverie_model::beam_search::{BeamSearch, BeamSearchParams, BeamStep};
use reverie_model::decoder::KvCache;
use reverie_model::token_sampler::TokenMask;
use reverie_model::{DreamModel, ModelError};
use reverie_scheduler::FinishReason;

use crate::engine::request::EngineRequest;
use crate::engine::runner::TokenChoice;

/// transformers' default: a hypothesis' score is its mean log-probability.
const LENGTH_PENALTY: f64 = 1.0;

/// A running beam search.
pub(super) struct Beams {
    search: BeamSearch,
    /// One for each live beam, best first.
    pub(super) caches: Vec<KvCache>,
    /// The last token of each live beam.
    tokens: Vec<u32>,
    max_new_tokens: usize,
    max_tokens: usize,
}

impl Beams {
    /// A search that begins after `prompt`, with `room` positions left in the context.
    pub(super) fn begin(
        request: &EngineRequest,
        prompt: KvCache,
        room: usize,
        model: &DreamModel,
    ) -> Result<Self, ModelError> {
        let max_tokens = request.stopping.max_tokens.unwrap_or(usize::MAX);
        let max_new_tokens = max_tokens.min(room);
        let search = BeamSearch::new(BeamSearchParams {
            num_beams: request.sampling.num_beams,
            eos: model.tokenizer.special().eos,
            max_new_tokens,
            // `</s>` is masked until it is legal.
            min_new_tokens: 0,
            prompt_len: prompt.len(),
            length_penalty: LENGTH_PENALTY,
        })?;
        let caches = vec![prompt];
        Ok(Self { search, caches, tokens: Vec::new(), max_new_tokens, max_tokens })
    }

    /// The input embeddings of the live beams' last tokens, each (1, hidden).
    pub(super) fn embeds(&self, model: &DreamModel) -> Result<Vec<Tensor>, ModelError> {
        self.tokens.iter().map(|token| model.decoder.embed(&[*token])).collect()
    }

    /// Takes the logits after each live beam.
    pub(super) fn advance(
        &mut self,
        logits: &[Vec<f32>],
        forbidden: &TokenMask,
        eos: u32,
    ) -> TokenChoice {
        match self.search.advance(logits, forbidden) {
            BeamStep::Continue(moves) => {
                self.caches = moves.iter().map(|beam| self.caches[beam.parent].fork()).collect();
                self.tokens = moves.iter().map(|beam| beam.token).collect();
                TokenChoice::BeamsAdvanced
            }
            BeamStep::Finished(outcome) => {
                let mut ids = outcome.ids;
                let reason = if outcome.ended_by_eos {
                    ids.retain(|id| *id != eos);
                    FinishReason::EndOfText
                } else if self.max_new_tokens == self.max_tokens {
                    FinishReason::MaxTokens
                } else {
                    FinishReason::ContextFull
                };
                TokenChoice::BeamsFinished { ids, reason }
            }
        }
    }
}

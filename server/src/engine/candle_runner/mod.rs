//! The runner with a model: plans to tensors and back. The one place where a plan meets a tensor; decides
//! nothing about who is computed when.

mod beams;
mod calibration;
mod context;
mod drawing;
mod encoding;
mod feature_cache;
mod grammar_desk;
mod handover;
mod rows;
mod sequence;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use reverie_model::config::Ability;
use reverie_model::decoder::KvPool;
use reverie_model::diffusion::latent_colors::LatentColors;
use reverie_model::json_grammar::{JsonGrammars, JsonText};
use reverie_model::noise::NoiseSource;
use reverie_model::tokenizer::Detokenizer;
use reverie_model::{DreamConfig, DreamModel, ModelError};
use reverie_scheduler::{Budget, CostModel, DrawingSpec, SequenceId, StepPlan};

use self::calibration::measure;
use self::drawing::Resting;
use self::feature_cache::FeatureCache;
use self::grammar_desk::GrammarDesk;
use self::sequence::SequenceState;
use super::Clock;
use super::event::EngineError;
use super::order::{Conditions, WrittenPiece};
use super::request::EngineRequest;
use super::runner::{ModelRunner, OpenedSequence, StepOutput, TextDecoder};

/// What a runner has computed since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunnerCounters {
    /// Pictures through the vision tower.
    pub encoded_pictures: u64,
    /// Passes of the decoder, whatever number of rows.
    pub decoder_passes: u64,
    /// Passes of the UNet that were begun, whatever number of rows and in however many segments.
    pub denoiser_passes: u64,
}

/// Executes plans with candle.
pub struct CandleRunner {
    model: DreamModel,
    noise: Box<dyn NoiseSource>,
    /// (Q, D): what guidance moves away from where a request has no negative prompt; `None` of a model that
    /// draws nothing.
    unconditional: Option<Tensor>,
    /// For previews; `None` of a model that draws nothing.
    colors: Option<LatentColors>,
    /// At most what the model was trained for.
    max_model_len: usize,
    sequences: BTreeMap<SequenceId, SequenceState>,
    /// The KV blocks that plans name.
    pool: KvPool,
    features: FeatureCache,
    grammars: GrammarDesk,
    resting: Resting,
    counters: RunnerCounters,
}

impl CandleRunner {
    /// A runner of `model`, whose pictures start from `noise`. Computes the unconditional branch of
    /// guidance: `<s>` and a dream block through the decoder, as `get_prompt_embeds("")` of the reference; and
    /// what previews are coloured by.
    ///
    /// # Errors
    /// [`ModelError`] if a pass fails.
    pub fn new(model: DreamModel, noise: Box<dyn NoiseSource>) -> Result<Self, ModelError> {
        let creates = model.config.abilities.has(Ability::Creation);
        let unconditional = if creates { Some(model.unconditional()?) } else { None };
        let colors = if creates { Some(model.denoiser()?.latent_colors()?) } else { None };
        Ok(Self {
            max_model_len: model.config.llama.max_position_embeddings,
            sequences: BTreeMap::new(),
            pool: model.decoder.new_pool(),
            features: FeatureCache::new(),
            grammars: GrammarDesk::new(grammars(&model)),
            resting: Resting::default(),
            counters: RunnerCounters::default(),
            model,
            noise,
            unconditional,
            colors,
        })
    }

    /// The same with contexts of at most `max_model_len` positions.
    #[must_use]
    pub fn with_max_model_len(mut self, max_model_len: usize) -> Self {
        self.max_model_len = self.max_model_len.min(max_model_len);
        self
    }

    /// The model.
    pub fn model(&self) -> &DreamModel {
        &self.model
    }

    /// What it has computed for plans so far.
    pub fn counters(&self) -> RunnerCounters {
        self.counters
    }

    /// Whether it holds nothing of any sequence; KV blocks are the scheduler's to hand out.
    pub fn is_idle(&self) -> bool {
        self.sequences.is_empty() && self.resting.is_empty()
    }
}

impl ModelRunner for CandleRunner {
    fn budget(&self) -> Budget {
        budget(&self.model.config, self.max_model_len)
    }

    fn warm_up(&mut self, clock: &Clock) -> Result<CostModel, EngineError> {
        measure(&self.model, self.unconditional.as_ref(), clock).map_err(model_error)
    }

    fn is_prepared(&mut self, request: &EngineRequest) -> Result<bool, EngineError> {
        let Some(schema) = &request.sampling.json_schema else { return Ok(true) };
        self.grammars.is_ready(schema).map_err(|error| EngineError::Model(error.to_string()))
    }

    fn is_complete(&self, id: SequenceId) -> bool {
        let grammar = self.sequences.get(&id).and_then(|sequence| sequence.grammar.as_ref());
        grammar.is_some_and(JsonText::is_complete)
    }

    fn open(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
    ) -> Result<OpenedSequence, EngineError> {
        let mut state =
            SequenceState::new(Arc::clone(request), &self.model).map_err(model_error)?;
        if let Some(schema) = &request.sampling.json_schema {
            let begun = self.grammars.begin(schema).map_err(|error| model_error(error.into()))?;
            state.grammar = Some(begun);
        }
        let drawing = state.drawing();
        self.sequences.insert(id, state);
        let text = Box::new(self.model.tokenizer.detokenizer());
        Ok(OpenedSequence { drawing, text })
    }

    fn resume(&mut self, id: SequenceId, written: &[WrittenPiece]) -> Result<(), EngineError> {
        self.append(id, written).map_err(model_error)
    }

    /// Which picture it is the plan's rows say, too.
    fn open_picture(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
        _picture: usize,
        conditions: &Conditions,
    ) -> Result<DrawingSpec, EngineError> {
        self.prepare_picture(id, request, conditions).map_err(model_error)
    }

    fn take_conditions(&mut self, id: SequenceId) -> Result<Conditions, EngineError> {
        self.give_conditions(id).map_err(model_error)
    }

    fn execute(&mut self, plan: &StepPlan) -> Result<StepOutput, EngineError> {
        self.run(plan).map_err(model_error)
    }

    fn close(&mut self, id: SequenceId) {
        self.sequences.remove(&id);
        self.resting.forget(id, |member| self.sequences.contains_key(member));
    }

    /// A device that cannot even finish what it was given stays that way (CUDA's errors are sticky).
    fn is_poisoned(&self) -> bool {
        self.model.decoder.device().synchronize().is_err()
    }
}

/// Grammars of what the model's tokens write.
fn grammars(model: &DreamModel) -> JsonGrammars {
    let (tokenizer, vocab_size) = (Arc::clone(&model.tokenizer), model.config.llama.vocab_size);
    JsonGrammars::new(move || tokenizer.alphabet(vocab_size))
}

/// How long a context may be and what its blocks take.
pub fn budget(config: &DreamConfig, max_model_len: usize) -> Budget {
    Budget {
        max_model_len,
        dream_positions: config.dream_positions(),
        image_positions: config.image_positions(),
    }
}

impl TextDecoder for Detokenizer {
    fn push(&mut self, id: u32) -> String {
        Detokenizer::push(self, id)
    }

    fn flush(&mut self) -> String {
        Detokenizer::start_chunk(self, false)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err, which hands the error over")]
fn model_error(error: ModelError) -> EngineError {
    let cause = error.to_string();
    if matches!(error, ModelError::NotFinite { .. }) {
        EngineError::NotFinite(cause)
    } else {
        EngineError::Model(cause)
    }
}

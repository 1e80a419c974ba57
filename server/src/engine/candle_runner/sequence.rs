//! The contents of one open sequence: its contexts, how its tokens are chosen, the picture it is drawing.
//! Knows one request and nothing of its neighbours.

use std::sync::Arc;

use candle_core::Tensor;
use reverie_model::config::Ability;
use reverie_model::diffusion::denoiser::{DenoiseJob, DenoiseParams, DenoiseRequest};
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_model::diffusion::sampler::new_sampler;
use reverie_model::diffusion::trace::Trace;
use reverie_model::json_grammar::JsonText;
use reverie_model::logit_adjustment::{LogitAdjustment, TokenHistory};
use reverie_model::token_logprobs::{Distribution, TokenLogprobs};
use reverie_model::token_sampler::{TokenMask, TokenSampler};
use reverie_model::tokenizer::SpecialTokens;
use reverie_model::{DreamModel, ModelError};
use reverie_scheduler::{Branch, DrawingSpec, LegalTokens};

use super::beams::Beams;
use super::context::ContextState;
use crate::engine::request::{EngineRequest, PictureParams};
use crate::engine::runner::TokenChoice;
use crate::engine::sequence_spec::drawing_spec;

/// One open sequence.
pub(super) struct SequenceState {
    pub(super) request: Arc<EngineRequest>,
    pub(super) main: ContextState,
    pub(super) negative: Option<ContextState>,
    /// (Q, D) of the picture about to be drawn.
    pub(super) condition: Option<Tensor>,
    /// (Q, D) of the negative prompt, once computed.
    pub(super) negative_condition: Option<Tensor>,
    pub(super) job: Option<DenoiseJob>,
    /// How the picture is drawn, where that is recorded.
    pub(super) trace: Option<Trace>,
    /// Set once a beam search has begun.
    pub(super) beams: Option<Beams>,
    /// Of a text that is not free.
    pub(super) grammar: Option<JsonText>,
    sampler: TokenSampler,
    adjustment: LogitAdjustment,
    history: TokenHistory,
    /// What is never chosen.
    forbidden: TokenMask,
    drawing: DrawingSpec,
}

impl SequenceState {
    /// # Errors
    /// [`ModelError::Parameter`] if the model cannot draw such pictures.
    pub(super) fn new(request: Arc<EngineRequest>, model: &DreamModel) -> Result<Self, ModelError> {
        let params = denoise_params(&request.pictures);
        params.validate(&model.config.head)?;
        let schedule = NoiseSchedule::new(&model.config.head.noise_schedule);
        let steps = params.num_inference_steps;
        let picture_sampler = new_sampler(params.sampler, &schedule, steps, params.eta)?;
        let cell = model.config.head.vae.scale_factor();
        let negative = request.pictures.negative_prompt.as_ref();
        let sampling = &request.sampling;
        let mut forbidden = TokenMask::allow_all(model.config.llama.vocab_size);
        for id in model.tokenizer.forbidden_ids() {
            forbidden.forbid(*id);
        }
        if !model.config.abilities.has(Ability::Creation) {
            forbidden.forbid(model.tokenizer.special().dream_start);
        }
        let main = ContextState::new(&request.prompt);
        let adjustment = sampling.adjustment();
        Ok(Self {
            history: TokenHistory::behind(main.tokens.iter().copied(), &adjustment),
            main,
            negative: negative.map(|prompt| ContextState::new(prompt)),
            condition: None,
            negative_condition: None,
            job: None,
            trace: None,
            beams: None,
            grammar: None,
            sampler: TokenSampler {
                temperature: sampling.temperature,
                top_p: sampling.top_p,
                top_k: sampling.top_k,
                min_p: sampling.min_p,
                seed: sampling.seed,
                choice: request.choice,
            },
            adjustment,
            forbidden,
            drawing: drawing_spec(&request.pictures, cell, picture_sampler.timesteps().len()),
            request,
        })
    }

    /// How its pictures are drawn.
    pub(super) fn drawing(&self) -> DrawingSpec {
        self.drawing
    }

    /// Its contexts are to be computed again. A picture that is being drawn goes on.
    pub(super) fn forget_computed(&mut self) {
        self.main.forget_computed();
        if let Some(negative) = &mut self.negative {
            negative.forget_computed();
        }
    }

    /// Whether its next choice is the first of a beam search.
    pub(super) fn wants_beams(&self) -> bool {
        self.request.sampling.num_beams > 1 && self.beams.is_none()
    }

    pub(super) fn context(&self, branch: Branch) -> &ContextState {
        match branch {
            Branch::Main => &self.main,
            Branch::Negative => self.negative.as_ref().expect(NO_NEGATIVE),
        }
    }

    pub(super) fn context_mut(&mut self, branch: Branch) -> &mut ContextState {
        match branch {
            Branch::Main => &mut self.main,
            Branch::Negative => self.negative.as_mut().expect(NO_NEGATIVE),
        }
    }

    /// Keeps a finished condition. The negative context is not needed any more then.
    pub(super) fn keep_condition(&mut self, branch: Branch, condition: Tensor) {
        match branch {
            Branch::Main => self.condition = Some(condition),
            Branch::Negative => {
                self.negative_condition = Some(condition);
                self.negative = None;
            }
        }
    }

    /// What may not be chosen now.
    ///
    /// # Errors
    /// If the grammar allows nothing.
    pub(super) fn mask(
        &mut self,
        legal: LegalTokens,
        special: &SpecialTokens,
    ) -> Result<TokenMask, ModelError> {
        let mut mask = self.forbidden.clone();
        if !legal.dream_start {
            mask.forbid(special.dream_start);
        }
        if !legal.end_of_text {
            mask.forbid(special.eos);
        }
        if let Some(grammar) = &mut self.grammar {
            grammar.restrict(&mut mask)?;
        }
        Ok(mask)
    }

    /// Chooses the token that takes `position`, and says how likely it was where that is wanted; a text token
    /// joins the context.
    ///
    /// # Errors
    /// If the grammar loses track of it.
    pub(super) fn choose(
        &mut self,
        mut logits: Vec<f32>,
        position: usize,
        forbidden: &TokenMask,
        special: &SpecialTokens,
    ) -> Result<(TokenChoice, Option<TokenLogprobs>), ModelError> {
        let num_top = self.request.sampling.num_logprobs;
        let told = num_top.map(|num_top| (logits.clone(), num_top));
        self.adjustment.apply(&mut logits, &self.history);
        let id = self.sampler.sample(&mut logits, position as u64, forbidden);
        if id == special.eos {
            return Ok((TokenChoice::EndOfText, None));
        }
        if id == special.dream_start {
            return Ok((TokenChoice::DreamStart, None));
        }
        self.push_token(id)?;
        let around = |(logits, num_top): (Vec<f32>, usize)| {
            Distribution::new(&logits, &self.forbidden).around(id, num_top)
        };
        Ok((TokenChoice::Text(id), told.map(around)))
    }

    /// A text token of the answer joins the context.
    ///
    /// # Errors
    /// If the grammar does not know it.
    pub(super) fn push_token(&mut self, id: u32) -> Result<(), ModelError> {
        self.main.tokens.push(id);
        self.history.push(id);
        match &mut self.grammar {
            Some(grammar) => Ok(grammar.push(id)?),
            None => Ok(()),
        }
    }

    /// What picture `picture` of the answer is to be drawn from; takes the condition.
    pub(super) fn denoise_request(
        &mut self,
        picture: usize,
        unconditional: &Tensor,
    ) -> DenoiseRequest {
        let condition =
            self.condition.take().expect("a dream block is computed before its picture");
        let negative = self.negative_condition.as_ref().unwrap_or(unconditional);
        DenoiseRequest {
            params: denoise_params(&self.request.pictures),
            condition,
            negative: Some(negative.clone()),
            seed: self.request.pictures.seed,
            choice: self.request.choice,
            picture: picture as u32,
        }
    }
}

const NO_NEGATIVE: &str = "rows of a negative prompt come before its condition is complete";

fn denoise_params(pictures: &PictureParams) -> DenoiseParams {
    DenoiseParams {
        sampler: pictures.sampler,
        num_inference_steps: pictures.num_inference_steps,
        guidance_scale: pictures.guidance_scale,
        guidance_rescale: pictures.guidance_rescale,
        eta: pictures.eta,
        width: pictures.width,
        height: pictures.height,
    }
}

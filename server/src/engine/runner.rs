//! What carries plans out. A runner owns everything that is computed (weights, caches, latents) and the
//! contents of every open sequence; it decides nothing.

use std::sync::Arc;

use reverie_model::Picture;
use reverie_scheduler::{Budget, FinishReason, SequenceId, StepPlan};

use super::event::EngineError;
use super::request::EngineRequest;

/// Executes engine steps. Runs on the engine's thread only.
pub trait ModelRunner {
    /// How long a context may be and what pictures take in it; constant.
    fn budget(&self) -> Budget;

    /// One real pass through every stage, so that what cannot work fails before the first request.
    ///
    /// # Errors
    /// What the failing stage says.
    fn warm_up(&mut self) -> Result<(), EngineError>;

    /// Takes on a sequence's contents. Computes nothing yet.
    ///
    /// # Errors
    /// If the request asks for what the model cannot do; the sequence is not open then.
    fn open(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
    ) -> Result<OpenedSequence, EngineError>;

    /// Carries out a plan: encode, decode, denoise, render, in this order.
    ///
    /// # Errors
    /// The sequences of this plan cannot go on; all others can.
    fn execute(&mut self, plan: &StepPlan) -> Result<StepOutput, EngineError>;

    /// Forgets a sequence. Unknown ones are passed over.
    fn close(&mut self, id: SequenceId);

    /// Whether nothing computed from now on can be trusted, asked after each failure.
    fn is_poisoned(&self) -> bool;
}

/// What the engine needs to know of an opened sequence.
pub struct OpenedSequence {
    /// Denoiser passes that each of its pictures takes.
    pub num_denoising_steps: usize,
    /// Turns its sampled ids into text.
    pub text: Box<dyn TextDecoder>,
}

/// Turns the ids of one document into text, as they come.
pub trait TextDecoder {
    /// Adds a token; returns the text that became certain, often none.
    fn push(&mut self, id: u32) -> String;

    /// A picture or the end follows: returns what was still held back.
    fn flush(&mut self) -> String;
}

/// What a step yields.
#[derive(Debug, Default)]
pub struct StepOutput {
    /// One for each row that samples.
    pub sampled: Vec<SampledToken>,
    /// One for each render row.
    pub rendered: Vec<RenderedPicture>,
}

/// One sequence's choice.
#[derive(Debug)]
pub struct SampledToken {
    /// Whose.
    pub sequence: SequenceId,
    /// What.
    pub choice: TokenChoice,
}

/// What was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenChoice {
    /// A text token.
    Text(u32),
    /// `</s>`.
    EndOfText,
    /// `<dream_start>`.
    DreamStart,
    /// Every beam of a beam search grew by one token.
    BeamsAdvanced,
    /// The beam search is over; it ends before `max_tokens` and the context do.
    BeamsFinished {
        /// The best hypothesis, without `</s>`.
        ids: Vec<u32>,
        /// `EndOfText`, `MaxTokens` or `ContextFull`.
        reason: FinishReason,
    },
}

/// A picture that was drawn.
#[derive(Debug)]
pub struct RenderedPicture {
    /// Whose.
    pub sequence: SequenceId,
    /// The picture, exactly as it is fed back to the model.
    pub picture: Arc<Picture>,
}

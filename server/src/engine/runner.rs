//! What carries plans out. A runner owns everything that is computed (weights, caches, latents) and the
//! contents of every open sequence; it decides nothing.

use std::sync::Arc;

use reverie_model::Picture;
use reverie_model::diffusion::trace::TensorRecord;
use reverie_model::token_logprobs::TokenLogprobs;
use reverie_scheduler::{
    Budget, ContentHash, CostModel, DrawingSpec, FinishReason, SequenceId, StepPlan,
};

use super::Clock;
use super::event::EngineError;
use super::order::{Conditions, WrittenPiece};
use super::request::EngineRequest;

/// Executes engine steps. Runs on the engine's thread only.
pub trait ModelRunner {
    /// How long a context may be and what pictures take in it; constant.
    fn budget(&self) -> Budget;

    /// Real passes through every stage, so that what cannot work fails before the first request; how long
    /// each takes by `clock`.
    ///
    /// # Errors
    /// What the failing stage says.
    fn warm_up(&mut self, clock: &Clock) -> Result<CostModel, EngineError>;

    /// Whether [`Self::open`] would not wait for anything that `request` needs and that takes long to get ready. The
    /// first time it is asked that begins, elsewhere.
    ///
    /// # Errors
    /// If it cannot begin.
    fn is_prepared(&mut self, _request: &EngineRequest) -> Result<bool, EngineError> {
        Ok(true)
    }

    /// Takes on a sequence's contents. Computes nothing yet.
    ///
    /// # Errors
    /// If the request asks for what the model cannot do; the sequence is not open then.
    fn open(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
    ) -> Result<OpenedSequence, EngineError>;

    /// What of the answer stands already, in order, follows the prompt. Comes right after [`Self::open`].
    ///
    /// # Errors
    /// If a piece cannot be taken in.
    fn resume(&mut self, id: SequenceId, written: &[WrittenPiece]) -> Result<(), EngineError>;

    /// Takes on a sequence that is nothing but picture `picture` of `request`, whose prompt may be missing.
    ///
    /// # Errors
    /// If the model cannot draw it; the sequence is not open then.
    fn open_picture(
        &mut self,
        id: SequenceId,
        request: &Arc<EngineRequest>,
        picture: usize,
        conditions: &Conditions,
    ) -> Result<DrawingSpec, EngineError>;

    /// What the picture that the sequence is about to draw is drawn from. It is drawn elsewhere then.
    ///
    /// # Errors
    /// If it cannot be read back from the device.
    fn take_conditions(&mut self, id: SequenceId) -> Result<Conditions, EngineError>;

    /// Carries out a plan: encode, decode, denoise, render, in this order. What was computed for a
    /// preempted sequence is forgotten first.
    ///
    /// # Errors
    /// The sequences of this plan cannot go on; all others can. If only some of them cannot,
    /// [`StepOutput::failed`] names those.
    fn execute(&mut self, plan: &StepPlan) -> Result<StepOutput, EngineError>;

    /// Whether the text of a sequence is whole, and nothing may follow it.
    fn is_complete(&self, _id: SequenceId) -> bool {
        false
    }

    /// Forgets a sequence. Unknown ones are passed over.
    fn close(&mut self, id: SequenceId);

    /// Whether nothing computed from now on can be trusted, asked after each failure.
    fn is_poisoned(&self) -> bool;
}

/// What the engine needs to know of an opened sequence.
pub struct OpenedSequence {
    /// How its pictures are drawn.
    pub drawing: DrawingSpec,
    /// Turns its sampled ids into text, as far as stop strings need it.
    pub text: Box<dyn TextDecoder>,
}

/// Turns the ids of one document into text, as they come.
pub trait TextDecoder: Send {
    /// Adds a token; returns the text that became certain, often none.
    fn push(&mut self, id: u32) -> String;

    /// A picture or the end follows: returns what was still held back.
    fn flush(&mut self) -> String;
}

/// What a step yields.
#[derive(Debug, Default)]
pub struct StepOutput {
    /// One for each row that samples and did not fail.
    pub sampled: Vec<SampledToken>,
    /// One for each picture that is complete.
    pub rendered: Vec<RenderedPicture>,
    /// At most one for each denoising step that was made, where previews were asked for.
    pub previews: Vec<PicturePreview>,
    /// One for each picture whose steps are all done, where that was asked for.
    pub traced: Vec<TracedPicture>,
    /// Sequences that cannot go on, while the others can.
    pub failed: Vec<FailedSequence>,
}

impl StepOutput {
    /// `sequence` cannot go on; the first error stands.
    pub fn fail(&mut self, sequence: SequenceId, error: EngineError) {
        if !self.has_failed(sequence) {
            self.failed.push(FailedSequence { sequence, error });
        }
    }

    /// Whether `sequence` cannot go on.
    pub fn has_failed(&self, sequence: SequenceId) -> bool {
        self.failed.iter().any(|failed| failed.sequence == sequence)
    }

    /// Every row of `plan` that asks for an answer has got exactly one, or has failed.
    ///
    /// # Errors
    /// [`EngineError::Model`] if not.
    pub fn check(&self, plan: &StepPlan) -> Result<(), EngineError> {
        let goes_on = |id: &SequenceId| self.failed.iter().all(|failed| failed.sequence != *id);
        let sampling =
            plan.decode.iter().filter(|row| row.sample.is_some()).map(|row| row.sequence);
        let mut asked: Vec<SequenceId> = sampling.filter(goes_on).collect();
        let mut chosen: Vec<SequenceId> = self.sampled.iter().map(|token| token.sequence).collect();
        let complete = plan.render.iter().filter(|row| row.segments.is_last());
        let mut to_render: Vec<SequenceId> =
            complete.map(|row| row.sequence).filter(goes_on).collect();
        let mut rendered: Vec<SequenceId> =
            self.rendered.iter().map(|picture| picture.sequence).collect();
        for rows in [&mut asked, &mut chosen, &mut to_render, &mut rendered] {
            rows.sort_unstable();
        }
        if asked == chosen && to_render == rendered {
            return Ok(());
        }
        Err(EngineError::Model(format!(
            "the runner answered tokens for {chosen:?} and pictures for {rendered:?}, \
             where {asked:?} and {to_render:?} were asked for"
        )))
    }
}

/// One sequence's choice.
#[derive(Debug)]
pub struct SampledToken {
    /// Whose.
    pub sequence: SequenceId,
    /// What.
    pub choice: TokenChoice,
    /// How likely it was, where its request asks for that and it is a text token.
    pub logprobs: Option<TokenLogprobs>,
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

/// A sequence whose states or logits are not finite.
#[derive(Debug)]
pub struct FailedSequence {
    /// Whose.
    pub sequence: SequenceId,
    /// What is wrong with it.
    pub error: EngineError,
}

/// What a picture would be if it were complete now.
#[derive(Debug)]
pub struct PicturePreview {
    /// Whose.
    pub sequence: SequenceId,
    /// One pixel for each cell of its latents.
    pub picture: Arc<Picture>,
}

/// How a picture was drawn.
#[derive(Debug)]
pub struct TracedPicture {
    /// Whose.
    pub sequence: SequenceId,
    /// The record.
    pub records: Vec<TensorRecord>,
}

/// A picture that was drawn.
#[derive(Debug)]
pub struct RenderedPicture {
    /// Whose.
    pub sequence: SequenceId,
    /// The picture, to be delivered.
    pub picture: Arc<Picture>,
    /// The picture as it is fed back to the model: as whoever opens the delivered file sees it.
    pub content: ContentHash,
}

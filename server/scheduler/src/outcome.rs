//! What came of a step, row by row, and what that means for each document.

use crate::content::{ContentHash, TokenId};
use crate::rules::FinishReason;
use crate::sequence::SequenceId;
use crate::usage::Usage;

/// What was chosen after a row that samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// A text token.
    Text(TokenId),
    /// A text token with which a stop string is complete.
    StopString(TokenId),
    /// `</s>`.
    EndOfText,
    /// `<dream_start>`.
    DreamStart,
    /// Every beam of a beam search grew by one token.
    BeamsAdvanced,
    /// The beam search is over.
    BeamsFinished {
        /// Tokens of the best hypothesis, `</s>` included.
        num_tokens: usize,
        /// Why it is over.
        reason: FinishReason,
    },
}

/// One sequence's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampledRow {
    /// Whose.
    pub sequence: SequenceId,
    /// What.
    pub sampled: Sampled,
}

/// A picture whose last segment was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderedRow {
    /// Whose.
    pub sequence: SequenceId,
    /// The picture as it is fed back.
    pub content: ContentHash,
}

/// Why a row has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowFailure {
    /// Logits, states or latents were not finite.
    NotFinite,
    /// The runner could not compute it.
    NotComputed,
}

/// A sequence that cannot go on, because a row of it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedRow {
    /// Whose.
    pub sequence: SequenceId,
    /// Why.
    pub failure: RowFailure,
}

/// What came of a step. Rows that are not named just succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepOutcome {
    /// One for each row that samples and did not fail.
    pub sampled: Vec<SampledRow>,
    /// One for each picture whose last segment was decoded and did not fail.
    pub rendered: Vec<RenderedRow>,
    /// Who cannot go on. All others are as if these had not been there.
    pub failed: Vec<FailedRow>,
}

/// What a step means for a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceEvent {
    /// A picture is going to be drawn.
    ImageStarted {
        /// Which picture of the answer, from 0.
        picture: usize,
    },
    /// A denoising step is done.
    Denoised {
        /// Which picture of the answer, from 0.
        picture: usize,
        /// Denoising steps done, from 1.
        num_done: usize,
        /// Denoising steps in all.
        num_steps: usize,
    },
    /// The document is complete; the scheduler has forgotten it.
    Finished {
        /// Why.
        reason: FinishReason,
        /// What it took.
        usage: Usage,
    },
    /// The document cannot go on; the scheduler has forgotten it.
    Failed {
        /// Why.
        failure: RowFailure,
    },
}

/// Everything that a step means, in document order for each sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Whose, and what.
    pub events: Vec<(SequenceId, SequenceEvent)>,
}

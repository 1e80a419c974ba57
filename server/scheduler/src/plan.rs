//! What one engine step is to compute, what came of it, and what that means for each document.
//! Rows and numbers; no tensors, no token ids.

use crate::rules::{FinishReason, LegalTokens};
use crate::sequence::SequenceId;
use crate::usage::Usage;

/// Which of a sequence's two contexts a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// The document.
    Main,
    /// Its negative prompt, computed once, before the first picture is denoised.
    Negative,
}

/// A picture to embed. Its features are needed from this step's decode rows on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeRow {
    /// Whose.
    pub sequence: SequenceId,
    /// In which context.
    pub branch: Branch,
    /// Which picture of that context, in order from 0, drawn ones included.
    pub picture: usize,
}

/// What becomes of a dream block's hidden states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DreamRole {
    /// Nothing: its picture is known already.
    History,
    /// They are the condition of the picture about to be drawn.
    Condition,
}

/// A run of positions within one span, described so that its input embeddings can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// Tokens `start .. start + len` of the context's tokens, blocks left out of the count.
    Tokens {
        /// First token, counted over the whole context.
        start: usize,
        /// How many.
        len: usize,
    },
    /// Positions `start .. start + len` of a picture block.
    Picture {
        /// Which picture of the context, from 0.
        picture: usize,
        /// First position within the block; 0 is `<im_start>`.
        start: usize,
        /// How many.
        len: usize,
    },
    /// Positions `start .. start + len` of a dream block.
    Dream {
        /// What its hidden states are for.
        role: DreamRole,
        /// First position within the block; 0 is `<dream_start>`.
        start: usize,
        /// How many.
        len: usize,
    },
}

impl Piece {
    /// Positions of this piece.
    pub fn num_positions(&self) -> usize {
        match self {
            Self::Tokens { len, .. } | Self::Picture { len, .. } | Self::Dream { len, .. } => *len,
        }
    }
}

/// A chunk of decoder positions of one context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeRow {
    /// Whose.
    pub sequence: SequenceId,
    /// Which context.
    pub branch: Branch,
    /// First position; everything before it is in the KV cache.
    pub start: usize,
    /// The positions, in order.
    pub pieces: Vec<Piece>,
    /// Set on the row that completes a context whose next token is to be chosen: what may be chosen.
    pub sample: Option<LegalTokens>,
}

impl DecodeRow {
    /// Positions of this row.
    pub fn num_positions(&self) -> usize {
        self.pieces.iter().map(Piece::num_positions).sum()
    }
}

/// One denoising step of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenoiseRow {
    /// Whose.
    pub sequence: SequenceId,
    /// Which picture of the answer, from 0.
    pub picture: usize,
    /// Which denoising step, from 0; on step 0 the latents are drawn.
    pub step: usize,
}

/// Finished latents to be decoded to pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderRow {
    /// Whose.
    pub sequence: SequenceId,
    /// Which picture of the answer, from 0.
    pub picture: usize,
}

/// What one engine step computes, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepPlan {
    /// Pictures to embed.
    pub encode: Vec<EncodeRow>,
    /// Decoder positions.
    pub decode: Vec<DecodeRow>,
    /// Denoising steps.
    pub denoise: Vec<DenoiseRow>,
    /// Latents to decode.
    pub render: Vec<RenderRow>,
}

impl StepPlan {
    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.encode.is_empty()
            && self.decode.is_empty()
            && self.denoise.is_empty()
            && self.render.is_empty()
    }

    /// Every sequence with a row in this plan, each once, in ascending order.
    pub fn sequences(&self) -> Vec<SequenceId> {
        let mut ids: Vec<SequenceId> = self
            .encode
            .iter()
            .map(|row| row.sequence)
            .chain(self.decode.iter().map(|row| row.sequence))
            .chain(self.denoise.iter().map(|row| row.sequence))
            .chain(self.render.iter().map(|row| row.sequence))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// What was chosen after a row that samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampled {
    /// A text token.
    Text,
    /// A text token with which a stop string is complete.
    StopString,
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

/// What came of a step: one choice for each row that samples. All other rows just succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepOutcome {
    /// The choices.
    pub sampled: Vec<SampledRow>,
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
}

/// Everything that a step means, in document order for each sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepReport {
    /// Whose, and what.
    pub events: Vec<(SequenceId, SequenceEvent)>,
}

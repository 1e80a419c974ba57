//! What one engine step is to compute: rows and numbers, no tensors, no token ids.

use crate::cost::Nanos;
use crate::kv::BlockId;
use crate::rules::LegalTokens;
use crate::sequence::{LatentSize, SequenceId};

/// Which of a sequence's two contexts a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// The document.
    Main,
    /// Its negative prompt, computed before the first picture is denoised. Once its dream block is complete
    /// only the condition is kept.
    Negative,
}

/// A picture to embed. Its features are needed from this step's decode rows on, until its block is
/// computed; after a preemption it is embedded again.
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
    /// The KV blocks of the context from its first position on, those of this row included. Only this row
    /// writes into the blocks from `start` on. A block may be replaced by one of equal content from one
    /// row to the next.
    pub blocks: Vec<BlockId>,
    /// Set on the row that completes a context whose next token is to be chosen: what may be chosen.
    pub sample: Option<LegalTokens>,
}

impl DecodeRow {
    /// Positions of this row.
    pub fn num_positions(&self) -> usize {
        self.pieces.iter().map(Piece::num_positions).sum()
    }
}

/// A stretch of a network that is computed in one piece: segments `start .. end` of `num`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// First segment.
    pub start: usize,
    /// Behind the last one.
    pub end: usize,
    /// Segments in all.
    pub num: usize,
}

impl Segments {
    /// Whether nothing is left after these.
    pub fn is_last(&self) -> bool {
        self.end == self.num
    }
}

/// Names a pass of the denoiser; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PassId(pub u64);

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

/// A part of one denoiser pass for pictures of one latent size, each at its own step.
///
/// Who is in a pass is settled when it starts. A member whose sequence ends meanwhile is missing from
/// `members` from then on; its rows go on unseen, so that no tensor changes its shape inside a pass, and
/// what they come to is dropped. A pass without members is given up: the next group has another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenoiseGroup {
    /// Which pass; the first segment starts it.
    pub pass: PassId,
    /// Size of all its latents.
    pub size: LatentSize,
    /// Its pictures. They have made their step when the last segment is computed.
    pub members: Vec<DenoiseRow>,
    /// Which part.
    pub segments: Segments,
}

/// Finished latents to be decoded to pixels, or a part of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderRow {
    /// Whose.
    pub sequence: SequenceId,
    /// Which picture of the answer, from 0.
    pub picture: usize,
    /// Which part. The picture is there when the last segment is computed.
    pub segments: Segments,
}

/// What one engine step computes, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepPlan {
    /// Sequences whose KV blocks were taken away before this step. What is kept for them beside tokens,
    /// pictures, conditions and latents is worthless now: their contexts start again at position 0, or
    /// behind a cached prefix.
    pub preempted: Vec<SequenceId>,
    /// Pictures to embed.
    pub encode: Vec<EncodeRow>,
    /// Decoder positions: first of the texts that go on, then of the contexts that catch up.
    pub decode: Vec<DecodeRow>,
    /// A part of a denoiser pass.
    pub denoise: Option<DenoiseGroup>,
    /// A part of a decoding of latents.
    pub render: Option<RenderRow>,
    /// How long the cost model thinks that this takes.
    pub predicted: Nanos,
    /// Whether it is texts that go on and other work besides.
    pub is_filled: bool,
}

impl StepPlan {
    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.encode.is_empty()
            && self.decode.is_empty()
            && self.denoise.is_none()
            && self.render.is_none()
    }

    /// Every denoising step in this plan.
    pub fn denoise_rows(&self) -> &[DenoiseRow] {
        self.denoise.as_ref().map_or(&[], |group| &group.members)
    }

    /// Every sequence with a row in this plan, each once, in ascending order.
    pub fn sequences(&self) -> Vec<SequenceId> {
        let mut ids: Vec<SequenceId> = self
            .encode
            .iter()
            .map(|row| row.sequence)
            .chain(self.decode.iter().map(|row| row.sequence))
            .chain(self.denoise_rows().iter().map(|row| row.sequence))
            .chain(self.render.iter().map(|row| row.sequence))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

//! The contents of one context: its tokens, its pictures, their embeddings, and the hidden states of a
//! dream block as they come. Knows how positions become embeddings, not when, nor where keys and values are.

use std::sync::Arc;

use candle_core::Tensor;
use reverie_model::picture_codec::{PictureFormat, as_delivered};
use reverie_model::{DreamModel, ModelError, Picture};
use reverie_scheduler::{ContentHash, DecodeRow, DreamRole, Piece};

use crate::engine::request::PromptSegment;
use crate::engine::sequence_spec::content_hash;

/// One context.
pub(super) struct ContextState {
    /// Every token of the context in order, blocks left out.
    pub(super) tokens: Vec<u32>,
    /// Every picture of the context in order.
    pub(super) pictures: Vec<ContextPicture>,
    /// States (positions, hidden) of the dream block that is being computed for its condition.
    dreaming: Vec<Tensor>,
}

/// A picture and, once it is encoded, its block.
pub(super) struct ContextPicture {
    pub(super) picture: Arc<Picture>,
    pub(super) content: ContentHash,
    /// (P + 2, hidden).
    pub(super) block: Option<Tensor>,
}

impl ContextPicture {
    pub(super) fn new(picture: Arc<Picture>, content: ContentHash) -> Self {
        Self { picture, content, block: None }
    }

    /// A drawn picture as it is fed back: as whoever opens the delivered file sees it.
    ///
    /// # Errors
    /// If the format cannot hold it.
    pub(super) fn drawn(picture: &Arc<Picture>, format: PictureFormat) -> Result<Self, ModelError> {
        let seen = as_delivered(picture, format).map_err(|error| ModelError::Parameter {
            parameter: "image_format",
            found: error.to_string(),
            wanted: "a format that holds the picture".to_owned(),
        })?;
        let content = content_hash(&seen);
        Ok(Self::new(seen, content))
    }
}

impl ContextState {
    pub(super) fn new(prompt: &[PromptSegment]) -> Self {
        let (mut tokens, mut pictures) = (Vec::new(), Vec::new());
        for segment in prompt {
            match segment {
                PromptSegment::Tokens(ids) => tokens.extend(ids),
                PromptSegment::Picture(picture) => {
                    let content = content_hash(picture);
                    pictures.push(ContextPicture::new(Arc::clone(picture), content));
                }
                PromptSegment::Dream => {}
            }
        }
        Self { tokens, pictures, dreaming: Vec::new() }
    }

    /// Nothing of it is computed any more. Embedded pictures are kept: they are the same.
    pub(super) fn forget_computed(&mut self) {
        self.dreaming.clear();
    }

    /// The input embeddings of a row's positions, (positions, hidden).
    pub(super) fn embeds(&self, row: &DecodeRow, model: &DreamModel) -> Result<Tensor, ModelError> {
        let mut parts = Vec::with_capacity(row.pieces.len());
        for piece in &row.pieces {
            parts.push(match *piece {
                Piece::Tokens { start, len } => {
                    model.decoder.embed(&self.tokens[start..start + len])?
                }
                Piece::Picture { picture, start, len } => {
                    let block = self.pictures[picture].block.as_ref();
                    block
                        .expect("pictures are encoded before they are decoded")
                        .narrow(0, start, len)?
                }
                Piece::Dream { start, len, .. } => model.dream_block()?.narrow(0, start, len)?,
            });
        }
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// Keeps what a row's states (positions, hidden) say about a picture to be drawn; returns its condition
    /// (Q, D) once its dream block is complete.
    pub(super) fn absorb(
        &mut self,
        row: &DecodeRow,
        hidden: &Tensor,
        model: &DreamModel,
    ) -> Result<Option<Tensor>, ModelError> {
        let mut offset = 0;
        let mut is_complete = false;
        for piece in &row.pieces {
            match *piece {
                Piece::Dream { role: DreamRole::Condition, start, len } => {
                    if start == 0 {
                        self.dreaming.clear();
                    }
                    self.dreaming.push(hidden.narrow(0, offset, len)?);
                    is_complete = start + len == model.config.dream_positions();
                }
                Piece::Dream { role: DreamRole::History, .. }
                | Piece::Tokens { .. }
                | Piece::Picture { .. } => {}
            }
            offset += piece.num_positions();
        }
        if !is_complete {
            return Ok(None);
        }
        let block = Tensor::cat(&std::mem::take(&mut self.dreaming), 0)?; // (Q + 2, hidden)
        model.condition(&block).map(Some)
    }
}

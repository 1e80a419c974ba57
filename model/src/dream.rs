//! Dream queries in, their hidden states out; and the blocks that splice queries and pictures into a context.
//! Knows embeddings, not tokenizers, pixels or the denoiser.

use candle_core::Tensor;

use crate::config::Ability;
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::weights::Weights;

/// The control tokens that open and close blocks; their ids come from the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockTokens {
    /// `<dream_start>`.
    pub dream_start: u32,
    /// `<dream_end>`.
    pub dream_end: u32,
    /// `<im_start>`.
    pub image_start: u32,
    /// `<im_end>`.
    pub image_end: u32,
}

/// A piece of a context, in document order.
#[derive(Debug, Clone, Copy)]
pub enum ContextPiece<'a> {
    /// Token ids, control tokens included.
    Tokens(&'a [u32]),
    /// A picture's projected features, (patches, hidden); becomes `<im_start>`, patches, `<im_end>`.
    Picture(&'a Tensor),
    /// Becomes `<dream_start>`, queries, `<dream_end>`.
    Dream,
}

/// The learned dream queries (DreamLLM, Dong et al. 2024, §3.1; `DreamEmbedding`).
#[derive(Debug)]
pub struct DreamQueries {
    queries: Tensor,
}

impl DreamQueries {
    /// Takes `model.dream_embedding.dream_queries`, (1, `num`, `hidden`), from the checkpoint's root.
    ///
    /// # Errors
    /// If the tensor is missing or misshapen.
    pub fn load<'a>(
        num: usize,
        hidden: usize,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let queries =
            weights.into().get((1, num, hidden), "model.dream_embedding.dream_queries")?;
        Ok(Self { queries: queries.squeeze(0)? })
    }

    /// Number of queries (Q).
    pub fn num_queries(&self) -> usize {
        self.queries.dims()[0]
    }

    /// Embeddings of a dream block, (Q + 2, hidden): `<dream_start>`, the queries, `<dream_end>`
    /// (`prepare_dream_queries_with_special_token`). The prompt before it must not end with `<dream_start>`.
    ///
    /// # Errors
    /// If a token is outside the vocabulary or the widths differ.
    pub fn dream_block(
        &self,
        decoder: &Decoder,
        tokens: &BlockTokens,
    ) -> Result<Tensor, ModelError> {
        enclose(decoder, tokens.dream_start, &self.queries, tokens.dream_end)
    }

    /// What conditions the denoiser, before its projector: (Q + 2, hidden) states of a dream block, after the
    /// final norm → (Q, hidden), those of the queries (`get_prompt_embeds`).
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if these are not the states of one whole block.
    pub fn condition_hidden(&self, block_hidden: &Tensor) -> Result<Tensor, ModelError> {
        let (found, wanted) = (block_hidden.dims2()?.0, self.num_queries() + 2);
        if found != wanted {
            return Err(ModelError::Parameter {
                parameter: "dream block positions",
                found: found.to_string(),
                wanted: wanted.to_string(),
            });
        }
        Ok(block_hidden.narrow(0, 1, self.num_queries())?)
    }
}

/// Embeddings of a whole context, (positions, hidden): every piece in order, nothing between them. Also
/// splices the queries of earlier pictures, which the reference does in training only.
///
/// # Errors
/// If a token is outside the vocabulary, features have another width, there is no position at all, or
/// a dream block is wanted of a model without queries.
pub fn embed_context(
    queries: Option<&DreamQueries>,
    decoder: &Decoder,
    tokens: &BlockTokens,
    pieces: &[ContextPiece<'_>],
) -> Result<Tensor, ModelError> {
    let mut embeds = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            ContextPiece::Tokens([]) => (),
            ContextPiece::Tokens(ids) => embeds.push(decoder.embed(ids)?),
            ContextPiece::Picture(features) => {
                embeds.push(image_block(decoder, tokens, features)?);
            }
            ContextPiece::Dream => {
                let untrained = ModelError::Untrained { ability: Ability::Creation };
                embeds.push(queries.ok_or(untrained)?.dream_block(decoder, tokens)?);
            }
        }
    }
    Ok(Tensor::cat(&embeds, 0)?)
}

/// Embeddings of a picture block, (P + 2, hidden): `<im_start>`, the projected features (P, hidden),
/// `<im_end>`.
///
/// # Errors
/// If a token is outside the vocabulary or the widths differ.
pub fn image_block(
    decoder: &Decoder,
    tokens: &BlockTokens,
    features: &Tensor,
) -> Result<Tensor, ModelError> {
    enclose(decoder, tokens.image_start, features, tokens.image_end)
}

fn enclose(decoder: &Decoder, first: u32, inner: &Tensor, last: u32) -> Result<Tensor, ModelError> {
    let (first, last) = (decoder.embed(&[first])?, decoder.embed(&[last])?);
    Ok(Tensor::cat(&[&first, inner, &last], 0)?)
}

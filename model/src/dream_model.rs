//! The parts of a DreamLLM, loaded together: all of them, or those of its one ability. Knows no requests
//! and no plans.

use std::sync::Arc;

use candle_core::Tensor;

use crate::config::{Ability, DreamConfig};
use crate::decoder::{Decoder, DecoderRow, KvCache};
use crate::diffusion::denoiser::Denoiser;
use crate::dream::{BlockTokens, ContextPiece, DreamQueries, embed_context, image_block};
use crate::error::ModelError;
use crate::tokenizer::Tokenizer;
use crate::vision::VisionEncoder;
use crate::weights::Weights;

/// A whole model.
pub struct DreamModel {
    /// What its checkpoint says of it.
    pub config: DreamConfig,
    /// Text ⇄ ids.
    pub tokenizer: Arc<Tokenizer>,
    /// The language model.
    pub decoder: Decoder,
    /// Pictures in.
    vision: Option<VisionEncoder>,
    /// Pictures out.
    drawing: Option<Drawing>,
}

/// What a picture is drawn with.
struct Drawing {
    dream_queries: DreamQueries,
    denoiser: Denoiser,
}

impl DreamModel {
    /// Builds every network that the model's abilities need from `weights`, the checkpoint's root under
    /// canonical names, in its dtype and on its device, computed by the kernels that `weights` names.
    ///
    /// # Errors
    /// [`ModelError`] if a tensor is missing or misshapen, or the configuration is impossible.
    pub fn load<'a>(
        config: DreamConfig,
        tokenizer: Arc<Tokenizer>,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let weights = weights.into();
        let hidden = config.llama.hidden_size;
        let vision = match config.abilities.has(Ability::Comprehension) {
            true => Some(VisionEncoder::load(&config.vision, hidden, &weights)?),
            false => None,
        };
        let decoder = Decoder::load(&config.llama, &weights)?;
        let drawing = match config.abilities.has(Ability::Creation) {
            true => Some(Drawing {
                dream_queries: DreamQueries::load(config.num_dream_queries, hidden, &weights)?,
                denoiser: Denoiser::load(&config.head, hidden, &weights)?,
            }),
            false => None,
        };
        Ok(Self { config, tokenizer, decoder, vision, drawing })
    }

    /// Pictures in.
    ///
    /// # Errors
    /// [`ModelError::Untrained`] without comprehension.
    pub fn vision(&self) -> Result<&VisionEncoder, ModelError> {
        self.vision.as_ref().ok_or(ModelError::Untrained { ability: Ability::Comprehension })
    }

    /// What asks the decoder for a picture.
    ///
    /// # Errors
    /// [`ModelError::Untrained`] without creation.
    pub fn dream_queries(&self) -> Result<&DreamQueries, ModelError> {
        Ok(&self.drawing()?.dream_queries)
    }

    /// Pictures out.
    ///
    /// # Errors
    /// [`ModelError::Untrained`] without creation.
    pub fn denoiser(&self) -> Result<&Denoiser, ModelError> {
        Ok(&self.drawing()?.denoiser)
    }

    fn drawing(&self) -> Result<&Drawing, ModelError> {
        self.drawing.as_ref().ok_or(ModelError::Untrained { ability: Ability::Creation })
    }

    /// The tokens that open and close blocks.
    pub fn block_tokens(&self) -> BlockTokens {
        let special = self.tokenizer.special();
        BlockTokens {
            dream_start: special.dream_start,
            dream_end: special.dream_end,
            image_start: special.im_start,
            image_end: special.im_end,
        }
    }

    /// Embeddings of a dream block, (Q + 2, hidden).
    ///
    /// # Errors
    /// If the tensor library refuses.
    pub fn dream_block(&self) -> Result<Tensor, ModelError> {
        self.dream_queries()?.dream_block(&self.decoder, &self.block_tokens())
    }

    /// Embeddings of a picture block, (P + 2, hidden), around features (P, hidden).
    ///
    /// # Errors
    /// If the tensor library refuses.
    pub fn image_block(&self, features: &Tensor) -> Result<Tensor, ModelError> {
        image_block(&self.decoder, &self.block_tokens(), features)
    }

    /// The condition (Q, D) of no prompt at all, from which guidance moves away: `<s>` and a dream block
    /// (`get_prompt_embeds("")` of the reference).
    ///
    /// # Errors
    /// If the tensor library refuses.
    pub fn unconditional(&self) -> Result<Tensor, ModelError> {
        let bos = self.decoder.embed(&[self.tokenizer.special().bos])?;
        let embeds = Tensor::cat(&[&bos, &self.dream_block()?], 0)?; // (1 + Q + 2, hidden)
        let hidden = self.forward_one(&embeds, &mut self.decoder.new_cache())?;
        self.condition(&hidden.narrow(0, 1, self.config.dream_positions())?)
    }

    /// The states of a whole dream block (Q + 2, hidden) as a condition (Q, D).
    ///
    /// # Errors
    /// If these are not the states of one whole block.
    pub fn condition(&self, block_hidden: &Tensor) -> Result<Tensor, ModelError> {
        self.denoiser()?.condition(&self.dream_queries()?.condition_hidden(block_hidden)?)
    }

    /// One row through the decoder: (positions, hidden) → (positions, hidden).
    ///
    /// # Errors
    /// If the row does not fit into its cache.
    pub fn forward_one(&self, embeds: &Tensor, cache: &mut KvCache) -> Result<Tensor, ModelError> {
        let mut hidden = self.decoder.forward(&mut [DecoderRow { embeds, cache }])?;
        Ok(hidden.remove(0))
    }

    /// Embeddings (positions, hidden) of a context: tokens, picture features and dream blocks in order.
    ///
    /// # Errors
    /// If a token is outside the vocabulary or the tensor library refuses.
    pub fn embed(&self, pieces: &[ContextPiece<'_>]) -> Result<Tensor, ModelError> {
        let queries = self.drawing.as_ref().map(|drawing| &drawing.dream_queries);
        embed_context(queries, &self.decoder, &self.block_tokens(), pieces)
    }

    /// Feeds a dream block after `cache` and returns the states at the queries, (Q, hidden)
    /// (`get_prompt_embeds` of the reference).
    ///
    /// # Errors
    /// If the block does not fit into the context, or the tensor library refuses.
    pub fn dream(&self, cache: &mut KvCache) -> Result<Tensor, ModelError> {
        let hidden = self.forward_one(&self.dream_block()?, cache)?;
        self.dream_queries()?.condition_hidden(&hidden)
    }
}

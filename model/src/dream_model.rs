//! The five parts of a DreamLLM, loaded together. Knows no requests and no plans.

use std::sync::Arc;

use candle_core::Tensor;

use crate::config::DreamConfig;
use crate::decoder::{Decoder, DecoderRow, KvCache};
use crate::diffusion::denoiser::Denoiser;
use crate::dream::{BlockTokens, ContextPiece, DreamQueries, image_block};
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
    /// Pictures in.
    pub vision: VisionEncoder,
    /// The language model.
    pub decoder: Decoder,
    /// What asks the decoder for a picture.
    pub dream_queries: DreamQueries,
    /// Pictures out.
    pub denoiser: Denoiser,
}

impl DreamModel {
    /// Builds every network from `weights`, the checkpoint's root under canonical names, in its dtype and
    /// on its device, computed by the kernels that `weights` names.
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
        Ok(Self {
            vision: VisionEncoder::load(&config.vision, hidden, &weights)?,
            decoder: Decoder::load(&config.llama, &weights)?,
            dream_queries: DreamQueries::load(config.num_dream_queries, hidden, &weights)?,
            denoiser: Denoiser::load(&config.head, hidden, &weights)?,
            config,
            tokenizer,
        })
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
        self.dream_queries.dream_block(&self.decoder, &self.block_tokens())
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
        self.denoiser.condition(&self.dream_queries.condition_hidden(block_hidden)?)
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
        self.dream_queries.embed_context(&self.decoder, &self.block_tokens(), pieces)
    }

    /// Feeds a dream block after `cache` and returns the states at the queries, (Q, hidden)
    /// (`get_prompt_embeds` of the reference).
    ///
    /// # Errors
    /// If the block does not fit into the context, or the tensor library refuses.
    pub fn dream(&self, cache: &mut KvCache) -> Result<Tensor, ModelError> {
        let hidden = self.forward_one(&self.dream_block()?, cache)?;
        self.dream_queries.condition_hidden(&hidden)
    }
}

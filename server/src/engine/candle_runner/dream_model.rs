//! The five parts of a DreamLLM, loaded together. Knows no requests and no plans.

use std::sync::Arc;

use candle_core::Tensor;
use candle_nn::VarBuilder;
use reverie_model::decoder::{Decoder, DecoderRow, KvCache};
use reverie_model::diffusion::denoiser::Denoiser;
use reverie_model::dream::DreamQueries;
use reverie_model::tokenizer::Tokenizer;
use reverie_model::vision::VisionEncoder;
use reverie_model::{DreamConfig, ModelError};
use reverie_scheduler::Budget;

use super::context::block_tokens;

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
    /// on its device.
    ///
    /// # Errors
    /// [`ModelError`] if a tensor is missing or misshapen, or the configuration is impossible.
    pub fn load(
        config: DreamConfig,
        tokenizer: Arc<Tokenizer>,
        weights: &VarBuilder<'_>,
    ) -> Result<Self, ModelError> {
        let hidden = config.llama.hidden_size;
        Ok(Self {
            vision: VisionEncoder::load(&config.vision, weights)?,
            decoder: Decoder::load(&config.llama, weights)?,
            dream_queries: DreamQueries::load(config.num_dream_queries, hidden, weights)?,
            denoiser: Denoiser::load(&config.head, hidden, weights)?,
            config,
            tokenizer,
        })
    }

    /// How long a context may be and what its blocks take.
    pub fn budget(&self) -> Budget {
        Budget {
            max_model_len: self.config.llama.max_position_embeddings,
            dream_positions: self.config.dream_positions(),
            image_positions: self.config.image_positions(),
        }
    }

    /// The condition (Q, D) of no prompt at all: `<s>` and a dream block.
    ///
    /// # Errors
    /// If the tensor library refuses.
    pub fn unconditional(&self) -> Result<Tensor, ModelError> {
        let special = self.tokenizer.special();
        let bos = self.decoder.embed(&[special.bos])?;
        let block = self.dream_queries.dream_block(&self.decoder, &block_tokens(special))?;
        let embeds = Tensor::cat(&[&bos, &block], 0)?; // (1 + Q + 2, hidden)
        let hidden = self.forward_one(&embeds, &mut self.decoder.new_cache())?;
        self.condition(&hidden.narrow(0, 1, self.budget().dream_positions)?)
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
}

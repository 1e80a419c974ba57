//! The five parts of a DreamLLM, loaded: tokenizer, vision encoder, decoder, dream queries, denoiser.

use std::path::Path;

use candle_core::{DType, Device, Tensor};

use crate::checkpoint::Checkpoint;
use crate::config::DreamConfig;
use crate::decoder::{Decoder, DecoderRow, KvCache};
use crate::diffusion::Denoiser;
use crate::dream::{ContextPiece, DreamQueries};
use crate::error::{CheckpointError, ModelError};
use crate::tokenizer::Tokenizer;
use crate::vision::VisionEncoder;

/// A loaded model. Each part is independent of the others; [`Self::embed`] joins them into one context.
pub struct DreamModel {
    /// What the checkpoint says of itself.
    pub config: DreamConfig,
    /// Text ⇄ ids.
    pub tokenizer: Tokenizer,
    /// Pictures in.
    pub vision: VisionEncoder,
    /// The language model.
    pub decoder: Decoder,
    /// The learned queries.
    pub dream: DreamQueries,
    /// Pictures out.
    pub denoiser: Denoiser,
}

impl DreamModel {
    /// Reads the checkpoint in `folder`, of any supported layout, into `dtype` on `device`.
    ///
    /// # Errors
    /// Whatever is wrong with the folder, all at once where it can be.
    pub fn load(folder: &Path, dtype: DType, device: &Device) -> Result<Self, CheckpointError> {
        let checkpoint = Checkpoint::open(folder)?;
        let config = checkpoint.config().clone();
        let tokenizer = Tokenizer::load(folder, config.llama.vocab_size)?;
        let weights = checkpoint.weights(dtype, device);
        let hidden_size = config.llama.hidden_size;
        let load_failure = |error: ModelError| match error {
            ModelError::Tensor(error) => CheckpointError::Tensor(error),
            ModelError::ContextFull { .. } | ModelError::Parameter { .. } => {
                CheckpointError::Tensor(candle_core::Error::Msg(error.to_string()))
            }
        };
        Ok(Self {
            vision: VisionEncoder::load(&config.vision, hidden_size, weights.clone()).map_err(load_failure)?,
            decoder: Decoder::load(&config.llama, weights.clone()).map_err(load_failure)?,
            dream: DreamQueries::load(config.num_dream_queries, hidden_size, weights.clone())
                .map_err(load_failure)?,
            denoiser: Denoiser::load(&config.head, hidden_size, weights).map_err(load_failure)?,
            tokenizer,
            config,
        })
    }

    /// The embeddings (n, hidden) of a context: token ids, picture features and dream blocks, in order.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn embed(&self, pieces: &[ContextPiece<'_>]) -> Result<Tensor, ModelError> {
        self.dream.embed_context(&self.decoder, self.tokenizer.special(), pieces)
    }

    /// Runs the dream block after `cache` and returns the hidden states at the queries, (Q, hidden):
    /// `get_prompt_embeds` of the reference.
    ///
    /// # Errors
    /// If the block does not fit into the context, or a tensor operation fails.
    pub fn dream(&self, cache: &mut KvCache) -> Result<Tensor, ModelError> {
        let embeds = self.embed(&[ContextPiece::Dream])?;
        let mut rows = [DecoderRow { embeds: &embeds, cache }];
        let hidden = self.decoder.forward(&mut rows)?.remove(0);
        Ok(hidden.narrow(0, 1, self.config.num_dream_queries)?)
    }
}

//! The language model: LLaMA over ragged rows, each with a cache and positions of its own. Knows embeddings,
//! hidden states and logits; not text, not pictures, and not how a token is chosen.
//!
//! Rows are packed one behind the other without padding. Linear layers and norms run once over all
//! positions; attention runs row by row. So a row's result does not depend on its neighbours, and a prompt
//! computed in chunks is the prompt computed at once, up to rounding.

mod batch;
mod flash;
mod kv_cache;
mod layer;
mod rope;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder};

pub use kv_cache::KvCache;

use crate::config::LlamaConfig;
use crate::error::ModelError;
use batch::RaggedBatch;
use layer::{DecoderLayer, RmsNorm};
use rope::RotaryTables;

/// One sequence's share of a pass.
#[derive(Debug)]
pub struct DecoderRow<'a> {
    /// What comes next in its context, (positions, hidden), at least one position.
    pub embeds: &'a Tensor,
    /// What it has computed; the new positions follow on.
    pub cache: &'a mut KvCache,
}

/// A row's inner states, for parity with the reference's `output_hidden_states`.
#[derive(Debug)]
pub struct DecoderTrace {
    /// The embeddings, then each layer's output, each (positions, hidden); the last layer's is given after
    /// the final norm, as transformers 4.35 gives it.
    pub hidden_states: Vec<Tensor>,
}

/// LLaMA (Touvron et al. 2023; `LlamaForCausalLM` of transformers 4.35).
#[derive(Debug)]
pub struct Decoder {
    config: LlamaConfig,
    embed_tokens: Tensor,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
    lm_head: Linear,
    tables: RotaryTables,
}

impl Decoder {
    /// Takes `model.embed_tokens`, `model.layers.*`, `model.norm` and, unless tied, `lm_head` from the
    /// checkpoint's root, in the dtype and on the device of `vb`.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the heads do not divide evenly, [`ModelError::Tensor`] if a tensor is
    /// missing or misshapen.
    pub fn load(config: &LlamaConfig, vb: &VarBuilder<'_>) -> Result<Self, ModelError> {
        check_heads(config)?;
        let model = vb.pp("model");
        let embed_tokens =
            model.get((config.vocab_size, config.hidden_size), "embed_tokens.weight")?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| DecoderLayer::load(config, index, &model.pp("layers").pp(index)))
            .collect::<candle_core::Result<_>>()?;
        let lm_head = if config.tie_word_embeddings {
            embed_tokens.clone()
        } else {
            vb.get((config.vocab_size, config.hidden_size), "lm_head.weight")?
        };
        Ok(Self {
            config: config.clone(),
            embed_tokens,
            layers,
            norm: RmsNorm::load(config, &model.pp("norm"))?,
            lm_head: Linear::new(lm_head, None),
            tables: RotaryTables::new(config, vb.dtype(), vb.device())?,
        })
    }

    /// The configuration it was loaded with.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// The dtype of embeddings, hidden states and caches.
    pub fn dtype(&self) -> DType {
        self.embed_tokens.dtype()
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        self.embed_tokens.device()
    }

    /// An empty cache for one sequence of this decoder.
    pub fn new_cache(&self) -> KvCache {
        KvCache::new(&self.config, self.dtype(), self.device())
    }

    /// The embeddings of `ids`, (ids, hidden).
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if an id is outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor, ModelError> {
        let vocab_size = self.config.vocab_size;
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            return Err(ModelError::Parameter {
                parameter: "token id",
                found: id.to_string(),
                wanted: format!("less than {vocab_size}"),
            });
        }
        Ok(self.embed_tokens.index_select(&Tensor::new(ids, self.device())?, 0)?)
    }

    /// Computes every row's new positions: its hidden states after the final norm, (positions, hidden). The
    /// caches then hold the new positions too.
    ///
    /// # Errors
    /// [`ModelError::ContextFull`] if a row would exceed `max_position_embeddings`, [`ModelError::Parameter`]
    /// if a row is empty or of another width. After any error every cache is as long as it was before.
    pub fn forward(&self, rows: &mut [DecoderRow<'_>]) -> Result<Vec<Tensor>, ModelError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let batch = self.prepare(rows)?;
        let hidden = self.run(&batch, rows, |_| ())?;
        Ok(split_rows(&hidden, &batch)?)
    }

    /// As [`forward`](Self::forward), and keeps what every layer said: one trace a row, whose last state is
    /// what `forward` returns.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_traced(
        &self,
        rows: &mut [DecoderRow<'_>],
    ) -> Result<Vec<DecoderTrace>, ModelError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let batch = self.prepare(rows)?;
        let mut states = Vec::with_capacity(self.layers.len() + 1);
        let last = self.run(&batch, rows, |state| states.push(state.clone()))?;
        states.pop();
        states.push(last);
        let mut traces: Vec<_> =
            rows.iter().map(|_| DecoderTrace { hidden_states: Vec::new() }).collect();
        for state in &states {
            for (trace, rows_state) in traces.iter_mut().zip(split_rows(state, &batch)?) {
                trace.hidden_states.push(rows_state);
            }
        }
        Ok(traces)
    }

    /// The scores of every token after each of the given states: (positions, hidden) → (positions, vocab), f32.
    ///
    /// # Errors
    /// If the tensor library refuses.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.lm_head.forward(hidden)?.to_dtype(DType::F32)?)
    }

    fn prepare(&self, rows: &mut [DecoderRow<'_>]) -> Result<RaggedBatch, ModelError> {
        let mut lengths = Vec::with_capacity(rows.len());
        for row in rows.iter() {
            let (len, width) = row.embeds.dims2()?;
            if len == 0 || width != self.config.hidden_size {
                return Err(ModelError::Parameter {
                    parameter: "embeds",
                    found: format!("({len}, {width})"),
                    wanted: format!("(at least 1, {})", self.config.hidden_size),
                });
            }
            row.cache.check_room(len)?;
            lengths.push((row.cache.len(), len));
        }
        for (row, (_, len)) in rows.iter_mut().zip(&lengths) {
            row.cache.reserve(*len)?;
        }
        Ok(RaggedBatch::new(lengths.into_iter(), &self.tables, self.device())?)
    }

    /// Runs the layers over all rows; shows `observe` the embeddings and each layer's output.
    fn run(
        &self,
        batch: &RaggedBatch,
        rows: &mut [DecoderRow<'_>],
        mut observe: impl FnMut(&Tensor),
    ) -> Result<Tensor, ModelError> {
        let embeds: Vec<_> = rows.iter().map(|row| row.embeds).collect();
        let mut hidden = Tensor::cat(&embeds, 0)?; // (positions of all rows, hidden)
        observe(&hidden);
        for layer in &self.layers {
            hidden = layer.forward(&hidden, batch, rows)?;
            observe(&hidden);
        }
        let hidden = self.norm.forward(&hidden)?;
        for (row, span) in rows.iter_mut().zip(&batch.spans) {
            row.cache.advance(span.len);
        }
        Ok(hidden)
    }
}

fn split_rows(packed: &Tensor, batch: &RaggedBatch) -> candle_core::Result<Vec<Tensor>> {
    batch.spans.iter().map(|span| packed.narrow(0, span.offset, span.len)).collect()
}

fn check_heads(config: &LlamaConfig) -> Result<(), ModelError> {
    let (heads, kv_heads) = (config.num_attention_heads, config.kv_heads());
    if kv_heads == 0 || heads == 0 || !heads.is_multiple_of(kv_heads) {
        return Err(ModelError::Parameter {
            parameter: "num_key_value_heads",
            found: kv_heads.to_string(),
            wanted: format!("a divisor of num_attention_heads ({heads})"),
        });
    }
    if config.head_width() == 0 || !config.head_width().is_multiple_of(2) {
        return Err(ModelError::Parameter {
            parameter: "head_dim",
            found: config.head_width().to_string(),
            wanted: "an even number, for rotary positions".to_owned(),
        });
    }
    Ok(())
}

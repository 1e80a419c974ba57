//! The language model: LLaMA over ragged rows, each with a cache and positions of its own. Knows embeddings,
//! hidden states and logits; not text, not pictures, and not how a token is chosen.
//!
//! Rows are packed one behind the other without padding. Linear layers and norms run once over all
//! positions; attention runs row by row. So a row's result does not depend on its neighbours, and a prompt
//! computed in chunks is the prompt computed at once: to the bit by our kernels, up to rounding by candle's.

mod batch;
mod flash;
mod kv_cache;
mod kv_pool;
mod kv_tensors;
mod layer;
mod packed;
mod rope;

use candle_core::{DType, Device, Tensor};

pub use kv_cache::KvCache;
pub use kv_pool::KvPool;

use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::kernels::Kernels;
use crate::layers::{Linear, with_values};
use crate::weights::Weights;
use batch::{RaggedBatch, RowSpan, spans};
use layer::{DecoderLayer, RmsNorm};
use packed::PackedLayers;
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
    layers: Layers,
    lm_head: Linear,
    tables: RotaryTables,
}

/// The layers and the norm after them.
#[derive(Debug)]
enum Layers {
    Reverie(PackedLayers),
    Candle { layers: Vec<DecoderLayer>, norm: RmsNorm },
}

impl Decoder {
    /// Takes `model.embed_tokens`, `model.layers.*`, `model.norm` and, unless tied, `lm_head` from the
    /// checkpoint's root, in the dtype and on the device of `weights`.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the heads do not divide evenly, [`ModelError::Tensor`] if a tensor is
    /// missing or misshapen.
    pub fn load<'a>(
        config: &LlamaConfig,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let weights = weights.into();
        check_heads(config)?;
        let model = weights.pp("model");
        let embed_tokens =
            model.get((config.vocab_size, config.hidden_size), "embed_tokens.weight")?;
        let layers = match weights.kernels() {
            Kernels::Reverie => Layers::Reverie(PackedLayers::load(config, &model)?),
            Kernels::Candle => {
                let layer =
                    |index| DecoderLayer::load(config, index, &model.pp("layers").pp(index));
                Layers::Candle {
                    layers: (0..config.num_hidden_layers)
                        .map(layer)
                        .collect::<candle_core::Result<_>>()?,
                    norm: RmsNorm::load(config, &model.pp("norm"))?,
                }
            }
        };
        let lm_head = if config.tie_word_embeddings {
            embed_tokens.clone()
        } else {
            weights.get((config.vocab_size, config.hidden_size), "lm_head.weight")?
        };
        Ok(Self {
            config: config.clone(),
            embed_tokens,
            layers,
            lm_head: Linear::new(&lm_head, None, &weights)?,
            tables: RotaryTables::new(config),
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

    /// Whose kernels compute it.
    pub fn kernels(&self) -> Kernels {
        match self.layers {
            Layers::Reverie(_) => Kernels::Reverie,
            Layers::Candle { .. } => Kernels::Candle,
        }
    }

    /// An empty cache for one sequence of this decoder.
    pub fn new_cache(&self) -> KvCache {
        KvCache::new(&self.config, self.dtype(), self.device(), self.kernels())
    }

    /// A pool of blocks for many contexts of this decoder.
    pub fn new_pool(&self) -> KvPool {
        KvPool::new(&self.config, self.dtype(), self.device(), self.kernels())
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
        let spans = self.prepare(rows)?;
        let hidden = self.run(&spans, rows, None)?;
        Ok(split_rows(&hidden, &spans)?)
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
        let spans = self.prepare(rows)?;
        let mut states = Vec::with_capacity(self.config.num_hidden_layers + 1);
        let last = self.run(&spans, rows, Some(&mut states))?;
        states.pop();
        states.push(last);
        let mut traces: Vec<_> =
            rows.iter().map(|_| DecoderTrace { hidden_states: Vec::new() }).collect();
        for state in &states {
            for (trace, rows_state) in traces.iter_mut().zip(split_rows(state, &spans)?) {
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

    fn prepare(&self, rows: &mut [DecoderRow<'_>]) -> Result<Vec<RowSpan>, ModelError> {
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
            if !row.cache.belongs_to(self.kernels()) {
                return Err(ModelError::Parameter {
                    parameter: "cache",
                    found: "one of a decoder of other kernels".to_owned(),
                    wanted: self.kernels().to_string(),
                });
            }
            row.cache.check_room(len)?;
            lengths.push((row.cache.len(), len));
        }
        for (row, (_, len)) in rows.iter_mut().zip(&lengths) {
            row.cache.reserve(*len)?;
        }
        Ok(spans(lengths.into_iter()))
    }

    /// Runs the layers over all rows; leaves the embeddings and each layer's output in `states`.
    fn run(
        &self,
        spans: &[RowSpan],
        rows: &mut [DecoderRow<'_>],
        states: Option<&mut Vec<Tensor>>,
    ) -> Result<Tensor, ModelError> {
        let hidden = match &self.layers {
            Layers::Reverie(layers) => self.run_packed(layers, spans, rows, states)?,
            Layers::Candle { layers, norm } => {
                let place = (self.dtype(), self.device());
                let batch = RaggedBatch::new(spans.to_vec(), &self.tables, place)?;
                let embeds: Vec<_> = rows.iter().map(|row| row.embeds).collect();
                let mut seen = vec![Tensor::cat(&embeds, 0)?]; // (positions of all rows, hidden)
                let keeps_all = states.is_some();
                for layer in layers {
                    let next = layer.forward(&seen[seen.len() - 1], &batch, rows)?;
                    if !keeps_all {
                        seen.clear();
                    }
                    seen.push(next);
                }
                let hidden = norm.forward(&seen[seen.len() - 1])?;
                if let Some(states) = states {
                    states.append(&mut seen);
                }
                hidden
            }
        };
        for (row, span) in rows.iter_mut().zip(spans) {
            row.cache.advance(span.len);
        }
        Ok(hidden)
    }

    fn run_packed(
        &self,
        layers: &PackedLayers,
        spans: &[RowSpan],
        rows: &mut [DecoderRow<'_>],
        states: Option<&mut Vec<Tensor>>,
    ) -> candle_core::Result<Tensor> {
        let shape = (spans.iter().map(|span| span.len).sum::<usize>(), self.config.hidden_size);
        let mut hidden = Vec::with_capacity(shape.0 * shape.1);
        for row in rows.iter() {
            with_values(row.embeds, |embeds| hidden.extend_from_slice(embeds))?;
        }
        let batch = (spans, &self.tables);
        let hidden = match states {
            None => layers.run(hidden, batch, rows),
            Some(states) => {
                let mut seen = Vec::new();
                let keep =
                    |state: &[f32]| seen.push(Tensor::from_slice(state, shape, &Device::Cpu));
                let hidden = layers.run_observed(hidden, batch, rows, keep);
                *states = seen.into_iter().collect::<candle_core::Result<_>>()?;
                hidden
            }
        };
        Tensor::from_vec(hidden, shape, &Device::Cpu)
    }
}

fn split_rows(packed: &Tensor, spans: &[RowSpan]) -> candle_core::Result<Vec<Tensor>> {
    spans.iter().map(|span| packed.narrow(0, span.offset, span.len)).collect()
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

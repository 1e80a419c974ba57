//! One LLaMA layer by candle's operations, on any device: norm, attention, norm, MLP, over the concatenated positions of all rows. Knows tensors
//! and caches, not tokens.

use candle_core::{DType, Result, Tensor};
use candle_nn::rotary_emb::rope_thd;
use candle_nn::{Linear, Module, linear_b, linear_no_bias, ops};

use super::DecoderRow;
use super::batch::{QueryTile, RaggedBatch};
use super::flash;
use crate::config::LlamaConfig;
use crate::weights::Weights;

/// Root-mean-square normalisation in f32, cast back before the weight is applied
/// (Zhang and Sennrich 2019, eq. 4; `LlamaRMSNorm`).
#[derive(Debug)]
pub(super) struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(super) fn load(config: &LlamaConfig, vb: &Weights<'_>) -> Result<Self> {
        let weight = vb.get(config.hidden_size, "weight")?;
        Ok(Self { weight, eps: config.rms_norm_eps })
    }

    /// (positions, hidden) → (positions, hidden).
    pub(super) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let wide = xs.to_dtype(DType::F32)?;
        let mean_square = wide.sqr()?.mean_keepdim(1)?; // (positions, 1)
        let root = (mean_square + self.eps)?.sqrt()?;
        wide.broadcast_div(&root)?.to_dtype(xs.dtype())?.broadcast_mul(&self.weight)
    }
}

/// A pre-norm transformer layer: `x += attention(norm(x)); x += mlp(norm(x))` (`LlamaDecoderLayer`).
#[derive(Debug)]
pub(super) struct DecoderLayer {
    index: usize,
    input_layernorm: RmsNorm,
    attention: Attention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

impl DecoderLayer {
    /// Layer `index`, from its own corner of the checkpoint (`model.layers.{index}`).
    pub(super) fn load(config: &LlamaConfig, index: usize, vb: &Weights<'_>) -> Result<Self> {
        let norm = |name: &str| RmsNorm::load(config, &vb.pp(name));
        Ok(Self {
            index,
            input_layernorm: norm("input_layernorm")?,
            attention: Attention::load(config, &vb.pp("self_attn"))?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            mlp: Mlp::load(config, &vb.pp("mlp"))?,
        })
    }

    /// (positions, hidden) → (positions, hidden); writes this layer's keys and values into the rows' caches.
    pub(super) fn forward(
        &self,
        xs: &Tensor,
        batch: &RaggedBatch,
        rows: &mut [DecoderRow<'_>],
    ) -> Result<Tensor> {
        let normed = self.input_layernorm.forward(xs)?;
        let xs = (xs + self.attention.forward(self.index, &normed, batch, rows)?)?;
        let normed = self.post_attention_layernorm.forward(&xs)?;
        &xs + self.mlp.forward(&normed)?
    }
}

/// Causal attention with rotary positions and grouped key/value heads (`LlamaAttention`): query head i reads
/// key/value head `i / groups`.
#[derive(Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    num_heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Attention {
    fn load(config: &LlamaConfig, vb: &Weights<'_>) -> Result<Self> {
        let (num_heads, kv_heads) = (config.num_attention_heads, config.kv_heads());
        let (head_dim, hidden) = (config.head_width(), config.hidden_size);
        let linear = |wide_in, wide_out, name: &str| {
            linear_b(wide_in, wide_out, config.attention_bias, vb.pp(name).tensors())
        };
        Ok(Self {
            q_proj: linear(hidden, num_heads * head_dim, "q_proj")?,
            k_proj: linear(hidden, kv_heads * head_dim, "k_proj")?,
            v_proj: linear(hidden, kv_heads * head_dim, "v_proj")?,
            o_proj: linear(num_heads * head_dim, hidden, "o_proj")?,
            num_heads,
            kv_heads,
            head_dim,
        })
    }

    fn forward(
        &self,
        layer: usize,
        xs: &Tensor,
        batch: &RaggedBatch,
        rows: &mut [DecoderRow<'_>],
    ) -> Result<Tensor> {
        let query = self.rotate(&self.q_proj.forward(xs)?, self.num_heads, batch)?;
        let key = self.rotate(&self.k_proj.forward(xs)?, self.kv_heads, batch)?;
        let value = self.v_proj.forward(xs)?;
        let value = value.reshape((batch.num_positions(), self.kv_heads, self.head_dim))?;
        for (span, row) in batch.spans.iter().zip(rows.iter_mut()) {
            let key = heads_first(&key, span.offset, span.len)?;
            let value = heads_first(&value, span.offset, span.len)?;
            row.cache.write(layer, &key, &value)?;
        }
        let mut attended = Vec::with_capacity(batch.tiles.len());
        for tile in &batch.tiles {
            let (keys, values) = rows[tile.row].cache.view(layer, tile.num_keys)?;
            attended.push(self.attend(&query, &keys, &values, tile)?);
        }
        self.o_proj.forward(&Tensor::cat(&attended, 0)?)
    }

    /// (positions, heads * head_dim) → (positions, heads, head_dim), each turned to its position.
    fn rotate(&self, xs: &Tensor, heads: usize, batch: &RaggedBatch) -> Result<Tensor> {
        let xs = xs.reshape((1, batch.num_positions(), heads, self.head_dim))?;
        rope_thd(&xs, &batch.cos, &batch.sin)?.squeeze(0)
    }

    /// One tile's queries against the keys they may see: → (tile, heads * head_dim).
    fn attend(
        &self,
        query: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        tile: &QueryTile,
    ) -> Result<Tensor> {
        if let Some(attended) =
            flash::attend(&query.narrow(0, tile.offset, tile.len)?, keys, values)?
        {
            return Ok(attended);
        }
        let groups = self.num_heads / self.kv_heads;
        let query = heads_first(query, tile.offset, tile.len)?; // (heads, tile, head_dim)
        let query = query.reshape((self.kv_heads, groups * tile.len, self.head_dim))?;
        let scale = 1.0 / (self.head_dim as f64).sqrt();
        let scores = (query.matmul(&keys.t()?)? * scale)?; // (kv_heads, groups * tile, keys)
        let mut scores = scores.to_dtype(DType::F32)?;
        if let Some(mask) = &tile.mask {
            let by_query = (self.num_heads, tile.len, tile.num_keys);
            let by_kv_head = scores.shape().clone();
            scores = scores.reshape(by_query)?.broadcast_add(mask)?.reshape(by_kv_head)?;
        }
        let weights = ops::softmax_last_dim(&scores)?.to_dtype(values.dtype())?;
        let attended = weights.matmul(values)?; // (kv_heads, groups * tile, head_dim)
        attended
            .reshape((self.num_heads, tile.len, self.head_dim))?
            .transpose(0, 1)?
            .reshape((tile.len, self.num_heads * self.head_dim))
    }
}

/// Positions `offset..offset + len` of (positions, heads, head_dim), as (heads, len, head_dim), contiguous; a
/// single position costs no copy.
fn heads_first(xs: &Tensor, offset: usize, len: usize) -> Result<Tensor> {
    xs.narrow(0, offset, len)?.transpose(0, 1)?.contiguous()
}

/// `down(silu(gate(x)) * up(x))` (Shazeer 2020, SwiGLU; `LlamaMLP`).
#[derive(Debug)]
struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    fn load(config: &LlamaConfig, vb: &Weights<'_>) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            gate_proj: linear_no_bias(hidden, inner, vb.pp("gate_proj").tensors())?,
            up_proj: linear_no_bias(hidden, inner, vb.pp("up_proj").tensors())?,
            down_proj: linear_no_bias(inner, hidden, vb.pp("down_proj").tensors())?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let gated = (self.gate_proj.forward(xs)?.silu()? * self.up_proj.forward(xs)?)?;
        self.down_proj.forward(&gated)
    }
}

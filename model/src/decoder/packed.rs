//! The layers by our kernels: plain slices from the embeddings to the last norm, one product for all rows
//! where a layer is linear, attention row by row against each row's own past. Knows weights and caches, not
//! tokens.

use candle_core::{Result, Tensor};
use reverie_kernels::{
    CausalRow, Cpu, HeadShape, Linear, RmsNorm, Store, causal_attention, gated_silu, rotate_half,
};

use super::DecoderRow;
use super::batch::RowSpan;
use super::rope::RotaryTables;
use crate::config::LlamaConfig;
use crate::layers::to_values;
use crate::weights::Weights;

/// All layers and the final norm.
#[derive(Debug)]
pub(super) struct PackedLayers {
    layers: Vec<PackedLayer>,
    norm: RmsNorm,
    shape: HeadShape,
    inner: usize,
}

/// One layer; what reads the same input is one matrix.
#[derive(Debug)]
struct PackedLayer {
    input_layernorm: RmsNorm,
    /// Queries, keys and values.
    qkv_proj: Linear,
    o_proj: Linear,
    post_attention_layernorm: RmsNorm,
    gate_up_proj: Linear,
    down_proj: Linear,
}

/// What the layers write and the next layer overwrites, all positions one behind the other.
struct Buffers {
    normed: Vec<f32>,
    qkv: Vec<f32>,
    queries: Vec<f32>,
    attended: Vec<f32>,
    gate_up: Vec<f32>,
    gated: Vec<f32>,
}

impl PackedLayers {
    /// Expects `weights` at `model`.
    pub(super) fn load(config: &LlamaConfig, weights: &Weights<'_>) -> Result<Self> {
        let layers = (0..config.num_hidden_layers)
            .map(|index| PackedLayer::load(config, &weights.pp("layers").pp(index)))
            .collect::<Result<_>>()?;
        let shape = HeadShape {
            heads: config.num_attention_heads,
            kv_heads: config.kv_heads(),
            head_dim: config.head_width(),
        };
        let norm = rms_norm(config, &weights.pp("norm"))?;
        Ok(Self { layers, norm, shape, inner: config.intermediate_size })
    }

    /// `hidden`, the embeddings of all rows, (positions, hidden), to the states after the final norm. Writes
    /// keys and values into the rows' caches, which have room; shows `observe` the embeddings and each
    /// layer's output.
    pub(super) fn run(
        &self,
        mut hidden: Vec<f32>,
        (spans, tables): (&[RowSpan], &RotaryTables),
        rows: &mut [DecoderRow<'_>],
        mut observe: impl FnMut(&[f32]),
    ) -> Vec<f32> {
        let positions = spans.iter().map(|span| span.len).sum();
        let mut buffers = self.buffers(positions, hidden.len());
        observe(&hidden);
        for (index, layer) in self.layers.iter().enumerate() {
            self.attend((index, layer), &mut hidden, (spans, tables, rows), &mut buffers);
            self.feed_forward(layer, &mut hidden, &mut buffers);
            observe(&hidden);
        }
        self.norm.forward(Cpu::detect(), &hidden, &mut buffers.normed);
        buffers.normed
    }

    fn buffers(&self, positions: usize, hidden: usize) -> Buffers {
        let HeadShape { heads, kv_heads, head_dim } = self.shape;
        let zeros = |width: usize| vec![0.0; positions * width];
        Buffers {
            normed: vec![0.0; hidden],
            qkv: zeros((heads + 2 * kv_heads) * head_dim),
            queries: zeros(heads * head_dim),
            attended: zeros(heads * head_dim),
            gate_up: zeros(2 * self.inner),
            gated: zeros(self.inner),
        }
    }

    /// `hidden += attention(norm(hidden))`.
    fn attend(
        &self,
        (index, layer): (usize, &PackedLayer),
        hidden: &mut [f32],
        (spans, tables, rows): (&[RowSpan], &RotaryTables, &mut [DecoderRow<'_>]),
        buffers: &mut Buffers,
    ) {
        let cpu = Cpu::detect();
        let HeadShape { heads, kv_heads, head_dim } = self.shape;
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        layer.input_layernorm.forward(cpu, hidden, &mut buffers.normed);
        layer.qkv_proj.forward(cpu, &buffers.normed, Store::Overwrite, &mut buffers.qkv);
        let mut position_qkv = buffers.qkv.chunks_exact_mut(queries + 2 * keys);
        let mut position_queries = buffers.queries.chunks_exact_mut(queries);
        for (span, row) in spans.iter().zip(rows.iter_mut()) {
            let new = (&mut position_qkv).zip(&mut position_queries).take(span.len);
            for (position, (qkv, to)) in (span.past..).zip(new) {
                let (query, rest) = qkv.split_at_mut(queries);
                let (key, value) = rest.split_at_mut(keys);
                let (cos, sin) = tables.at(position);
                rotate_half(query, cos, sin);
                rotate_half(key, cos, sin);
                row.cache.write_position((index, position), key, value);
                to.copy_from_slice(query);
            }
        }
        let rows: Vec<_> = spans
            .iter()
            .zip(rows.iter())
            .map(|(span, row)| CausalRow {
                queries: &buffers.queries[span.offset * queries..][..span.len * queries],
                past: span.past,
                blocks: row.cache.blocks(),
            })
            .collect();
        causal_attention(cpu, (self.shape, index), &rows, &mut buffers.attended);
        layer.o_proj.forward(cpu, &buffers.attended, Store::Add, hidden);
    }

    /// `hidden += down(silu(gate) · up)` of its norm.
    fn feed_forward(&self, layer: &PackedLayer, hidden: &mut [f32], buffers: &mut Buffers) {
        let cpu = Cpu::detect();
        layer.post_attention_layernorm.forward(cpu, hidden, &mut buffers.normed);
        layer.gate_up_proj.forward(cpu, &buffers.normed, Store::Overwrite, &mut buffers.gate_up);
        gated_silu(cpu, &buffers.gate_up, self.inner, &mut buffers.gated);
        layer.down_proj.forward(cpu, &buffers.gated, Store::Add, hidden);
    }
}

impl PackedLayer {
    fn load(config: &LlamaConfig, weights: &Weights<'_>) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (queries, keys) = (
            config.num_attention_heads * config.head_width(),
            config.kv_heads() * config.head_width(),
        );
        let (attention, mlp) = (weights.pp("self_attn"), weights.pp("mlp"));
        let bias = config.attention_bias;
        let qkv = [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)];
        Ok(Self {
            input_layernorm: rms_norm(config, &weights.pp("input_layernorm"))?,
            qkv_proj: stacked(&qkv, hidden, bias, &attention)?,
            o_proj: stacked(&[("o_proj", hidden)], queries, bias, &attention)?,
            post_attention_layernorm: rms_norm(config, &weights.pp("post_attention_layernorm"))?,
            gate_up_proj: stacked(
                &[("gate_proj", inner), ("up_proj", inner)],
                hidden,
                false,
                &mlp,
            )?,
            down_proj: stacked(&[("down_proj", hidden)], inner, false, &mlp)?,
        })
    }
}

fn rms_norm(config: &LlamaConfig, weights: &Weights<'_>) -> Result<RmsNorm> {
    let weight = to_values(&weights.get(config.hidden_size, "weight")?)?;
    Ok(RmsNorm::new(weight, config.rms_norm_eps))
}

/// Layers of the same input, by name and width, as one whose outputs stand one behind the other.
fn stacked(
    parts: &[(&str, usize)],
    input: usize,
    bias: bool,
    weights: &Weights<'_>,
) -> Result<Linear> {
    let tensors: Vec<Tensor> = parts
        .iter()
        .map(|(name, output)| weights.pp(name).get((*output, input), "weight"))
        .collect::<Result<_>>()?;
    let weight = to_values(&Tensor::cat(&tensors, 0)?)?;
    let mut biases = Vec::new();
    for (name, output) in parts.iter().filter(|_| bias) {
        biases.extend(to_values(&weights.pp(name).get(*output, "bias")?)?);
    }
    let output = parts.iter().map(|(_, output)| output).sum();
    Ok(Linear::new(&weight, bias.then_some(biases), (output, input)))
}

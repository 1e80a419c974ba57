//! The layers by our kernels: plain slices from the embeddings to the last norm, one product for all rows
//! where a layer is linear, attention row by row against each row's own past. Knows weights and caches, not
//! tokens.

use std::ops::Range;

use candle_core::{Result, Tensor};
use reverie_kernels::{
    CausalRow, Cpu, HeadShape, Linear, RmsNorm, Store, causal_attention, compute_shares, deal,
    gated_silu, rotate_half,
};

use super::DecoderRow;
use super::batch::RowSpan;
use super::rope::RotaryTables;
use crate::config::LlamaConfig;
use crate::layers::to_values;
use crate::weights::Weights;

/// Layers of at most so many bytes stay in the last-level cache of a server's CPU, where every thread reads them
/// at its own core's pace.
const CACHED_BYTES: usize = 32 << 20;

/// A thread that has fewer positions than this waits for weights, not for arithmetic, and might as well compute
/// its neighbour's too.
const POSITIONS_OF_A_THREAD: usize = 4;

/// All layers and the final norm.
#[derive(Debug)]
pub(super) struct PackedLayers {
    layers: Vec<PackedLayer>,
    norm: RmsNorm,
    shape: HeadShape,
    inner: usize,
    /// Of all weights.
    num_bytes: usize,
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
        let layers: Vec<PackedLayer> = (0..config.num_hidden_layers)
            .map(|index| PackedLayer::load(config, &weights.pp("layers").pp(index)))
            .collect::<Result<_>>()?;
        let shape = HeadShape {
            heads: config.num_attention_heads,
            kv_heads: config.kv_heads(),
            head_dim: config.head_width(),
        };
        let norm = rms_norm(config, &weights.pp("norm"))?;
        let num_bytes = layers.iter().map(PackedLayer::num_bytes).sum();
        Ok(Self { layers, norm, shape, inner: config.intermediate_size, num_bytes })
    }

    /// `hidden`, the embeddings of all rows, (positions, hidden), to the states after the final norm. Writes
    /// keys and values into the rows' caches, which have room.
    ///
    /// Threads share out the rows where all layers fit into the cache: each takes its own through every layer
    /// and waits for nobody. Else they share out each layer's outputs, so that its weights are read once.
    pub(super) fn run(
        &self,
        hidden: Vec<f32>,
        (spans, tables): (&[RowSpan], &RotaryTables),
        rows: &mut [DecoderRow<'_>],
    ) -> Vec<f32> {
        let shares = self.shares(spans);
        if shares.len() < 2 {
            return self.run_observed(hidden, (spans, tables), rows, |_| {});
        }
        let (mut rest, mut tasks) = (rows, Vec::with_capacity(shares.len()));
        for share in shares {
            let (own, later) = rest.split_at_mut(share.len());
            rest = later;
            tasks.push((&spans[share], own));
        }
        let width = hidden.len() / num_positions(spans);
        let states = compute_shares(tasks, |(spans, rows)| {
            let first = spans[0].offset;
            let own = hidden[first * width..][..num_positions(spans) * width].to_vec();
            let moved = |span: &RowSpan| RowSpan { offset: span.offset - first, ..*span };
            let spans: Vec<_> = spans.iter().map(moved).collect();
            self.run_observed(own, (&spans, tables), rows, |_| {})
        });
        states.concat()
    }

    /// As [`run`](Self::run), all rows together; shows `observe` the embeddings and each layer's output.
    pub(super) fn run_observed(
        &self,
        mut hidden: Vec<f32>,
        (spans, tables): (&[RowSpan], &RotaryTables),
        rows: &mut [DecoderRow<'_>],
        mut observe: impl FnMut(&[f32]),
    ) -> Vec<f32> {
        let mut buffers = self.buffers(num_positions(spans), hidden.len());
        observe(&hidden);
        for (index, layer) in self.layers.iter().enumerate() {
            self.attend((index, layer), &mut hidden, (spans, tables, rows), &mut buffers);
            self.feed_forward(layer, &mut hidden, &mut buffers);
            observe(&hidden);
        }
        self.norm.forward(Cpu::detect(), &hidden, &mut buffers.normed);
        buffers.normed
    }

    /// Which neighbouring rows each thread takes.
    fn shares(&self, spans: &[RowSpan]) -> Vec<Range<usize>> {
        let worthwhile = num_positions(spans) / POSITIONS_OF_A_THREAD;
        let threads = Cpu::detect().threads.min(worthwhile);
        let threads = if self.num_bytes > CACHED_BYTES { 1 } else { threads };
        deal(&spans.iter().map(|span| span.len).collect::<Vec<_>>(), threads)
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

    fn num_bytes(&self) -> usize {
        let linears = [&self.qkv_proj, &self.o_proj, &self.gate_up_proj, &self.down_proj];
        linears.iter().map(|linear| linear.num_bytes()).sum()
    }
}

fn num_positions(spans: &[RowSpan]) -> usize {
    spans.iter().map(|span| span.len).sum()
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
    let packed = Linear::new(&weight, bias.then_some(biases), (output, input));
    Ok(packed.shared(|lines| weights.share(lines))?)
}

//! Where the picture looks at itself and at its condition: diffusers' `Transformer2DModel` with its
//! `BasicTransformerBlock`s. Knows no time.

use std::fmt;

use candle_core::{Result, Tensor};

use crate::config::UnetConfig;
use crate::diffusion::probe::Probe;
use crate::diffusion::trace::MAPS;
use crate::kernels::Kernels;
use crate::layers::{
    GroupNorm, LayerNorm, Linear, add, attention_map, gated_gelu, group_norm, layer_norm, linear,
    linear_no_bias, multi_head_attention, picture_like, pixels,
};
use crate::weights::Weights;

/// GroupNorm's epsilon here, unlike in resnets; not configurable in diffusers.
const GROUP_NORM_EPS: f64 = 1e-6;
/// LayerNorm's epsilon.
const LAYER_NORM_EPS: f64 = 1e-5;
/// Width of the feed-forward layer over that of the stream.
const FEED_FORWARD_FACTOR: usize = 4;

/// `Transformer2DModel`: (B, C, H, W) and a condition (B, Q, D) → (B, C, H, W).
#[derive(Debug, Clone)]
pub(crate) struct SpatialTransformer {
    norm: GroupNorm,
    proj_in: Linear,
    blocks: Vec<TransformerBlock>,
    proj_out: Linear,
}

impl SpatialTransformer {
    pub(crate) fn load(
        config: &UnetConfig,
        channels: usize,
        heads: usize,
        vb: &Weights<'_>,
    ) -> Result<Self> {
        // A 1×1 convolution (Stable Diffusion 1.x) is the same map as a linear layer over channels.
        let projection = |name: &str| {
            let vb = vb.pp(name);
            let weight = if config.use_linear_projection {
                vb.get((channels, channels), "weight")?
            } else {
                vb.get((channels, channels, 1, 1), "weight")?.reshape((channels, channels))?
            };
            Linear::new(&weight, Some(&vb.get(channels, "bias")?), &vb)
        };
        let blocks = (0..config.transformer_layers_per_block)
            .map(|index| {
                let vb = vb.pp("transformer_blocks").pp(index);
                TransformerBlock::load(channels, config.cross_attention_dim, heads, &vb)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            norm: group_norm(config.norm_num_groups, channels, GROUP_NORM_EPS, &vb.pp("norm"))?,
            proj_in: projection("proj_in")?,
            blocks,
            proj_out: projection("proj_out")?,
        })
    }

    /// `name` is what it shows its cross-attentions under: (B, H, W, Q) for each block.
    pub(crate) fn forward(
        &self,
        input: &Tensor,
        condition: &Tensor,
        (name, probe): (fmt::Arguments<'_>, &mut Probe<'_>),
    ) -> Result<Tensor> {
        let mut tokens = self.proj_in.forward(&pixels(&self.norm.forward(input)?)?)?;
        for (index, block) in self.blocks.iter().enumerate() {
            let look = |attention: &Attention, normed: &Tensor| {
                if probe.is_watched() {
                    let (batch, _, height, width) = input.dims4()?;
                    let map = attention.map(normed, condition)?;
                    let map = map.reshape((batch, height, width, ()))?;
                    probe.show(format_args!("{name}.transformer_blocks.{index}.{MAPS}"), &map);
                }
                Ok(())
            };
            tokens = block.forward(&tokens, condition, look)?;
        }
        add(&picture_like(&self.proj_out.forward(&tokens)?, input)?, input)
    }
}

/// `BasicTransformerBlock`: self-attention, cross-attention and GEGLU, each after a LayerNorm and
/// added to its input.
#[derive(Debug, Clone)]
struct TransformerBlock {
    norm1: LayerNorm,
    attn1: Attention,
    norm2: LayerNorm,
    attn2: Attention,
    norm3: LayerNorm,
    feed_forward_in: Linear,
    feed_forward_out: Linear,
    kernels: Kernels,
}

impl TransformerBlock {
    fn load(width: usize, condition: usize, heads: usize, vb: &Weights<'_>) -> Result<Self> {
        let inner = width * FEED_FORWARD_FACTOR;
        let norm = |name: &str| layer_norm(width, LAYER_NORM_EPS, &vb.pp(name));
        Ok(Self {
            norm1: norm("norm1")?,
            attn1: Attention::load(width, width, heads, &vb.pp("attn1"))?,
            norm2: norm("norm2")?,
            attn2: Attention::load(width, condition, heads, &vb.pp("attn2"))?,
            norm3: norm("norm3")?,
            feed_forward_in: linear(width, 2 * inner, &vb.pp("ff.net.0.proj"))?,
            feed_forward_out: linear(inner, width, &vb.pp("ff.net.2"))?,
            kernels: vb.kernels(),
        })
    }

    /// `look` is shown the cross-attention and what goes into it.
    fn forward(
        &self,
        tokens: &Tensor,
        condition: &Tensor,
        look: impl FnOnce(&Attention, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let normed = self.norm1.forward(tokens)?;
        let tokens = self.attn1.forward_added(&normed, &normed, tokens)?;
        let normed = self.norm2.forward(&tokens)?;
        look(&self.attn2, &normed)?;
        let tokens = self.attn2.forward_added(&normed, condition, &tokens)?;
        let normed = self.norm3.forward(&tokens)?;
        // GEGLU with the exact GELU (Shazeer 2020, arXiv 2002.05202), not its tanh approximation.
        let gated = gated_gelu(self.kernels, &self.feed_forward_in.forward(&normed)?)?;
        self.feed_forward_out.forward_added(&gated, &tokens)
    }
}

/// `Attention`: only the output projection has a bias.
#[derive(Debug, Clone)]
struct Attention {
    heads: usize,
    kernels: Kernels,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
}

impl Attention {
    fn load(width: usize, context: usize, heads: usize, vb: &Weights<'_>) -> Result<Self> {
        Ok(Self {
            heads,
            kernels: vb.kernels(),
            to_q: linear_no_bias(width, width, &vb.pp("to_q"))?,
            to_k: linear_no_bias(context, width, &vb.pp("to_k"))?,
            to_v: linear_no_bias(context, width, &vb.pp("to_v"))?,
            to_out: linear(width, width, &vb.pp("to_out.0"))?,
        })
    }

    /// What each of `tokens` (B, N, width) looks at in `context`, (B, N, M). Computed beside the pass, for whoever looks.
    fn map(&self, tokens: &Tensor, context: &Tensor) -> Result<Tensor> {
        attention_map(self.heads, &self.to_q.forward(tokens)?, &self.to_k.forward(context)?)
    }

    /// `tokens` (B, N, width) look at `context` (B, M, context width); what they see is added to `residual`.
    fn forward_added(
        &self,
        tokens: &Tensor,
        context: &Tensor,
        residual: &Tensor,
    ) -> Result<Tensor> {
        let (query, key, value) =
            (self.to_q.forward(tokens)?, self.to_k.forward(context)?, self.to_v.forward(context)?);
        let seen = multi_head_attention(self.kernels, self.heads, &query, &key, &value)?;
        self.to_out.forward_added(&seen, residual)
    }
}

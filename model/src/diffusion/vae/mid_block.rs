//! The innermost part of encoder and decoder: resnet, single-head attention over all pixels, resnet.

use candle_core::{Result, Tensor};

use super::GROUP_NORM_EPS;
use crate::config::VaeConfig;
use crate::diffusion::resnet::{Resnet, ResnetShape};
use crate::kernels::Kernels;
use crate::layers::{
    GroupNorm, Linear, add, group_norm, linear, multi_head_attention, picture_like, pixels,
};
use crate::weights::Weights;

/// The shape of a resnet of the VAE, which has no time.
pub(super) fn resnet_shape(config: &VaeConfig, input: usize, output: usize) -> ResnetShape {
    let groups = config.norm_num_groups;
    ResnetShape { input, output, time: None, groups, eps: GROUP_NORM_EPS }
}

/// `UNetMidBlock2D`.
#[derive(Debug, Clone)]
pub(super) struct MidBlock {
    first: Resnet,
    attention: Option<PixelAttention>,
    last: Resnet,
}

impl MidBlock {
    /// Expects `vb` at `mid_block`.
    pub(super) fn load(config: &VaeConfig, channels: usize, vb: &Weights<'_>) -> Result<Self> {
        let shape = resnet_shape(config, channels, channels);
        let attention = config
            .mid_block_add_attention
            .then(|| PixelAttention::load(config.norm_num_groups, channels, &vb.pp("attentions.0")))
            .transpose()?;
        Ok(Self {
            first: Resnet::load(shape, &vb.pp("resnets.0"))?,
            attention,
            last: Resnet::load(shape, &vb.pp("resnets.1"))?,
        })
    }

    /// (B, C, h, w) → the same shape.
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut hidden = self.first.forward(input, None)?;
        if let Some(attention) = &self.attention {
            hidden = attention.forward(&hidden)?;
        }
        self.last.forward(&hidden, None)
    }
}

/// `Attention` with one head as wide as the stream, biases everywhere, and a residual.
#[derive(Debug, Clone)]
struct PixelAttention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    kernels: Kernels,
}

impl PixelAttention {
    fn load(groups: usize, channels: usize, vb: &Weights<'_>) -> Result<Self> {
        let projection = |name: &str| linear(channels, channels, &vb.pp(name));
        Ok(Self {
            group_norm: group_norm(groups, channels, GROUP_NORM_EPS, &vb.pp("group_norm"))?,
            to_q: projection("to_q")?,
            to_k: projection("to_k")?,
            to_v: projection("to_v")?,
            to_out: projection("to_out.0")?,
            kernels: vb.kernels(),
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let pixels = pixels(&self.group_norm.forward(input)?)?;
        let (query, key, value) =
            (self.to_q.forward(&pixels)?, self.to_k.forward(&pixels)?, self.to_v.forward(&pixels)?);
        let attended = multi_head_attention(self.kernels, 1, &query, &key, &value)?;
        add(&picture_like(&self.to_out.forward(&attended)?, input)?, input)
    }
}

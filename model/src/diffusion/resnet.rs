//! The convolutional pieces that the UNet and the VAE share: residual blocks and resampling, as
//! diffusers' `resnet.py`. All tensors are (B, C, H, W). Knows no attention and no schedule.

use candle_core::{Result, Tensor};

use crate::layers::{Conv2d, ConvShape, GroupNorm, Linear, group_norm, linear};
use crate::weights::Weights;

/// A 3×3 convolution that keeps the picture's size.
pub(crate) fn conv3x3(input: usize, output: usize, weights: &Weights<'_>) -> Result<Conv2d> {
    Conv2d::load(ConvShape::same_size(input, output), weights)
}

/// Channels and normalisation of a residual block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResnetShape {
    /// Channels in.
    pub(crate) input: usize,
    /// Channels out.
    pub(crate) output: usize,
    /// Width of the time embedding; `None` in the VAE.
    pub(crate) time: Option<usize>,
    /// GroupNorm's groups.
    pub(crate) groups: usize,
    /// GroupNorm's epsilon.
    pub(crate) eps: f64,
}

/// `ResnetBlock2D`: norm, silu, conv, + time, norm, silu, conv, + input.
#[derive(Debug, Clone)]
pub(crate) struct Resnet {
    norm1: GroupNorm,
    conv1: Conv2d,
    time_emb_proj: Option<Linear>,
    norm2: GroupNorm,
    conv2: Conv2d,
    conv_shortcut: Option<Conv2d>,
}

impl Resnet {
    pub(crate) fn load(shape: ResnetShape, vb: &Weights<'_>) -> Result<Self> {
        let ResnetShape { input, output, time, groups, eps } = shape;
        let time_emb_proj =
            time.map(|width| linear(width, output, &vb.pp("time_emb_proj"))).transpose()?;
        let conv_shortcut = (input != output)
            .then(|| Conv2d::load(ConvShape::pointwise(input, output), &vb.pp("conv_shortcut")))
            .transpose()?;
        Ok(Self {
            norm1: group_norm(groups, input, eps, &vb.pp("norm1"))?,
            conv1: conv3x3(input, output, &vb.pp("conv1"))?,
            time_emb_proj,
            norm2: group_norm(groups, output, eps, &vb.pp("norm2"))?,
            conv2: conv3x3(output, output, &vb.pp("conv2"))?,
            conv_shortcut,
        })
    }

    /// `time` is silu(time embedding), (B, width): the same for all blocks, so applied once outside.
    pub(crate) fn forward(&self, input: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let normed = self.norm1.forward_silu(input)?;
        let hidden = match (&self.time_emb_proj, time) {
            (Some(projection), Some(time)) => {
                self.conv1.forward_shifted(&normed, &projection.forward(time)?)?
            }
            _ => self.conv1.forward(&normed)?,
        };
        let normed = self.norm2.forward_silu(&hidden)?;
        match &self.conv_shortcut {
            Some(shortcut) => self.conv2.forward_added(&normed, &shortcut.forward(input)?),
            None => self.conv2.forward_added(&normed, input),
        }
    }
}

/// `Downsample2D`: a stride-2 convolution.
#[derive(Debug, Clone)]
pub(crate) struct Downsample {
    conv: Conv2d,
}

impl Downsample {
    /// With `padding` 0 the right and bottom are padded by one instead, as diffusers does.
    pub(crate) fn load(channels: usize, padding: usize, vb: &Weights<'_>) -> Result<Self> {
        Ok(Self { conv: Conv2d::load(ConvShape::halving(channels, padding), &vb.pp("conv"))? })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.conv.forward(input)
    }
}

/// `Upsample2D`: nearest neighbour, then a convolution.
#[derive(Debug, Clone)]
pub(crate) struct Upsample {
    conv: Conv2d,
}

impl Upsample {
    pub(crate) fn load(channels: usize, vb: &Weights<'_>) -> Result<Self> {
        Ok(Self { conv: conv3x3(channels, channels, &vb.pp("conv"))? })
    }

    /// To `height` × `width`.
    pub(crate) fn forward(&self, input: &Tensor, height: usize, width: usize) -> Result<Tensor> {
        self.conv.forward_grown(input, height, width)
    }
}

//! The convolutional pieces that the UNet and the VAE share: residual blocks and resampling, as
//! diffusers' `resnet.py`. All tensors are (B, C, H, W). Knows no attention and no schedule.

use candle_core::{Module, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, GroupNorm, Linear, VarBuilder, conv2d, group_norm, linear};

/// A 3×3 convolution that keeps the picture's size.
pub(crate) fn conv3x3(input: usize, output: usize, vb: VarBuilder<'_>) -> Result<Conv2d> {
    conv2d(input, output, 3, Conv2dConfig { padding: 1, ..Conv2dConfig::default() }, vb)
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
    pub(crate) fn load(shape: ResnetShape, vb: &VarBuilder<'_>) -> Result<Self> {
        let ResnetShape { input, output, time, groups, eps } = shape;
        let time_emb_proj =
            time.map(|width| linear(width, output, vb.pp("time_emb_proj"))).transpose()?;
        let conv_shortcut = (input != output)
            .then(|| conv2d(input, output, 1, Conv2dConfig::default(), vb.pp("conv_shortcut")))
            .transpose()?;
        Ok(Self {
            norm1: group_norm(groups, input, eps, vb.pp("norm1"))?,
            conv1: conv3x3(input, output, vb.pp("conv1"))?,
            time_emb_proj,
            norm2: group_norm(groups, output, eps, vb.pp("norm2"))?,
            conv2: conv3x3(output, output, vb.pp("conv2"))?,
            conv_shortcut,
        })
    }

    /// `time` is silu(time embedding), (B, width): the same for all blocks, so applied once outside.
    pub(crate) fn forward(&self, input: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let mut hidden = self.conv1.forward(&self.norm1.forward(input)?.silu()?)?;
        if let (Some(projection), Some(time)) = (&self.time_emb_proj, time) {
            let (batch, channels) = (hidden.dim(0)?, hidden.dim(1)?);
            let shift = projection.forward(time)?.reshape((batch, channels, 1, 1))?;
            hidden = hidden.broadcast_add(&shift)?;
        }
        let hidden = self.conv2.forward(&self.norm2.forward(&hidden)?.silu()?)?;
        match &self.conv_shortcut {
            Some(shortcut) => shortcut.forward(input)? + hidden,
            None => input + hidden,
        }
    }
}

/// `Downsample2D`: a stride-2 convolution.
#[derive(Debug, Clone)]
pub(crate) struct Downsample {
    conv: Conv2d,
    pads_far_sides: bool,
}

impl Downsample {
    /// With `padding` 0 the right and bottom are padded by one instead, as diffusers does.
    pub(crate) fn load(channels: usize, padding: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let config = Conv2dConfig { stride: 2, padding, ..Conv2dConfig::default() };
        let conv = conv2d(channels, channels, 3, config, vb.pp("conv"))?;
        Ok(Self { conv, pads_far_sides: padding == 0 })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        if self.pads_far_sides {
            let padded = input.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?;
            return self.conv.forward(&padded);
        }
        self.conv.forward(input)
    }
}

/// `Upsample2D`: nearest neighbour, then a convolution.
#[derive(Debug, Clone)]
pub(crate) struct Upsample {
    conv: Conv2d,
}

impl Upsample {
    pub(crate) fn load(channels: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        Ok(Self { conv: conv3x3(channels, channels, vb.pp("conv"))? })
    }

    /// To `height` × `width`.
    pub(crate) fn forward(&self, input: &Tensor, height: usize, width: usize) -> Result<Tensor> {
        self.conv.forward(&input.upsample_nearest2d(height, width)?)
    }
}

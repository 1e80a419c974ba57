//! Pixels → the moments of latents.

use candle_core::{Result, Tensor};

use super::GROUP_NORM_EPS;
use super::mid_block::{MidBlock, resnet_shape};
use crate::config::VaeConfig;
use crate::diffusion::resnet::{Downsample, Resnet, conv3x3};
use crate::layers::{Conv2d, GroupNorm, group_norm};
use crate::weights::Weights;

/// `Encoder` of diffusers' `vae.py`, with `double_z`.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// `DownEncoderBlock2D`: resnets, then half the size (not in the last block).
#[derive(Debug, Clone)]
struct DownBlock {
    resnets: Vec<Resnet>,
    downsample: Option<Downsample>,
}

impl Encoder {
    /// Expects `vb` at `encoder`, and at least one level.
    pub(super) fn load(config: &VaeConfig, vb: &Weights<'_>) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (outermost, innermost) = (channels[0], channels[channels.len() - 1]);
        let down_blocks = channels
            .iter()
            .enumerate()
            .map(|(index, output)| {
                let input = channels[index.saturating_sub(1)];
                let is_last = index + 1 == channels.len();
                DownBlock::load(config, (input, *output), !is_last, &vb.pp("down_blocks").pp(index))
            })
            .collect::<Result<_>>()?;
        let groups = config.norm_num_groups;
        Ok(Self {
            conv_in: conv3x3(config.in_channels, outermost, &vb.pp("conv_in"))?,
            down_blocks,
            mid_block: MidBlock::load(config, innermost, &vb.pp("mid_block"))?,
            conv_norm_out: group_norm(groups, innermost, GROUP_NORM_EPS, &vb.pp("conv_norm_out"))?,
            conv_out: conv3x3(innermost, 2 * config.latent_channels, &vb.pp("conv_out"))?,
        })
    }

    /// (B, 3, H, W) → (B, 2·C, h, w): means, then log-variances.
    pub(super) fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let mut hidden = self.conv_in.forward(image)?;
        for block in &self.down_blocks {
            hidden = block.forward(hidden)?;
        }
        let hidden = self.mid_block.forward(&hidden)?;
        self.conv_out.forward(&self.conv_norm_out.forward_silu(&hidden)?)
    }
}

impl DownBlock {
    fn load(
        config: &VaeConfig,
        (input, output): (usize, usize),
        downsamples: bool,
        vb: &Weights<'_>,
    ) -> Result<Self> {
        let resnets = (0..config.layers_per_block)
            .map(|index| {
                let input = if index == 0 { input } else { output };
                Resnet::load(resnet_shape(config, input, output), &vb.pp("resnets").pp(index))
            })
            .collect::<Result<_>>()?;
        // Padding 0: the right and bottom are padded instead.
        let downsample = downsamples
            .then(|| Downsample::load(output, 0, &vb.pp("downsamplers.0")))
            .transpose()?;
        Ok(Self { resnets, downsample })
    }

    fn forward(&self, mut hidden: Tensor) -> Result<Tensor> {
        for resnet in &self.resnets {
            hidden = resnet.forward(&hidden, None)?;
        }
        match &self.downsample {
            Some(downsample) => downsample.forward(&hidden),
            None => Ok(hidden),
        }
    }
}

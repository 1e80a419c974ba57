//! Latents → pixels, block by block from the innermost level outwards.

use candle_core::{Result, Tensor};

use super::GROUP_NORM_EPS;
use super::mid_block::{MidBlock, resnet_shape};
use crate::config::VaeConfig;
use crate::diffusion::probe::Probe;
use crate::diffusion::resnet::{Resnet, Upsample, conv3x3};
use crate::layers::{Conv2d, GroupNorm, group_norm};
use crate::weights::Weights;

/// `Decoder` of diffusers' `vae.py`.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    conv_in: Conv2d,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// `UpDecoderBlock2D`: resnets, then twice the size (not in the last block).
#[derive(Debug, Clone)]
struct UpBlock {
    resnets: Vec<Resnet>,
    upsample: Option<Upsample>,
}

/// A decoding under way.
#[derive(Debug, Clone)]
pub struct DecodePass {
    hidden: Tensor,
    next: Stage,
}

/// Which part of the decoder comes next.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Middle,
    Up(usize),
    Out,
}

/// What a decoding has come to after one more block.
#[derive(Debug, Clone)]
pub enum DecodeProgress {
    /// There are blocks left.
    More(DecodePass),
    /// The picture, (B, 3, H, W) in about ±1.
    Done(Tensor),
}

impl Decoder {
    /// Expects `vb` at `decoder`, and at least one level.
    pub(super) fn load(config: &VaeConfig, vb: &Weights<'_>) -> Result<Self> {
        let channels = &config.block_out_channels;
        let (outermost, innermost) = (channels[0], channels[channels.len() - 1]);
        let up_blocks = channels
            .iter()
            .rev()
            .enumerate()
            .map(|(index, output)| {
                let input = channels[(channels.len() - index).min(channels.len() - 1)];
                let is_last = index + 1 == channels.len();
                UpBlock::load(config, (input, *output), !is_last, &vb.pp("up_blocks").pp(index))
            })
            .collect::<Result<_>>()?;
        let groups = config.norm_num_groups;
        Ok(Self {
            conv_in: conv3x3(config.latent_channels, innermost, &vb.pp("conv_in"))?,
            mid_block: MidBlock::load(config, innermost, &vb.pp("mid_block"))?,
            up_blocks,
            conv_norm_out: group_norm(groups, outermost, GROUP_NORM_EPS, &vb.pp("conv_norm_out"))?,
            conv_out: conv3x3(outermost, config.out_channels, &vb.pp("conv_out"))?,
        })
    }

    /// How many times a decoding can be advanced.
    pub(super) fn num_segments(&self) -> usize {
        1 + self.up_blocks.len() + 1
    }

    pub(super) fn begin(&self, latents: &Tensor, probe: &mut Probe<'_>) -> Result<DecodePass> {
        let hidden = self.conv_in.forward(latents)?;
        probe.show(format_args!("decoder.conv_in"), &hidden);
        Ok(DecodePass { hidden, next: Stage::Middle })
    }

    pub(super) fn advance(
        &self,
        pass: DecodePass,
        probe: &mut Probe<'_>,
    ) -> Result<DecodeProgress> {
        let DecodePass { hidden, next } = pass;
        let (hidden, next) = match next {
            Stage::Middle => {
                let hidden = self.mid_block.forward(&hidden)?;
                probe.show(format_args!("decoder.mid_block"), &hidden);
                (hidden, Stage::Up(0))
            }
            Stage::Up(index) => {
                let hidden = self.up_blocks[index].forward(hidden)?;
                probe.show(format_args!("decoder.up_blocks.{index}"), &hidden);
                let after = index + 1;
                (hidden, if after < self.up_blocks.len() { Stage::Up(after) } else { Stage::Out })
            }
            Stage::Out => {
                let normed = self.conv_norm_out.forward_silu(&hidden)?;
                return Ok(DecodeProgress::Done(self.conv_out.forward(&normed)?));
            }
        };
        Ok(DecodeProgress::More(DecodePass { hidden, next }))
    }
}

impl UpBlock {
    fn load(
        config: &VaeConfig,
        (input, output): (usize, usize),
        upsamples: bool,
        vb: &Weights<'_>,
    ) -> Result<Self> {
        let resnets = (0..=config.layers_per_block)
            .map(|index| {
                let input = if index == 0 { input } else { output };
                Resnet::load(resnet_shape(config, input, output), &vb.pp("resnets").pp(index))
            })
            .collect::<Result<_>>()?;
        let upsample =
            upsamples.then(|| Upsample::load(output, &vb.pp("upsamplers.0"))).transpose()?;
        Ok(Self { resnets, upsample })
    }

    fn forward(&self, mut hidden: Tensor) -> Result<Tensor> {
        for resnet in &self.resnets {
            hidden = resnet.forward(&hidden, None)?;
        }
        let Some(upsample) = &self.upsample else { return Ok(hidden) };
        let (_, _, height, width) = hidden.dims4()?;
        upsample.forward(&hidden, 2 * height, 2 * width)
    }
}

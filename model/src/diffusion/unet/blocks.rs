//! The UNet's levels: down, middle and up blocks of resnets with or without attention, as diffusers'
//! `unet_2d_blocks.py`. Each is one step of a pass; none knows the others.

use candle_core::{Result, Tensor};

use super::time_embedding::TimeEmbedding;
use super::transformer::SpatialTransformer;
use crate::config::UnetConfig;
use crate::diffusion::probe::Probe;
use crate::diffusion::resnet::{Downsample, Resnet, ResnetShape, Upsample};
use crate::layers::cat_channels;
use crate::weights::Weights;

/// What every block of a pass is given, row by row.
#[derive(Debug, Clone)]
pub(crate) struct BlockInput {
    /// silu(time embedding), (B, 4·C₀).
    pub(crate) time: Tensor,
    /// (B, Q, D).
    pub(crate) condition: Tensor,
}

/// Which block of a UNet is being built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockPlan {
    /// Channels in.
    pub(crate) input: usize,
    /// Channels out.
    pub(crate) output: usize,
    /// Heads of its attention, `None` without.
    pub(crate) heads: Option<usize>,
    /// Whether it resamples at its end.
    pub(crate) resamples: bool,
}

fn resnet_shape(config: &UnetConfig, input: usize, output: usize) -> ResnetShape {
    ResnetShape {
        input,
        output,
        time: Some(TimeEmbedding::width(config)),
        groups: config.norm_num_groups,
        eps: config.norm_eps,
    }
}

/// A resnet and, in cross-attention blocks, the transformer after it.
#[derive(Debug, Clone)]
struct Layer {
    resnet: Resnet,
    attention: Option<SpatialTransformer>,
}

impl Layer {
    /// Layer `index` of a block at `vb`, taking `input` channels.
    fn load(
        config: &UnetConfig,
        plan: BlockPlan,
        (index, input): (usize, usize),
        vb: &Weights<'_>,
    ) -> Result<Self> {
        let resnet =
            Resnet::load(resnet_shape(config, input, plan.output), &vb.pp("resnets").pp(index))?;
        let attention = plan
            .heads
            .map(|heads| {
                let vb = vb.pp("attentions").pp(index);
                SpatialTransformer::load(config, plan.output, heads, &vb)
            })
            .transpose()?;
        Ok(Self { resnet, attention })
    }

    fn forward(
        &self,
        hidden: &Tensor,
        input: &BlockInput,
        (block, index): (&str, usize),
        probe: &mut Probe<'_>,
    ) -> Result<Tensor> {
        let hidden = self.resnet.forward(hidden, Some(&input.time))?;
        probe.show(format_args!("{block}.resnets.{index}"), &hidden);
        let Some(attention) = &self.attention else { return Ok(hidden) };
        let hidden = attention.forward(
            &hidden,
            &input.condition,
            (format_args!("{block}.attentions.{index}"), &mut *probe),
        )?;
        probe.show(format_args!("{block}.attentions.{index}"), &hidden);
        Ok(hidden)
    }
}

/// `DownBlock2D` or `CrossAttnDownBlock2D`.
#[derive(Debug, Clone)]
pub(crate) struct DownBlock {
    name: String,
    layers: Vec<Layer>,
    downsample: Option<Downsample>,
}

impl DownBlock {
    /// Expects `vb` at the UNet's root; `index` counts from the outermost level.
    pub(crate) fn load(
        config: &UnetConfig,
        plan: BlockPlan,
        index: usize,
        vb: &Weights<'_>,
    ) -> Result<Self> {
        let name = format!("down_blocks.{index}");
        let vb = vb.pp(&name);
        let layers = (0..config.layers_per_block)
            .map(|layer| {
                let input = if layer == 0 { plan.input } else { plan.output };
                Layer::load(config, plan, (layer, input), &vb)
            })
            .collect::<Result<_>>()?;
        let downsample = plan
            .resamples
            .then(|| {
                let vb = vb.pp("downsamplers.0");
                Downsample::load(plan.output, config.downsample_padding, &vb)
            })
            .transpose()?;
        Ok(Self { name, layers, downsample })
    }

    /// Leaves a skip after each layer and after the downsampling.
    pub(crate) fn forward(
        &self,
        mut hidden: Tensor,
        skips: &mut Vec<Tensor>,
        input: &BlockInput,
        probe: &mut Probe<'_>,
    ) -> Result<Tensor> {
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = layer.forward(&hidden, input, (&self.name, index), probe)?;
            skips.push(hidden.clone());
        }
        if let Some(downsample) = &self.downsample {
            hidden = downsample.forward(&hidden)?;
            probe.show(format_args!("{}.downsamplers.0", self.name), &hidden);
            skips.push(hidden.clone());
        }
        probe.show(format_args!("{}", self.name), &hidden);
        Ok(hidden)
    }
}

/// `UNetMidBlock2DCrossAttn`: resnet, transformer, resnet.
#[derive(Debug, Clone)]
pub(crate) struct MidBlock {
    first: Layer,
    last: Layer,
}

impl MidBlock {
    /// Expects `vb` at the UNet's root.
    pub(crate) fn load(config: &UnetConfig, plan: BlockPlan, vb: &Weights<'_>) -> Result<Self> {
        let vb = vb.pp("mid_block");
        let without_attention = BlockPlan { heads: None, ..plan };
        Ok(Self {
            first: Layer::load(config, plan, (0, plan.input), &vb)?,
            last: Layer::load(config, without_attention, (1, plan.output), &vb)?,
        })
    }

    pub(crate) fn forward(
        &self,
        hidden: &Tensor,
        input: &BlockInput,
        probe: &mut Probe<'_>,
    ) -> Result<Tensor> {
        let hidden = self.first.forward(hidden, input, ("mid_block", 0), probe)?;
        let hidden = self.last.forward(&hidden, input, ("mid_block", 1), probe)?;
        probe.show(format_args!("mid_block"), &hidden);
        Ok(hidden)
    }
}

/// `UpBlock2D` or `CrossAttnUpBlock2D`.
#[derive(Debug, Clone)]
pub(crate) struct UpBlock {
    name: String,
    layers: Vec<Layer>,
    upsample: Option<Upsample>,
}

impl UpBlock {
    /// Expects `vb` at the UNet's root; `index` counts from the innermost level, and `outer` is the
    /// channels of the next level outwards, whose downsampled skip the last layer takes.
    pub(crate) fn load(
        config: &UnetConfig,
        plan: BlockPlan,
        (index, outer): (usize, usize),
        vb: &Weights<'_>,
    ) -> Result<Self> {
        let name = format!("up_blocks.{index}");
        let vb = vb.pp(&name);
        let last = config.layers_per_block;
        let layers = (0..=last)
            .map(|layer| {
                let below = if layer == 0 { plan.input } else { plan.output };
                let skip = if layer == last { outer } else { plan.output };
                Layer::load(config, plan, (layer, below + skip), &vb)
            })
            .collect::<Result<_>>()?;
        let upsample = plan
            .resamples
            .then(|| Upsample::load(plan.output, &vb.pp("upsamplers.0")))
            .transpose()?;
        Ok(Self { name, layers, upsample })
    }

    /// Takes a skip before each layer, then grows to the size of the next skip: twice its own, or
    /// one less where an odd side was rounded up on the way down.
    pub(crate) fn forward(
        &self,
        mut hidden: Tensor,
        skips: &mut Vec<Tensor>,
        input: &BlockInput,
        probe: &mut Probe<'_>,
    ) -> Result<Tensor> {
        for (index, layer) in self.layers.iter().enumerate() {
            if let Some(skip) = skips.pop() {
                hidden = cat_channels(&hidden, &skip)?;
            }
            hidden = layer.forward(&hidden, input, (&self.name, index), probe)?;
        }
        if let (Some(upsample), Some(skip)) = (&self.upsample, skips.last()) {
            let (_, _, height, width) = skip.dims4()?;
            hidden = upsample.forward(&hidden, height, width)?;
            probe.show(format_args!("{}.upsamplers.0", self.name), &hidden);
        }
        probe.show(format_args!("{}", self.name), &hidden);
        Ok(hidden)
    }
}

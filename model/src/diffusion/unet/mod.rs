//! The denoiser: Stable Diffusion's `UNet2DConditionModel` with one timestep per row, so that rows at
//! different places of different schedules share one pass. A pass is a value that advances block by
//! block and may rest in between. Knows no sampler and no guidance.

mod blocks;
mod time_embedding;
mod transformer;

use candle_core::{DType, Device, Tensor};
use reverie_kernels::{Cpu, compute_shares, deal};

use self::blocks::{BlockInput, BlockPlan, DownBlock, MidBlock, UpBlock};
use self::time_embedding::TimeEmbedding;
use super::probe::Probe;
use super::resnet::conv3x3;
use crate::config::UnetConfig;
use crate::error::ModelError;
use crate::kernels::Kernels;
use crate::layers::{Conv2d, GroupNorm, group_norm};
use crate::weights::Weights;

/// `UNet2DConditionModel` of Stable Diffusion 1.x and 2.x.
#[derive(Debug, Clone)]
pub struct Unet {
    device: Device,
    dtype: DType,
    kernels: Kernels,
    time_embedding: TimeEmbedding,
    conv_in: Conv2d,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

/// A pass under way: everything that the remaining blocks need, in the shares of the threads that compute it.
#[derive(Debug, Clone)]
pub struct UnetPass {
    shares: Vec<Share>,
}

/// Some rows of a pass.
#[derive(Debug, Clone)]
struct Share {
    hidden: Tensor,
    skips: Vec<Tensor>,
    input: BlockInput,
    next: Stage,
}

/// Which part of the UNet comes next.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Down(usize),
    Middle,
    Up(usize),
    Out,
}

/// What a share has come to after one more block.
enum ShareProgress {
    More(Share),
    Done(Tensor),
}

/// What a pass has come to after one more block.
#[derive(Debug, Clone)]
pub enum UnetProgress {
    /// There are blocks left.
    More(UnetPass),
    /// The prediction, (B, C, h, w).
    Done(Tensor),
}

impl Unet {
    /// Reads the weights; expects `weights` at `stable_diffusion_head.unet`.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] for a block type that is neither plain nor cross-attention, and
    /// [`ModelError::Tensor`] for a missing or misshapen tensor.
    pub fn load<'a>(
        config: &UnetConfig,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let vb = &weights.into();
        let channels = &config.block_out_channels;
        let levels = channels.len();
        let Some(innermost) = channels.last().copied() else {
            return Err(ModelError::Parameter {
                parameter: "unet.block_out_channels",
                found: "an empty list".to_owned(),
                wanted: "at least one level".to_owned(),
            });
        };
        check_levels("unet.down_block_types", config.down_block_types.len(), levels)?;
        check_levels("unet.up_block_types", config.up_block_types.len(), levels)?;

        let mut down_blocks = Vec::with_capacity(levels);
        for (level, kind) in config.down_block_types.iter().enumerate() {
            let attends = has_attention("unet.down_block_types", kind, "DownBlock2D")?;
            let plan = BlockPlan {
                input: channels[level.saturating_sub(1)],
                output: channels[level],
                heads: attends.then(|| config.heads(level)),
                resamples: level + 1 < levels,
            };
            down_blocks.push(DownBlock::load(config, plan, level, vb)?);
        }
        let heads = Some(config.heads(levels - 1));
        let middle = BlockPlan { input: innermost, output: innermost, heads, resamples: false };
        let mut up_blocks = Vec::with_capacity(levels);
        for (index, kind) in config.up_block_types.iter().enumerate() {
            let attends = has_attention("unet.up_block_types", kind, "UpBlock2D")?;
            let level = levels - 1 - index;
            let plan = BlockPlan {
                input: channels[(level + 1).min(levels - 1)],
                output: channels[level],
                heads: attends.then(|| config.heads(level)),
                resamples: level > 0,
            };
            let outer = channels[level.saturating_sub(1)];
            up_blocks.push(UpBlock::load(config, plan, (index, outer), vb)?);
        }
        let (groups, eps) = (config.norm_num_groups, config.norm_eps);
        Ok(Self {
            device: vb.device().clone(),
            dtype: vb.dtype(),
            kernels: vb.kernels(),
            time_embedding: TimeEmbedding::load(config, &vb.pp("time_embedding"))?,
            conv_in: conv3x3(config.in_channels, channels[0], &vb.pp("conv_in"))?,
            down_blocks,
            mid_block: MidBlock::load(config, middle, vb)?,
            up_blocks,
            conv_norm_out: group_norm(groups, channels[0], eps, &vb.pp("conv_norm_out"))?,
            conv_out: conv3x3(channels[0], config.out_channels, &vb.pp("conv_out"))?,
        })
    }

    /// The device that holds the weights.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The dtype of weights and activations.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Predicts for `sample` (B, C, h, w), each row at its own timestep (of B) and under its own
    /// condition (B, Q, D); returns (B, C, h, w) in the model's dtype.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if shapes disagree or the device is out of memory.
    pub fn forward(
        &self,
        sample: &Tensor,
        timesteps: &[f32],
        condition: &Tensor,
    ) -> Result<Tensor, ModelError> {
        self.forward_probed(sample, timesteps, condition, &mut Probe::blind())
    }

    /// As [`forward`](Self::forward), showing inner activations.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_probed(
        &self,
        sample: &Tensor,
        timesteps: &[f32],
        condition: &Tensor,
        probe: &mut Probe<'_>,
    ) -> Result<Tensor, ModelError> {
        let mut pass = self.begin(sample, timesteps, condition, probe)?;
        loop {
            match self.advance(pass, probe)? {
                UnetProgress::More(rest) => pass = rest,
                UnetProgress::Done(prediction) => return Ok(prediction),
            }
        }
    }

    /// How many times a pass can be [advanced](Self::advance).
    pub fn num_segments(&self) -> usize {
        self.down_blocks.len() + 1 + self.up_blocks.len() + 1
    }

    /// Starts a pass; arguments as of [`forward`](Self::forward). Threads share out its rows, if there are
    /// enough of them and nobody watches: each takes its own through all blocks.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn begin(
        &self,
        sample: &Tensor,
        timesteps: &[f32],
        condition: &Tensor,
        probe: &mut Probe<'_>,
    ) -> Result<UnetPass, ModelError> {
        let threads = match self.kernels {
            Kernels::Reverie if !probe.is_watched() => Cpu::detect().threads,
            Kernels::Reverie | Kernels::Candle => 1,
        };
        let shares = deal(&vec![1; timesteps.len()], threads);
        if shares.len() < 2 {
            return Ok(UnetPass { shares: vec![self.enter(sample, timesteps, condition, probe)?] });
        }
        let shares = compute_shares(shares, |rows| {
            let sample = sample.narrow(0, rows.start, rows.len())?;
            let condition = condition.narrow(0, rows.start, rows.len())?;
            self.enter(&sample, &timesteps[rows], &condition, &mut Probe::blind())
        });
        Ok(UnetPass { shares: shares.into_iter().collect::<Result<_, _>>()? })
    }

    /// A share of a pass, before its first block.
    fn enter(
        &self,
        sample: &Tensor,
        timesteps: &[f32],
        condition: &Tensor,
        probe: &mut Probe<'_>,
    ) -> Result<Share, ModelError> {
        let sinusoids = self.time_embedding.sinusoids(timesteps, &self.device)?;
        probe.show(format_args!("time_proj"), &sinusoids);
        let time = self.time_embedding.forward(&sinusoids, self.dtype)?;
        probe.show(format_args!("time_embedding"), &time);
        let hidden = self.conv_in.forward(&sample.to_dtype(self.dtype)?)?;
        probe.show(format_args!("conv_in"), &hidden);
        let input = BlockInput { time: time.silu()?, condition: condition.to_dtype(self.dtype)? };
        Ok(Share { skips: vec![hidden.clone()], hidden, input, next: Stage::Down(0) })
    }

    /// Computes one more block. Resting between calls changes nothing.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn advance(
        &self,
        pass: UnetPass,
        probe: &mut Probe<'_>,
    ) -> Result<UnetProgress, ModelError> {
        let advanced: Vec<ShareProgress> = match <[Share; 1]>::try_from(pass.shares) {
            Ok([whole]) => vec![self.advance_share(whole, probe)?],
            Err(shares) => {
                let alone = |share| self.advance_share(share, &mut Probe::blind());
                compute_shares(shares, alone).into_iter().collect::<Result<_, _>>()?
            }
        };
        let (mut rest, mut predictions) = (Vec::new(), Vec::new());
        for share in advanced {
            match share {
                ShareProgress::More(share) => rest.push(share),
                ShareProgress::Done(prediction) => predictions.push(prediction),
            }
        }
        if rest.is_empty() {
            return Ok(UnetProgress::Done(Tensor::cat(&predictions, 0)?));
        }
        Ok(UnetProgress::More(UnetPass { shares: rest }))
    }

    fn advance_share(
        &self,
        share: Share,
        probe: &mut Probe<'_>,
    ) -> Result<ShareProgress, ModelError> {
        let Share { mut hidden, mut skips, input, next } = share;
        let next = match next {
            Stage::Down(index) => {
                hidden = self.down_blocks[index].forward(hidden, &mut skips, &input, probe)?;
                let after = index + 1;
                if after < self.down_blocks.len() { Stage::Down(after) } else { Stage::Middle }
            }
            Stage::Middle => {
                hidden = self.mid_block.forward(&hidden, &input, probe)?;
                Stage::Up(0)
            }
            Stage::Up(index) => {
                hidden = self.up_blocks[index].forward(hidden, &mut skips, &input, probe)?;
                let after = index + 1;
                if after < self.up_blocks.len() { Stage::Up(after) } else { Stage::Out }
            }
            Stage::Out => {
                if probe.is_watched() {
                    let normed = self.conv_norm_out.forward(&hidden)?;
                    probe.show(format_args!("conv_norm_out"), &normed);
                }
                let prediction =
                    self.conv_out.forward(&self.conv_norm_out.forward_silu(&hidden)?)?;
                probe.show(format_args!("conv_out"), &prediction);
                return Ok(ShareProgress::Done(prediction));
            }
        };
        Ok(ShareProgress::More(Share { hidden, skips, input, next }))
    }
}

fn check_levels(field: &'static str, found: usize, wanted: usize) -> Result<(), ModelError> {
    if found == wanted {
        return Ok(());
    }
    Err(ModelError::Parameter {
        parameter: field,
        found: format!("{found} blocks"),
        wanted: format!("{wanted}, one for each of block_out_channels"),
    })
}

/// Whether a block type is the one with cross-attention, given the name of the one without.
fn has_attention(field: &'static str, kind: &str, plain: &str) -> Result<bool, ModelError> {
    let attends = format!("CrossAttn{plain}");
    if kind != plain && kind != attends {
        return Err(ModelError::Parameter {
            parameter: field,
            found: kind.to_owned(),
            wanted: format!("{plain} or {attends}"),
        });
    }
    Ok(kind == attends)
}

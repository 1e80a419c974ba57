//! Layer normalisation of rows, group normalisation of pictures.

use std::sync::Arc;

use candle_core::{Device, Module, Result, Tensor, bail};
use candle_nn::{GroupNorm as CandleGroupNorm, LayerNorm as CandleLayerNorm};
use reverie_kernels::{
    Activation, Cpu, GroupNorm as PicturesNorm, GroupNormShape, LayerNorm as RowsNorm,
};

use super::memory_format::{channels_last, from_channels_last};
use super::{to_values, with_values};
use crate::kernels::Kernels;
use crate::weights::Weights;

/// LayerNorm over the last dimension.
#[derive(Debug, Clone)]
pub(crate) enum LayerNorm {
    Reverie { norm: Arc<RowsNorm>, width: usize },
    Candle(CandleLayerNorm),
}

/// Takes `weight` and `bias`, (width).
pub(crate) fn layer_norm(width: usize, eps: f64, weights: &Weights<'_>) -> Result<LayerNorm> {
    let (weight, bias) = (weights.get_scale(width, "weight")?, weights.get(width, "bias")?);
    match weights.kernels() {
        Kernels::Candle => Ok(LayerNorm::Candle(CandleLayerNorm::new(weight, bias, eps))),
        Kernels::Reverie => {
            let norm = RowsNorm::new(to_values(&weight)?, to_values(&bias)?, eps);
            Ok(LayerNorm::Reverie { norm: Arc::new(norm), width })
        }
    }
}

impl LayerNorm {
    /// (…, width) → (…, width).
    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Reverie { norm, width } => {
                if xs.dims().last() != Some(width) {
                    bail!("{:?} goes into a norm of {width}", xs.dims());
                }
                let mut out = vec![0.0; xs.elem_count()];
                with_values(xs, |xs| norm.forward(Cpu::detect(), xs, &mut out))?;
                Tensor::from_vec(out, xs.shape(), &Device::Cpu)
            }
            Self::Candle(norm) => norm.forward(xs),
        }
    }
}

/// GroupNorm over pictures (B, C, H, W).
#[derive(Debug, Clone)]
pub(crate) enum GroupNorm {
    Reverie { norm: Arc<PicturesNorm>, channels: usize },
    Candle(CandleGroupNorm),
}

/// Takes `weight` and `bias`, (channels).
pub(crate) fn group_norm(
    groups: usize,
    channels: usize,
    eps: f64,
    weights: &Weights<'_>,
) -> Result<GroupNorm> {
    let (weight, bias) = (weights.get_scale(channels, "weight")?, weights.get(channels, "bias")?);
    match weights.kernels() {
        Kernels::Reverie if groups > 0 && channels.is_multiple_of(groups) => {
            let norm = PicturesNorm::new(to_values(&weight)?, to_values(&bias)?, groups, eps);
            Ok(GroupNorm::Reverie { norm: Arc::new(norm), channels })
        }
        // candle's says what is wrong with the groups.
        Kernels::Reverie | Kernels::Candle => {
            Ok(GroupNorm::Candle(CandleGroupNorm::new(weight, bias, channels, groups, eps)?))
        }
    }
}

impl GroupNorm {
    /// (B, C, H, W) → the same shape.
    pub(crate) fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        match self {
            Self::Reverie { norm, channels } => compute(norm, *channels, picture, None),
            Self::Candle(norm) => norm.forward(picture),
        }
    }

    /// As [`forward`](Self::forward), through SiLU.
    pub(crate) fn forward_silu(&self, picture: &Tensor) -> Result<Tensor> {
        match self {
            Self::Reverie { norm, channels } => {
                compute(norm, *channels, picture, Some(Activation::Silu))
            }
            Self::Candle(norm) => norm.forward(picture)?.silu(),
        }
    }
}

fn compute(
    norm: &PicturesNorm,
    wanted: usize,
    picture: &Tensor,
    then: Option<Activation>,
) -> Result<Tensor> {
    let (batch, channels, height, width) = picture.dims4()?;
    if channels != wanted {
        bail!("{channels} channels go into a norm of {wanted}");
    }
    let mut out = vec![0.0; picture.elem_count()];
    let shape = GroupNormShape { pixels: height * width, then };
    with_values(&channels_last(picture)?, |xs| norm.forward(Cpu::detect(), xs, shape, &mut out))?;
    from_channels_last(out, [batch, height, width, channels])
}

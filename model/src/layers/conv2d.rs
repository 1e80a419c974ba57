//! Two-dimensional convolutions, and what is done in the same pass: growing the picture before, adding to
//! it after. Pictures are (B, C, H, W).

use std::sync::Arc;

use candle_core::{Module, Result, Tensor, bail};
use candle_nn::{Conv2d as CandleConv2d, Conv2dConfig, conv2d};
use reverie_kernels::{Conv2d as PackedConv2d, ConvGeometry, ConvSize, Cpu, Padding, Plane, Store};

use super::memory_format::{channels_last, from_channels_last};
use super::{add, to_values, with_values};
use crate::kernels::Kernels;
use crate::weights::Weights;

/// What a convolution is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvShape {
    /// Channels in.
    pub(crate) input: usize,
    /// Channels out.
    pub(crate) output: usize,
    /// How its kernel moves.
    pub(crate) geometry: ConvGeometry,
}

impl ConvShape {
    /// 3×3, keeping the picture's size.
    pub(crate) fn same_size(input: usize, output: usize) -> Self {
        let padding = Padding { near: 1, far: 1 };
        Self { input, output, geometry: ConvGeometry { kernel: 3, stride: 1, padding } }
    }

    /// 1×1.
    pub(crate) fn pointwise(input: usize, output: usize) -> Self {
        let padding = Padding { near: 0, far: 0 };
        Self { input, output, geometry: ConvGeometry { kernel: 1, stride: 1, padding } }
    }

    /// 3×3 at every second place, with `near` zeros above and to the left and as many, at least one, below
    /// and to the right.
    pub(crate) fn halving(channels: usize, near: usize) -> Self {
        let padding = Padding { near, far: near.max(1) };
        let geometry = ConvGeometry { kernel: 3, stride: 2, padding };
        Self { input: channels, output: channels, geometry }
    }
}

/// A convolution with a bias.
#[derive(Debug, Clone)]
pub(crate) enum Conv2d {
    Reverie(Arc<PackedConv2d>),
    /// Zeros on the far sides, beyond those of the convolution itself, come first.
    Candle {
        layer: CandleConv2d,
        far: usize,
    },
}

/// What an output starts from.
#[derive(Clone, Copy)]
enum Base<'a> {
    Nothing,
    /// (B, C), the same for all pixels.
    Shift(&'a Tensor),
    /// A picture.
    Residual(&'a Tensor),
}

impl Conv2d {
    /// Takes `weight`, (out, in, kernel, kernel), and `bias`, (out).
    pub(crate) fn load(shape: ConvShape, weights: &Weights<'_>) -> Result<Self> {
        let ConvShape { input, output, geometry } = shape;
        let ConvGeometry { kernel, stride, padding } = geometry;
        let config = Conv2dConfig { stride, padding: padding.near, ..Conv2dConfig::default() };
        let layer = conv2d(input, output, kernel, config, weights.tensors())?;
        match weights.kernels() {
            Kernels::Candle => Ok(Self::Candle { layer, far: padding.far - padding.near }),
            Kernels::Reverie => {
                let bias = layer.bias().map(to_values).transpose()?;
                let pack =
                    |weight: &[f32]| PackedConv2d::new(weight, bias, (output, input), geometry);
                let packed = with_values(layer.weight(), pack)?;
                Ok(Self::Reverie(Arc::new(packed.shared(|lines| weights.share(lines))?)))
            }
        }
    }

    /// (B, in, H, W) → (B, out, H', W').
    pub(crate) fn forward(&self, picture: &Tensor) -> Result<Tensor> {
        match self {
            Self::Reverie(layer) => compute(layer, picture, None, Base::Nothing),
            Self::Candle { layer, far: 0 } => layer.forward(picture),
            Self::Candle { layer, far } => {
                layer.forward(&picture.pad_with_zeros(2, 0, *far)?.pad_with_zeros(3, 0, *far)?)
            }
        }
    }

    /// As [`forward`](Self::forward), of the picture grown to `height` × `width` by nearest neighbour.
    pub(crate) fn forward_grown(
        &self,
        picture: &Tensor,
        height: usize,
        width: usize,
    ) -> Result<Tensor> {
        match self {
            Self::Reverie(layer) => {
                compute(layer, picture, Some(Plane { height, width }), Base::Nothing)
            }
            Self::Candle { .. } => self.forward(&picture.upsample_nearest2d(height, width)?),
        }
    }

    /// As [`forward`](Self::forward), plus `shift` (B, out) at every pixel.
    pub(crate) fn forward_shifted(&self, picture: &Tensor, shift: &Tensor) -> Result<Tensor> {
        match self {
            Self::Reverie(layer) => compute(layer, picture, None, Base::Shift(shift)),
            Self::Candle { .. } => {
                let (batch, channels) = shift.dims2()?;
                self.forward(picture)?.broadcast_add(&shift.reshape((batch, channels, 1, 1))?)
            }
        }
    }

    /// As [`forward`](Self::forward), plus the picture `residual` of the same shape.
    pub(crate) fn forward_added(&self, picture: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match self {
            Self::Reverie(layer) => compute(layer, picture, None, Base::Residual(residual)),
            Self::Candle { .. } => add(residual, &self.forward(picture)?),
        }
    }
}

fn compute(
    layer: &PackedConv2d,
    picture: &Tensor,
    grown: Option<Plane>,
    base: Base<'_>,
) -> Result<Tensor> {
    let (batch, channels, height, width) = picture.dims4()?;
    if channels != layer.input() {
        bail!("{channels} channels go into a convolution that takes {}", layer.input());
    }
    let stored = Plane { height, width };
    let plane = grown.unwrap_or(stored);
    let output = layer.geometry().output(plane);
    let dims = [batch, output.height, output.width, layer.output()];
    let (mut out, store) = match base {
        Base::Nothing => (vec![0.0; dims.iter().product()], Store::Overwrite),
        Base::Shift(shift) => (every_pixel(shift, dims)?, Store::Add),
        Base::Residual(residual) => {
            let residual = channels_last(residual)?;
            if residual.dims() != dims {
                bail!("{:?} cannot be added to {dims:?}", residual.dims());
            }
            (to_values(&residual)?, Store::Add)
        }
    };
    let size = ConvSize { stored, plane, store };
    with_values(&channels_last(picture)?, |xs| layer.forward(Cpu::detect(), xs, size, &mut out))?;
    from_channels_last(out, dims)
}

/// Each row of `shift`, (B, C), at every pixel of (B, H, W, C).
fn every_pixel(shift: &Tensor, dims: [usize; 4]) -> Result<Vec<f32>> {
    let [batch, height, width, channels] = dims;
    if shift.dims() != [batch, channels] {
        bail!("{:?} cannot shift {dims:?}", shift.dims());
    }
    with_values(shift, |shift| {
        shift.chunks_exact(channels).flat_map(|row| row.repeat(height * width)).collect()
    })
}

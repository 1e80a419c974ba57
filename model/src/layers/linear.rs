//! Linear layers.

use std::sync::Arc;

use candle_core::{Device, Module, Result, Tensor, bail};
use candle_nn::Linear as CandleLinear;
use reverie_kernels::{Cpu, Linear as PackedLinear, Store};

use super::{to_values, with_values};
use crate::kernels::Kernels;
use crate::weights::Weights;

/// `x · weightᵀ + bias`.
#[derive(Debug, Clone)]
pub(crate) enum Linear {
    Reverie(Arc<PackedLinear>),
    Candle(CandleLinear),
}

/// With a bias.
pub(crate) fn linear(input: usize, output: usize, weights: &Weights<'_>) -> Result<Linear> {
    linear_b(input, output, true, weights)
}

/// Without a bias.
pub(crate) fn linear_no_bias(input: usize, output: usize, weights: &Weights<'_>) -> Result<Linear> {
    linear_b(input, output, false, weights)
}

/// With a bias if `bias`.
pub(crate) fn linear_b(
    input: usize,
    output: usize,
    bias: bool,
    weights: &Weights<'_>,
) -> Result<Linear> {
    let layer = candle_nn::linear_b(input, output, bias, weights.tensors())?;
    Linear::new(layer.weight(), layer.bias(), weights)
}

impl Linear {
    /// `weight` is (out, in), `bias` (out); both are of `weights`, as a layer takes them.
    pub(crate) fn new(
        weight: &Tensor,
        bias: Option<&Tensor>,
        weights: &Weights<'_>,
    ) -> Result<Self> {
        match weights.kernels() {
            Kernels::Candle => Ok(Self::Candle(CandleLinear::new(weight.clone(), bias.cloned()))),
            Kernels::Reverie => {
                let bias = bias.map(to_values).transpose()?;
                let shape = weight.dims2()?;
                let packed = with_values(weight, |weight| PackedLinear::new(weight, bias, shape))?;
                Ok(Self::Reverie(Arc::new(packed.shared(|lines| weights.share(lines))?)))
            }
        }
    }

    /// (…, in) → (…, out).
    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        match self {
            Self::Reverie(layer) => {
                let (layer, dims) = (&**layer, output_dims(xs, layer)?);
                let mut out = vec![0.0; dims.iter().product()];
                with_values(xs, |xs| layer.forward(Cpu::detect(), xs, Store::Overwrite, &mut out))?;
                Tensor::from_vec(out, dims, &Device::Cpu)
            }
            Self::Candle(layer) => layer.forward(xs),
        }
    }

    /// (…, in) → (…, out), plus `residual` of that shape.
    pub(crate) fn forward_added(&self, xs: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match self {
            Self::Reverie(layer) => {
                let (layer, dims) = (&**layer, output_dims(xs, layer)?);
                if residual.dims() != dims {
                    bail!("{:?} cannot be added to {dims:?}", residual.dims());
                }
                let mut out = to_values(residual)?;
                with_values(xs, |xs| layer.forward(Cpu::detect(), xs, Store::Add, &mut out))?;
                Tensor::from_vec(out, dims, &Device::Cpu)
            }
            Self::Candle(layer) => layer.forward(xs)? + residual,
        }
    }
}

fn output_dims(xs: &Tensor, layer: &PackedLinear) -> Result<Vec<usize>> {
    let mut dims = xs.dims().to_vec();
    match dims.last_mut() {
        Some(last) if *last == layer.input() => *last = layer.output(),
        Some(_) | None => bail!("{dims:?} goes into a linear layer that takes {}", layer.input()),
    }
    Ok(dims)
}

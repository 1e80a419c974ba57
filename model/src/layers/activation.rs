//! Activations that cost enough to be computed by our kernels.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops;
use reverie_kernels::{Activation, Cpu};

use super::{to_values, with_values};
use crate::kernels::Kernels;

/// `activation` of every element.
pub(crate) fn activate(kernels: Kernels, activation: Activation, xs: &Tensor) -> Result<Tensor> {
    match (kernels, activation) {
        (Kernels::Reverie, _) => {
            let mut values = to_values(xs)?;
            reverie_kernels::activate(Cpu::detect(), activation, &mut values);
            Tensor::from_vec(values, xs.shape(), &Device::Cpu)
        }
        (Kernels::Candle, Activation::Silu) => xs.silu(),
        (Kernels::Candle, Activation::Gelu) => xs.gelu_erf(),
        (Kernels::Candle, Activation::QuickGelu) => xs * ops::sigmoid(&(xs * 1.702)?)?,
    }
}

/// GEGLU's middle: (…, 2 · inner), value before gate → `value · gelu(gate)`, (…, inner).
pub(crate) fn gated_gelu(kernels: Kernels, both: &Tensor) -> Result<Tensor> {
    let inner = both.dim(D::Minus1)? / 2;
    match kernels {
        Kernels::Reverie => {
            let mut dims = both.dims().to_vec();
            dims.pop();
            dims.push(inner);
            let mut out = vec![0.0; dims.iter().product()];
            with_values(both, |both| {
                reverie_kernels::gated_gelu(Cpu::detect(), both, inner, &mut out);
            })?;
            Tensor::from_vec(out, dims, &Device::Cpu)
        }
        Kernels::Candle => {
            let gate = both.narrow(D::Minus1, inner, inner)?.contiguous()?.gelu_erf()?;
            both.narrow(D::Minus1, 0, inner)?.contiguous()? * gate
        }
    }
}

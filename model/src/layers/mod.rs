//! The layers that networks are made of, each computed by our kernels or by candle's, chosen when it is
//! loaded. Knows tensors and weights, not what a network is for.

mod activation;
mod attention;
mod conv2d;
mod linear;
mod memory_format;
mod norm;

pub(crate) use activation::{activate, gated_gelu};
pub(crate) use attention::{attention_map, multi_head_attention};
pub(crate) use conv2d::{Conv2d, ConvShape};
pub(crate) use linear::{Linear, linear, linear_b, linear_no_bias};
pub(crate) use memory_format::{add, cat_channels, picture_like, pixels};
pub(crate) use norm::{GroupNorm, LayerNorm, group_norm, layer_norm};

use candle_core::{Result, Storage, Tensor, bail};

/// Lends the numbers of an `f32` tensor on the CPU, in the order of its dimensions.
pub(crate) fn with_values<R>(xs: &Tensor, work: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let xs = xs.contiguous()?;
    let (storage, layout) = xs.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { bail!("our kernels compute on the CPU") };
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("a contiguous tensor") };
    Ok(work(&storage.as_slice::<f32>()?[start..end]))
}

/// The numbers of an `f32` tensor, in the order of its dimensions.
pub(crate) fn to_values(xs: &Tensor) -> Result<Vec<f32>> {
    with_values(xs, <[f32]>::to_vec)
}

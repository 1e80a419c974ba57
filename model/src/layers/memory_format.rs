//! Pictures in memory: shapes are always (B, C, H, W); what a picture computed by our kernels has, as a view,
//! is its channels side by side (torch's `channels_last`). Everything here takes either.

use candle_core::{Device, Result, Tensor};

/// (B, C, H, W) → (B, H, W, C), contiguous: a view where channels lie side by side already.
pub(super) fn channels_last(picture: &Tensor) -> Result<Tensor> {
    picture.permute((0, 2, 3, 1))?.contiguous()
}

/// (B, H, W, C) numbers as a picture (B, C, H, W).
pub(super) fn from_channels_last(values: Vec<f32>, dims: [usize; 4]) -> Result<Tensor> {
    Tensor::from_vec(values, &dims, &Device::Cpu)?.permute((0, 3, 1, 2))
}

/// Whether both are better handled channels last.
fn are_channels_last(a: &Tensor, b: &Tensor) -> bool {
    !a.is_contiguous() || !b.is_contiguous()
}

/// The sum of two pictures of one shape.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if are_channels_last(a, b) {
        return (channels_last(a)? + channels_last(b)?)?.permute((0, 3, 1, 2));
    }
    a + b
}

/// Two pictures of one size, the channels of `b` behind those of `a`.
pub(crate) fn cat_channels(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if are_channels_last(a, b) {
        let both = [channels_last(a)?, channels_last(b)?];
        return Tensor::cat(&both, 3)?.permute((0, 3, 1, 2));
    }
    Tensor::cat(&[a, b], 1)
}

/// (B, C, H, W) → (B, H · W, C), contiguous.
pub(crate) fn pixels(picture: &Tensor) -> Result<Tensor> {
    channels_last(picture)?.flatten(1, 2)
}

/// (B, H · W, C) → (B, C, H, W), of the size and in the memory format of `like`.
pub(crate) fn picture_like(pixels: &Tensor, like: &Tensor) -> Result<Tensor> {
    let (batch, _, height, width) = like.dims4()?;
    let picture = pixels.reshape((batch, height, width, ()))?.permute((0, 3, 1, 2))?;
    if like.is_contiguous() { picture.contiguous() } else { Ok(picture) }
}

//! Scaled dot-product attention over many heads, in pieces small enough for the score matrix. Knows
//! no weights and no masks: pictures see all of themselves.

use candle_core::{D, DType, Device, Result, Tensor, bail};
use reverie_kernels::{Cpu, HeadShape, full_attention};

use super::with_values;
use crate::kernels::Kernels;

/// At most this many attention scores exist at once, 256 MiB of `f32`.
const MAX_SCORES: usize = 1 << 26;

/// Attention of `query` (B, N, heads·width) over `key` and `value` (B, M, heads·width), scaled by
/// 1/√width; returns (B, N, heads·width). torch's `scaled_dot_product_attention`.
///
/// # Errors
/// If shapes, dtypes or devices differ, or the device is out of memory.
pub(crate) fn multi_head_attention(
    kernels: Kernels,
    heads: usize,
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
) -> Result<Tensor> {
    match kernels {
        Kernels::Reverie => by_our_kernels(heads, query, key, value),
        Kernels::Candle => multi_head_attention_within(MAX_SCORES, heads, query, key, value),
    }
}

fn by_our_kernels(heads: usize, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor> {
    let (batch, _, width) = query.dims3()?;
    let (key_batch, keys, key_width) = key.dims3()?;
    let is_empty = batch == 0 || keys == 0;
    if key.dims() != value.dims() || (key_batch, key_width) != (batch, width) || is_empty {
        bail!("{:?} attends to {:?} and {:?}", query.dims(), key.dims(), value.dims());
    }
    if heads == 0 || !width.is_multiple_of(heads) {
        bail!("{heads} heads do not divide a width of {width}");
    }
    let shape = HeadShape { heads, kv_heads: heads, head_dim: width / heads };
    let mut out = vec![0.0; query.elem_count()];
    with_values(query, |query| {
        with_values(key, |key| {
            with_values(value, |value| {
                full_attention(Cpu::detect(), shape, batch, (query, key, value), &mut out);
            })
        })
    })???;
    Tensor::from_vec(out, query.shape(), &Device::Cpu)
}

fn multi_head_attention_within(
    max_scores: usize,
    heads: usize,
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
) -> Result<Tensor> {
    let (batch, queries, channels) = query.dims3()?;
    let keys = key.dim(1)?;
    let query = split_heads(query, heads)?;
    let key = split_heads(key, heads)?.t()?;
    let value = split_heads(value, heads)?;
    let scale = 1.0 / ((channels / heads) as f64).sqrt();
    let piece = (max_scores / (batch * heads * keys)).clamp(1, queries);
    let attend = |start: usize| {
        let query = query.narrow(2, start, piece.min(queries - start))?.contiguous()?;
        let scores = (query.matmul(&key)? * scale)?;
        candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&value)
    };
    let attended: Vec<Tensor> = (0..queries).step_by(piece).map(attend).collect::<Result<_>>()?;
    Tensor::cat(&attended, 2)?.transpose(1, 2)?.reshape((batch, queries, channels))
}

/// What each of `query` (B, N, heads·width) looks at among `key` (B, M, heads·width): the probabilities by which
/// [`multi_head_attention`] weighs values, the mean over heads, (B, N, M) in f32. Only to be looked at.
///
/// # Errors
/// As [`multi_head_attention`].
pub(crate) fn attention_map(heads: usize, query: &Tensor, key: &Tensor) -> Result<Tensor> {
    let scale = 1.0 / ((query.dim(2)? / heads) as f64).sqrt();
    let (query, key) = (query.to_dtype(DType::F32)?, key.to_dtype(DType::F32)?);
    // One row at a time: the scores of all heads are many.
    let row = |row: usize| {
        let query = split_heads(&query.narrow(0, row, 1)?, heads)?;
        let key = split_heads(&key.narrow(0, row, 1)?, heads)?.t()?.contiguous()?;
        let scores = (query.matmul(&key)? * scale)?;
        candle_nn::ops::softmax_last_dim(&scores)?.mean(1)
    };
    Tensor::cat(&(0..query.dim(0)?).map(row).collect::<Result<Vec<_>>>()?, 0)
}

/// (B, N, heads·width) → (B, heads, N, width), contiguous.
fn split_heads(tensor: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, length, channels) = tensor.dims3()?;
    tensor.reshape((batch, length, heads, channels / heads))?.transpose(1, 2)?.contiguous()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attention_map_weighs_values_as_attention_does() {
        let (query, key) = (ramp((2, 5, 8), 0.31), ramp((2, 3, 8), 0.47));
        let map = attention_map(1, &query, &key).unwrap();
        assert_eq!(map.dims(), [2, 5, 3]);
        let value = ramp((2, 3, 8), 0.13);
        let wanted = multi_head_attention(Kernels::Candle, 1, &query, &key, &value).unwrap();
        let found = map.matmul(&value).unwrap();
        let difference = (found - wanted).unwrap().abs().unwrap().flatten_all().unwrap();
        assert!(difference.max(0).unwrap().to_scalar::<f32>().unwrap() < 1e-6);
        let means = attention_map(2, &query, &key).unwrap().sum(2).unwrap().to_vec2::<f32>();
        assert!(means.unwrap().iter().flatten().all(|sum| (sum - 1.0).abs() < 1e-6));
    }

    fn ramp(shape: (usize, usize, usize), step: f32) -> Tensor {
        let count = shape.0 * shape.1 * shape.2;
        let values: Vec<f32> = (0..count).map(|index| (index as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn attention_in_pieces_equals_attention_at_once() {
        let (query, key, value) =
            (ramp((2, 7, 12), 0.7), ramp((2, 5, 12), 1.3), ramp((2, 5, 12), 0.3));
        let whole = multi_head_attention(Kernels::Candle, 3, &query, &key, &value).unwrap();
        let ours = multi_head_attention(Kernels::Reverie, 3, &query, &key, &value).unwrap();
        let difference = (&whole - ours).unwrap().abs().unwrap().flatten_all().unwrap();
        assert!(difference.max(0).unwrap().to_scalar::<f32>().unwrap() < 1e-6);
        for max_scores in [1, 2 * 3 * 5 * 2, 2 * 3 * 5 * 6] {
            let pieces = multi_head_attention_within(max_scores, 3, &query, &key, &value).unwrap();
            let difference = (&whole - pieces).unwrap().abs().unwrap().flatten_all().unwrap();
            assert!(difference.max(0).unwrap().to_scalar::<f32>().unwrap() < 1e-6);
        }
    }

    #[test]
    fn equal_keys_are_attended_to_equally() {
        let key = Tensor::ones((1, 4, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let value = ramp((1, 4, 2), 0.9);
        let attended =
            multi_head_attention(Kernels::Candle, 1, &ramp((1, 1, 2), 0.4), &key, &value).unwrap();
        let mean = value.mean_keepdim(1).unwrap();
        let difference = (attended - mean).unwrap().abs().unwrap().sum_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
    }
}

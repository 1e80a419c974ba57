//! FlashAttention (Dao 2023) for a tile of queries, where build and device have it: feature `flash-attn`, CUDA,
//! half precision. Everything else is computed by plain operations; which of both it was changes rounding only.

use candle_core::{Result, Tensor};

/// Queries (tile, heads, head_dim) against keys and values (kv_heads, keys, head_dim), of which the last query
/// sees all and each earlier one sees one fewer: → (tile, heads * head_dim), or nothing if it cannot be done here.
#[cfg(feature = "flash-attn")]
pub(super) fn attend(query: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Option<Tensor>> {
    use candle_core::DType;

    let half = matches!(query.dtype(), DType::BF16 | DType::F16);
    if !query.device().is_cuda() || !half {
        return Ok(None);
    }
    let (tile, heads, head_dim) = query.dims3()?;
    let by_position = |xs: &Tensor| xs.transpose(0, 1)?.unsqueeze(0); // (1, keys, kv_heads, head_dim)
    let scale = 1.0 / (head_dim as f32).sqrt();
    // Causal masks are aligned to the last key, which is what the tile wants.
    let (keys, values) = (by_position(keys)?, by_position(values)?);
    let attended =
        candle_flash_attn::flash_attn(&query.unsqueeze(0)?, &keys, &values, scale, true)?;
    Ok(Some(attended.reshape((tile, heads * head_dim))?))
}

/// Not in this build.
#[cfg(not(feature = "flash-attn"))]
#[expect(clippy::unnecessary_wraps, reason = "has the signature of the build that can fail")]
pub(super) fn attend(_query: &Tensor, _keys: &Tensor, _values: &Tensor) -> Result<Option<Tensor>> {
    Ok(None)
}

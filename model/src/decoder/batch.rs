//! Ragged rows made one: where each row's positions lie, and for candle's operations what they attend to and
//! at which angle. Knows lengths and positions, not weights.

use candle_core::{DType, Device, Tensor};

use super::rope::RotaryTables;

/// Queries attend in tiles of at most this many positions, which bounds the score matrix and skips most of
/// what the causal mask would hide.
const TILE_POSITIONS: usize = 256;

/// One row's part of the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowSpan {
    /// Where its positions start in the batch.
    pub(super) offset: usize,
    /// How many positions it computes.
    pub(super) len: usize,
    /// How many it has computed before.
    pub(super) past: usize,
}

/// Lays out rows of (past, len) positions one behind the other.
pub(super) fn spans(rows: impl Iterator<Item = (usize, usize)>) -> Vec<RowSpan> {
    let mut offset = 0;
    rows.map(|(past, len)| {
        let span = RowSpan { offset, len, past };
        offset += len;
        span
    })
    .collect()
}

/// A run of one row's queries that attend together.
#[derive(Debug)]
pub(super) struct QueryTile {
    /// Whose queries.
    pub(super) row: usize,
    /// Where they start in the batch.
    pub(super) offset: usize,
    /// How many.
    pub(super) len: usize,
    /// They see at most the first `num_keys` keys of their row.
    pub(super) num_keys: usize,
    /// (len, num_keys) in f32, 0 where visible and -inf where not; none if all is visible.
    pub(super) mask: Option<Tensor>,
}

/// What the layers need to know of a batch, made once for all of them.
#[derive(Debug)]
pub(super) struct RaggedBatch {
    pub(super) spans: Vec<RowSpan>,
    pub(super) tiles: Vec<QueryTile>,
    /// (positions, head_dim / 2), at each position's own angle.
    pub(super) cos: Tensor,
    /// As `cos`.
    pub(super) sin: Tensor,
}

impl RaggedBatch {
    /// What attention needs to know of `spans` beside them.
    pub(super) fn new(
        spans: Vec<RowSpan>,
        tables: &RotaryTables,
        (dtype, device): (DType, &Device),
    ) -> candle_core::Result<Self> {
        let (mut tiles, mut positions) = (Vec::new(), Vec::new());
        for (row, span) in spans.iter().enumerate() {
            positions.extend(span.past..span.past + span.len);
            for first in (0..span.len).step_by(TILE_POSITIONS) {
                tiles.push(QueryTile::new(row, *span, first, device)?);
            }
        }
        let (cos, sin) = tables.gather(&positions, (dtype, device))?;
        Ok(Self { spans, tiles, cos, sin })
    }

    /// Positions of all rows together.
    pub(super) fn num_positions(&self) -> usize {
        self.spans.iter().map(|span| span.len).sum()
    }
}

impl QueryTile {
    fn new(row: usize, span: RowSpan, first: usize, device: &Device) -> candle_core::Result<Self> {
        let len = TILE_POSITIONS.min(span.len - first);
        let past = span.past + first;
        let num_keys = past + len;
        let mask = if len == 1 { None } else { Some(causal_mask(len, past, device)?) };
        Ok(Self { row, offset: span.offset + first, len, num_keys, mask })
    }
}

/// Query i, at position `past + i`, sees the keys at and before its own position.
fn causal_mask(len: usize, past: usize, device: &Device) -> candle_core::Result<Tensor> {
    let num_keys = past + len;
    let mut mask = vec![0f32; len * num_keys];
    for (query, row) in mask.chunks_exact_mut(num_keys).enumerate() {
        row[past + query + 1..].fill(f32::NEG_INFINITY);
    }
    Tensor::from_vec(mask, (len, num_keys), device)
}

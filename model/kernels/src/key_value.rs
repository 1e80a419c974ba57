//! Keys and values of sixteen neighbouring positions of one context, in every layer, kept as the panels that
//! attention multiplies by: a key is a lane of its panel, a value a step of its. Knows positions, not
//! queries, and not whose positions they are.

use std::sync::Arc;

use crate::panels::{LANES, Line};

/// How much one position has to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyValueShape {
    /// Layers of the network.
    pub layers: usize,
    /// Key/value heads.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
}

/// A block of a context.
#[derive(Debug, Clone)]
pub struct KeyValueBlock {
    /// (layers, heads), each head_dim lines of keys and then (head_dim / 16, 16) lines of values.
    lines: Vec<Line>,
    shape: KeyValueShape,
}

impl KeyValueBlock {
    /// Positions of a block.
    pub const POSITIONS: usize = LANES;

    /// A block in which nothing was written yet.
    pub fn new(shape: KeyValueShape) -> Self {
        let heads = shape.layers * shape.kv_heads;
        Self { lines: vec![Line::ZERO; heads * shape.lines_per_head()], shape }
    }

    /// What its positions remember.
    pub fn shape(&self) -> KeyValueShape {
        self.shape
    }

    /// Writes the `key` and `value`, (kv_heads, head_dim) each, of the block's position `slot` in `layer`.
    ///
    /// # Panics
    /// If there is no such slot or layer, or a slice has another length.
    pub fn write(&mut self, layer: usize, slot: usize, key: &[f32], value: &[f32]) {
        let KeyValueShape { kv_heads, head_dim, .. } = self.shape;
        assert!(slot < Self::POSITIONS, "a slot of the block");
        assert!(key.len() == kv_heads * head_dim && value.len() == key.len(), "(heads, head_dim)");
        for head in 0..kv_heads {
            let own = head * head_dim..(head + 1) * head_dim;
            let lines = self.shape.lines_of(layer, head);
            let (keys, values) = self.lines[lines].split_at_mut(head_dim);
            for (line, key) in keys.iter_mut().zip(&key[own.clone()]) {
                line.0[slot] = *key;
            }
            for (panel, part) in value[own].chunks(LANES).enumerate() {
                values[panel * Self::POSITIONS + slot].0[..part.len()].copy_from_slice(part);
            }
        }
    }

    /// The keys of `layer` of the first `len` positions of `blocks`, (kv_heads, len, head_dim).
    pub fn keys_of(blocks: &[Arc<Self>], layer: usize, len: usize) -> Vec<f32> {
        Self::gather(blocks, len, |block, head, slot, dim| {
            block.key_lines(layer, head)[dim].0[slot]
        })
    }

    /// The values of `layer` of the first `len` positions of `blocks`, (kv_heads, len, head_dim).
    pub fn values_of(blocks: &[Arc<Self>], layer: usize, len: usize) -> Vec<f32> {
        Self::gather(blocks, len, |block, head, slot, dim| {
            block.value_lines(layer, head, dim / LANES)[slot].0[dim % LANES]
        })
    }

    fn gather(
        blocks: &[Arc<Self>],
        len: usize,
        number: impl Fn(&Self, usize, usize, usize) -> f32,
    ) -> Vec<f32> {
        let Some(first) = blocks.first() else { return Vec::new() };
        let KeyValueShape { kv_heads, head_dim, .. } = first.shape;
        let mut found = Vec::with_capacity(kv_heads * len * head_dim);
        for head in 0..kv_heads {
            for position in 0..len {
                let block = &blocks[position / Self::POSITIONS];
                let slot = position % Self::POSITIONS;
                found.extend((0..head_dim).map(|dim| number(block, head, slot, dim)));
            }
        }
        found
    }

    /// One head's keys: a line for each step over the head's width.
    #[inline(always)]
    pub(crate) fn key_lines(&self, layer: usize, head: usize) -> &[Line] {
        &self.lines[self.shape.lines_of(layer, head)][..self.shape.head_dim]
    }

    /// Sixteen columns of one head's values: a line for each position.
    #[inline(always)]
    pub(crate) fn value_lines(&self, layer: usize, head: usize, panel: usize) -> &[Line] {
        let values = &self.lines[self.shape.lines_of(layer, head)][self.shape.head_dim..];
        &values[panel * Self::POSITIONS..][..Self::POSITIONS]
    }
}

impl KeyValueShape {
    fn lines_per_head(self) -> usize {
        self.head_dim + self.head_dim.div_ceil(LANES) * KeyValueBlock::POSITIONS
    }

    fn lines_of(self, layer: usize, head: usize) -> std::ops::Range<usize> {
        let len = self.lines_per_head();
        let start = (layer * self.kv_heads + head) * len;
        start..start + len
    }
}

//! One sequence's keys and values in one layer, kept as the panels that attention multiplies by: a key is a
//! lane of its panel, a value a step of its. Knows positions, not queries.

use crate::panels::{LANES, Line, Panels};

/// Keys and values of up to `capacity` positions for every key/value head.
#[derive(Debug, Clone)]
pub struct KeyValuePanels {
    /// (heads, capacity / 16, head_dim) lines.
    keys: Vec<Line>,
    /// (heads, head_dim / 16, capacity) lines.
    values: Vec<Line>,
    heads: usize,
    head_dim: usize,
    capacity: usize,
}

impl KeyValuePanels {
    /// Room for `capacity` positions, rounded up to whole panels.
    pub fn new(heads: usize, head_dim: usize, capacity: usize) -> Self {
        let capacity = capacity.next_multiple_of(LANES);
        Self {
            keys: vec![Line::ZERO; heads * (capacity / LANES) * head_dim],
            values: vec![Line::ZERO; heads * head_dim.div_ceil(LANES) * capacity],
            heads,
            head_dim,
            capacity,
        }
    }

    /// Positions there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// A copy with room for `capacity` positions.
    ///
    /// # Panics
    /// If that is less than there is.
    pub fn enlarged(&self, capacity: usize) -> Self {
        let mut larger = Self::new(self.heads, self.head_dim, capacity);
        copy_chunks(&self.keys, self.key_lines(), &mut larger.keys);
        copy_chunks(&self.values, self.capacity, &mut larger.values);
        larger
    }

    /// Writes one position's `key` and `value`, (heads, head_dim) each.
    ///
    /// # Panics
    /// If there is no room at `position`, or a slice has another length.
    pub fn write(&mut self, position: usize, key: &[f32], value: &[f32]) {
        let width = self.head_dim;
        assert!(position < self.capacity, "there is room");
        assert!(key.len() == self.heads * width && value.len() == key.len(), "(heads, head_dim)");
        let (panel, lane) = (position / LANES, position % LANES);
        let value_lines = self.value_lines();
        for head in 0..self.heads {
            let start = head * (self.capacity / LANES) * width + panel * width;
            let lines = &mut self.keys[start..][..width];
            for (line, key) in lines.iter_mut().zip(&key[head * width..]) {
                line.0[lane] = *key;
            }
            let lines = &mut self.values[head * value_lines..][..value_lines];
            let parts = value[head * width..][..width].chunks(LANES);
            for (panel, part) in parts.enumerate() {
                lines[panel * self.capacity + position].0[..part.len()].copy_from_slice(part);
            }
        }
    }

    /// The keys of the first `len` positions, (heads, len, head_dim).
    pub fn keys(&self, len: usize) -> Vec<f32> {
        let mut found = Vec::with_capacity(self.heads * len * self.head_dim);
        for head in 0..self.heads {
            let lines = &self.keys[head * self.key_lines()..];
            for position in 0..len {
                let panel = &lines[position / LANES * self.head_dim..][..self.head_dim];
                found.extend(panel.iter().map(|line| line.0[position % LANES]));
            }
        }
        found
    }

    /// The values of the first `len` positions, (heads, len, head_dim).
    pub fn values(&self, len: usize) -> Vec<f32> {
        let mut found = Vec::with_capacity(self.heads * len * self.head_dim);
        for head in 0..self.heads {
            let lines = &self.values[head * self.value_lines()..];
            for position in 0..len {
                let element =
                    |dim: usize| lines[dim / LANES * self.capacity + position].0[dim % LANES];
                found.extend((0..self.head_dim).map(element));
            }
        }
        found
    }

    /// One head's keys as the right side of queries · keysᵀ, for the first `len` positions.
    pub(crate) fn key_panels(&self, head: usize, len: usize) -> Panels<'_> {
        let lines = self.key_lines();
        Panels::new(&self.keys[head * lines..][..lines], self.head_dim, self.head_dim, len)
    }

    /// One head's values as the right side of weights · values, for the first `len` positions.
    pub(crate) fn value_panels(&self, head: usize, len: usize) -> Panels<'_> {
        let lines = self.value_lines();
        Panels::new(&self.values[head * lines..][..lines], self.capacity, len, self.head_dim)
    }

    /// Whether its heads are these.
    pub(crate) fn has_shape(&self, heads: usize, head_dim: usize) -> bool {
        (self.heads, self.head_dim) == (heads, head_dim)
    }

    fn key_lines(&self) -> usize {
        self.capacity / LANES * self.head_dim
    }

    fn value_lines(&self) -> usize {
        self.head_dim.div_ceil(LANES) * self.capacity
    }
}

/// Copies chunk after chunk to the starts of as many larger chunks.
fn copy_chunks(from: &[Line], chunk: usize, to: &mut [Line]) {
    if from.is_empty() {
        return;
    }
    let larger = to.len() / (from.len() / chunk);
    assert!(larger >= chunk, "the copy has more room");
    for (from, to) in from.chunks_exact(chunk).zip(to.chunks_exact_mut(larger)) {
        to[..chunk].copy_from_slice(from);
    }
}

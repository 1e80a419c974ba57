//! Scaled dot-product attention: causal against a sequence's past, or of every query over every key. A
//! query's result depends on its own visible keys alone: scores are chains over the head's width, weights
//! are summed over sixteen lanes and values over blocks, all from position 0.

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::Cpu;
use crate::isa::Isa;
use crate::key_value::{KeyValueBlock, KeyValueShape};
use crate::panels::{LANES, Line, Panels};
use crate::product::{
    BLOCK, EMPTY_TILE, Output, PackedRow, Product, Store, TILE_ROWS, Tile, Tiling,
};
use crate::scratch::{Scratch, at_least};
use crate::softmax::Weigh;

/// Heads of queries and of keys, and their width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadShape {
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; query head i reads key/value head `i / (heads / kv_heads)`.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
}

impl HeadShape {
    fn scale(self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// Whether such keys and values are those of these heads.
    fn reads(self, written: KeyValueShape) -> bool {
        (self.kv_heads, self.head_dim) == (written.kv_heads, written.head_dim)
    }

    /// Width of one position's queries.
    fn width(self) -> usize {
        self.heads * self.head_dim
    }
}

/// One sequence's new positions.
#[derive(Debug, Clone, Copy)]
pub struct CausalRow<'a> {
    /// Their queries, (positions, heads · head_dim).
    pub queries: &'a [f32],
    /// Positions before them.
    pub past: usize,
    /// Keys and values of `past` positions and of the new ones: position p is in block p / 16.
    pub blocks: &'a [Arc<KeyValueBlock>],
}

/// Every row's queries over its own keys of `layer` at and before them, into `out`: all positions of the
/// first row, then of the second, each heads · head_dim wide.
///
/// # Panics
/// If shapes disagree.
pub fn causal_attention(
    cpu: Cpu,
    (shape, layer): (HeadShape, usize),
    rows: &[CausalRow<'_>],
    out: &mut [f32],
) {
    let width = shape.width();
    let mut tasks = Vec::new();
    let (mut rest, mut work) = (out, 0);
    for row in rows {
        let len = row.queries.len() / width;
        assert!(row.blocks.iter().all(|block| shape.reads(block.shape())), "one shape of heads");
        let capacity = row.blocks.len() * KeyValueBlock::POSITIONS;
        assert!(row.past + len <= capacity, "the new positions are written");
        work += 2 * len * (row.past + len) * width;
        let (own, later) = rest.split_at_mut(len * width);
        rest = later;
        let groups = own.chunks_mut(group_positions(shape) * width).enumerate();
        tasks.extend(groups.map(|(group, out)| (row, group * group_positions(shape), out)));
    }
    assert!(rest.is_empty(), "as much comes out as goes in");
    let compute = |(row, first, out): (&CausalRow<'_>, usize, &mut [f32])| {
        causal_group(cpu.isa, (shape, layer), (row, first), out);
    };
    if cpu.parts(work) > 1 {
        tasks.into_par_iter().for_each(compute);
    } else {
        tasks.into_iter().for_each(compute);
    }
}

/// Positions whose queries share a tile: all query heads of one key/value head read the same keys.
fn group_positions(shape: HeadShape) -> usize {
    (TILE_ROWS / (shape.heads / shape.kv_heads)).max(1)
}

/// Some neighbouring positions of a row from `first` on, all heads, into `out`.
fn causal_group(
    isa: Isa,
    (shape, layer): (HeadShape, usize),
    (row, first): (&CausalRow<'_>, usize),
    out: &mut [f32],
) {
    let (width, head_dim) = (shape.width(), shape.head_dim);
    let shared = shape.heads / shape.kv_heads;
    let positions = out.len() / width;
    let visible = row.past + first + positions;
    let num_queries = positions * shared;
    Scratch::lend(|scratch| {
        for kv_head in 0..shape.kv_heads {
            let keys = Panels::keys(row.blocks, (layer, kv_head), visible);
            let values = Panels::values(row.blocks, (layer, kv_head), visible);
            for start in (0..num_queries).step_by(TILE_ROWS) {
                let count = TILE_ROWS.min(num_queries - start);
                // Query q of the group: position q / shared, head q % shared of this key/value head.
                let place = |query: usize| {
                    let (position, head) = ((start + query) / shared, (start + query) % shared);
                    position * width + (kv_head * shared + head) * head_dim
                };
                let mut limits = [0; TILE_ROWS];
                for (query, limit) in limits[..count].iter_mut().enumerate() {
                    *limit = row.past + first + (start + query) / shared + 1;
                }
                let head = Head { keys, values, scale: shape.scale(), limits: &limits[..count] };
                let source =
                    |query: usize| &row.queries[first * width + place(query)..][..head_dim];
                head.attend(isa, source, scratch);
                for query in 0..count {
                    let result = &scratch.scores[query * head_dim..][..head_dim];
                    out[place(query)..][..head_dim].copy_from_slice(result);
                }
            }
        }
    });
}

/// Queries (batch, queries, heads · head_dim) over keys and values (batch, keys, heads · head_dim), each
/// batch row over its own: → `out` of the queries' shape.
///
/// # Panics
/// If shapes disagree, or heads are grouped.
pub fn full_attention(
    cpu: Cpu,
    shape: HeadShape,
    batch: usize,
    (queries, keys, values): (&[f32], &[f32], &[f32]),
    out: &mut [f32],
) {
    let width = shape.width();
    assert_eq!(shape.heads, shape.kv_heads, "every query head has its own keys");
    assert!(queries.len() == out.len() && keys.len() == values.len(), "shapes agree");
    let (num_queries, num_keys) = (queries.len() / batch / width, keys.len() / batch / width);
    let one = |task: usize, out: &mut [f32]| {
        let (row, head) = (task / shape.heads, task % shape.heads);
        let start = |positions: usize| row * positions * width + head * shape.head_dim;
        let strided = Strided { width, head_dim: shape.head_dim };
        let (keys, values) = (&keys[start(num_keys)..], &values[start(num_keys)..]);
        strided.attend(cpu.isa, (&queries[start(num_queries)..], keys, values), num_keys, out);
    };
    let tasks = batch * shape.heads;
    let len = num_queries * shape.head_dim;
    let place = |task: usize, result: &[f32], out: &mut [f32]| {
        let (row, head) = (task / shape.heads, task % shape.heads);
        for (query, result) in result.chunks_exact(shape.head_dim).enumerate() {
            let start = (row * num_queries + query) * width + head * shape.head_dim;
            out[start..start + shape.head_dim].copy_from_slice(result);
        }
    };
    if cpu.parts(2 * queries.len() * num_keys) > 1 {
        let results: Vec<Vec<f32>> = (0..tasks)
            .into_par_iter()
            .map(|task| {
                let mut result = vec![0.0; len];
                one(task, &mut result);
                result
            })
            .collect();
        for (task, result) in results.iter().enumerate() {
            place(task, result, out);
        }
    } else {
        let mut result = vec![0.0; len];
        for task in 0..tasks {
            one(task, &mut result);
            place(task, &result, out);
        }
    }
}

/// One head of positions that lie `width` numbers apart.
#[derive(Clone, Copy)]
struct Strided {
    width: usize,
    head_dim: usize,
}

impl Strided {
    /// All queries, as many as `out` has room for, over `num_keys` keys; packs keys and values first.
    fn attend(
        self,
        isa: Isa,
        (queries, keys, values): (&[f32], &[f32], &[f32]),
        num_keys: usize,
        out: &mut [f32],
    ) {
        let Self { width, head_dim } = self;
        let key_lines = num_keys.div_ceil(LANES) * head_dim;
        let value_lines = head_dim.div_ceil(LANES) * num_keys;
        Scratch::lend(|scratch| {
            let mut lines = std::mem::take(&mut scratch.lines);
            let packed = at_least(&mut lines, key_lines + value_lines, Line::ZERO);
            let (packed_keys, packed_values) = packed.split_at_mut(key_lines);
            for position in 0..num_keys {
                let key = &keys[position * width..][..head_dim];
                let panel = &mut packed_keys[position / LANES * head_dim..][..head_dim];
                for (line, key) in panel.iter_mut().zip(key) {
                    line.0[position % LANES] = *key;
                }
                let value = &values[position * width..][..head_dim];
                for (panel, part) in value.chunks(LANES).enumerate() {
                    let line = &mut packed_values[panel * num_keys + position];
                    line.0[..part.len()].copy_from_slice(part);
                }
            }
            let keys = Panels::new(packed_keys, head_dim, head_dim, num_keys);
            let values = Panels::new(packed_values, num_keys, num_keys, head_dim);
            let limits = [num_keys; TILE_ROWS];
            let scale = 1.0 / (head_dim as f32).sqrt();
            let tiling = Tiling::of(out.len() / head_dim);
            for tile in 0..tiling.tiles {
                let range = tiling.range(tile);
                let head = Head { keys, values, scale, limits: &limits[..range.len()] };
                let source = |query: usize| &queries[(range.start + query) * width..][..head_dim];
                head.attend(isa, source, scratch);
                let result = &scratch.scores[..range.len() * head_dim];
                out[range.start * head_dim..][..result.len()].copy_from_slice(result);
            }
            scratch.lines = lines;
        });
    }
}

/// Up to [`TILE_ROWS`] queries over the keys and values of one head.
struct Head<'a> {
    keys: Panels<'a>,
    values: Panels<'a>,
    scale: f32,
    /// How many keys each query sees.
    limits: &'a [usize],
}

impl Head<'_> {
    /// Leaves the result, (queries, head_dim), at the start of `scratch.scores`.
    fn attend<'q>(&self, isa: Isa, query: impl Fn(usize) -> &'q [f32], scratch: &mut Scratch) {
        let (rows, num_keys, head_dim) =
            (self.limits.len(), self.keys.columns, self.values.columns);
        let left = at_least(&mut scratch.tiles, head_dim.div_ceil(BLOCK), EMPTY_TILE);
        for row in 0..rows {
            for (tile, part) in left.iter_mut().zip(query(row).chunks(BLOCK)) {
                for (to, from) in tile[row].iter_mut().zip(part) {
                    *to = from * self.scale;
                }
            }
        }
        let stride = num_keys.max(head_dim);
        let scores = at_least(&mut scratch.scores, rows * stride, 0.0);
        let out = overwrite(scores, stride, num_keys);
        let panels = 0..self.keys.count();
        Product { left, rows, right: self.keys, panels, limits: None, out }.run(isa);

        let blocks = num_keys.div_ceil(BLOCK);
        let weights: &mut [Tile] = at_least(&mut scratch.weights, blocks, EMPTY_TILE);
        let mut sums = [0.0; TILE_ROWS];
        for (row, limit) in self.limits.iter().enumerate() {
            let weights = PackedRow { blocks: &mut *weights, row };
            let scores = &mut scores[row * stride..][..*limit];
            isa.run(Weigh { scores, weights, sum: &mut sums[row] });
        }
        let out = overwrite(scores, head_dim, head_dim);
        let (panels, limits) = (0..self.values.count(), Some(self.limits));
        Product { left: weights, rows, right: self.values, panels, limits, out }.run(isa);
        for (result, sum) in scores.chunks_exact_mut(head_dim).zip(&sums[..rows]) {
            result.iter_mut().for_each(|value| *value /= sum);
        }
    }
}

fn overwrite(values: &mut [f32], stride: usize, columns: usize) -> Output<'_> {
    Output { values, stride, columns, bias: None, store: Store::Overwrite }
}

//! Linear layers with weights packed once, and the sharing-out of any such product to threads. Knows rows
//! that can be packed, wherever they come from.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::Cpu;
use crate::isa::Isa;
use crate::panels::{LANES, Line, PackedMatrix, Panels, SharedLines};
use crate::product::{BLOCK, EMPTY_TILE, Output, PackedRow, Product, Store, TILE_ROWS, Tiling};
use crate::scratch::{Scratch, at_least};

/// Rows packed at a time: enough to use a panel often while it is in the nearest caches.
const PACKED_ROWS: usize = 16 * TILE_ROWS;

/// `x · weightᵀ + bias`, as torch's `Linear`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: PackedMatrix,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Packs `weight`, (out, in) row after row, and takes `bias`, (out).
    ///
    /// # Panics
    /// If the slices have other lengths.
    pub fn new(weight: &[f32], bias: Option<Vec<f32>>, shape: (usize, usize)) -> Self {
        let (output, input) = shape;
        assert_eq!(weight.len(), output * input, "weight is (out, in)");
        assert!(bias.as_ref().is_none_or(|bias| bias.len() == output), "bias is (out)");
        let weight =
            PackedMatrix::pack(output, input, |column, step| weight[column * input + step]);
        Self { weight, bias }
    }

    /// The same with its packed weights in the lines that `share` gives for them, if it gives any: equal ones.
    ///
    /// # Errors
    /// What `share` says.
    ///
    /// # Panics
    /// If it gives another number of lines.
    pub fn shared<E>(
        self,
        share: impl FnOnce(&[Line]) -> Result<Option<Arc<dyn SharedLines>>, E>,
    ) -> Result<Self, E> {
        Ok(Self { weight: self.weight.shared(share)?, ..self })
    }

    /// Width of a row that goes in.
    pub fn input(&self) -> usize {
        self.weight.depth()
    }

    /// Width of a row that comes out.
    pub fn output(&self) -> usize {
        self.weight.columns()
    }

    /// What its weights take.
    pub fn num_bytes(&self) -> usize {
        self.input() * self.output() * size_of::<f32>()
    }

    /// Rows `xs`, (rows, in), to `out`, (rows, out). Each row's result is the same bits whatever the others
    /// are.
    ///
    /// # Panics
    /// If the lengths are not whole rows, or not equally many.
    pub fn forward(&self, cpu: Cpu, xs: &[f32], store: Store, out: &mut [f32]) {
        let rows = xs.len() / self.input();
        assert_eq!(xs.len(), rows * self.input(), "whole rows go in");
        assert_eq!(out.len(), rows * self.output(), "as many rows come out");
        let left = Rows { values: xs, width: self.input() };
        let bias = self.bias.as_deref();
        MatMul { isa: cpu.isa, left: &left, right: self.weight.panels(), bias, store }
            .share_out(cpu, rows, out);
    }
}

/// Rows that can be packed into tiles.
pub(crate) trait LeftRows: Sync {
    /// Packs row `row`, every step of the reduction.
    fn pack(&self, row: usize, into: PackedRow<'_>);
}

/// Rows one behind the other.
struct Rows<'a> {
    values: &'a [f32],
    width: usize,
}

impl LeftRows for Rows<'_> {
    fn pack(&self, row: usize, mut into: PackedRow<'_>) {
        into.write(0, &self.values[row * self.width..][..self.width]);
    }
}

/// A product whose left side is packed on the way.
pub(crate) struct MatMul<'a, L> {
    pub(crate) isa: Isa,
    pub(crate) left: &'a L,
    pub(crate) right: Panels<'a>,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) store: Store,
}

impl<L: LeftRows> MatMul<'_, L> {
    /// Computes `rows` rows into `out`, (rows, columns), on as many threads as are worth it. Outputs are
    /// shared out, by rows if there are enough of them, else by panels.
    pub(crate) fn share_out(&self, cpu: Cpu, rows: usize, out: &mut [f32]) {
        let (columns, panels) = (self.right.columns, self.right.count());
        let parts = cpu.parts(rows * self.right.depth * columns);
        if rows == 0 || columns == 0 {
            return;
        }
        if parts == 1 {
            return self.compute(0..rows, 0..panels, out);
        }
        if rows >= parts * 2 * TILE_ROWS {
            let share = rows.div_ceil(parts);
            out.par_chunks_mut(share * columns).enumerate().for_each(|(part, out)| {
                let start = part * share;
                self.compute(start..start + out.len() / columns, 0..panels, out);
            });
            return;
        }
        let share = panels.div_ceil(parts);
        let starts: Vec<usize> = (0..panels).step_by(share).collect();
        if rows == 1 {
            out.par_chunks_mut(share * LANES).zip(starts).for_each(|(out, start)| {
                self.compute(0..1, start..panels.min(start + share), out);
            });
            return;
        }
        let before = &*out;
        let shares: Vec<(usize, Vec<f32>)> = starts
            .into_par_iter()
            .map(|start| {
                let own = start * LANES..columns.min((start + share) * LANES);
                let mut values = Vec::with_capacity(rows * own.len());
                for row in before.chunks_exact(columns) {
                    values.extend_from_slice(&row[own.clone()]);
                }
                self.compute(0..rows, start..panels.min(start + share), &mut values);
                (own.start, values)
            })
            .collect();
        for (first, values) in shares {
            let width = values.len() / rows;
            for (out, values) in out.chunks_exact_mut(columns).zip(values.chunks_exact(width)) {
                out[first..first + width].copy_from_slice(values);
            }
        }
    }

    /// Computes some rows and panels on this thread, into `out`, (rows, columns of the panels).
    fn compute(&self, rows: Range<usize>, panels: Range<usize>, out: &mut [f32]) {
        let first = panels.start * LANES;
        let columns = self.right.columns.min(panels.end * LANES) - first;
        let groups = rows.len().div_ceil(PACKED_ROWS);
        Scratch::lend(|scratch| {
            for group in 0..groups {
                let (start, end) = (group * rows.len() / groups, (group + 1) * rows.len() / groups);
                let tiling = Tiling::of(end - start);
                let blocks = self.right.depth.div_ceil(BLOCK);
                let tiles = at_least(&mut scratch.tiles, tiling.tiles * blocks, EMPTY_TILE);
                for tile in 0..tiling.tiles {
                    let blocks = &mut tiles[tile * blocks..(tile + 1) * blocks];
                    for (row, source) in tiling.range(tile).enumerate() {
                        let into = PackedRow { blocks: &mut *blocks, row };
                        self.left.pack(rows.start + start + source, into);
                    }
                }
                let out = Output {
                    values: &mut out[start * columns..end * columns],
                    stride: columns,
                    columns,
                    bias: self.bias.map(|bias| &bias[first..first + columns]),
                    store: self.store,
                };
                let (rows, right, panels) = (end - start, self.right, panels.clone());
                Product { left: tiles, rows, right, panels, limits: None, out }.run(self.isa);
            }
        });
    }
}

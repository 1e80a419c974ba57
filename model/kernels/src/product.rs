//! Rows times packed panels: the one loop under linear layers, convolutions and attention. Every output is
//! a chain of fused multiply-adds in the order of the reduction, in blocks of [`BLOCK`] steps whose sums
//! are added in order; how many rows and panels are computed side by side changes nothing in it.

use std::ops::Range;

use crate::isa::{Isa, Kernel, Simd, prefetch};
use crate::panels::{LANES, Line, Panels};

/// Steps of a reduction that form one chain; blocks start at 0, so a prefix of a reduction is cut alike.
pub const BLOCK: usize = 256;

/// Rows that are packed together: as many as wide registers can accumulate for two panels.
pub(crate) const TILE_ROWS: usize = 12;

/// One block of up to [`TILE_ROWS`] rows.
pub(crate) type Tile = [[f32; BLOCK]; TILE_ROWS];

pub(crate) const EMPTY_TILE: Tile = [[0.0; BLOCK]; TILE_ROWS];

/// What happens to the values that the output held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// They are replaced.
    Overwrite,
    /// The result is added to them.
    Add,
}

/// How `rows` are dealt out to tiles: evenly, so that no tile is much smaller than the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tiling {
    rows: usize,
    pub(crate) tiles: usize,
}

impl Tiling {
    pub(crate) fn of(rows: usize) -> Self {
        Self { rows, tiles: rows.div_ceil(TILE_ROWS) }
    }

    /// The rows of one tile.
    pub(crate) fn range(self, tile: usize) -> Range<usize> {
        tile * self.rows / self.tiles..(tile + 1) * self.rows / self.tiles
    }
}

/// One row's place in a tile: block after block.
pub(crate) struct PackedRow<'a> {
    /// The tile's blocks.
    pub(crate) blocks: &'a mut [Tile],
    /// Which of the tile's rows.
    pub(crate) row: usize,
}

impl PackedRow<'_> {
    /// The row's numbers from step `start` on: `values`.
    #[inline]
    pub(crate) fn write(&mut self, start: usize, values: &[f32]) {
        let (mut step, mut rest) = (start, values);
        while !rest.is_empty() {
            let within = step % BLOCK;
            let (now, later) = rest.split_at(rest.len().min(BLOCK - within));
            self.blocks[step / BLOCK][self.row][within..within + now.len()].copy_from_slice(now);
            (step, rest) = (step + now.len(), later);
        }
    }

    /// The row's numbers from step `start` on: `len` zeros.
    #[inline]
    pub(crate) fn zero(&mut self, start: usize, len: usize) {
        for step in start..start + len {
            self.blocks[step / BLOCK][self.row][step % BLOCK] = 0.0;
        }
    }
}

/// Where a product goes.
pub(crate) struct Output<'a> {
    /// Row after row; column 0 is the first of the product's panels.
    pub(crate) values: &'a mut [f32],
    /// Numbers from one row to the next.
    pub(crate) stride: usize,
    /// Columns that exist.
    pub(crate) columns: usize,
    /// Added to each column at the end.
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) store: Store,
}

/// Which block of the reduction a sum belongs to.
#[derive(Clone, Copy)]
struct Pass {
    first: bool,
    last: bool,
}

impl Output<'_> {
    #[inline(always)]
    fn put(&mut self, row: usize, column: usize, lanes: &[f32; LANES], pass: Pass) {
        let width = LANES.min(self.columns - column);
        let target = &mut self.values[row * self.stride + column..][..width];
        let replaces = pass.first && self.store == Store::Overwrite;
        let bias = self.bias.filter(|_| pass.last).map(|bias| &bias[column..][..width]);
        if let Ok(target) = <&mut [f32; LANES]>::try_from(&mut *target) {
            for lane in 0..LANES {
                let before = if replaces { 0.0 } else { target[lane] };
                target[lane] = if replaces { lanes[lane] } else { before + lanes[lane] };
            }
            if let Some(bias) = bias {
                for lane in 0..LANES {
                    target[lane] += bias[lane];
                }
            }
            return;
        }
        for (lane, target) in target.iter_mut().enumerate() {
            *target = if replaces { lanes[lane] } else { *target + lanes[lane] };
            if let Some(bias) = bias {
                *target += bias[lane];
            }
        }
    }
}

/// Packed rows times panels.
pub(crate) struct Product<'a, 'o> {
    /// Tiles as [`Tiling`] deals them out, each with all its blocks.
    pub(crate) left: &'a [Tile],
    pub(crate) rows: usize,
    pub(crate) right: Panels<'a>,
    /// Which panels.
    pub(crate) panels: Range<usize>,
    /// How many steps of the reduction each row takes, if not all of them; at least 1 each.
    pub(crate) limits: Option<&'a [usize]>,
    pub(crate) out: Output<'o>,
}

impl Product<'_, '_> {
    pub(crate) fn run(self, isa: Isa) {
        isa.run(self);
    }
}

impl Kernel for Product<'_, '_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let mut panel = self.panels.start;
        while panel < self.panels.end {
            let left = self.panels.end - panel;
            let most = side_by_side::<S>(self.rows.min(TILE_ROWS));
            if most >= 8 && left >= 8 {
                self.panel_group::<S, 8>(simd, panel);
                panel += 8;
            } else if most >= 4 && left >= 4 {
                self.panel_group::<S, 4>(simd, panel);
                panel += 4;
            } else if most >= 2 && left >= 2 {
                self.panel_group::<S, 2>(simd, panel);
                panel += 2;
            } else {
                self.panel_group::<S, 1>(simd, panel);
                panel += 1;
            }
        }
    }
}

/// Panels whose sums fit into the registers beside each other, and are enough to hide the latency of the
/// multiply-add, for so many rows.
#[inline(always)]
fn side_by_side<S: Simd>(rows: usize) -> usize {
    match (S::WIDE, rows) {
        (true, 0..=1) => 8,
        (true, 2..=3) | (false, 0..=1) => 4,
        (true, _) | (false, 2) => 2,
        (false, _) => 1,
    }
}

impl Product<'_, '_> {
    /// All rows, all steps, `P` panels.
    #[inline(always)]
    fn panel_group<S: Simd, const P: usize>(&mut self, simd: S, panel: usize) {
        let blocks = self.right.depth.div_ceil(BLOCK);
        let tiling = Tiling::of(self.rows);
        let most = if S::WIDE || P > 1 { TILE_ROWS } else { TILE_ROWS / 2 };
        let parts_of = |tile| tiling.range(tile).len().div_ceil(most);
        let passes = (0..tiling.tiles).map(parts_of).sum();
        for block in 0..blocks {
            let mut pass = 0;
            for tile in 0..tiling.tiles {
                let (rows, parts) = (tiling.range(tile), parts_of(tile));
                for part in 0..parts {
                    let (start, end) = (part * rows.len() / parts, (part + 1) * rows.len() / parts);
                    let task = Task {
                        rows: &self.left[tile * blocks + block][start..end],
                        first_row: rows.start + start,
                        right: self.right,
                        limits: self.limits,
                        panel,
                        column: (panel - self.panels.start) * LANES,
                        block,
                        pass,
                        passes,
                    };
                    task.dispatch::<S, P>(simd, &mut self.out);
                    pass += 1;
                }
            }
        }
    }
}

/// Some rows, one block, some panels.
#[derive(Clone, Copy)]
struct Task<'a> {
    rows: &'a [[f32; BLOCK]],
    first_row: usize,
    right: Panels<'a>,
    limits: Option<&'a [usize]>,
    panel: usize,
    column: usize,
    block: usize,
    /// Which of so many walks over these lines.
    pass: usize,
    passes: usize,
}

/// A task whose number of rows and panels the compiler knows.
struct SizedTask<'a, 'o, 'v, const R: usize, const P: usize> {
    task: Task<'a>,
    out: &'o mut Output<'v>,
}

impl Task<'_> {
    #[inline(always)]
    fn dispatch<S: Simd, const P: usize>(self, simd: S, out: &mut Output<'_>) {
        macro_rules! sized {
            ($rows:literal) => {
                simd.compiled(SizedTask::<$rows, P> { task: self, out })
            };
        }
        // Conditions on P and on the set are constants: what cannot happen is not compiled.
        match self.rows.len() {
            1 => sized!(1),
            2 if P <= 4 => sized!(2),
            3 if P <= 4 => sized!(3),
            4 if P <= 2 => sized!(4),
            5 if P <= 2 => sized!(5),
            6 if P <= 2 => sized!(6),
            7 if P <= 2 && S::WIDE => sized!(7),
            8 if P <= 2 && S::WIDE => sized!(8),
            9 if P <= 2 && S::WIDE => sized!(9),
            10 if P <= 2 && S::WIDE => sized!(10),
            11 if P <= 2 && S::WIDE => sized!(11),
            12 if P <= 2 && S::WIDE => sized!(12),
            rows => unreachable!("{rows} rows beside {P} panels"),
        }
    }
}

/// Lines that are read next, asked for while the present ones are used: evenly over all walks over these, for memory
/// is idle in all but the first.
struct Ahead<const P: usize> {
    lines: [*const Line; P],
    /// Steps from one to the next.
    every: usize,
}

impl<const P: usize> Ahead<P> {
    const NOTHING: Self = Self { lines: [std::ptr::null(); P], every: usize::MAX };

    /// This task's share of what follows its `len` lines from `start` on.
    #[inline(always)]
    fn of(task: &Task<'_>, start: usize, len: usize) -> Self {
        let Task { panel, pass, passes, .. } = *task;
        let mut lines = [std::ptr::null(); P];
        for (index, line) in lines.iter_mut().enumerate() {
            let Some(next) = task.right.following(panel + index, (start, len), P) else {
                return Self::NOTHING;
            };
            *line = next.wrapping_add(pass * len / passes);
        }
        Self { lines, every: passes }
    }
}

/// Adds the products of these steps of a block, whose lines are given, to the sums.
#[inline(always)]
fn accumulate<S: Simd, const R: usize, const P: usize>(
    simd: S,
    rows: &[[f32; BLOCK]; R],
    (lines, mut ahead): (&[&[Line]; P], Ahead<P>),
    steps: Range<usize>,
    sums: &mut [[S::Vector; P]; R],
) {
    let mut wait = ahead.every;
    for step in steps.start..steps.end.min(BLOCK) {
        let mut vectors = [simd.zero(); P];
        for index in 0..P {
            vectors[index] = simd.load(&lines[index][step - steps.start]);
        }
        wait -= 1;
        if wait == 0 {
            wait = ahead.every;
            for line in &mut ahead.lines {
                prefetch(*line);
                *line = line.wrapping_add(1);
            }
        }
        for row in 0..R {
            for index in 0..P {
                sums[row][index] = simd.mul_add(rows[row][step], vectors[index], sums[row][index]);
            }
        }
    }
}

impl<const R: usize, const P: usize> Kernel for SizedTask<'_, '_, '_, R, P> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Task { rows, first_row, right, limits, panel, column, block, .. } = self.task;
        let Some(rows) = rows.first_chunk::<R>() else { return };
        let start = block * BLOCK;
        let depth = BLOCK.min(right.depth - start);
        // How many of this block's steps each row takes, and how many all of them do.
        let mut counts = [depth; R];
        let mut common = depth;
        if let Some(limits) = limits {
            for (count, limit) in counts.iter_mut().zip(&limits[first_row..]) {
                *count = limit.saturating_sub(start).min(depth);
                common = common.min(*count);
            }
        }
        let mut sums = [[simd.zero(); P]; R];
        // All that is common lies in one run, unless the steps are a context's positions.
        let run = right.run(start, common);
        let lines = right.neighbours::<P>(panel, start, run);
        // One row takes all of its time to read: what it asked for besides would come no sooner.
        let ahead = if R > 1 { Ahead::of(&self.task, start, run) } else { Ahead::NOTHING };
        accumulate(simd, rows, (&lines, ahead), 0..run, &mut sums);
        let mut done = run;
        while done < common {
            let run = right.run(start + done, common - done);
            let lines = right.neighbours::<P>(panel, start + done, run);
            accumulate(simd, rows, (&lines, Ahead::NOTHING), done..done + run, &mut sums);
            done += run;
        }
        let mut step = common;
        while step < depth {
            let mut vectors = [simd.zero(); P];
            for (index, vector) in vectors.iter_mut().enumerate() {
                *vector = simd.load(&right.lines(panel + index, start + step, 1)[0]);
            }
            for row in 0..R {
                if step < counts[row] {
                    for index in 0..P {
                        sums[row][index] =
                            simd.mul_add(rows[row][step], vectors[index], sums[row][index]);
                    }
                }
            }
            step += 1;
        }
        for row in 0..R {
            if counts[row] == 0 {
                continue;
            }
            let taken = start + counts[row];
            let limit = limits.map_or(right.depth, |limits| limits[first_row + row]);
            let pass = Pass { first: block == 0, last: taken == limit.min(right.depth) };
            for (index, sum) in sums[row].iter().enumerate() {
                let lanes = simd.lanes(*sum);
                self.out.put(first_row + row, column + index * LANES, &lanes, pass);
            }
        }
    }
}

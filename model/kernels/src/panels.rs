//! A right-hand matrix as the kernels read it: panels of sixteen columns, each panel one line of sixteen
//! numbers for every step of the reduction. Knows layout only.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::key_value::KeyValueBlock;

/// Columns of a panel: the lanes of one vector.
pub(crate) const LANES: usize = 16;

/// Sixteen neighbouring columns at one step of the reduction, a cache line; any sixteen numbers are one.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Line(pub(crate) [f32; LANES]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);

    /// Its numbers.
    pub fn numbers(&self) -> &[f32; LANES] {
        &self.0
    }
}

/// Packed weights that somebody else holds, for others too; always the same.
pub trait SharedLines: fmt::Debug + Send + Sync {
    /// The lines.
    fn lines(&self) -> &[Line];
}

/// A matrix of `depth` steps by `columns`, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panels<'a> {
    place: Place<'a>,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
}

/// Where the lines are.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    /// Side by side, so many lines from one panel to the next, at least `depth`.
    Together { lines: &'a [Line], stride: usize },
    /// Keys of a context: panel p is block p.
    Keys(Head<'a>),
    /// Values of a context: step s is in block s / 16.
    Values(Head<'a>),
}

/// One head of a context.
#[derive(Debug, Clone, Copy)]
struct Head<'a> {
    blocks: &'a [Arc<KeyValueBlock>],
    layer: usize,
    head: usize,
}

impl<'a> Panels<'a> {
    pub(crate) fn new(lines: &'a [Line], stride: usize, depth: usize, columns: usize) -> Self {
        assert!(depth <= stride && lines.len() >= columns.div_ceil(LANES) * stride);
        Self { place: Place::Together { lines, stride }, depth, columns }
    }

    /// One head's keys as the right side of queries · keysᵀ, for the first `len` positions.
    pub(crate) fn keys(
        blocks: &'a [Arc<KeyValueBlock>],
        (layer, head): (usize, usize),
        len: usize,
    ) -> Self {
        let depth = blocks[0].shape().head_dim;
        Self { place: Place::Keys(Head { blocks, layer, head }), depth, columns: len }
    }

    /// One head's values as the right side of weights · values, for the first `len` positions.
    pub(crate) fn values(
        blocks: &'a [Arc<KeyValueBlock>],
        (layer, head): (usize, usize),
        len: usize,
    ) -> Self {
        let columns = blocks[0].shape().head_dim;
        Self { place: Place::Values(Head { blocks, layer, head }), depth: len, columns }
    }

    /// How many panels; the last one may be partly empty.
    pub(crate) fn count(&self) -> usize {
        self.columns.div_ceil(LANES)
    }

    /// How many of the `len` steps from `start` on lie side by side; at least 1 of 1.
    #[inline(always)]
    pub(crate) fn run(&self, start: usize, len: usize) -> usize {
        match self.place {
            Place::Together { .. } | Place::Keys(_) => len,
            Place::Values(_) => {
                len.min(KeyValueBlock::POSITIONS - start % KeyValueBlock::POSITIONS)
            }
        }
    }

    /// The lines of one panel from step `start` on, `len` of them, which lie [side by side](Self::run).
    #[inline(always)]
    pub(crate) fn lines(&self, panel: usize, start: usize, len: usize) -> &'a [Line] {
        match self.place {
            Place::Together { lines, stride } => &lines[panel * stride + start..][..len],
            Place::Keys(Head { blocks, layer, head }) => {
                &blocks[panel].key_lines(layer, head)[start..][..len]
            }
            Place::Values(Head { blocks, layer, head }) => {
                let block = &blocks[start / KeyValueBlock::POSITIONS];
                let lines = block.value_lines(layer, head, panel);
                &lines[start % KeyValueBlock::POSITIONS..][..len]
            }
        }
    }

    /// Where what is read after the `len` lines from `start` on begins, if `count` panels are read side by side: their
    /// next lines, or the first ones of as many further panels. An address to ask for, not to read; none where a
    /// context's blocks lie anywhere.
    #[inline(always)]
    pub(crate) fn following(
        &self,
        panel: usize,
        (start, len): (usize, usize),
        count: usize,
    ) -> Option<*const Line> {
        let Place::Together { lines, stride } = self.place else { return None };
        let end = start + len;
        let next = if end < self.depth { panel * stride + end } else { (panel + count) * stride };
        Some(lines.as_ptr().wrapping_add(next))
    }

    /// The [lines](Self::lines) of `P` panels side by side.
    #[inline(always)]
    pub(crate) fn neighbours<const P: usize>(
        &self,
        panel: usize,
        start: usize,
        len: usize,
    ) -> [&'a [Line]; P] {
        let mut lines: [&[Line]; P] = [&[]; P];
        for (index, lines) in lines.iter_mut().enumerate() {
            *lines = self.lines(panel + index, start, len);
        }
        lines
    }
}

/// Where a packed matrix is.
#[derive(Debug, Clone)]
enum Lines {
    Own(Vec<Line>),
    Shared(Arc<dyn SharedLines>),
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match self {
            Self::Own(lines) => lines,
            Self::Shared(shared) => shared.lines(),
        }
    }
}

/// A matrix packed once.
#[derive(Debug, Clone)]
pub(crate) struct PackedMatrix {
    lines: Lines,
    depth: usize,
    columns: usize,
}

impl PackedMatrix {
    /// `value(column, step)` for every column and step.
    pub(crate) fn pack(columns: usize, depth: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let mut lines = vec![Line::ZERO; columns.div_ceil(LANES) * depth];
        for column in 0..columns {
            let (panel, lane) = (column / LANES, column % LANES);
            for (step, line) in lines[panel * depth..][..depth].iter_mut().enumerate() {
                line.0[lane] = value(column, step);
            }
        }
        Self { lines: Lines::Own(lines), depth, columns }
    }

    /// The same, in the lines that `share` gives for its own, if it gives any.
    pub(crate) fn shared<E>(
        self,
        share: impl FnOnce(&[Line]) -> Result<Option<Arc<dyn SharedLines>>, E>,
    ) -> Result<Self, E> {
        let Some(shared) = share(&self.lines)? else { return Ok(self) };
        assert_eq!(shared.lines().len(), self.lines.len(), "they are the same lines");
        Ok(Self { lines: Lines::Shared(shared), ..self })
    }

    pub(crate) fn panels(&self) -> Panels<'_> {
        Panels::new(&self.lines, self.depth, self.depth, self.columns)
    }

    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }
}

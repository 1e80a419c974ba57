//! A right-hand matrix as the kernels read it: panels of sixteen columns, each panel one line of sixteen
//! numbers for every step of the reduction. Knows layout only.

/// Columns of a panel: the lanes of one vector.
pub(crate) const LANES: usize = 16;

/// Sixteen neighbouring columns at one step of the reduction.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Line(pub(crate) [f32; LANES]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// A matrix of `depth` steps by `columns`, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panels<'a> {
    lines: &'a [Line],
    /// Lines from one panel to the next, at least `depth`.
    stride: usize,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
}

impl<'a> Panels<'a> {
    pub(crate) fn new(lines: &'a [Line], stride: usize, depth: usize, columns: usize) -> Self {
        assert!(depth <= stride && lines.len() >= columns.div_ceil(LANES) * stride);
        Self { lines, stride, depth, columns }
    }

    /// How many panels; the last one may be partly empty.
    pub(crate) fn count(&self) -> usize {
        self.columns.div_ceil(LANES)
    }

    /// The lines of one panel from step `start`, `len` of them.
    #[inline(always)]
    pub(crate) fn lines(&self, panel: usize, start: usize, len: usize) -> &'a [Line] {
        &self.lines[panel * self.stride + start..][..len]
    }
}

/// A matrix of its own, packed once.
#[derive(Debug, Clone)]
pub(crate) struct PackedMatrix {
    lines: Vec<Line>,
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
        Self { lines, depth, columns }
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

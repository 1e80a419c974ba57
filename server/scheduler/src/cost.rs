//! What things cost: measured numbers in, the predicted time of a step out. Knows no clock; whoever
//! has one measures, and passes the numbers in.

use crate::sequence::LatentSize;

/// A stretch of time in nanoseconds. Sums stop at the largest value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// More than any step takes.
    pub const MAX: Self = Self(u64::MAX);

    /// `count` times as long.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self(self.0.saturating_mul(count as u64))
    }

    /// What is left of it after `spent`; never negative.
    #[must_use]
    pub fn less(self, spent: Self) -> Self {
        Self(self.0.saturating_sub(spent.0))
    }
}

impl std::ops::Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// One stretch of a network that runs without a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentCost {
    /// Whatever the rows.
    pub base: Nanos,
    /// For each row and each cell (height · width) of its latents.
    pub per_cell: Nanos,
}

impl SegmentCost {
    /// Of `rows` rows of latents of one size.
    pub fn of(&self, rows: usize, size: LatentSize) -> Nanos {
        self.base + self.per_cell.times(rows.saturating_mul(size.cells()))
    }
}

/// The measured costs of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostModel {
    /// A decoder pass, whatever is in it.
    pub decode_base: Nanos,
    /// Each of its positions; a beam search has one for each beam.
    pub decode_position: Nanos,
    /// A picture through the vision tower.
    pub encode_picture: Nanos,
    /// The stretches of a UNet pass, in order; at least one.
    pub denoise: Vec<SegmentCost>,
    /// The stretches in which a picture's latents are decoded, in order; at least one.
    pub render: Vec<SegmentCost>,
}

impl CostModel {
    /// For a worker that was not measured: everything costs nothing and runs in one stretch, so that no
    /// promise about time is made.
    pub fn unmeasured() -> Self {
        let whole = SegmentCost { base: Nanos::ZERO, per_cell: Nanos::ZERO };
        Self {
            decode_base: Nanos::ZERO,
            decode_position: Nanos::ZERO,
            encode_picture: Nanos::ZERO,
            denoise: vec![whole],
            render: vec![whole],
        }
    }
}

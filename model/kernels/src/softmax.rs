//! The softmax of one query's scores, left unnormalised, its sum beside it. The sum runs over sixteen lanes
//! from position 0, so that it is the same however many scores are computed beside the wanted ones.

use crate::activation::exp;
use crate::isa::{Kernel, Simd};
use crate::panels::LANES;
use crate::product::{BLOCK, PackedRow};
use crate::row_norm::sum_of_lanes;

/// Scores of the visible keys, and where their weights go.
pub(crate) struct Weigh<'a, 'b> {
    pub(crate) scores: &'a mut [f32],
    pub(crate) weights: PackedRow<'b>,
    pub(crate) sum: &'a mut f32,
}

impl Kernel for Weigh<'_, '_> {
    /// Writes `e^(score - largest)` for every score, and their sum.
    #[inline(always)]
    fn run<S: Simd>(mut self, _: S) {
        let (whole, rest) = self.scores.as_chunks_mut::<LANES>();
        let mut most = [f32::NEG_INFINITY; LANES];
        for scores in &*whole {
            for lane in 0..LANES {
                most[lane] = if scores[lane] > most[lane] { scores[lane] } else { most[lane] };
            }
        }
        let largest = most.iter().chain(&*rest).fold(f32::NEG_INFINITY, |most, x| most.max(*x));
        let mut sums = [0.0; LANES];
        for scores in &mut *whole {
            for lane in 0..LANES {
                scores[lane] = exp(scores[lane] - largest);
                sums[lane] += scores[lane];
            }
        }
        for (score, sum) in rest.iter_mut().zip(&mut sums) {
            *score = exp(*score - largest);
            *sum += *score;
        }
        *self.sum = sum_of_lanes(&sums);
        for (block, scores) in self.scores.chunks(BLOCK).enumerate() {
            self.weights.write(block * BLOCK, scores);
        }
    }
}

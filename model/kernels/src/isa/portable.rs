//! Sixteen lanes without special instructions: what every machine has.

use super::{Kernel, Simd};
use crate::panels::Line;

/// Plain Rust.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

/// Asks for a line that will be loaded soon: not to be had everywhere.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn prefetch(_line: *const Line) {}

impl Simd for Portable {
    type Vector = [f32; 16];

    const WIDE: bool = false;

    fn compiled<K: Kernel>(self, kernel: K) {
        kernel.run(self);
    }

    #[inline(always)]
    fn zero(self) -> [f32; 16] {
        [0.0; 16]
    }

    #[inline(always)]
    fn load(self, line: &Line) -> [f32; 16] {
        line.0
    }

    #[inline(always)]
    fn mul_add(self, scalar: f32, vector: [f32; 16], sum: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|lane| scalar.mul_add(vector[lane], sum[lane]))
    }

    #[inline(always)]
    fn lanes(self, vector: [f32; 16]) -> [f32; 16] {
        vector
    }
}

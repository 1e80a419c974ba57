//! Normalisation of rows: RMSNorm and LayerNorm. A row's sums run over sixteen lanes in a fixed order.

use crate::cpu::Cpu;
use crate::isa::{Kernel, Simd};
use crate::panels::LANES;

/// `x / sqrt(mean(x²) + eps) · weight` (Zhang and Sennrich 2019, eq. 4).
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Vec<f32>,
    eps: f32,
}

impl RmsNorm {
    /// `weight` is (width).
    pub fn new(weight: Vec<f32>, eps: f64) -> Self {
        Self { weight, eps: eps as f32 }
    }

    /// Rows `xs`, (rows, width), to `out` of the same shape.
    ///
    /// # Panics
    /// If the lengths differ or are not whole rows.
    pub fn forward(&self, cpu: Cpu, xs: &[f32], out: &mut [f32]) {
        check(xs, out, self.weight.len());
        cpu.isa.run(Rms { norm: self, xs, out });
    }
}

/// `(x - mean) / sqrt(variance + eps) · weight + bias` (Ba, Kiros and Hinton 2016).
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl LayerNorm {
    /// `weight` and `bias` are (width).
    ///
    /// # Panics
    /// If they differ in length.
    pub fn new(weight: Vec<f32>, bias: Vec<f32>, eps: f64) -> Self {
        assert_eq!(weight.len(), bias.len(), "weight and bias are (width)");
        Self { weight, bias, eps: eps as f32 }
    }

    /// Rows `xs`, (rows, width), to `out` of the same shape.
    ///
    /// # Panics
    /// If the lengths differ or are not whole rows.
    pub fn forward(&self, cpu: Cpu, xs: &[f32], out: &mut [f32]) {
        check(xs, out, self.weight.len());
        cpu.isa.run(Layer { norm: self, xs, out });
    }
}

fn check(xs: &[f32], out: &[f32], width: usize) {
    assert_eq!(xs.len(), out.len(), "as much comes out as goes in");
    assert!(xs.len().is_multiple_of(width), "whole rows");
}

/// Lane 0 plus lane 8, and so on: a tree of four levels.
#[inline(always)]
pub(crate) fn sum_of_lanes(lanes: &[f32; LANES]) -> f32 {
    let mut sums = *lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

/// The sum of `term(x)`: element i goes to lane i mod 16.
#[inline(always)]
fn sum_over(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (whole, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for xs in whole {
        for lane in 0..LANES {
            sums[lane] += term(xs[lane]);
        }
    }
    for (x, sum) in rest.iter().zip(&mut sums) {
        *sum += term(*x);
    }
    sum_of_lanes(&sums)
}

struct Rms<'a> {
    norm: &'a RmsNorm,
    xs: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Rms<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let width = self.norm.weight.len();
        for (row, out) in self.xs.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let mean_square = sum_over(row, |x| x * x) / width as f32;
            let root = (mean_square + self.norm.eps).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(row).zip(&self.norm.weight) {
                *out = x / root * weight;
            }
        }
    }
}

struct Layer<'a> {
    norm: &'a LayerNorm,
    xs: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Layer<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let LayerNorm { weight, bias, eps } = self.norm;
        let width = weight.len();
        for (row, out) in self.xs.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let mean = sum_over(row, |x| x) / width as f32;
            let variance = sum_over(row, |x| (x - mean) * (x - mean)) / width as f32;
            let root = (variance + eps).sqrt();
            for (((out, x), weight), bias) in out.iter_mut().zip(row).zip(weight).zip(bias) {
                *out = ((x - mean) / root).mul_add(*weight, *bias);
            }
        }
    }
}

//! GroupNorm over pictures whose channels lie together (channels last). Every picture and every group is
//! summed on its own, in a fixed order.

use std::ops::Range;

use rayon::prelude::*;

use crate::activation::Activation;
use crate::cpu::Cpu;
use crate::isa::{Kernel, Simd};

/// Pixels that are summed in `f32` before the sum goes on in `f64`.
const PIXELS: usize = 64;

/// `(x - mean) / sqrt(variance + eps) · weight + bias`, mean and variance over a group's channels and all
/// pixels of one picture (Wu and He 2018).
#[derive(Debug, Clone)]
pub struct GroupNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    /// `weight` and `bias` are (channels).
    ///
    /// # Panics
    /// If they differ in length, or `groups` does not divide it.
    pub fn new(weight: Vec<f32>, bias: Vec<f32>, groups: usize, eps: f64) -> Self {
        assert_eq!(weight.len(), bias.len(), "weight and bias are (channels)");
        assert!(groups > 0 && weight.len().is_multiple_of(groups), "groups divide the channels");
        Self { weight, bias, groups, eps }
    }

    /// Pictures `xs`, (batch, pixels, channels) with `pixels` each, to `out` of the same shape, through
    /// `then` if given.
    ///
    /// # Panics
    /// If the lengths differ or are not whole pictures.
    pub fn forward(&self, cpu: Cpu, xs: &[f32], shape: GroupNormShape, out: &mut [f32]) {
        let picture = shape.pixels * self.weight.len();
        assert_eq!(xs.len(), out.len(), "as much comes out as goes in");
        assert!(picture > 0 && xs.len().is_multiple_of(picture), "whole pictures");
        let then = shape.then;
        let one = |xs, out| cpu.isa.run(OnePicture { norm: self, xs, then, out });
        if cpu.parts(xs.len() * 8) > 1 {
            let pairs = xs.par_chunks_exact(picture).zip(out.par_chunks_exact_mut(picture));
            pairs.for_each(|(xs, out)| one(xs, out));
        } else {
            let pairs = xs.chunks_exact(picture).zip(out.chunks_exact_mut(picture));
            pairs.for_each(|(xs, out)| one(xs, out));
        }
    }
}

/// What a GroupNorm is applied to, and what follows it.
#[derive(Debug, Clone, Copy)]
pub struct GroupNormShape {
    /// Pixels of one picture.
    pub pixels: usize,
    /// Applied to the result.
    pub then: Option<Activation>,
}

struct OnePicture<'a> {
    norm: &'a GroupNorm,
    xs: &'a [f32],
    then: Option<Activation>,
    out: &'a mut [f32],
}

impl Kernel for OnePicture<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let GroupNorm { weight, bias, groups, eps } = self.norm;
        let channels = weight.len();
        let width = channels / groups;
        let count = (self.xs.len() / groups) as f64;
        let of_group = |sums: &[f64], group: Range<usize>| sums[group].iter().sum::<f64>() / count;
        let mut means = vec![0f32; channels];
        let sums = channel_sums(self.xs, channels, |x, _| x, &means);
        for start in (0..channels).step_by(width) {
            let group = start..start + width;
            means[group.clone()].fill(of_group(&sums, group) as f32);
        }
        let squares = channel_sums(self.xs, channels, |x, mean| (x - mean) * (x - mean), &means);
        let (mut scales, mut shifts) = (vec![0f32; channels], vec![0f32; channels]);
        for start in (0..channels).step_by(width) {
            let variance = of_group(&squares, start..start + width);
            let inverse = 1.0 / (variance + eps).sqrt();
            for channel in start..start + width {
                scales[channel] = inverse as f32 * weight[channel];
                shifts[channel] = (-means[channel]).mul_add(scales[channel], bias[channel]);
            }
        }
        let pixels = self.xs.chunks_exact(channels).zip(self.out.chunks_exact_mut(channels));
        match self.then {
            None => pixels.for_each(|(xs, out)| affine(xs, &scales, &shifts, out, |x| x)),
            Some(Activation::Silu) => pixels.for_each(|(xs, out)| {
                affine(xs, &scales, &shifts, out, |x| Activation::Silu.of(x));
            }),
            Some(other) => pixels.for_each(|(xs, out)| {
                affine(xs, &scales, &shifts, out, |x| other.of(x));
            }),
        }
    }
}

#[inline(always)]
fn affine(xs: &[f32], scales: &[f32], shifts: &[f32], out: &mut [f32], then: impl Fn(f32) -> f32) {
    for (((out, x), scale), shift) in out.iter_mut().zip(xs).zip(scales).zip(shifts) {
        *out = then(x.mul_add(*scale, *shift));
    }
}

/// The sum of `term(x, mean of its channel)` over all pixels, for each channel.
#[inline(always)]
fn channel_sums(
    xs: &[f32],
    channels: usize,
    term: impl Fn(f32, f32) -> f32,
    means: &[f32],
) -> Vec<f64> {
    let mut totals = vec![0f64; channels];
    let mut sums = vec![0f32; channels];
    for pixels in xs.chunks(PIXELS * channels) {
        sums.fill(0.0);
        for pixel in pixels.chunks_exact(channels) {
            for ((sum, x), mean) in sums.iter_mut().zip(pixel).zip(means) {
                *sum += term(*x, *mean);
            }
        }
        for (total, sum) in totals.iter_mut().zip(&sums) {
            *total += f64::from(*sum);
        }
    }
    totals
}

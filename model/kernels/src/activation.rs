//! Functions of single numbers over slices, written so that the compiler turns them into vector code that
//! rounds as the plain code does: an element's result depends on that element alone.

use rayon::prelude::*;

use crate::cpu::Cpu;
use crate::isa::{Isa, Kernel, Simd};

/// Numbers that one thread transforms at a time; fewer are not worth handing over.
const CHUNK: usize = 1 << 16;

/// What stands between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`.
    Silu,
    /// `x · Φ(x)`, the exact GELU.
    Gelu,
    /// `x · sigmoid(1.702 x)`, OpenAI's.
    QuickGelu,
}

impl Activation {
    #[inline(always)]
    pub(crate) fn of(self, x: f32) -> f32 {
        match self {
            Self::Silu => x * sigmoid(x),
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::QuickGelu => x * sigmoid(1.702 * x),
        }
    }
}

/// `e^x` to 2 units in the last place for results that are normal numbers, held at about 1e-38 and 2e38
/// outside; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding it rounds to a whole number, which then stands in the lowest bits.
    const ROUNDER: f32 = 12_582_912.0;
    /// ln 2 in two pieces, the first with few enough bits for exact products.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUNDER);
    let whole = rounded - ROUNDER;
    let rest = whole.mul_add(-LN_2[1], whole.mul_add(-LN_2[0], x));
    // The Taylor series to the seventh power: below an ulp for |rest| <= ln(2)/2.
    let mut series: f32 = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        series = series.mul_add(rest, coefficient);
    }
    let exponent = (rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits());
    series * f32::from_bits(exponent)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The error function, within 3e-7: a rational approximation on ±4, beyond which it is ±1 in `f32`
/// (coefficients as in Eigen's `generic_fast_erf_float`, 2019).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let x = if x < -4.0 { -4.0 } else { x };
    let x = if x > 4.0 { 4.0 } else { x };
    let square = x * x;
    let mut above: f32 = -2.726_142_3e-10;
    for coefficient in [
        2.770_681_3e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ] {
        above = above.mul_add(square, coefficient);
    }
    let mut below: f32 = -1.456_607_2e-5;
    for coefficient in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2] {
        below = below.mul_add(square, coefficient);
    }
    x * above / below
}

struct InPlace<'a>(&'a mut [f32], Activation);

impl Kernel for InPlace<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self(values, activation) = self;
        match activation {
            Activation::Silu => values.iter_mut().for_each(|x| *x = Activation::Silu.of(*x)),
            Activation::Gelu => values.iter_mut().for_each(|x| *x = Activation::Gelu.of(*x)),
            Activation::QuickGelu => {
                values.iter_mut().for_each(|x| *x = Activation::QuickGelu.of(*x));
            }
        }
    }
}

/// `activation` of every value, in place.
pub fn activate(cpu: Cpu, activation: Activation, values: &mut [f32]) {
    if cpu.threads > 1 && values.len() > CHUNK {
        values.par_chunks_mut(CHUNK).for_each(|values| cpu.isa.run(InPlace(values, activation)));
    } else {
        cpu.isa.run(InPlace(values, activation));
    }
}

/// A row's two halves, one of which gates the other.
struct Gate<'a> {
    both: &'a [f32],
    gate_first: bool,
    activation: Activation,
    out: &'a mut [f32],
}

impl Kernel for Gate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let (first, second) = self.both.split_at(self.out.len());
        let (gate, value) = if self.gate_first { (first, second) } else { (second, first) };
        match self.activation {
            Activation::Silu => zip(gate, value, self.out, |x| Activation::Silu.of(x)),
            Activation::Gelu => zip(gate, value, self.out, |x| Activation::Gelu.of(x)),
            Activation::QuickGelu => zip(gate, value, self.out, |x| Activation::QuickGelu.of(x)),
        }
    }
}

#[inline(always)]
fn zip(gate: &[f32], value: &[f32], out: &mut [f32], function: impl Fn(f32) -> f32) {
    for ((out, gate), value) in out.iter_mut().zip(gate).zip(value) {
        *out = function(*gate) * value;
    }
}

/// SwiGLU's middle: rows `both`, (rows, 2 · inner), gate before value → `silu(gate) · value`, (rows, inner).
///
/// # Panics
/// If `both` is not twice as long as `out`, or `inner` does not divide `out`.
pub fn gated_silu(cpu: Cpu, both: &[f32], inner: usize, out: &mut [f32]) {
    let activation = Activation::Silu;
    gated(cpu, inner, out, |row, out| {
        let both = &both[2 * row * inner..][..2 * inner];
        (Gate { both, gate_first: true, activation, out }).apply(cpu.isa);
    });
}

/// GEGLU's middle: rows `both`, (rows, 2 · inner), value before gate → `value · gelu(gate)`, (rows, inner).
///
/// # Panics
/// If `both` is not twice as long as `out`, or `inner` does not divide `out`.
pub fn gated_gelu(cpu: Cpu, both: &[f32], inner: usize, out: &mut [f32]) {
    let activation = Activation::Gelu;
    gated(cpu, inner, out, |row, out| {
        let both = &both[2 * row * inner..][..2 * inner];
        (Gate { both, gate_first: false, activation, out }).apply(cpu.isa);
    });
}

impl Gate<'_> {
    fn apply(self, isa: Isa) {
        isa.run(self);
    }
}

fn gated(cpu: Cpu, inner: usize, out: &mut [f32], row: impl Fn(usize, &mut [f32]) + Sync) {
    assert!(out.len().is_multiple_of(inner), "whole rows");
    if cpu.threads > 1 && out.len() > CHUNK {
        out.par_chunks_mut(inner).enumerate().for_each(|(index, out)| row(index, out));
    } else {
        out.chunks_mut(inner).enumerate().for_each(|(index, out)| row(index, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_of_the_true_value_and_keeps_nan() {
        let mut x = -86.0f32;
        while x < 87.5 {
            let (found, wanted) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(((found - wanted) / wanted).abs() < 2.4e-7, "exp({x}) = {found}, not {wanted}");
            x += 0.001_7;
        }
        assert_eq!(exp(0.0).to_bits(), 1.0f32.to_bits());
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY) > 1e38);
    }

    #[test]
    fn erf_and_gelu_agree_with_tables() {
        // Abramowitz and Stegun, table 7.1.
        for (x, wanted) in [
            (0.0, 0.0),
            (0.1, 0.112_462_92),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (2.0, 0.995_322_3),
        ] {
            assert!((erf(x) - wanted).abs() < 3e-7, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + wanted).abs() < 3e-7);
        }
        assert!((erf(9.0) - 1.0).abs() < 3e-7);
        assert!((Activation::Gelu.of(1.0) - 0.841_344_8).abs() < 3e-7);
        assert!((Activation::Silu.of(1.0) - 0.731_058_6).abs() < 2e-7);
        assert!((Activation::QuickGelu.of(1.0) - 0.845_795_8).abs() < 2e-7);
    }

    #[test]
    fn an_element_is_transformed_alike_wherever_it_stands_and_by_every_set() {
        let values: Vec<f32> =
            (0..100_003).map(|index| (index as f32 * 0.37).sin() * 9.0).collect();
        for activation in [Activation::Silu, Activation::Gelu, Activation::QuickGelu] {
            let wanted: Vec<u32> = values.iter().map(|x| activation.of(*x).to_bits()).collect();
            for isa in Isa::available() {
                for threads in [1, 3] {
                    let mut found = values.clone();
                    activate(Cpu { isa, threads }, activation, &mut found);
                    let found: Vec<u32> = found.iter().map(|x| x.to_bits()).collect();
                    assert!(found == wanted, "{activation:?} by {}", isa.name());
                }
            }
        }
    }

    #[test]
    fn gates_take_their_own_half() {
        let both = [1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 2.0, -3.0]; // two rows of two
        let cpu = Cpu::detect();
        let (mut silu, mut gelu) = ([0.0; 4], [0.0; 4]);
        gated_silu(cpu, &both, 2, &mut silu);
        gated_gelu(cpu, &both, 2, &mut gelu);
        for (index, (gate, value)) in [(0, 2), (1, 3), (4, 6), (5, 7)].into_iter().enumerate() {
            assert_eq!(silu[index], Activation::Silu.of(both[gate]) * both[value]);
            assert_eq!(gelu[index], Activation::Gelu.of(both[value]) * both[gate]);
        }
    }
}

//! Two-dimensional convolution over pictures whose channels lie together (channels last), as a product of
//! gathered neighbourhoods and packed weights. A pixel's result depends on its neighbourhood alone.

use std::sync::Arc;

use crate::cpu::Cpu;
use crate::linear::{LeftRows, MatMul};
use crate::panels::{Line, PackedMatrix, SharedLines};
use crate::product::{PackedRow, Store};

/// How a kernel moves over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Width and height of the kernel.
    pub kernel: usize,
    /// Pixels from one place to the next.
    pub stride: usize,
    /// Zeros around the picture.
    pub padding: Padding,
}

/// Zeros around a picture, alike in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padding {
    /// Above and to the left.
    pub near: usize,
    /// Below and to the right.
    pub far: usize,
}

/// Height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    /// Pixels down.
    pub height: usize,
    /// Pixels across.
    pub width: usize,
}

impl Plane {
    /// Pixels in all.
    pub fn pixels(self) -> usize {
        self.height * self.width
    }
}

impl ConvGeometry {
    /// The plane that comes out.
    pub fn output(self, input: Plane) -> Plane {
        let side = |len: usize| {
            (len + self.padding.near + self.padding.far).saturating_sub(self.kernel) / self.stride
                + 1
        };
        Plane { height: side(input.height), width: side(input.width) }
    }
}

/// A convolution with weights packed once.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: PackedMatrix,
    bias: Option<Vec<f32>>,
    geometry: ConvGeometry,
    input: usize,
}

impl Conv2d {
    /// Packs `weight`, (out, in, kernel, kernel) as torch stores it, and takes `bias`, (out).
    ///
    /// # Panics
    /// If the slices have other lengths.
    pub fn new(
        weight: &[f32],
        bias: Option<Vec<f32>>,
        (output, input): (usize, usize),
        geometry: ConvGeometry,
    ) -> Self {
        let taps = geometry.kernel * geometry.kernel;
        assert_eq!(weight.len(), output * input * taps, "weight is (out, in, kernel, kernel)");
        assert!(bias.as_ref().is_none_or(|bias| bias.len() == output), "bias is (out)");
        let weight = PackedMatrix::pack(output, taps * input, |column, step| {
            let (tap, channel) = (step / input, step % input);
            weight[(column * input + channel) * taps + tap]
        });
        Self { weight, bias, geometry, input }
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

    /// Channels that go in.
    pub fn input(&self) -> usize {
        self.input
    }

    /// Channels that come out.
    pub fn output(&self) -> usize {
        self.weight.columns()
    }

    /// How it moves.
    pub fn geometry(&self) -> ConvGeometry {
        self.geometry
    }

    /// Pictures `xs`, (batch, height, width, in) of `stored` pixels, to `out`, (batch, height, width, out).
    /// They are first grown to `plane` by nearest neighbour where that differs from `stored`.
    ///
    /// # Panics
    /// If the lengths are not whole pictures, or not equally many.
    pub fn forward(&self, cpu: Cpu, xs: &[f32], size: ConvSize, out: &mut [f32]) {
        let output = self.geometry.output(size.plane);
        let picture = size.stored.pixels() * self.input;
        let batch = xs.len() / picture;
        assert_eq!(xs.len(), batch * picture, "whole pictures go in");
        assert_eq!(out.len(), batch * output.pixels() * self.output(), "as many come out");
        let left = Neighbourhoods { xs, conv: self, size, output };
        let (right, bias) = (self.weight.panels(), self.bias.as_deref());
        MatMul { isa: cpu.isa, left: &left, right, bias, store: size.store }.share_out(
            cpu,
            batch * output.pixels(),
            out,
        );
    }
}

/// The pictures of one call.
#[derive(Debug, Clone, Copy)]
pub struct ConvSize {
    /// As they lie in memory.
    pub stored: Plane,
    /// As the kernel sees them.
    pub plane: Plane,
    /// What happens to the values that the output held.
    pub store: Store,
}

/// What each output pixel sees.
struct Neighbourhoods<'a> {
    xs: &'a [f32],
    conv: &'a Conv2d,
    size: ConvSize,
    output: Plane,
}

impl LeftRows for Neighbourhoods<'_> {
    fn pack(&self, row: usize, mut into: PackedRow<'_>) {
        let ConvSize { stored, plane, .. } = self.size;
        let ConvGeometry { kernel, stride, padding } = self.conv.geometry;
        let channels = self.conv.input;
        let (picture, pixel) = (row / self.output.pixels(), row % self.output.pixels());
        let (top, left) = (pixel / self.output.width * stride, pixel % self.output.width * stride);
        for down in 0..kernel {
            let y = (top + down).wrapping_sub(padding.near);
            let first = down * kernel * channels;
            if y >= plane.height {
                into.zero(first, kernel * channels);
                continue;
            }
            let line = picture * stored.height + y * stored.height / plane.height;
            for across in 0..kernel {
                let x = (left + across).wrapping_sub(padding.near);
                let first = first + across * channels;
                if x >= plane.width {
                    into.zero(first, channels);
                    continue;
                }
                let start = (line * stored.width + x * stored.width / plane.width) * channels;
                into.write(first, &self.xs[start..start + channels]);
            }
        }
    }
}

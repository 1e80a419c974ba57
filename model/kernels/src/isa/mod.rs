//! Instruction sets, chosen at run time. A kernel is written once over sixteen lanes and compiled for each
//! set; all of them round alike, so the choice changes speed only.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::prefetch;
use portable::Portable;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use portable::prefetch;

use crate::panels::Line;

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy)]
pub struct Isa(Kind);

#[derive(Debug, Clone, Copy)]
enum Kind {
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

impl Isa {
    /// The widest of [`available`](Self::available).
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = || avx2::Avx2::detect().map(Kind::Avx2);
            if let Some(kind) = avx512::Avx512::detect().map(Kind::Avx512).or_else(avx2) {
                return Self(kind);
            }
        }
        Self(Kind::Portable(Portable))
    }

    /// Every set that this machine has, the narrowest first.
    pub fn available() -> Vec<Self> {
        let found = std::iter::once(Self(Kind::Portable(Portable)));
        #[cfg(target_arch = "x86_64")]
        let found = found
            .chain(avx2::Avx2::detect().map(|isa| Self(Kind::Avx2(isa))))
            .chain(avx512::Avx512::detect().map(|isa| Self(Kind::Avx512(isa))));
        found.collect()
    }

    /// Its usual name.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
        }
    }

    /// Runs `kernel`, compiled for this set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self.0 {
            Kind::Portable(simd) => simd.compiled(kernel),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(simd) => simd.compiled(kernel),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(simd) => simd.compiled(kernel),
        }
    }
}

/// Code that is compiled once for each set. Implementations are `#[inline(always)]`, and so is everything
/// hot below them: only then does the compiler use the set's instructions.
pub(crate) trait Kernel {
    fn run<S: Simd>(self, simd: S);
}

/// Sixteen lanes of `f32`.
pub(crate) trait Simd: Copy {
    type Vector: Copy;

    /// Whether there are 32 registers of sixteen lanes; else there are 16 of eight.
    const WIDE: bool;

    /// Runs `kernel` as a function of its own, compiled for this set.
    fn compiled<K: Kernel>(self, kernel: K);

    fn zero(self) -> Self::Vector;
    fn load(self, line: &Line) -> Self::Vector;
    /// `scalar · vector + sum`, rounded once.
    fn mul_add(self, scalar: f32, vector: Self::Vector, sum: Self::Vector) -> Self::Vector;
    fn lanes(self, vector: Self::Vector) -> [f32; 16];
}

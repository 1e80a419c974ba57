//! Sixteen lanes as one AVX-512 register. Holds the `unsafe` that the instructions need; nothing else does.
#![expect(unsafe_code, reason = "vector instructions are unsafe until detected; audited here")]

use std::arch::x86_64::{
    __m512, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::{Kernel, Simd};
use crate::panels::Line;

/// Proof that the machine has AVX-512F, AVX2 and FMA: only [`Avx512::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma"))
        .then_some(Self(()))
    }
}

impl Simd for Avx512 {
    type Vector = __m512;

    const WIDE: bool = true;

    fn compiled<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn compiled<K: Kernel>(simd: Avx512, kernel: K) {
            kernel.run(simd);
        }
        // SAFETY: `self` proves that the machine has the three features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn zero(self) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn load(self, line: &Line) -> __m512 {
        // SAFETY: `self` proves AVX-512F; a line has sixteen floats.
        unsafe { _mm512_loadu_ps(line.0.as_ptr()) }
    }

    #[inline(always)]
    fn mul_add(self, scalar: f32, vector: __m512, sum: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_fmadd_ps(_mm512_set1_ps(scalar), vector, sum) }
    }

    #[inline(always)]
    fn lanes(self, vector: __m512) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        // SAFETY: `self` proves AVX-512F; the array has sixteen floats.
        unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), vector) };
        lanes
    }
}

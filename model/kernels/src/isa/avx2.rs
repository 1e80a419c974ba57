//! Sixteen lanes as two AVX2 registers. Holds the `unsafe` that the instructions need; nothing else does.
#![expect(unsafe_code, reason = "vector instructions are unsafe until detected; audited here")]

use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_prefetch, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::{Kernel, Simd};
use crate::panels::Line;

/// Proof that the machine has AVX2 and FMA: only [`Avx2::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

/// Asks for a line that will be loaded soon; it need not exist.
#[inline(always)]
pub(crate) fn prefetch(line: *const Line) {
    // SAFETY: a hint reads nothing, and every x86-64 has it; any address may be given.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
}

impl Simd for Avx2 {
    type Vector = [__m256; 2];

    const WIDE: bool = false;

    fn compiled<K: Kernel>(self, kernel: K) {
        #[target_feature(enable = "avx2,fma")]
        fn compiled<K: Kernel>(simd: Avx2, kernel: K) {
            kernel.run(simd);
        }
        // SAFETY: `self` proves that the machine has both features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn zero(self) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_setzero_ps(); 2] }
    }

    #[inline(always)]
    fn load(self, line: &Line) -> [__m256; 2] {
        let start = line.0.as_ptr();
        // SAFETY: `self` proves AVX2; a line has sixteen floats.
        unsafe { [_mm256_loadu_ps(start), _mm256_loadu_ps(start.add(8))] }
    }

    #[inline(always)]
    fn mul_add(self, scalar: f32, vector: [__m256; 2], sum: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2 and FMA.
        unsafe {
            let scalar = _mm256_set1_ps(scalar);
            [_mm256_fmadd_ps(scalar, vector[0], sum[0]), _mm256_fmadd_ps(scalar, vector[1], sum[1])]
        }
    }

    #[inline(always)]
    fn lanes(self, vector: [__m256; 2]) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        let start = lanes.as_mut_ptr();
        // SAFETY: `self` proves AVX2; the array has sixteen floats.
        unsafe {
            _mm256_storeu_ps(start, vector[0]);
            _mm256_storeu_ps(start.add(8), vector[1]);
        }
        lanes
    }
}

//! Where randomness comes from: numbered draws, so that a seed never depends on its neighbours. Knows keys
//! and numbers, not tensors.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Names one draw of standard-normal noise. Equal keys give equal noise, whatever else is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NoiseKey {
    /// The request's seed.
    pub seed: u64,
    /// Which of a request's alternative answers (0 unless `n` > 1).
    pub choice: u32,
    /// Which picture of the answer, from 0.
    pub picture: u32,
    /// Which draw for that picture.
    pub draw: NoiseDraw,
}

/// The draws that one picture needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoiseDraw {
    /// The initial latents.
    Initial,
    /// Fresh noise after the denoising step of this index, from 0 (ancestral samplers).
    Step(u32),
}

/// A source of standard-normal noise. Production uses `CounterNoise`; parity tests play back the
/// reference's recorded tensors.
pub trait NoiseSource: Send + Sync {
    /// `len` independent draws from N(0, 1), a pure function of `key`.
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32>;
}

/// Counter-based noise: every element is a pure function of its key and its index, the same on every
/// platform and whatever else is drawn.
///
/// The construction, exactly:
/// - ChaCha20 (20 rounds, nonce 0, block counter from 0) under a 32-byte key, integers little-endian:
///   bytes 0–7 the ASCII text `RVnoise1`, 8–15 the seed, 16–19 the choice, 20–23 the picture, 24–27 the kind
///   of draw (0 initial, 1 step), 28–31 the step's index (0 for the initial draw).
/// - The key stream is read as 64-bit little-endian integers. Elements 2j and 2j + 1 come from the integers
///   a = 2j and b = 2j + 1 of the stream: u = ((a >> 11) + 1) · 2⁻⁵³ in (0, 1], v = (b >> 11) · 2⁻⁵³ in [0, 1).
/// - Box–Muller (1958) in f64 with `libm`'s functions: r = √(−2 ln u), element 2j = r · cos(2πv), element
///   2j + 1 = r · sin(2πv), each rounded to f32.
#[derive(Debug, Clone, Copy, Default)]
pub struct CounterNoise;

impl NoiseSource for CounterNoise {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        let (kind, step) = match key.draw {
            NoiseDraw::Initial => (0, 0),
            NoiseDraw::Step(step) => (1, step),
        };
        let mut stream = draw_stream(b"RVnoise1", key.seed, [key.choice, key.picture, kind, step]);
        let mut normals = Vec::with_capacity(len.next_multiple_of(2));
        while normals.len() < len {
            let above_zero = unit_interval(stream.next_u64()) + UNIT_STEP; // never ln 0
            let radius = libm::sqrt(-2.0 * libm::log(above_zero));
            let angle = 2.0 * std::f64::consts::PI * unit_interval(stream.next_u64());
            normals.push((radius * libm::cos(angle)) as f32);
            normals.push((radius * libm::sin(angle)) as f32);
        }
        normals.truncate(len);
        normals
    }
}

/// The ChaCha20 stream of one numbered draw: the key is `domain`, the seed and the numbers, each
/// little-endian. Distinct domains keep the crate's uses of one seed apart.
pub(crate) fn draw_stream(domain: &[u8; 8], seed: u64, numbers: [u32; 4]) -> ChaCha20Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(domain);
    key[8..16].copy_from_slice(&seed.to_le_bytes());
    for (bytes, number) in key[16..].chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha20Rng::from_seed(key)
}

/// The distance between neighbouring values of [`unit_interval`], 2⁻⁵³.
const UNIT_STEP: f64 = 1.0 / (1u64 << 53) as f64;

/// The upper 53 bits of `word` as a number in [0, 1).
pub(crate) fn unit_interval(word: u64) -> f64 {
    (word >> 11) as f64 * UNIT_STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: NoiseKey = NoiseKey { seed: 42, choice: 0, picture: 0, draw: NoiseDraw::Initial };

    // Computed by a second implementation of the construction, in another language.
    const PINNED_INITIAL: [f32; 6] =
        [-0.797_727_2, 0.111_054_96, 0.806_929_65, -0.134_843_6, 0.025_406_325, 0.651_027_74];
    const PINNED_STEP: [f32; 6] =
        [-1.791_494_7, 1.044_591_3, 0.193_712_52, -0.632_943_5, -1.034_090_8, -0.443_086_42];

    fn draw(key: NoiseKey, len: usize) -> Vec<f32> {
        CounterNoise.normal(&key, len)
    }

    #[test]
    fn the_first_values_of_a_key_never_change() {
        let step = NoiseKey { seed: u64::MAX, choice: 3, picture: 2, draw: NoiseDraw::Step(7) };
        assert_eq!(draw(KEY, 6), PINNED_INITIAL);
        assert_eq!(draw(step, 6), PINNED_STEP);
    }

    #[test]
    fn a_shorter_draw_is_a_prefix_of_a_longer_one() {
        let long = draw(KEY, 1001);
        for len in [0, 1, 2, 3, 64, 999, 1000] {
            assert_eq!(draw(KEY, len), long[..len]);
        }
    }

    #[test]
    fn any_difference_in_the_key_gives_other_noise() {
        let keys = [
            KEY,
            NoiseKey { seed: 43, ..KEY },
            NoiseKey { seed: 42 << 32, ..KEY },
            NoiseKey { choice: 1, ..KEY },
            NoiseKey { picture: 1, ..KEY },
            NoiseKey { draw: NoiseDraw::Step(0), ..KEY },
            NoiseKey { draw: NoiseDraw::Step(1), ..KEY },
        ];
        let draws = keys.map(|key| draw(key, 4));
        for (i, first) in draws.iter().enumerate() {
            for second in &draws[i + 1..] {
                assert!(first.iter().zip(second).all(|(a, b)| a != b), "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn the_moments_are_those_of_a_standard_normal() {
        let len = 200_000;
        let noise = draw(KEY, len);
        let moment =
            |power: i32| noise.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / len as f64;
        // Five standard errors of each estimate: sqrt(1, 2, 15, 96 over len).
        let five_errors = |variance: f64| 5.0 * (variance / len as f64).sqrt();
        assert!(moment(1).abs() < five_errors(1.0));
        assert!((moment(2) - 1.0).abs() < five_errors(2.0));
        assert!(moment(3).abs() < five_errors(15.0));
        assert!((moment(4) - 3.0).abs() < five_errors(96.0));
        let lag = noise.windows(2).map(|w| f64::from(w[0] * w[1])).sum::<f64>() / len as f64;
        assert!(lag.abs() < five_errors(1.0), "neighbours are uncorrelated");
        assert!(noise.iter().all(|x| x.is_finite()));
    }
}

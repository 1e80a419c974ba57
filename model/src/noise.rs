//! Where randomness comes from: numbered draws, so that a seed never depends on its neighbours.

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

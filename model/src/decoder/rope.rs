//! Rotary position embeddings: tables for every position, gathered at those of a batch. Knows positions,
//! not heads.

use candle_core::{DType, Device, Tensor};

use crate::config::{LlamaConfig, RopeScaling};

/// Cosines and sines, (max_positions, head_dim / 2), for the half-split rotation
/// (RoFormer, Su et al. 2021, eq. 34; `LlamaRotaryEmbedding` of transformers 4.35).
#[derive(Debug)]
pub(super) struct RotaryTables {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl RotaryTables {
    /// Computes the tables in f32. A stored `inv_freq` is never read: a bf16 checkpoint holds it rounded, and
    /// the reference computes its own as well.
    pub(super) fn new(config: &LlamaConfig) -> Self {
        let (positions, half) = (config.max_position_embeddings, config.head_width() / 2);
        let frequencies = inverse_frequencies(config.rope_theta, config.head_width());
        let mut cos = Vec::with_capacity(positions * half);
        let mut sin = Vec::with_capacity(positions * half);
        for position in 0..positions {
            let scaled = scaled_position(position, config.rope_scaling);
            for frequency in &frequencies {
                let angle = f64::from(scaled * frequency);
                cos.push(libm::cos(angle) as f32);
                sin.push(libm::sin(angle) as f32);
            }
        }
        Self { cos, sin, half }
    }

    /// Cosines and sines at `position`, each (head_dim / 2).
    pub(super) fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let row = position * self.half..(position + 1) * self.half;
        (&self.cos[row.clone()], &self.sin[row])
    }

    /// Cosines and sines at `positions`, each (positions, head_dim / 2).
    pub(super) fn gather(
        &self,
        positions: &[usize],
        (dtype, device): (DType, &Device),
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let table = |values: Vec<f32>| {
            Tensor::from_vec(values, (positions.len(), self.half), &Device::Cpu)?
                .to_device(device)?
                .to_dtype(dtype)
        };
        let cos = positions.iter().flat_map(|position| self.at(*position).0);
        let sin = positions.iter().flat_map(|position| self.at(*position).1);
        Ok((table(cos.copied().collect())?, table(sin.copied().collect())?))
    }
}

/// `theta^(-2i/d)`, each operation rounded to f32 as the reference's tensors round it: at position 2,000 one
/// unit in the last place of a frequency already turns the angle by 1e-4.
fn inverse_frequencies(theta: f64, head_dim: usize) -> Vec<f32> {
    (0..head_dim / 2)
        .map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            1.0 / libm::pow(theta, f64::from(exponent)) as f32
        })
        .collect()
}

/// Dynamic-NTK scaling changes the base only beyond `max_position_embeddings`, where no sequence may go.
fn scaled_position(position: usize, scaling: Option<RopeScaling>) -> f32 {
    match scaling {
        None | Some(RopeScaling::Dynamic { .. }) => position as f32,
        Some(RopeScaling::Linear { factor }) => position as f32 / factor as f32,
    }
}

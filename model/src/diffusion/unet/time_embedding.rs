//! Timesteps as vectors: sinusoids in `f32`, whatever the model's dtype, then a small MLP. In half
//! precision the sinusoids of late timesteps would be meaningless.

use candle_core::{DType, Device, Result, Tensor};

use crate::config::UnetConfig;
use crate::layers::{Linear, linear};
use crate::weights::Weights;

/// Longest wavelength of the sinusoids, over 2π.
const MAX_PERIOD: f64 = 10_000.0;

/// `Timesteps` and `TimestepEmbedding` of diffusers.
#[derive(Debug, Clone)]
pub(crate) struct TimeEmbedding {
    channels: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    linear_1: Linear,
    linear_2: Linear,
}

impl TimeEmbedding {
    /// Width of the embedding that resnets see.
    pub(crate) fn width(config: &UnetConfig) -> usize {
        config.block_out_channels[0] * 4
    }

    /// Expects `vb` at `time_embedding`.
    pub(crate) fn load(config: &UnetConfig, vb: &Weights<'_>) -> Result<Self> {
        let (channels, width) = (config.block_out_channels[0], Self::width(config));
        Ok(Self {
            channels,
            flip_sin_to_cos: config.flip_sin_to_cos,
            freq_shift: config.freq_shift,
            linear_1: linear(channels, width, &vb.pp("linear_1"))?,
            linear_2: linear(width, width, &vb.pp("linear_2"))?,
        })
    }

    /// Sinusoids of one timestep per row, (B, channels) in `f32`.
    pub(crate) fn sinusoids(&self, timesteps: &[f32], device: &Device) -> Result<Tensor> {
        let half = self.channels / 2;
        // Rounded to f32 at the places where the reference rounds.
        let frequency = |index: usize| {
            let exponent = -(MAX_PERIOD.ln() as f32) * index as f32;
            let exponent = exponent / (half as f64 - self.freq_shift) as f32;
            libm::exp(f64::from(exponent)) as f32
        };
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let mut values = Vec::with_capacity(timesteps.len() * self.channels);
        for timestep in timesteps {
            let angles = || frequencies.iter().map(|frequency| f64::from(timestep * frequency));
            let sines = angles().map(|angle| libm::sin(angle) as f32);
            let cosines = angles().map(|angle| libm::cos(angle) as f32);
            if self.flip_sin_to_cos {
                values.extend(cosines.chain(sines));
            } else {
                values.extend(sines.chain(cosines));
            }
            values.extend(std::iter::repeat_n(0.0, self.channels % 2));
        }
        Tensor::from_vec(values, (timesteps.len(), self.channels), device)
    }

    /// Sinusoids → (B, width) in `dtype`.
    pub(crate) fn forward(&self, sinusoids: &Tensor, dtype: DType) -> Result<Tensor> {
        let hidden = self.linear_1.forward(&sinusoids.to_dtype(dtype)?)?.silu()?;
        self.linear_2.forward(&hidden)
    }
}

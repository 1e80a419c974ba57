//! Euler's method along the probability-flow ODE in Karras et al.'s variables (arXiv 2206.00364,
//! algorithm 2 without churn), as diffusers' `EulerDiscreteScheduler`.

use super::noise_schedule::NoiseSchedule;
use super::sampler::Sampler;
use crate::config::{PredictionType, TimestepSpacing};
use crate::error::ModelError;

/// Euler. Deterministic: the reference's draw is multiplied by zero, so none is made here.
#[derive(Debug, Clone)]
pub struct Euler {
    path: EulerPath,
}

impl Euler {
    /// Starts at noise of the first sigma.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule cannot hold that many steps.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self, ModelError> {
        Ok(Self { path: EulerPath::new(schedule, steps)? })
    }
}

impl Sampler for Euler {
    fn timesteps(&self) -> &[f32] {
        &self.path.timesteps
    }

    fn init_noise_sigma(&self) -> f32 {
        self.path.init_noise_sigma
    }

    fn scale_model_input(&self, latents: &[f32], index: usize) -> Vec<f32> {
        self.path.scale_model_input(latents, index)
    }

    fn needs_noise(&self, _index: usize) -> bool {
        false
    }

    fn predicted_clean(&self, index: usize, model_output: &[f32], latents: &[f32]) -> Vec<f32> {
        self.path.predicted_clean(index, model_output, latents)
    }

    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        latents: &mut [f32],
        _noise: Option<&[f32]>,
    ) {
        let next = self.path.sigmas[index + 1];
        self.path.descend(index, next, model_output, latents);
    }
}

/// The sigmas that both Euler samplers walk down, ending at 0, and one deterministic step on them.
#[derive(Debug, Clone)]
pub(crate) struct EulerPath {
    prediction: PredictionType,
    pub(crate) timesteps: Vec<f32>,
    /// One for each step, and 0.
    pub(crate) sigmas: Vec<f32>,
    pub(crate) init_noise_sigma: f32,
}

impl EulerPath {
    pub(crate) fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self, ModelError> {
        let spacing = schedule.spacing_or(TimestepSpacing::Linspace);
        let timesteps = schedule.continuous_timesteps(steps, spacing)?;
        let mut sigmas = schedule.sigmas_at(&timesteps);
        let largest = sigmas.iter().copied().fold(0.0, f32::max);
        let init_noise_sigma = match spacing {
            TimestepSpacing::Linspace | TimestepSpacing::Trailing => largest,
            TimestepSpacing::Leading => (largest * largest + 1.0).sqrt(),
        };
        sigmas.push(0.0);
        let prediction = schedule.prediction_type();
        Ok(Self { prediction, timesteps, sigmas, init_noise_sigma })
    }

    pub(crate) fn scale_model_input(&self, latents: &[f32], index: usize) -> Vec<f32> {
        let sigma = self.sigmas[index];
        let divisor = (sigma * sigma + 1.0).sqrt();
        latents.iter().map(|latent| latent / divisor).collect()
    }

    pub(crate) fn predicted_clean(
        &self,
        index: usize,
        model_output: &[f32],
        latents: &[f32],
    ) -> Vec<f32> {
        let sigma = self.sigmas[index];
        let squared = sigma * sigma + 1.0;
        let output_factor = -sigma / squared.sqrt();
        let clean = |(output, latent): (&f32, &f32)| match self.prediction {
            PredictionType::Epsilon => *latent - sigma * output,
            PredictionType::Sample => *output,
            PredictionType::VPrediction => output * output_factor + *latent / squared,
        };
        model_output.iter().zip(latents).map(clean).collect()
    }

    /// Moves from step `index`'s sigma down to `target` along the direction of the prediction.
    pub(crate) fn descend(
        &self,
        index: usize,
        target: f32,
        model_output: &[f32],
        latents: &mut [f32],
    ) {
        let sigma = self.sigmas[index];
        let stride = target - sigma;
        let clean = self.predicted_clean(index, model_output, latents);
        for (latent, clean) in latents.iter_mut().zip(&clean) {
            let derivative = (*latent - clean) / sigma;
            *latent += derivative * stride;
        }
    }
}

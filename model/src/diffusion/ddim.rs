//! Denoising diffusion implicit models (Song et al. 2020, arXiv 2010.02502, equations 12 and 16), as
//! diffusers' `DDIMScheduler`: deterministic at eta 0, ancestral at eta 1.

use super::noise_schedule::NoiseSchedule;
use super::sampler::{Sampler, add_noise, predicted_noise, predicted_sample};
use crate::config::TimestepSpacing;
use crate::error::ModelError;

/// DDIM. Draws noise only where eta and the step's variance are above 0.
#[derive(Debug, Clone)]
pub struct Ddim {
    schedule: NoiseSchedule,
    timesteps: Vec<f32>,
    step_ratio: usize,
    eta: f32,
}

impl Ddim {
    /// Starts at pure noise; `eta` is the share of the ancestral variance.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule cannot hold that many steps, or `eta` is outside
    /// \[0, 1\].
    pub fn new(schedule: &NoiseSchedule, steps: usize, eta: f32) -> Result<Self, ModelError> {
        if !(0.0..=1.0).contains(&eta) {
            return Err(ModelError::Parameter {
                parameter: "eta",
                found: eta.to_string(),
                wanted: "0 to 1".to_owned(),
            });
        }
        let spacing = schedule.spacing_or(TimestepSpacing::Leading);
        Ok(Self {
            timesteps: schedule.discrete_timesteps(steps, spacing)?,
            step_ratio: schedule.step_ratio(steps),
            schedule: schedule.clone(),
            eta,
        })
    }

    /// ᾱ of step `index` and of the one after it.
    fn alphas_cumprod(&self, index: usize) -> (f32, f32) {
        let timestep = self.timesteps[index] as i64;
        let after_last = self.schedule.final_alpha_cumprod();
        let previous = timestep - self.step_ratio as i64;
        (
            self.schedule.alpha_cumprod_or(timestep, after_last),
            self.schedule.alpha_cumprod_or(previous, after_last),
        )
    }

    /// σ_t(η), equation 16.
    fn standard_deviation(&self, index: usize) -> f32 {
        let (alpha, alpha_previous) = self.alphas_cumprod(index);
        let variance = (1.0 - alpha_previous) / (1.0 - alpha) * (1.0 - alpha / alpha_previous);
        self.eta * variance.max(0.0).sqrt()
    }
}

impl Sampler for Ddim {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn needs_noise(&self, index: usize) -> bool {
        self.standard_deviation(index) > 0.0
    }

    fn predicted_clean(&self, index: usize, model_output: &[f32], latents: &[f32]) -> Vec<f32> {
        let (alpha, _) = self.alphas_cumprod(index);
        let roots = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let prediction = self.schedule.prediction_type();
        let mut clean = predicted_sample(prediction, roots, model_output, latents);
        if self.schedule.clip_sample() {
            clean.iter_mut().for_each(|value| *value = value.clamp(-1.0, 1.0));
        }
        clean
    }

    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        latents: &mut [f32],
        noise: Option<&[f32]>,
    ) {
        let (alpha, alpha_previous) = self.alphas_cumprod(index);
        let roots = (alpha.sqrt(), (1.0 - alpha).sqrt());
        let clean = self.predicted_clean(index, model_output, latents);
        // As in the reference, the direction is that of the prediction before clipping.
        let prediction = self.schedule.prediction_type();
        let direction = predicted_noise(prediction, roots, model_output, latents);

        let deviation = self.standard_deviation(index);
        let clean_factor = alpha_previous.sqrt();
        // Rounding may carry the difference just below zero at eta 1.
        let direction_factor = (1.0 - alpha_previous - deviation * deviation).max(0.0).sqrt();
        for ((latent, clean), direction) in latents.iter_mut().zip(&clean).zip(&direction) {
            *latent = clean_factor * clean + direction_factor * direction;
        }
        if deviation > 0.0 {
            add_noise(latents, deviation, noise);
        }
    }
}

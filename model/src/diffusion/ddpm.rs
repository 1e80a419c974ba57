//! Ancestral sampling of denoising diffusion (Ho et al. 2020, arXiv 2006.11239, equations 6 and 7),
//! as diffusers' `DDPMScheduler` with `variance_type = fixed_small`. The reference's default.

use super::noise_schedule::NoiseSchedule;
use super::sampler::{Sampler, add_noise, predicted_sample};
use crate::config::TimestepSpacing;
use crate::error::ModelError;

/// Below this the reference does not let the variance fall, so the last step still adds noise.
const MIN_VARIANCE: f32 = 1e-20;

/// DDPM. Draws fresh noise in every step at a timestep above 0.
#[derive(Debug, Clone)]
pub struct Ddpm {
    schedule: NoiseSchedule,
    timesteps: Vec<f32>,
    step_ratio: usize,
}

impl Ddpm {
    /// Starts at pure noise.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule cannot hold that many steps.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self, ModelError> {
        let spacing = schedule.spacing_or(TimestepSpacing::Leading);
        Ok(Self {
            timesteps: schedule.discrete_timesteps(steps, spacing)?,
            step_ratio: schedule.step_ratio(steps),
            schedule: schedule.clone(),
        })
    }
}

impl Sampler for Ddpm {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn needs_noise(&self, index: usize) -> bool {
        self.timesteps[index] > 0.0
    }

    fn predicted_clean(&self, index: usize, model_output: &[f32], latents: &[f32]) -> Vec<f32> {
        let alpha = self.schedule.alpha_cumprod_or(self.timesteps[index] as i64, 1.0);
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
        let timestep = self.timesteps[index] as i64;
        let previous = timestep - self.step_ratio as i64;
        let alpha_cumprod = self.schedule.alpha_cumprod_or(timestep, 1.0);
        let alpha_cumprod_previous = self.schedule.alpha_cumprod_or(previous, 1.0);
        let beta_cumprod = 1.0 - alpha_cumprod;
        let beta_cumprod_previous = 1.0 - alpha_cumprod_previous;
        let alpha = alpha_cumprod / alpha_cumprod_previous;
        let beta = 1.0 - alpha;

        let clean = self.predicted_clean(index, model_output, latents);
        let clean_factor = alpha_cumprod_previous.sqrt() * beta / beta_cumprod;
        let latent_factor = alpha.sqrt() * beta_cumprod_previous / beta_cumprod;
        for (latent, clean) in latents.iter_mut().zip(&clean) {
            *latent = clean_factor * clean + latent_factor * *latent;
        }
        if self.needs_noise(index) {
            let variance = beta_cumprod_previous / beta_cumprod * beta;
            add_noise(latents, variance.max(MIN_VARIANCE).sqrt(), noise);
        }
    }
}

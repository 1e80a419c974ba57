//! Pseudo numerical methods for diffusion (Liu et al. 2022, arXiv 2202.09778), the linear multistep
//! part alone, as diffusers' `PNDMScheduler` with `skip_prk_steps`: the second timestep is visited
//! twice, so a run of n steps asks the UNet n + 1 times.

use super::noise_schedule::NoiseSchedule;
use super::sampler::{Sampler, predicted_noise, predicted_sample};
use crate::config::TimestepSpacing;
use crate::error::ModelError;

/// PLMS. Deterministic; remembers up to four predictions.
#[derive(Debug, Clone)]
pub struct Pndm {
    schedule: NoiseSchedule,
    timesteps: Vec<f32>,
    step_ratio: usize,
    /// Predictions so far, latest last, at most four.
    history: Vec<Vec<f32>>,
    /// The latents of step 0, to which step 1 returns.
    first_latents: Vec<f32>,
}

impl Pndm {
    /// Starts at pure noise.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule cannot hold that many steps.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self, ModelError> {
        let spacing = schedule.spacing_or(TimestepSpacing::Leading);
        let mut timesteps = schedule.discrete_timesteps(steps, spacing)?;
        if let Some(second) = timesteps.get(1).copied() {
            timesteps.insert(1, second);
        }
        Ok(Self {
            timesteps,
            step_ratio: schedule.step_ratio(steps),
            schedule: schedule.clone(),
            history: Vec::new(),
            first_latents: Vec::new(),
        })
    }

    /// The multistep combination of the history: Adams-Bashforth of rising order.
    fn combined(&self, index: usize, model_output: &[f32]) -> Vec<f32> {
        let weights: &[f32] = match (self.history.len(), index) {
            (1, 0) => return model_output.to_vec(),
            (1, _) => {
                let first = &self.history[0];
                return model_output
                    .iter()
                    .zip(first)
                    .map(|(new, old)| (new + old) / 2.0)
                    .collect();
            }
            (2, _) => &[3.0, -1.0],
            (3, _) => &[23.0, -16.0, 5.0],
            (_, _) => &[55.0, -59.0, 37.0, -9.0],
        };
        let divisor: f32 = weights.iter().sum();
        let latest_first = || self.history.iter().rev().zip(weights);
        (0..model_output.len())
            .map(|at| latest_first().map(|(past, weight)| weight * past[at]).sum::<f32>() / divisor)
            .collect()
    }

    /// Equation 9: from one timestep's latents to an earlier one's, along a direction.
    fn transfer(&self, (timestep, previous): (i64, i64), direction: &[f32], latents: &mut [f32]) {
        let after_last = self.schedule.final_alpha_cumprod();
        let alpha = self.schedule.alpha_cumprod_or(timestep, after_last);
        let alpha_previous = self.schedule.alpha_cumprod_or(previous, after_last);
        let (beta, beta_previous) = (1.0 - alpha, 1.0 - alpha_previous);
        let roots = (alpha.sqrt(), beta.sqrt());
        let noise = predicted_noise(self.schedule.prediction_type(), roots, direction, latents);

        let latent_factor = (alpha_previous / alpha).sqrt();
        let denominator = alpha * beta_previous.sqrt() + (alpha * beta * alpha_previous).sqrt();
        for (latent, noise) in latents.iter_mut().zip(&noise) {
            *latent = latent_factor * *latent - (alpha_previous - alpha) * noise / denominator;
        }
    }
}

impl Sampler for Pndm {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn needs_noise(&self, _index: usize) -> bool {
        false
    }

    fn predicted_clean(&self, index: usize, model_output: &[f32], latents: &[f32]) -> Vec<f32> {
        let after_last = self.schedule.final_alpha_cumprod();
        let alpha = self.schedule.alpha_cumprod_or(self.timesteps[index] as i64, after_last);
        let roots = (alpha.sqrt(), (1.0 - alpha).sqrt());
        predicted_sample(self.schedule.prediction_type(), roots, model_output, latents)
    }

    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        latents: &mut [f32],
        _noise: Option<&[f32]>,
    ) {
        let ratio = self.step_ratio as i64;
        let timestep = self.timesteps[index] as i64;
        // Step 1 sees the repeated timestep and goes over step 0 again with a better slope.
        let repeats_first = index == 1;
        let span = if repeats_first {
            (timestep + ratio, timestep)
        } else {
            if self.history.len() == 4 {
                self.history.remove(0);
            }
            self.history.push(model_output.to_vec());
            (timestep, timestep - ratio)
        };
        if index == 0 {
            self.first_latents = latents.to_vec();
        }
        let direction = self.combined(index, model_output);
        if repeats_first {
            latents.copy_from_slice(&std::mem::take(&mut self.first_latents));
        }
        self.transfer(span, &direction, latents);
    }
}

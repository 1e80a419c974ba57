//! Ancestral sampling with Euler steps, as diffusers' `EulerAncestralDiscreteScheduler`: each step
//! goes down further than its target and climbs back with fresh noise.

use super::euler::EulerPath;
use super::noise_schedule::NoiseSchedule;
use super::sampler::{Sampler, add_noise};
use crate::error::ModelError;

/// Euler ancestral. Draws fresh noise in every step but the last.
#[derive(Debug, Clone)]
pub struct EulerAncestral {
    path: EulerPath,
}

impl EulerAncestral {
    /// Starts at noise of the first sigma.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule cannot hold that many steps.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self, ModelError> {
        Ok(Self { path: EulerPath::new(schedule, steps)? })
    }

    /// The sigma to go down to, and that of the noise to climb back with.
    fn down_and_up(&self, index: usize) -> (f32, f32) {
        let (from, to) = (self.path.sigmas[index], self.path.sigmas[index + 1]);
        let (from_squared, to_squared) = (from * from, to * to);
        let up = (to_squared * (from_squared - to_squared) / from_squared).sqrt();
        // Rounding may carry the difference just below zero where `to` is very much smaller.
        ((to_squared - up * up).max(0.0).sqrt(), up)
    }
}

impl Sampler for EulerAncestral {
    fn timesteps(&self) -> &[f32] {
        &self.path.timesteps
    }

    fn init_noise_sigma(&self) -> f32 {
        self.path.init_noise_sigma
    }

    fn scale_model_input(&self, latents: &[f32], index: usize) -> Vec<f32> {
        self.path.scale_model_input(latents, index)
    }

    fn needs_noise(&self, index: usize) -> bool {
        self.down_and_up(index).1 > 0.0
    }

    fn predicted_clean(&self, index: usize, model_output: &[f32], latents: &[f32]) -> Vec<f32> {
        self.path.predicted_clean(index, model_output, latents)
    }

    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        latents: &mut [f32],
        noise: Option<&[f32]>,
    ) {
        let (down, up) = self.down_and_up(index);
        self.path.descend(index, down, model_output, latents);
        if up > 0.0 {
            add_noise(latents, up, noise);
        }
    }
}

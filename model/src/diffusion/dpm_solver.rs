//! DPM-Solver++ of second order, multistep, midpoint (Lu et al. 2022, arXiv 2211.01095), as
//! diffusers' `DPMSolverMultistepScheduler`, with the linear timesteps of its default or the sigmas
//! of Karras et al. 2022 (arXiv 2206.00364, equation 5).

use super::noise_schedule::{NoiseLevel, NoiseSchedule};
use super::sampler::{Sampler, predicted_sample};
use crate::config::{PredictionType, TimestepSpacing};
use crate::error::ModelError;

/// Runs shorter than this end with a first-order step (`lower_order_final`).
const LOWER_ORDER_FINAL_BELOW: usize = 15;

/// The exponent with which Karras et al. space sigmas.
const KARRAS_RHO: f64 = 7.0;

/// DPM-Solver++ 2M. Deterministic; remembers one predicted sample.
#[derive(Debug, Clone)]
pub struct DpmSolverPlusPlus {
    prediction: PredictionType,
    timesteps: Vec<f32>,
    /// One for each step, and the final one.
    sigmas: Vec<f32>,
    /// The clean sample predicted in the last step.
    last_clean: Option<Vec<f32>>,
}

impl DpmSolverPlusPlus {
    /// Starts at pure noise, with timesteps evenly spaced.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule cannot hold that many steps.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self, ModelError> {
        let spacing = schedule.spacing_or(TimestepSpacing::Linspace);
        let timesteps = schedule.multistep_timesteps(steps, spacing)?;
        let mut sigmas = schedule.sigmas_at(&timesteps);
        sigmas.extend(schedule.sigmas_at(&[0.0]));
        let prediction = schedule.prediction_type();
        Ok(Self { prediction, timesteps, sigmas, last_clean: None })
    }

    /// Starts at pure noise, with Karras sigmas and the timesteps nearest to them.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule cannot hold that many steps.
    pub fn with_karras_sigmas(schedule: &NoiseSchedule, steps: usize) -> Result<Self, ModelError> {
        let spacing = schedule.spacing_or(TimestepSpacing::Linspace);
        schedule.multistep_timesteps(steps, spacing)?;
        let table = schedule.sigmas();
        let log_table: Vec<f32> = table.iter().map(|sigma| libm::logf(*sigma)).collect();
        let exact = karras_sigmas(table[0], table[table.len() - 1], steps);
        let timesteps = exact.iter().map(|sigma| nearest_timestep(*sigma, &log_table)).collect();
        let mut sigmas: Vec<f32> = exact.iter().map(|sigma| *sigma as f32).collect();
        sigmas.extend(sigmas.last().copied());
        let prediction = schedule.prediction_type();
        Ok(Self { prediction, timesteps, sigmas, last_clean: None })
    }
}

impl Sampler for DpmSolverPlusPlus {
    fn timesteps(&self) -> &[f32] {
        &self.timesteps
    }

    fn needs_noise(&self, _index: usize) -> bool {
        false
    }

    fn predicted_clean(&self, index: usize, model_output: &[f32], latents: &[f32]) -> Vec<f32> {
        let here = NoiseLevel::from_sigma(self.sigmas[index]);
        predicted_sample(self.prediction, (here.alpha, here.sigma), model_output, latents)
    }

    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        latents: &mut [f32],
        _noise: Option<&[f32]>,
    ) {
        let here = NoiseLevel::from_sigma(self.sigmas[index]);
        let next = NoiseLevel::from_sigma(self.sigmas[index + 1]);
        let clean = self.predicted_clean(index, model_output, latents);

        let span = next.lambda - here.lambda;
        let latent_factor = next.sigma / here.sigma;
        let clean_factor = next.alpha * (libm::expf(-span) - 1.0);
        let steps = self.timesteps.len();
        let first_order_end = index + 1 == steps && steps < LOWER_ORDER_FINAL_BELOW;
        match self.last_clean.as_deref().filter(|_| !first_order_end) {
            None => {
                for (latent, clean) in latents.iter_mut().zip(&clean) {
                    *latent = latent_factor * *latent - clean_factor * clean;
                }
            }
            Some(last_clean) => {
                let before = NoiseLevel::from_sigma(self.sigmas[index - 1]);
                let ratio = (here.lambda - before.lambda) / span;
                for ((latent, clean), last) in latents.iter_mut().zip(&clean).zip(last_clean) {
                    let slope = (1.0 / ratio) * (clean - last);
                    *latent =
                        latent_factor * *latent - clean_factor * clean - 0.5 * clean_factor * slope;
                }
            }
        }
        self.last_clean = Some(clean);
    }
}

/// Equation 5 of Karras et al., from the largest sigma to the smallest.
fn karras_sigmas(smallest: f32, largest: f32, steps: usize) -> Vec<f64> {
    let root = |sigma: f32| libm::pow(f64::from(sigma), 1.0 / KARRAS_RHO);
    let (low, high) = (root(smallest), root(largest));
    let step = if steps > 1 { 1.0 / (steps - 1) as f64 } else { 0.0 };
    (0..steps)
        .map(|index| {
            let ramp = if steps > 1 && index == steps - 1 { 1.0 } else { index as f64 * step };
            libm::pow(high + ramp * (low - high), KARRAS_RHO)
        })
        .collect()
}

/// The training timestep whose sigma is nearest, interpolating in the logarithm and rounding.
fn nearest_timestep(sigma: f64, log_table: &[f32]) -> f32 {
    let log_sigma = libm::log(sigma.max(1e-10)) as f32;
    let not_above = log_table.partition_point(|entry| *entry <= log_sigma);
    let low = not_above.saturating_sub(1).min(log_table.len() - 2);
    let (below, above) = (log_table[low], log_table[low + 1]);
    let weight = ((below - log_sigma) / (below - above)).clamp(0.0, 1.0);
    let timestep = f64::from(1.0 - weight) * low as f64 + f64::from(weight) * (low + 1) as f64;
    timestep.round_ties_even() as f32
}

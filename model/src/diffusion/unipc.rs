//! UniPC (Zhao et al. 2023, arXiv 2302.04867), order 2, B(h) of kind bh2, data prediction, as
//! diffusers' `UniPCMultistepScheduler`: each prediction first corrects the step that led to it,
//! then predicts the next.

use super::noise_schedule::{NoiseLevel, NoiseSchedule};
use super::sampler::{Sampler, predicted_sample};
use crate::config::{PredictionType, TimestepSpacing};
use crate::error::ModelError;

/// What the step before left behind.
#[derive(Debug, Clone)]
struct Past {
    /// Its latents, after correction.
    latents: Vec<f32>,
    /// The clean sample predicted in it.
    clean: Vec<f32>,
    /// The clean sample predicted in the step before it.
    older_clean: Option<Vec<f32>>,
    /// Whether it was of second order.
    second_order: bool,
}

/// UniPC. Deterministic; remembers one step's latents and two predicted samples.
#[derive(Debug, Clone)]
pub struct UniPc {
    prediction: PredictionType,
    timesteps: Vec<f32>,
    /// One for each step, and the final one.
    sigmas: Vec<f32>,
    past: Option<Past>,
}

impl UniPc {
    /// Starts at pure noise.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule cannot hold that many steps.
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self, ModelError> {
        let spacing = schedule.spacing_or(TimestepSpacing::Linspace);
        let timesteps = schedule.multistep_timesteps(steps, spacing)?;
        let mut sigmas = schedule.sigmas_at(&timesteps);
        sigmas.extend(schedule.sigmas_at(&[0.0]));
        let prediction = schedule.prediction_type();
        Ok(Self { prediction, timesteps, sigmas, past: None })
    }

    /// What the update from sigma `from` to the next needs to know of the noise levels around it.
    fn span(&self, from: usize) -> Span {
        let start = NoiseLevel::from_sigma(self.sigmas[from]);
        let end = NoiseLevel::from_sigma(self.sigmas[from + 1]);
        let width = end.lambda - start.lambda;
        let older = from.checked_sub(1).map(|older| {
            (NoiseLevel::from_sigma(self.sigmas[older]).lambda - start.lambda) / width
        });
        Span {
            latent_factor: end.sigma / start.sigma,
            alpha: end.alpha,
            negative_width: -width,
            phi: libm::expm1f(-width),
            older_ratio: older,
        }
    }

    /// UniC: redoes the step before with what is now known at its end.
    fn correct(&self, index: usize, past: &Past, clean: &[f32], latents: &mut [f32]) {
        let span = self.span(index - 1);
        let older = past.older_clean.as_deref().filter(|_| past.second_order);
        let (older_weight, new_weight) = match (older, span.older_ratio) {
            (Some(_), Some(ratio)) => span.corrector_weights(ratio),
            (_, _) => (0.0, 0.5),
        };
        for (at, latent) in latents.iter_mut().enumerate() {
            let base = span.first_order(past.latents[at], past.clean[at]);
            let slope = span.slope(older, &past.clean, at);
            let change = older_weight * slope + new_weight * (clean[at] - past.clean[at]);
            *latent = base - span.alpha * span.phi * change;
        }
    }
}

impl Sampler for UniPc {
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
        let clean = self.predicted_clean(index, model_output, latents);
        let past = self.past.take();
        if let Some(past) = &past {
            self.correct(index, past, &clean, latents);
        }
        let corrected = latents.to_vec();

        // The last step is of first order: nothing is known beyond it (`lower_order_final`).
        let older_clean = past.map(|past| past.clean);
        let second_order = older_clean.is_some() && index + 1 < self.timesteps.len();
        let older = older_clean.as_deref().filter(|_| second_order);
        let span = self.span(index);
        for (at, latent) in latents.iter_mut().enumerate() {
            let slope = span.slope(older, &clean, at);
            *latent = span.first_order(*latent, clean[at]) - span.alpha * span.phi * (0.5 * slope);
        }
        self.past = Some(Past { latents: corrected, clean, older_clean, second_order });
    }
}

/// The coefficients of one update, common to predictor and corrector.
struct Span {
    latent_factor: f32,
    alpha: f32,
    /// -h, where h is the step in λ.
    negative_width: f32,
    /// e^(-h) - 1, which is also B(h) of bh2.
    phi: f32,
    /// How far back the older prediction lies, in units of h (negative).
    older_ratio: Option<f32>,
}

impl Span {
    fn first_order(&self, latent: f32, clean: f32) -> f32 {
        self.latent_factor * latent - self.alpha * self.phi * clean
    }

    /// The divided difference towards the older prediction, 0 without one.
    fn slope(&self, older: Option<&[f32]>, clean: &[f32], at: usize) -> f32 {
        match (older, self.older_ratio) {
            (Some(older), Some(ratio)) => (older[at] - clean[at]) / ratio,
            (_, _) => 0.0,
        }
    }

    /// Solves the order conditions `[[1, 1], [ratio, 1]] · weights = b` of the corrector, where the
    /// `b` are scaled φ-functions of -h.
    fn corrector_weights(&self, ratio: f32) -> (f32, f32) {
        let phi_first = self.phi / self.negative_width - 1.0;
        let phi_second = phi_first / self.negative_width - 0.5;
        let (first, second) = (phi_first / self.phi, phi_second * 2.0 / self.phi);
        let older_weight = (first - second) / (1.0 - ratio);
        (older_weight, first - older_weight)
    }
}

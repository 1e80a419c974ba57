//! Betas, cumulative alphas, and which of the training timesteps a run visits, computed in the
//! precision of diffusers 0.24 so that timesteps are equal and tables agree to the last bit. Knows
//! no tensors, no latents and no update rule.

use crate::config::{BetaSchedule, NoiseScheduleConfig, PredictionType, TimestepSpacing};
use crate::error::ModelError;

/// The noise schedule of a checkpoint, tabulated for its training timesteps.
#[derive(Debug, Clone)]
pub struct NoiseSchedule {
    config: NoiseScheduleConfig,
    betas: Vec<f32>,
    alphas_cumprod: Vec<f32>,
}

impl NoiseSchedule {
    /// Tabulates betas and ᾱ as every scheduler class of diffusers does in its constructor.
    pub fn new(config: &NoiseScheduleConfig) -> Self {
        let betas = betas(config);
        // The reference accumulates the product in f64 and stores f32.
        let alphas_cumprod = betas
            .iter()
            .scan(1.0_f64, |product, beta| {
                *product *= f64::from(1.0 - beta);
                Some(*product as f32)
            })
            .collect();
        Self { config: config.clone(), betas, alphas_cumprod }
    }

    /// β of each training timestep.
    pub fn betas(&self) -> &[f32] {
        &self.betas
    }

    /// ᾱ of each training timestep: the share of signal (squared) left after it.
    pub fn alphas_cumprod(&self) -> &[f32] {
        &self.alphas_cumprod
    }

    /// ᾱ at a timestep, or `after_last` for the negative one that follows the schedule's end.
    pub(crate) fn alpha_cumprod_or(&self, timestep: i64, after_last: f32) -> f32 {
        usize::try_from(timestep).map_or(after_last, |index| self.alphas_cumprod[index])
    }

    /// ᾱ after the last step for the samplers that obey `set_alpha_to_one` (DDIM, PNDM).
    pub(crate) fn final_alpha_cumprod(&self) -> f32 {
        if self.config.set_alpha_to_one { 1.0 } else { self.alphas_cumprod[0] }
    }

    /// What the UNet predicts.
    pub fn prediction_type(&self) -> PredictionType {
        self.config.prediction_type
    }

    /// Whether DDPM and DDIM clip predicted samples to ±1.
    pub(crate) fn clip_sample(&self) -> bool {
        self.config.clip_sample
    }

    /// Training timesteps (T).
    pub fn num_train_timesteps(&self) -> usize {
        self.config.num_train_timesteps
    }

    /// Training timesteps between two of a run, `T / steps` rounded down.
    pub(crate) fn step_ratio(&self, steps: usize) -> usize {
        self.config.num_train_timesteps / steps
    }

    /// The spacing that the checkpoint states, or the sampler class's own.
    pub(crate) fn spacing_or(&self, class_default: TimestepSpacing) -> TimestepSpacing {
        self.config.timestep_spacing.unwrap_or(class_default)
    }

    /// `sqrt((1 - ᾱ) / ᾱ)` of each training timestep: the noise of variance-exploding samplers.
    pub(crate) fn sigmas(&self) -> Vec<f32> {
        self.alphas_cumprod.iter().map(|alpha| ((1.0 - alpha) / alpha).sqrt()).collect()
    }

    /// Sigmas at (fractional) timesteps, linearly interpolated as `numpy.interp` does: f64 inside,
    /// clamped to the table's ends.
    pub(crate) fn sigmas_at(&self, timesteps: &[f32]) -> Vec<f32> {
        let table = self.sigmas();
        let last = table.len() - 1;
        let interpolate = |timestep: &f32| {
            let position = f64::from(*timestep);
            let low = (position.max(0.0) as usize).min(last);
            if low == last {
                return table[last];
            }
            let (from, to) = (f64::from(table[low]), f64::from(table[low + 1]));
            ((to - from) * (position - low as f64).max(0.0) + from) as f32
        };
        timesteps.iter().map(interpolate).collect()
    }

    /// Timesteps of DDPM, DDIM and PNDM (before its repetition), descending, one for each step.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule has no room for that many steps.
    pub(crate) fn discrete_timesteps(
        &self,
        steps: usize,
        spacing: TimestepSpacing,
    ) -> Result<Vec<f32>, ModelError> {
        let train = self.config.num_train_timesteps;
        self.check_steps(steps, train)?;
        let mut timesteps: Vec<f32> = match spacing {
            TimestepSpacing::Linspace => linspace(train - 1, steps).map(rounded).collect(),
            TimestepSpacing::Leading => self.leading(steps, steps).collect(),
            TimestepSpacing::Trailing => trailing(train, steps),
        };
        timesteps.reverse();
        self.check_range(steps, &timesteps)?;
        Ok(timesteps)
    }

    /// Timesteps of DPM-Solver++ and UniPC, descending: one point more is laid out, and the one
    /// nearest to the clean picture left to the final sigma.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if two steps would share a timestep.
    pub(crate) fn multistep_timesteps(
        &self,
        steps: usize,
        spacing: TimestepSpacing,
    ) -> Result<Vec<f32>, ModelError> {
        let train = self.config.num_train_timesteps;
        self.check_steps(steps, train - 1)?;
        let mut timesteps: Vec<f32> = match spacing {
            TimestepSpacing::Linspace => {
                linspace(train - 1, steps + 1).map(rounded).skip(1).collect()
            }
            TimestepSpacing::Leading => self.leading(steps + 1, steps + 1).skip(1).collect(),
            TimestepSpacing::Trailing => trailing(train, steps),
        };
        timesteps.reverse();
        self.check_range(steps, &timesteps)?;
        Ok(timesteps)
    }

    /// Timesteps of the Euler samplers, descending; with `linspace` they are fractions.
    ///
    /// # Errors
    /// [`ModelError::Parameter`] if the schedule has no room for that many steps.
    pub(crate) fn continuous_timesteps(
        &self,
        steps: usize,
        spacing: TimestepSpacing,
    ) -> Result<Vec<f32>, ModelError> {
        match spacing {
            TimestepSpacing::Linspace => {
                let train = self.config.num_train_timesteps;
                self.check_steps(steps, train)?;
                let mut timesteps: Vec<f32> =
                    linspace(train - 1, steps).map(|value| value as f32).collect();
                timesteps.reverse();
                Ok(timesteps)
            }
            TimestepSpacing::Leading | TimestepSpacing::Trailing => {
                self.discrete_timesteps(steps, spacing)
            }
        }
    }

    /// `points` multiples of `T / divisor`, ascending, shifted by `steps_offset`.
    fn leading(&self, points: usize, divisor: usize) -> impl Iterator<Item = f32> {
        let (ratio, offset) = (self.step_ratio(divisor), self.config.steps_offset);
        (0..points).map(move |index| (index * ratio + offset) as f32)
    }

    fn check_steps(&self, steps: usize, most: usize) -> Result<(), ModelError> {
        if (1..=most).contains(&steps) {
            return Ok(());
        }
        Err(ModelError::Parameter {
            parameter: "num_inference_steps",
            found: steps.to_string(),
            wanted: format!("1 to {most}"),
        })
    }

    /// `steps_offset` can push the first timestep past the table (1,000 leading steps, offset 1).
    fn check_range(&self, steps: usize, timesteps: &[f32]) -> Result<(), ModelError> {
        let train = self.config.num_train_timesteps;
        if timesteps.iter().all(|timestep| *timestep < train as f32) {
            return Ok(());
        }
        Err(ModelError::Parameter {
            parameter: "num_inference_steps",
            found: steps.to_string(),
            wanted: format!("fewer steps: the first would start past timestep {}", train - 1),
        })
    }
}

/// A noise level on the variance-preserving path that multistep solvers integrate along: ᾱ's root,
/// the noise's share, and half the log signal-to-noise ratio λ (DPM-Solver, section 2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoiseLevel {
    pub(crate) alpha: f32,
    pub(crate) sigma: f32,
    pub(crate) lambda: f32,
}

impl NoiseLevel {
    /// From a variance-exploding sigma, > 0.
    pub(crate) fn from_sigma(sigma: f32) -> Self {
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        let sigma = sigma * alpha;
        Self { alpha, sigma, lambda: libm::logf(alpha) - libm::logf(sigma) }
    }
}

/// `numpy.linspace(0, end, points)` in f64, ascending.
fn linspace(end: usize, points: usize) -> impl Iterator<Item = f64> {
    let step = if points > 1 { end as f64 / (points - 1) as f64 } else { 0.0 };
    (0..points).map(move |index| {
        if points > 1 && index == points - 1 { end as f64 } else { index as f64 * step }
    })
}

fn rounded(value: f64) -> f32 {
    value.round_ties_even() as f32
}

/// `round(T - i * T / steps) - 1`, ascending. Exactly `steps` points: for some numbers of steps the
/// reference's `arange` lets one more slip in by rounding, at timestep -1.
fn trailing(train: usize, steps: usize) -> Vec<f32> {
    let ratio = train as f64 / steps as f64;
    // numpy's arange adds multiples of the difference of its first two values.
    let delta = (train as f64 - ratio) - train as f64;
    (0..steps).rev().map(|index| rounded(train as f64 + index as f64 * delta) - 1.0).collect()
}

fn betas(config: &NoiseScheduleConfig) -> Vec<f32> {
    let count = config.num_train_timesteps;
    match config.beta_schedule {
        BetaSchedule::Linear => torch_linspace(config.beta_start, config.beta_end, count),
        BetaSchedule::ScaledLinear => {
            torch_linspace(config.beta_start.sqrt(), config.beta_end.sqrt(), count)
                .into_iter()
                .map(|root| root * root)
                .collect()
        }
        BetaSchedule::SquaredcosCapV2 => {
            let alpha_bar = |index: usize| {
                let time = index as f64 / count as f64;
                let cosine = libm::cos((time + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2);
                cosine * cosine
            };
            (0..count)
                .map(|index| (1.0 - alpha_bar(index + 1) / alpha_bar(index)).min(0.999) as f32)
                .collect()
        }
    }
}

/// `torch.linspace` in f32: from both ends towards the middle, each point rounded once.
fn torch_linspace(start: f64, end: f64, count: usize) -> Vec<f32> {
    let (start, end) = (start as f32, end as f32);
    if count < 2 {
        return vec![start; count];
    }
    let step = (end - start) / (count - 1) as f32;
    (0..count)
        .map(|index| {
            if index < count / 2 {
                step.mul_add(index as f32, start)
            } else {
                (-step).mul_add((count - index - 1) as f32, end)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(spacing: TimestepSpacing) -> NoiseSchedule {
        NoiseSchedule::new(&NoiseScheduleConfig {
            timestep_spacing: Some(spacing),
            ..NoiseScheduleConfig::default()
        })
    }

    #[test]
    fn leading_steps_that_do_not_divide_the_schedule_start_late() {
        let schedule = schedule(TimestepSpacing::Leading);
        let timesteps = schedule.discrete_timesteps(150, TimestepSpacing::Leading).unwrap();
        assert_eq!((timesteps[0], timesteps[149]), (895.0, 1.0));
    }

    #[test]
    fn trailing_spacing_ends_with_one_step_before_the_clean_picture_for_every_number_of_steps() {
        let schedule = schedule(TimestepSpacing::Trailing);
        for steps in 1..=1000 {
            let timesteps = schedule.discrete_timesteps(steps, TimestepSpacing::Trailing).unwrap();
            assert_eq!(timesteps.len(), steps);
            assert_eq!(timesteps[0], 999.0);
            assert!(timesteps[steps - 1] >= 0.0);
        }
    }

    #[test]
    fn steps_that_the_schedule_cannot_hold_are_refused() {
        let schedule = schedule(TimestepSpacing::Leading);
        for steps in [0, 1000, 1001] {
            let refusal = schedule.discrete_timesteps(steps, TimestepSpacing::Leading);
            assert!(matches!(
                refusal,
                Err(ModelError::Parameter { parameter: "num_inference_steps", .. })
            ));
        }
        assert!(schedule.discrete_timesteps(999, TimestepSpacing::Leading).is_ok());
        assert!(schedule.multistep_timesteps(1000, TimestepSpacing::Linspace).is_err());
    }

    #[test]
    fn multistep_timesteps_never_repeat() {
        let schedule = schedule(TimestepSpacing::Linspace);
        for spacing in
            [TimestepSpacing::Linspace, TimestepSpacing::Leading, TimestepSpacing::Trailing]
        {
            for steps in 1..=998 {
                let timesteps = schedule.multistep_timesteps(steps, spacing).unwrap();
                assert!(timesteps.windows(2).all(|pair| pair[0] > pair[1]), "{spacing:?} {steps}");
            }
        }
    }

    #[test]
    fn the_cosine_schedule_caps_its_last_beta() {
        let schedule = NoiseSchedule::new(&NoiseScheduleConfig {
            beta_schedule: BetaSchedule::SquaredcosCapV2,
            ..NoiseScheduleConfig::default()
        });
        assert_eq!(schedule.betas()[999], 0.999);
        assert!(schedule.betas().windows(2).all(|pair| pair[0] <= pair[1]));
        // First value of diffusers' betas_for_alpha_bar(1000).
        assert!((schedule.betas()[0] - 4.128_422_4e-5).abs() < 1e-9);
    }

    #[test]
    fn sigmas_are_interpolated_between_timesteps_and_clamped_at_the_ends() {
        let schedule = schedule(TimestepSpacing::Linspace);
        let table = schedule.sigmas();
        let found = schedule.sigmas_at(&[0.0, 2.5, 999.0, 1000.0]);
        assert_eq!((found[0], found[2], found[3]), (table[0], table[999], table[999]));
        assert!((found[1] - f32::midpoint(table[2], table[3])).abs() < 1e-7);
    }
}

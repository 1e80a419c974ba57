//! `scheduler/scheduler_config.json`: betas and how timesteps are spaced; the defaults are
//! Stable Diffusion 2.1-base's.

use serde::Deserialize;

/// How betas run from start to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Linear in beta.
    Linear,
    /// Linear in the square root of beta.
    ScaledLinear,
    /// The cosine schedule of Nichol and Dhariwal (`betas_for_alpha_bar`).
    SquaredcosCapV2,
}

/// What the UNet predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise.
    Epsilon,
    /// The velocity `v` of progressive distillation.
    VPrediction,
    /// The clean sample.
    Sample,
}

/// How `num_inference_steps` timesteps are chosen among the training ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimestepSpacing {
    /// `i * (T / n) + steps_offset`.
    Leading,
    /// Evenly over `[0, T - 1]`.
    Linspace,
    /// `T - i * T / n - 1`.
    Trailing,
}

/// The noise schedule as its file describes it. A sampler whose diffusers class defaults to another
/// spacing than `leading` keeps its own default unless `timestep_spacing` is given.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct NoiseScheduleConfig {
    /// The diffusers class that wrote the file.
    #[serde(rename = "_class_name")]
    pub class_name: String,
    /// Training timesteps (T).
    pub num_train_timesteps: usize,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// How betas run between them.
    pub beta_schedule: BetaSchedule,
    /// What the UNet predicts.
    pub prediction_type: PredictionType,
    /// Added to `leading` timesteps.
    pub steps_offset: usize,
    /// Whether the step after the last has ᾱ = 1 (else ᾱ_0).
    pub set_alpha_to_one: bool,
    /// Whether predicted samples are clipped to ±1.
    pub clip_sample: bool,
    /// Spacing, where the file states one.
    pub timestep_spacing: Option<TimestepSpacing>,
}

impl Default for NoiseScheduleConfig {
    fn default() -> Self {
        Self {
            class_name: "PNDMScheduler".to_owned(),
            num_train_timesteps: 1000,
            beta_start: 0.00085,
            beta_end: 0.012,
            beta_schedule: BetaSchedule::ScaledLinear,
            prediction_type: PredictionType::Epsilon,
            steps_offset: 1,
            set_alpha_to_one: false,
            clip_sample: false,
            timestep_spacing: None,
        }
    }
}

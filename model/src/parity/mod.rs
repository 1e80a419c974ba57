//! Compares every stage with vectors recorded from the reference implementation. The vectors' layout
//! is that of `tests/goldens`; nothing here is tied to one checkpoint's shapes.

mod decoder;
mod diffusion;
mod document;
mod dream;
mod goldens;
mod tokenizer;
mod vision;

pub use goldens::{Goldens, ParityError};

use crate::config::Ability;
use crate::dream_model::DreamModel;

/// How far a result may be from the recorded one, and in what unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Number of values that differ at all.
    Mismatches,
    /// Largest absolute difference.
    Absolute,
    /// Largest absolute difference over the largest recorded magnitude.
    Relative,
    /// Largest difference of 8-bit levels.
    Levels,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The stage, e.g. `unet`.
    pub stage: &'static str,
    /// What was compared, by the vectors' own names.
    pub name: String,
    /// The measured error.
    pub error: f64,
    /// The largest error that still is float noise.
    pub tolerance: f64,
    /// The unit of both.
    pub measure: Measure,
}

impl Check {
    /// Whether the error is within the tolerance; NaN never is.
    pub fn passed(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// Tolerances that separate float noise from error, in float32.
pub mod tolerance {
    /// One module: largest absolute difference.
    pub const MODULE: f64 = 5e-5;
    /// A guided trajectory of several steps: relative to its largest magnitude.
    pub const TRAJECTORY: f64 = 1e-3;
    /// 8-bit pictures: rounding ties.
    pub const LEVELS: f64 = 1.0;
    /// Tokens, preprocessing bytes and timesteps.
    pub const EXACT: f64 = 0.0;
}

/// The stages, in the order in which they run.
pub const STAGES: [&str; 9] = [
    "tokenizer",
    "preprocess",
    "clip",
    "llm",
    "dream",
    "unet",
    "schedulers",
    "vae",
    "text_to_image",
];

/// Runs every stage that the model has and hands each comparison to `on_check` as it is made.
///
/// # Errors
/// If the vectors cannot be read or a computation fails; a mere difference is a failed [`Check`].
pub fn run(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let abilities = model.config.abilities;
    let (comprehends, creates) =
        (abilities.has(Ability::Comprehension), abilities.has(Ability::Creation));
    tokenizer::run(model, goldens, on_check)?;
    if comprehends {
        vision::preprocess(goldens, on_check)?;
        vision::clip(model, goldens, on_check)?;
    }
    decoder::text(model, goldens, on_check)?;
    if comprehends {
        decoder::pictures(model, goldens, on_check)?;
    }
    if creates {
        dream::run(model, goldens, on_check)?;
        diffusion::unet(model, goldens, on_check)?;
        diffusion::schedulers(model, goldens, on_check)?;
        diffusion::vae(model, goldens, on_check)?;
        diffusion::text_to_image(model, goldens, on_check)?;
    }
    if comprehends && creates {
        document::run(model, goldens, on_check)?;
    }
    Ok(())
}

//! What every sampler can do, and which one a name stands for. Samplers work on host `f32` slices
//! and know neither tensors nor where noise comes from.

use super::SamplerKind;
use super::ddim::Ddim;
use super::ddpm::Ddpm;
use super::dpm_solver::DpmSolverPlusPlus;
use super::euler::Euler;
use super::euler_ancestral::EulerAncestral;
use super::noise_schedule::NoiseSchedule;
use super::pndm::Pndm;
use super::unipc::UniPc;
use crate::config::PredictionType;
use crate::error::ModelError;

/// One picture's way through the noise: an update rule together with its history. Steps are taken
/// once each and in order.
pub trait Sampler: Send {
    /// The (possibly fractional) training timestep at which the UNet is asked in each step.
    fn timesteps(&self) -> &[f32];

    /// Initial noise is multiplied by this.
    fn init_noise_sigma(&self) -> f32 {
        1.0
    }

    /// What the UNet sees in the step of this index instead of `latents`.
    fn scale_model_input(&self, latents: &[f32], _index: usize) -> Vec<f32> {
        latents.to_vec()
    }

    /// Whether step `index` adds fresh noise (with a factor other than exactly zero).
    fn needs_noise(&self, index: usize) -> bool;

    /// The clean latents that `model_output` implies for the `latents` of step `index` (x₀; scaled as latents are
    /// when all steps are done). All slices have one length.
    fn predicted_clean(&self, index: usize, model_output: &[f32], latents: &[f32]) -> Vec<f32>;

    /// Replaces `latents` of step `index` by those of the next, given the (guided) prediction for
    /// them. All slices have one length.
    ///
    /// # Panics
    /// If `noise` is absent in a step that [needs](Self::needs_noise) it: a defect of the caller.
    fn step(
        &mut self,
        index: usize,
        model_output: &[f32],
        latents: &mut [f32],
        noise: Option<&[f32]>,
    );
}

/// The sampler of this kind, at its start. `eta` is DDIM's, and 0 for all others.
///
/// # Errors
/// [`ModelError::Parameter`] if the schedule cannot hold that many steps, or `eta` is outside
/// \[0, 1\], or not 0 for a sampler without it.
pub fn new_sampler(
    kind: SamplerKind,
    schedule: &NoiseSchedule,
    steps: usize,
    eta: f32,
) -> Result<Box<dyn Sampler>, ModelError> {
    if kind != SamplerKind::Ddim && eta != 0.0 {
        return Err(ModelError::Parameter {
            parameter: "eta",
            found: eta.to_string(),
            wanted: format!("0 with the sampler {kind}: only ddim has it"),
        });
    }
    Ok(match kind {
        SamplerKind::Ddpm => Box::new(Ddpm::new(schedule, steps)?),
        SamplerKind::Ddim => Box::new(Ddim::new(schedule, steps, eta)?),
        SamplerKind::Pndm => Box::new(Pndm::new(schedule, steps)?),
        SamplerKind::DpmSolverPlusPlus2M => Box::new(DpmSolverPlusPlus::new(schedule, steps)?),
        SamplerKind::DpmSolverPlusPlus2MKarras => {
            Box::new(DpmSolverPlusPlus::with_karras_sigmas(schedule, steps)?)
        }
        SamplerKind::Euler => Box::new(Euler::new(schedule, steps)?),
        SamplerKind::EulerAncestral => Box::new(EulerAncestral::new(schedule, steps)?),
        SamplerKind::UniPc => Box::new(UniPc::new(schedule, steps)?),
    })
}

/// The clean sample that a prediction implies, where `latents = alpha * clean + sigma * noise`.
pub(crate) fn predicted_sample(
    prediction: PredictionType,
    (alpha, sigma): (f32, f32),
    model_output: &[f32],
    latents: &[f32],
) -> Vec<f32> {
    let pairs = model_output.iter().zip(latents);
    match prediction {
        PredictionType::Epsilon => pairs.map(|(e, x)| (x - sigma * e) / alpha).collect(),
        PredictionType::Sample => model_output.to_vec(),
        PredictionType::VPrediction => pairs.map(|(v, x)| alpha * x - sigma * v).collect(),
    }
}

/// The noise that a prediction implies, where `latents = alpha * clean + sigma * noise`.
pub(crate) fn predicted_noise(
    prediction: PredictionType,
    (alpha, sigma): (f32, f32),
    model_output: &[f32],
    latents: &[f32],
) -> Vec<f32> {
    let pairs = model_output.iter().zip(latents);
    match prediction {
        PredictionType::Epsilon => model_output.to_vec(),
        PredictionType::Sample => pairs.map(|(s, x)| (x - alpha * s) / sigma).collect(),
        PredictionType::VPrediction => pairs.map(|(v, x)| alpha * v + sigma * x).collect(),
    }
}

/// Adds `factor * noise`.
///
/// # Panics
/// If there is no noise: the caller did not ask [`Sampler::needs_noise`].
pub(crate) fn add_noise(latents: &mut [f32], factor: f32, noise: Option<&[f32]>) {
    let noise = noise.expect("a step that needs noise is given noise");
    for (latent, noise) in latents.iter_mut().zip(noise) {
        *latent += factor * noise;
    }
}

//! Every number of steps that a sampler accepts must end in a picture, whatever the checkpoint's schedule.

use reverie_model::config::{BetaSchedule, NoiseScheduleConfig, PredictionType, TimestepSpacing};
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_model::diffusion::sampler::new_sampler;

fn schedules() -> Vec<NoiseScheduleConfig> {
    let mut schedules = Vec::new();
    for spacing in [TimestepSpacing::Leading, TimestepSpacing::Linspace, TimestepSpacing::Trailing]
    {
        for prediction_type in
            [PredictionType::Epsilon, PredictionType::Sample, PredictionType::VPrediction]
        {
            for beta_schedule in
                [BetaSchedule::Linear, BetaSchedule::ScaledLinear, BetaSchedule::SquaredcosCapV2]
            {
                for steps_offset in [0, 1] {
                    schedules.push(NoiseScheduleConfig {
                        num_train_timesteps: 40,
                        timestep_spacing: Some(spacing),
                        prediction_type,
                        beta_schedule,
                        steps_offset,
                        ..NoiseScheduleConfig::default()
                    });
                }
            }
        }
    }
    schedules
}

#[test]
fn every_accepted_number_of_steps_ends_in_finite_latents() {
    let mut runs = 0;
    let plain = SamplerKind::ALL.map(|kind| (kind, 0.0));
    let samplers: Vec<_> = plain.into_iter().chain([(SamplerKind::Ddim, 1.0)]).collect();
    for config in schedules() {
        let schedule = NoiseSchedule::new(&config);
        for (kind, eta) in &samplers {
            for steps in 1..=40 {
                let Ok(mut sampler) = new_sampler(*kind, &schedule, steps, *eta) else { continue };
                let mut latents = vec![0.5, -1.5, 0.1];
                for index in 0..sampler.timesteps().len() {
                    let timestep = sampler.timesteps()[index];
                    assert!((0.0..40.0).contains(&timestep), "{kind} {steps}: {timestep}");
                    let output: Vec<f32> = sampler
                        .scale_model_input(&latents, index)
                        .iter()
                        .map(|latent| (latent * 3.0).sin() + 0.1 * index as f32)
                        .collect();
                    let noise = sampler.needs_noise(index).then_some([0.3, -0.2, 1.0]);
                    sampler.step(index, &output, &mut latents, noise.as_ref().map(|n| &n[..]));
                    assert!(
                        latents.iter().all(|latent| latent.is_finite()),
                        "{kind}, step {index} of {steps}: {latents:?}, {config:?}"
                    );
                }
                runs += 1;
            }
        }
    }
    assert!(runs > 10_000, "{runs} runs: most numbers of steps are accepted");
}

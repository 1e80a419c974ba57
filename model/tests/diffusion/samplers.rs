//! Every sampler against the reference's trajectories, and properties that hold for all of them.

use reverie_model::config::{NoiseScheduleConfig, PredictionType, TimestepSpacing};
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_model::diffusion::sampler::{Sampler, new_sampler};

use crate::goldens::{
    TRAJECTORY_TOLERANCE, Vectors, assert_within, distance, golden_head, golden_path,
    relative_distance,
};

/// Golden name, sampler, eta.
const GOLDEN_SAMPLERS: [(&str, SamplerKind, f32); 9] = [
    ("ddpm", SamplerKind::Ddpm, 0.0),
    ("ddim", SamplerKind::Ddim, 0.0),
    ("ddim_eta1", SamplerKind::Ddim, 1.0),
    ("pndm", SamplerKind::Pndm, 0.0),
    ("dpmpp_2m", SamplerKind::DpmSolverPlusPlus2M, 0.0),
    ("dpmpp_2m_karras", SamplerKind::DpmSolverPlusPlus2MKarras, 0.0),
    ("euler", SamplerKind::Euler, 0.0),
    ("euler_ancestral", SamplerKind::EulerAncestral, 0.0),
    ("unipc", SamplerKind::UniPc, 0.0),
];

fn golden_schedule() -> NoiseSchedule {
    NoiseSchedule::new(&golden_head().noise_schedule)
}

fn schedule_with(prediction_type: PredictionType, spacing: TimestepSpacing) -> NoiseSchedule {
    NoiseSchedule::new(&NoiseScheduleConfig {
        prediction_type,
        timestep_spacing: Some(spacing),
        ..NoiseScheduleConfig::default()
    })
}

#[test]
fn betas_and_cumulative_alphas_equal_the_references_to_the_bit() {
    let golden = Vectors::load("schedulers");
    let schedule = golden_schedule();
    assert_eq!(schedule.betas(), golden.values("betas"));
    assert_eq!(schedule.alphas_cumprod(), golden.values("alphas_cumprod"));
}

#[test]
fn timesteps_equal_the_references_for_every_number_of_steps() {
    let text = std::fs::read_to_string(golden_path("vectors/schedulers.json")).unwrap();
    // Python writes an infinity of some scheduler's configuration in a way that is not JSON.
    let text = text.replace("-Infinity", "null");
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let schedule = golden_schedule();
    let mut compared = 0;
    for (name, kind, eta) in GOLDEN_SAMPLERS {
        let entry = &golden[name];
        let short = entry["steps"].as_object().unwrap();
        let short = short.iter().map(|(steps, value)| (steps, &value["timesteps"]));
        let long = entry["timesteps"].as_object().unwrap();
        for (steps, wanted) in short.chain(long) {
            let sampler = new_sampler(kind, &schedule, steps.parse().unwrap(), eta).unwrap();
            let wanted: Vec<f32> = serde_json::from_value(wanted.clone()).unwrap();
            assert_eq!(sampler.timesteps(), wanted, "{name}, {steps} steps");
            compared += 1;
        }
    }
    assert_eq!(compared, 9 * 6);
}

#[test]
fn every_trajectory_follows_the_references() {
    let golden = Vectors::load("schedulers");
    let schedule = golden_schedule();
    let outputs = golden.rows("model_outputs");
    for (name, kind, eta) in GOLDEN_SAMPLERS {
        let mut worst = 0.0_f32;
        for steps in [4, 10, 25] {
            let prefix = format!("{name}.s{steps}");
            let mut sampler = new_sampler(kind, &schedule, steps, eta).unwrap();
            assert_eq!(sampler.timesteps(), golden.values(&format!("{prefix}.timesteps")));
            let trajectory = golden.rows(&format!("{prefix}.trajectory"));
            let noises = golden
                .find(&format!("{prefix}.noises"))
                .map(|_| golden.rows(&format!("{prefix}.noises")));
            let inputs = golden
                .find(&format!("{prefix}.model_inputs"))
                .map(|_| golden.rows(&format!("{prefix}.model_inputs")));
            assert_eq!(trajectory.len(), sampler.timesteps().len());

            let mut latents = golden.values("init_noise");
            latents.iter_mut().for_each(|latent| *latent *= sampler.init_noise_sigma());
            for (index, wanted) in trajectory.iter().enumerate() {
                let input = sampler.scale_model_input(&latents, index);
                match &inputs {
                    Some(inputs) => worst = worst.max(relative_distance(&input, &inputs[index])),
                    None => assert_eq!(input, latents),
                }
                let noise =
                    sampler.needs_noise(index).then(|| noises.as_ref().unwrap()[index].as_slice());
                sampler.step(index, &outputs[index], &mut latents, noise);
                let error = relative_distance(&latents, wanted);
                assert!(error <= 1e-5, "{prefix}, step {index}: {error:e}");
                worst = worst.max(error);
            }
        }
        assert_within(&format!("{name} trajectory, relative"), worst, TRAJECTORY_TOLERANCE / 100.0);
    }
}

#[test]
fn ddpm_draws_in_every_step_and_euler_in_none() {
    let schedule = golden_schedule();
    let draws = |kind, eta| {
        let sampler = new_sampler(kind, &schedule, 10, eta).unwrap();
        (0..10).filter(|index| sampler.needs_noise(*index)).count()
    };
    assert_eq!(draws(SamplerKind::Ddpm, 0.0), 10);
    assert_eq!(draws(SamplerKind::Ddim, 0.0), 0);
    // The reference draws for a factor of zero as well; the last factor of these two is zero...
    assert_eq!(draws(SamplerKind::EulerAncestral, 0.0), 9);
    assert_eq!(draws(SamplerKind::Euler, 0.0), 0);
    // ... unless the schedule ends at ᾱ_0, as Stable Diffusion's does.
    assert_eq!(draws(SamplerKind::Ddim, 1.0), 10);
}

#[test]
fn eta_is_refused_where_it_would_be_ignored() {
    let schedule = golden_schedule();
    for kind in SamplerKind::ALL.into_iter().filter(|kind| *kind != SamplerKind::Ddim) {
        assert!(new_sampler(kind, &schedule, 10, 0.5).is_err(), "{kind}");
    }
    assert!(new_sampler(SamplerKind::Ddim, &schedule, 10, 0.5).is_ok());
    for eta in [-0.1, 1.1, f32::NAN] {
        assert!(new_sampler(SamplerKind::Ddim, &schedule, 10, eta).is_err(), "{eta}");
    }
}

fn wave(length: usize, phase: f32) -> Vec<f32> {
    (0..length).map(|index| (index as f32 * 0.37 + phase).sin() * 1.5).collect()
}

/// (ᾱ's root, the noise's share) at a step, from what the sampler shows to the UNet.
fn shares(schedule: &NoiseSchedule, timestep: f32) -> (f32, f32) {
    let alphas = schedule.alphas_cumprod();
    let low = timestep as usize;
    let high = (low + 1).min(alphas.len() - 1);
    // Euler interpolates sigmas between timesteps.
    let sigma = |index: usize| ((1.0 - alphas[index]) / alphas[index]).sqrt();
    let sigma = sigma(low) + (sigma(high) - sigma(low)) * timestep.fract();
    let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
    (alpha, sigma * alpha)
}

/// What a UNet that knows the clean picture would predict for its scaled input.
fn oracle(
    prediction: PredictionType,
    (alpha, sigma): (f32, f32),
    clean: &[f32],
    input: &[f32],
) -> Vec<f32> {
    let noise = |at: usize| (input[at] - alpha * clean[at]) / sigma;
    (0..clean.len())
        .map(|at| match prediction {
            PredictionType::Epsilon => noise(at),
            PredictionType::Sample => clean[at],
            PredictionType::VPrediction => alpha * noise(at) - sigma * clean[at],
        })
        .collect()
}

fn draw_with_oracle(
    mut sampler: Box<dyn Sampler>,
    schedule: &NoiseSchedule,
    clean: &[f32],
) -> Vec<f32> {
    let prediction = schedule.prediction_type();
    let mut latents = wave(clean.len(), 0.2);
    latents.iter_mut().for_each(|latent| *latent *= sampler.init_noise_sigma());
    for index in 0..sampler.timesteps().len() {
        let shares = shares(schedule, sampler.timesteps()[index]);
        let input = sampler.scale_model_input(&latents, index);
        let output = oracle(prediction, shares, clean, &input);
        let noise = wave(clean.len(), index as f32);
        let noise = sampler.needs_noise(index).then_some(noise.as_slice());
        sampler.step(index, &output, &mut latents, noise);
    }
    latents
}

/// How far from the picture a sampler may end: what noise its last sigma leaves.
fn slack(kind: SamplerKind) -> f32 {
    match kind {
        SamplerKind::Ddpm | SamplerKind::Euler | SamplerKind::EulerAncestral => 1e-4,
        // They end at ᾱ_0, not at 1.
        SamplerKind::Ddim | SamplerKind::DpmSolverPlusPlus2M | SamplerKind::UniPc => 0.08,
        // Karras timesteps are rounded, so the oracle does not know the exact noise.
        SamplerKind::DpmSolverPlusPlus2MKarras => 0.1,
        // It combines raw predictions of several steps, which velocities do not suit.
        SamplerKind::Pndm => 0.25,
    }
}

#[test]
fn a_perfect_prediction_of_any_type_and_spacing_leads_every_sampler_to_the_picture() {
    let clean = wave(96, 4.0);
    let predictions =
        [PredictionType::Epsilon, PredictionType::VPrediction, PredictionType::Sample];
    let spacings = [TimestepSpacing::Leading, TimestepSpacing::Linspace, TimestepSpacing::Trailing];
    for (prediction, spacing) in predictions.into_iter().flat_map(|p| spacings.map(|s| (p, s))) {
        let schedule = schedule_with(prediction, spacing);
        for kind in SamplerKind::ALL {
            // In the reference these three step by T / n whatever the spacing, so that linspace
            // misses the next timestep.
            let steps_by_ratio =
                matches!(kind, SamplerKind::Ddpm | SamplerKind::Ddim | SamplerKind::Pndm);
            if steps_by_ratio && spacing == TimestepSpacing::Linspace {
                continue;
            }
            for steps in [4, 20] {
                let sampler = new_sampler(kind, &schedule, steps, 0.0).unwrap();
                let found = draw_with_oracle(sampler, &schedule, &clean);
                let error = distance(&found, &clean);
                println!("{kind} {prediction:?} {spacing:?} {steps}: {error:.1e}");
                assert!(error < slack(kind), "{kind} {prediction:?} {spacing:?} {steps}: {error}");
            }
        }
    }
}

#[test]
fn velocity_and_noise_predictions_of_one_network_draw_the_same_picture() {
    let clean = wave(96, 4.0);
    // PNDM combines raw predictions of several steps, so its trajectories differ by design.
    for kind in SamplerKind::ALL.into_iter().filter(|kind| *kind != SamplerKind::Pndm) {
        let pictures = [PredictionType::Epsilon, PredictionType::VPrediction].map(|prediction| {
            let schedule = schedule_with(prediction, TimestepSpacing::Leading);
            let sampler = new_sampler(kind, &schedule, 12, 0.0).unwrap();
            draw_with_oracle(sampler, &schedule, &clean)
        });
        let error = distance(&pictures[0], &pictures[1]);
        println!("{kind}: {error:.1e}");
        assert!(error < 1e-3, "{kind}: {error}");
    }
}

#[test]
fn clipping_bounds_the_predicted_sample_of_ddpm_and_ddim() {
    let clean = [3.0, -3.0, 0.5];
    for kind in [SamplerKind::Ddpm, SamplerKind::Ddim] {
        let config = NoiseScheduleConfig {
            prediction_type: PredictionType::Sample,
            clip_sample: true,
            set_alpha_to_one: true,
            ..NoiseScheduleConfig::default()
        };
        let schedule = NoiseSchedule::new(&config);
        let mut sampler = new_sampler(kind, &schedule, 1, 0.0).unwrap();
        let mut latents = vec![0.1, 0.2, 0.3];
        let noise = [0.0; 3];
        sampler.step(0, &clean, &mut latents, Some(&noise));
        assert!(distance(&latents, &[1.0, -1.0, 0.5]) < 1e-6, "{kind}: {latents:?}");
    }
}

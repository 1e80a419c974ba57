//! Whole pictures: the reference's text-to-image runs replayed with its own noise, and jobs that
//! share passes.

use std::collections::HashMap;

use candle_core::Tensor;
use reverie_model::ModelError;
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::denoise_pass::{FinishProgress, StepProgress};
use reverie_model::diffusion::denoiser::{DenoiseJob, DenoiseParams, DenoiseRequest, Denoiser};
use reverie_model::noise::{NoiseDraw, NoiseKey, NoiseSource};

use crate::goldens::{
    MODULE_TOLERANCE, TRAJECTORY_TOLERANCE, Vectors, assert_within, distance, golden_head,
    golden_path, golden_weights, relative_distance, tensor_distance,
};

/// Plays recorded draws back; a draw that was not recorded is a failure.
struct Playback(HashMap<NoiseDraw, Vec<f32>>);

impl NoiseSource for Playback {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        let noise = self.0.get(&key.draw).unwrap_or_else(|| panic!("{key:?} was not recorded"));
        assert_eq!(noise.len(), len);
        noise.clone()
    }
}

/// Made-up noise that depends on the whole key, and on nothing else.
struct Waves;

impl NoiseSource for Waves {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        let draw = match key.draw {
            NoiseDraw::Initial => 0,
            NoiseDraw::Step(step) => step + 1,
        };
        let phase = (key.seed * 7 + u64::from(key.picture * 3 + draw)) as f32;
        (0..len).map(|at| (at as f32 * 0.77 + phase).sin() * 1.4).collect()
    }
}

fn golden_denoiser() -> Denoiser {
    Denoiser::load(&golden_head(), 64, golden_weights()).unwrap()
}

fn params(sampler: SamplerKind, num_inference_steps: usize, guidance_scale: f32) -> DenoiseParams {
    DenoiseParams {
        sampler,
        num_inference_steps,
        guidance_scale,
        guidance_rescale: 0.0,
        eta: 0.0,
        width: 64,
        height: 64,
    }
}

fn request(params: DenoiseParams, condition: &Tensor, negative: &Tensor) -> DenoiseRequest {
    DenoiseRequest {
        params,
        condition: condition.clone(),
        negative: Some(negative.clone()),
        seed: 1,
        choice: 0,
        picture: 0,
    }
}

#[test]
fn conditions_equal_the_references_projections_of_dream_states() {
    let (denoiser, golden) = (golden_denoiser(), Vectors::load("dream"));
    for prompt in ["prompt0", "prompt1", "uncond", "negative", "image_prompt"] {
        let hidden = golden.get(&format!("{prompt}.dream_hidden")).get(0).unwrap();
        let wanted = golden.get(&format!("{prompt}.condition")).get(0).unwrap();
        let error = tensor_distance(&denoiser.condition(&hidden).unwrap(), &wanted);
        assert_within(&format!("condition of {prompt}"), error, MODULE_TOLERANCE);
    }
}

fn golden_sampler(class: &str) -> SamplerKind {
    match class {
        "DDPMScheduler" => SamplerKind::Ddpm,
        "DDIMScheduler" => SamplerKind::Ddim,
        "PNDMScheduler" => SamplerKind::Pndm,
        "DPMSolverMultistepScheduler" => SamplerKind::DpmSolverPlusPlus2M,
        "EulerDiscreteScheduler" => SamplerKind::Euler,
        other => panic!("no golden uses {other}"),
    }
}

/// Draws one golden case; returns (relative error of the latents, bytes off by one).
fn replay(case: &str, meta: &serde_json::Value, denoiser: &Denoiser) -> (f32, usize) {
    let (golden, dream) = (Vectors::load("t2i"), Vectors::load("dream"));
    let latents_key = format!("{case}.latents");
    let latents_key = if golden.find(&latents_key).is_some() { &latents_key } else { "latents" };
    let mut draws = HashMap::from([(NoiseDraw::Initial, golden.values(latents_key))]);
    if golden.find(&format!("{case}.noises")).is_some() {
        let noises = golden.rows(&format!("{case}.noises"));
        draws.extend((0..).map(NoiseDraw::Step).zip(noises));
    }
    let condition = |name: &str| dream.get(&format!("{name}.condition")).get(0).unwrap();
    let positive = if case.contains("image_prompt") { "image_prompt" } else { "prompt0" };
    let negative = if case.contains("_neg_") { "negative" } else { "uncond" };
    let side = |name: &str| meta[name].as_u64().map_or(64, |pixels| pixels as usize);
    let request = DenoiseRequest {
        params: DenoiseParams {
            sampler: golden_sampler(meta["scheduler"].as_str().unwrap()),
            num_inference_steps: meta["steps"].as_u64().unwrap() as usize,
            guidance_scale: meta["guidance"].as_f64().unwrap() as f32,
            guidance_rescale: meta["guidance_rescale"].as_f64().unwrap() as f32,
            eta: 0.0,
            width: side("width"),
            height: side("height"),
        },
        condition: condition(positive),
        negative: Some(condition(negative)),
        seed: 0,
        choice: 0,
        picture: 0,
    };
    let noise = Playback(draws);
    let mut job = denoiser.start(request, &noise).unwrap();
    let mut worst = 0.0_f32;
    let trajectory = golden.rows(&format!("{case}.trajectory"));
    // The reference does not record the step that PNDM goes over again.
    let unrecorded = job.total_steps() - trajectory.len();
    assert_eq!(unrecorded, usize::from(case.starts_with("pndm")));
    while !job.is_done() {
        denoiser.step(&mut [&mut job], &noise).unwrap();
        if job.steps_done() > unrecorded {
            let wanted = &trajectory[job.steps_done() - 1 - unrecorded];
            let error = relative_distance(job.latents(), wanted);
            assert!(error <= TRAJECTORY_TOLERANCE, "{case}, step {}: {error:e}", job.steps_done());
            worst = worst.max(error);
        }
    }
    let picture = denoiser.finish(&job).unwrap();
    let wanted = golden.values(&format!("{case}.image_u8"));
    assert_eq!(picture.rgb().len(), wanted.len());
    let found: Vec<f32> = picture.rgb().iter().map(|byte| f32::from(*byte)).collect();
    assert!(distance(&found, &wanted) <= 1.0, "{case}: bytes differ by more than one");
    (worst, found.iter().zip(&wanted).filter(|(found, wanted)| found != wanted).count())
}

#[test]
fn every_golden_picture_is_drawn_again() {
    let denoiser = golden_denoiser();
    let text = std::fs::read_to_string(golden_path("vectors/meta.json")).unwrap();
    let meta: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cases = meta["t2i"].as_object().unwrap();
    assert_eq!(cases.len(), 10);
    for (case, parameters) in cases {
        let (error, off_by_one) = replay(case, parameters, &denoiser);
        println!("{case}: bytes off by one {off_by_one}");
        assert_within(&format!("{case} trajectory, relative"), error, TRAJECTORY_TOLERANCE);
    }
}

/// Different samplers, guidance, lengths and sizes.
fn mixed_requests() -> Vec<DenoiseRequest> {
    let dream = Vectors::load("dream");
    let condition = |name: &str| dream.get(&format!("{name}.condition")).get(0).unwrap();
    let negative = condition("uncond");
    let wide = DenoiseParams { width: 96, ..params(SamplerKind::EulerAncestral, 4, 3.0) };
    let rescaled = DenoiseParams { guidance_rescale: 0.7, ..params(SamplerKind::UniPc, 6, 7.5) };
    let ancestral = DenoiseParams { eta: 0.5, ..params(SamplerKind::Ddim, 5, 1.0) };
    let all = [
        params(SamplerKind::Ddpm, 3, 7.5),
        params(SamplerKind::Pndm, 4, 1.0),
        rescaled,
        params(SamplerKind::DpmSolverPlusPlus2MKarras, 5, 2.0),
        wide,
        params(SamplerKind::Euler, 2, 3.0),
        ancestral,
        params(SamplerKind::DpmSolverPlusPlus2M, 3, 1.5),
    ];
    let prompts = ["prompt0", "prompt1", "image_prompt", "negative"];
    all.into_iter()
        .enumerate()
        .map(|(index, params)| DenoiseRequest {
            seed: index as u64,
            ..request(params, &condition(prompts[index % 4]), &negative)
        })
        .collect()
}

#[test]
fn jobs_of_any_kind_that_share_passes_draw_what_they_draw_alone() {
    let denoiser = golden_denoiser();
    let start = |request: &DenoiseRequest| denoiser.start(request.clone(), &Waves).unwrap();
    let requests = mixed_requests();
    let mut alone: Vec<DenoiseJob> = requests.iter().map(start).collect();
    for job in &mut alone {
        while !job.is_done() {
            denoiser.step(&mut [job], &Waves).unwrap();
        }
    }
    // Each joins one step after the one before it, so all are at different places.
    let mut together: Vec<DenoiseJob> = Vec::new();
    let mut arrivals = requests.iter();
    loop {
        together.extend(arrivals.next().map(start));
        let mut under_way: Vec<&mut DenoiseJob> = together.iter_mut().collect();
        denoiser.step(&mut under_way, &Waves).unwrap();
        if together.len() == requests.len() && together.iter().all(DenoiseJob::is_done) {
            break;
        }
    }
    for (alone, together) in alone.iter().zip(&together) {
        let shape = alone.latent_shape();
        let error = relative_distance(together.latents(), alone.latents());
        assert_within(&format!("in company, {shape:?}"), error, 1e-4);
        let pictures = [denoiser.finish(alone).unwrap(), denoiser.finish(together).unwrap()];
        let bytes = pictures
            .map(|picture| picture.rgb().iter().map(|byte| f32::from(*byte)).collect::<Vec<f32>>());
        assert!(distance(&bytes[0], &bytes[1]) <= 1.0);
    }
}

/// Every step of two pictures in one piece, and the same with a rest after each segment, in which another
/// picture's pass advances.
#[test]
fn passes_that_rest_between_blocks_come_to_the_same_bits() {
    let denoiser = golden_denoiser();
    let start = |index: usize| {
        let request = mixed_requests().swap_remove(index);
        let params = params(request.params.sampler, 4, request.params.guidance_scale);
        denoiser.start(DenoiseRequest { params, ..request }, &Waves).unwrap()
    };
    let mut straight = [start(0), start(3)];
    for _ in 0..4 {
        let [one, two] = &mut straight;
        denoiser.step(&mut [one, two], &Waves).unwrap();
    }
    let (mut resting, bystander) = ([start(0), start(3)], start(5));
    let mut meanwhile = denoiser.begin_step(&[&bystander]).unwrap();
    for _ in 0..4 {
        let mut pass = denoiser.begin_step(&[&resting[0], &resting[1]]).unwrap();
        let mut num_segments = 0;
        let predictions = loop {
            num_segments += 1;
            match denoiser.advance_step(pass).unwrap() {
                StepProgress::More(rest) => pass = rest,
                StepProgress::Done(predictions) => break predictions,
            }
            meanwhile = match denoiser.advance_step(meanwhile).unwrap() {
                StepProgress::More(rest) => rest,
                StepProgress::Done(_) => denoiser.begin_step(&[&bystander]).unwrap(),
            };
        };
        assert_eq!(num_segments, denoiser.num_step_segments());
        for (index, job) in resting.iter_mut().enumerate() {
            job.take_step(predictions.of(index), &Waves).unwrap();
        }
    }
    for (resting, straight) in resting.iter().zip(&straight) {
        assert_eq!(resting.latents(), straight.latents());
    }
    let mut pass = denoiser.begin_finish(&resting[0]).unwrap();
    let mut num_segments = 1;
    let picture = loop {
        match denoiser.advance_finish(pass).unwrap() {
            FinishProgress::More(rest) => pass = rest,
            FinishProgress::Done(picture) => break picture,
        }
        num_segments += 1;
    };
    assert_eq!(num_segments, denoiser.num_finish_segments());
    assert_eq!(picture, denoiser.finish(&straight[0]).unwrap());
}

#[test]
fn guidance_takes_two_rows_and_none_takes_one() {
    let denoiser = golden_denoiser();
    let requests = mixed_requests();
    let rows: Vec<usize> = requests
        .into_iter()
        .map(|request| denoiser.start(request, &Waves).unwrap().rows())
        .collect();
    assert_eq!(rows, [2, 1, 2, 2, 2, 2, 1, 2]);
}

#[test]
fn guidance_without_a_negative_condition_is_refused() {
    let denoiser = golden_denoiser();
    let mut request = mixed_requests().swap_remove(0);
    request.negative = None;
    assert!(matches!(
        denoiser.start(request, &Waves),
        Err(ModelError::Parameter { parameter: "negative", .. })
    ));
}

#[test]
fn an_unfinished_picture_is_not_decoded() {
    let denoiser = golden_denoiser();
    let job = denoiser.start(mixed_requests().swap_remove(0), &Waves).unwrap();
    let message = denoiser.finish(&job).unwrap_err().to_string();
    assert!(message.contains("0 done"), "{message}");
}

#[test]
fn parameters_that_cannot_be_served_are_refused_by_name() {
    let head = golden_head();
    let good = params(SamplerKind::Ddim, 5, 7.5);
    good.validate(&head).unwrap();
    let bad = [
        ("width", DenoiseParams { width: 60, ..good }),
        ("height", DenoiseParams { height: 0, ..good }),
        ("num_inference_steps", DenoiseParams { num_inference_steps: 0, ..good }),
        ("num_inference_steps", DenoiseParams { num_inference_steps: 1001, ..good }),
        ("guidance_scale", DenoiseParams { guidance_scale: f32::NAN, ..good }),
        ("guidance_rescale", DenoiseParams { guidance_rescale: 1.5, ..good }),
        ("eta", DenoiseParams { eta: 2.0, ..good }),
        ("eta", DenoiseParams { eta: 0.5, sampler: SamplerKind::Ddpm, ..good }),
    ];
    for (name, params) in bad {
        match params.validate(&head) {
            Err(ModelError::Parameter { parameter, .. }) => assert_eq!(parameter, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// Noise that no network can take.
struct Endless;

impl NoiseSource for Endless {
    fn normal(&self, _key: &NoiseKey, len: usize) -> Vec<f32> {
        vec![f32::INFINITY; len]
    }
}

#[test]
fn numbers_that_overflow_are_an_error_and_not_a_black_picture() {
    let denoiser = golden_denoiser();
    let condition = Tensor::zeros((2, 40), candle_core::DType::F32, denoiser.unet().device());
    let condition = condition.unwrap();
    let request = request(params(SamplerKind::Ddim, 1, 1.0), &condition, &condition);
    let mut job = denoiser.start(request, &Endless).unwrap();
    let error = denoiser.step(&mut [&mut job], &Endless).unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { stage: "denoiser" }), "{error}");

    let pixels = Tensor::new(&[[[f32::NAN]], [[0.0]], [[0.0]]], denoiser.unet().device()).unwrap();
    let error = denoiser.vae().to_picture(&pixels).unwrap_err();
    assert!(matches!(error, ModelError::NotFinite { stage: "VAE" }), "{error}");
}

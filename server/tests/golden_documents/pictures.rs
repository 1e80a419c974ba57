//! Text (and picture) to picture: forced dream blocks, every kind of guidance, negative prompts, samplers.

use std::sync::Arc;

use reverie_model::diffusion::SamplerKind;
use reverie_scheduler::{FinishReason, SequenceId};
use reverie_server::engine::request::{EngineRequest, ImageChoice, PromptSegment};
use reverie_server::engine::runner::ModelRunner;

use crate::goldens::{
    Part, PlaybackNoise, Vectors, golden_picture, golden_request, golden_runner, json,
    largest_difference, write,
};

/// Exactly one picture, right after the prompt, with a case's parameters.
fn picture_request(case: &str, prompt: Vec<PromptSegment>) -> EngineRequest {
    let parameters = &json("meta.json")["t2i"][case];
    let mut request = golden_request(prompt);
    request.stopping.max_tokens = Some(0);
    let pictures = &mut request.pictures;
    pictures.choice = ImageChoice::Exactly(1);
    pictures.num_inference_steps = parameters["steps"].as_u64().expect("steps") as usize;
    pictures.guidance_scale = parameters["guidance"].as_f64().expect("guidance") as f32;
    pictures.guidance_rescale = parameters["guidance_rescale"].as_f64().unwrap_or(0.0) as f32;
    pictures.height = parameters["height"].as_u64().unwrap_or(64) as usize;
    pictures.width = parameters["width"].as_u64().unwrap_or(64) as usize;
    pictures.sampler = match parameters["scheduler"].as_str().expect("a scheduler") {
        "DDPMScheduler" => SamplerKind::Ddpm,
        "DDIMScheduler" => SamplerKind::Ddim,
        "PNDMScheduler" => SamplerKind::Pndm,
        "DPMSolverMultistepScheduler" => SamplerKind::DpmSolverPlusPlus2M,
        "EulerDiscreteScheduler" => SamplerKind::Euler,
        other => panic!("unknown scheduler {other}"),
    };
    request
}

fn case_noise(vectors: &Vectors, case: &str) -> PlaybackNoise {
    let own = format!("{case}.latents");
    let first = vectors.floats(if vectors.has(&own) { &own } else { "latents" });
    let noises = format!("{case}.noises");
    let steps = if vectors.has(&noises) { vectors.steps(&noises) } else { Vec::new() };
    let mut noise = PlaybackNoise::default();
    noise.add(0, 0, first, steps);
    noise
}

fn check_case(case: &str, request: EngineRequest, max_num_batched_tokens: usize) {
    let vectors = Vectors::read("t2i");
    let mut runner = golden_runner(case_noise(&vectors, case));
    let (parts, reason, usage) = write(&mut runner, request, max_num_batched_tokens);
    let [Part::Picture(picture)] = &parts[..] else { panic!("{case}: {parts:?}") };
    let difference = largest_difference(picture, &vectors.picture(&format!("{case}.image_u8")));
    assert!(difference <= 1, "{case} differs by {difference}");
    assert_eq!((reason, usage.images, usage.text_tokens), (FinishReason::EndOfText, 1, 0));
}

fn prompt(name: &str) -> Vec<PromptSegment> {
    vec![PromptSegment::Tokens(Vectors::read("dream").ids(&format!("{name}.input_ids")))]
}

#[test]
fn pictures_match_for_every_sampler_guidance_and_size_of_the_goldens() {
    for case in [
        "ddpm_g7.5_s4",
        "ddpm_nocfg_s4",
        "ddpm_g7.5_rescale0.7_s4",
        "ddim_g7.5_s5",
        "ddim_wide_g3_s3",
        "pndm_g7.5_s5",
        "dpmpp_g7.5_s5",
        "euler_g7.5_s5",
    ] {
        check_case(case, picture_request(case, prompt("prompt0")), 2048);
    }
}

#[test]
fn a_negative_prompt_is_computed_as_a_context_of_its_own_even_in_small_chunks() {
    let case = "ddpm_g3.5_neg_s10";
    let mut request = picture_request(case, prompt("prompt0"));
    request.pictures.negative_prompt = Some(prompt("negative"));
    check_case(case, request.clone(), 2048);
    check_case(case, request, 3);
}

#[test]
fn a_picture_in_the_prompt_conditions_the_picture_that_is_drawn() {
    let ids = Vectors::read("dream").ids("image_prompt.input_ids");
    let (start, end) = (1, 1 + 258);
    let segments = vec![
        PromptSegment::Tokens(ids[..start].to_vec()),
        PromptSegment::Picture(golden_picture("landscape.png")),
        PromptSegment::Tokens(ids[end..].to_vec()),
    ];
    let case = "ddim_image_prompt_g3_s5";
    check_case(case, picture_request(case, segments.clone()), 2048);
    check_case(case, picture_request(case, segments), 50);
}

#[test]
fn a_picture_that_the_model_cannot_draw_is_refused_when_its_request_is_opened() {
    let mut runner = golden_runner(PlaybackNoise::default());
    let mut request = picture_request("ddpm_g7.5_s4", prompt("prompt0"));
    request.pictures.width = 63;
    let refused = runner.open(SequenceId(1), &Arc::new(request)).err().expect("refused");
    assert!(refused.to_string().contains("width"), "{refused}");
}

//! The denoiser, the samplers, the VAE, and text-to-image from condition to pixels.

use candle_core::Tensor;
use serde_json::Value;

use super::Check;
use super::goldens::{
    Goldens, ParityError, Tensors, exact, floats, levels, module, module_tensor, trajectory,
};
use crate::diffusion::SamplerKind;
use crate::diffusion::denoiser::{DenoiseParams, DenoiseRequest};
use crate::diffusion::noise_schedule::NoiseSchedule;
use crate::diffusion::probe::Probe;
use crate::diffusion::sampler::new_sampler;
use crate::dream_model::DreamModel;
use crate::error::ModelError;
use crate::noise::{NoiseDraw, NoiseKey, NoiseSource};
use crate::picture::Picture;

/// The UNet at the recorded timesteps, its inner activations, and a latent that is not square.
pub(super) fn unet(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    const STAGE: &str = "unet";
    let vectors = goldens.tensors("unet")?;
    let on_device = |key: &str| -> Result<Tensor, ParityError> {
        Ok(vectors.get(key)?.to_device(model.denoiser()?.unet().device())?)
    };
    let (sample, condition) = (on_device("sample")?, on_device("encoder_hidden_states")?);
    let batch = sample.dim(0)?;
    for case in vectors.between("", ".output") {
        let timesteps = unet_timesteps(&vectors, case, batch)?;
        // The reference recorded the latent that is not square under the last of the conditions.
        let (sample, condition) = if case == "nonsquare" {
            (on_device("nonsquare.sample")?, condition.narrow(0, batch - 1, 1)?)
        } else {
            (sample.clone(), condition.clone())
        };
        let timesteps = &timesteps[..sample.dim(0)?];
        let mut inner = Vec::new();
        let mut observer =
            |name: &str, value: &Tensor| inner.push((name.to_owned(), value.clone()));
        let probe = &mut Probe::with(&mut observer);
        let found =
            model.denoiser()?.unet().forward_probed(&sample, timesteps, &condition, probe)?;
        let key = format!("{case}.output");
        on_check(module_tensor(STAGE, key.clone(), &found, vectors.get(&key)?)?);
        for (name, value) in inner {
            let key = format!("{case}.{name}");
            if vectors.has(&key) {
                on_check(module_tensor(STAGE, key.clone(), &value, vectors.get(&key)?)?);
            }
        }
    }
    Ok(())
}

/// `t500` → 500 for every row; `t_per_sample`, `t_float` and `nonsquare` as recorded.
fn unet_timesteps(vectors: &Tensors, case: &str, batch: usize) -> Result<Vec<f32>, ParityError> {
    if let Some(timestep) = case.strip_prefix('t').and_then(|timestep| timestep.parse::<f32>().ok())
    {
        return Ok(vec![timestep; batch]);
    }
    let per_sample = format!("{case}.timesteps");
    if vectors.has(&per_sample) {
        #[expect(clippy::cast_precision_loss, reason = "timesteps are below 1000")]
        return Ok(vectors.ids(&per_sample)?.into_iter().map(|timestep| timestep as f32).collect());
    }
    let single = format!("{case}.timestep");
    if vectors.has(&single) {
        return Ok(vec![floats(vectors.get(&single)?)?[0]; batch]);
    }
    // The reference recorded the latent that is not square at the timestep of the inner activations.
    Ok(vec![500.0; batch])
}

/// Every sampler on recorded predictions: timesteps exactly, trajectories within float noise.
pub(super) fn schedulers(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    const STAGE: &str = "schedulers";
    let vectors = goldens.tensors("schedulers")?;
    let recorded = goldens.json("schedulers")?;
    let schedule = NoiseSchedule::new(&model.config.head.noise_schedule);
    for (name, found) in
        [("betas", schedule.betas()), ("alphas_cumprod", schedule.alphas_cumprod())]
    {
        on_check(module(STAGE, name.to_owned(), found, &vectors.floats(name)?));
    }
    let outputs = vectors.floats("model_outputs")?;
    let start = vectors.floats("init_noise")?;
    for key in vectors.between("", ".trajectory") {
        let Some((name, steps)) = key.split_once(".s") else { continue };
        let (Some((kind, eta)), Ok(num_steps)) = (sampler_named(name), steps.parse()) else {
            continue;
        };
        let mut sampler = new_sampler(kind, &schedule, num_steps, eta)?;
        let wanted: Vec<f32> = timesteps(&vectors, &format!("{key}.timesteps"))?;
        on_check(exact(STAGE, format!("{key}.timesteps"), sampler.timesteps(), &wanted));
        let noises = format!("{key}.noises");
        let noises = if vectors.has(&noises) { vectors.floats(&noises)? } else { Vec::new() };
        let sigma = sampler.init_noise_sigma();
        let mut latents: Vec<f32> = start.iter().map(|value| value * sigma).collect();
        let (mut states, mut inputs) = (Vec::new(), Vec::new());
        for step in 0..sampler.timesteps().len() {
            inputs.extend(sampler.scale_model_input(&latents, step));
            let part = step * start.len()..(step + 1) * start.len();
            let noise = noises.get(part.clone()).filter(|_| sampler.needs_noise(step));
            sampler.step(step, &outputs[part], &mut latents, noise);
            states.extend_from_slice(&latents);
        }
        let wanted = vectors.floats(&format!("{key}.trajectory"))?;
        on_check(trajectory(STAGE, format!("{key}.trajectory"), &states, &wanted));
        let recorded_inputs = format!("{key}.model_inputs");
        if vectors.has(&recorded_inputs) {
            let wanted = vectors.floats(&recorded_inputs)?;
            on_check(trajectory(STAGE, recorded_inputs, &inputs, &wanted));
        }
    }
    for (name, entry) in recorded.as_object().into_iter().flatten() {
        let Some((kind, eta)) = sampler_named(name) else { continue };
        for (steps, wanted) in entry["timesteps"].as_object().into_iter().flatten() {
            let Ok(num_steps) = steps.parse() else { continue };
            let sampler = new_sampler(kind, &schedule, num_steps, eta)?;
            on_check(exact(
                STAGE,
                format!("{name}.{steps}.timesteps"),
                sampler.timesteps(),
                &numbers(wanted),
            ));
        }
    }
    Ok(())
}

/// The vectors' names: diffusers' classes with their options.
fn sampler_named(name: &str) -> Option<(SamplerKind, f32)> {
    match name {
        "ddim_eta1" => Some((SamplerKind::Ddim, 1.0)),
        other => other.parse().ok().map(|kind| (kind, 0.0)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "timesteps are below 1000")]
fn numbers(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_f64)
        .map(|number| number as f32)
        .collect()
}

fn timesteps(vectors: &Tensors, key: &str) -> Result<Vec<f32>, ParityError> {
    Ok(floats(vectors.get(key)?)?)
}

/// Decoding and encoding, with inner points.
pub(super) fn vae(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    const STAGE: &str = "vae";
    let vectors = goldens.tensors("vae")?;
    let device = model.denoiser()?.vae().device();
    let latents = vectors.get("decode.latents_unscaled")?.to_device(device)?;
    let mut inner = Vec::new();
    let mut observer = |name: &str, value: &Tensor| inner.push((name.to_owned(), value.clone()));
    let image = model.denoiser()?.vae().decode_probed(&latents, &mut Probe::with(&mut observer))?;
    for (name, value) in inner {
        let key = format!("decode.{}", name.trim_start_matches("decoder."));
        if vectors.has(&key) {
            on_check(module_tensor(STAGE, key.clone(), &value, vectors.get(&key)?)?);
        }
    }
    on_check(module_tensor(
        STAGE,
        "decode.image".to_owned(),
        &image,
        vectors.get("decode.image")?,
    )?);
    let pictures = model.denoiser()?.vae().to_pictures(&image)?;
    let found: Vec<u8> = pictures.iter().flat_map(Picture::rgb).copied().collect();
    on_check(levels(
        STAGE,
        "decode.image_u8".to_owned(),
        &found,
        &vectors.bytes("decode.image_u8")?,
    ));

    let image = vectors.get("encode.image")?.to_device(device)?;
    let encoded = model.denoiser()?.vae().encode(&image)?;
    on_check(module_tensor(
        STAGE,
        "encode.mean".to_owned(),
        &encoded.mean,
        vectors.get("encode.mean")?,
    )?);
    on_check(module_tensor(
        STAGE,
        "encode.logvar".to_owned(),
        &encoded.logvar,
        vectors.get("encode.logvar")?,
    )?);
    let sample = encoded.sample(&vectors.get("encode.noise")?.to_device(device)?)?;
    on_check(module_tensor(
        STAGE,
        "encode.sample".to_owned(),
        &sample,
        vectors.get("encode.sample")?,
    )?);
    let scaled = model.denoiser()?.vae().scale_latents(&sample)?;
    let wanted = vectors.get("encode.latents_scaled")?;
    on_check(module_tensor(STAGE, "encode.latents_scaled".to_owned(), &scaled, wanted)?);
    Ok(())
}

/// Noise as the reference drew it.
pub(super) struct RecordedNoise {
    initial: Vec<f32>,
    steps: Vec<f32>,
}

impl RecordedNoise {
    pub(super) fn new(initial: Vec<f32>, steps: Option<&Tensor>) -> Result<Self, ParityError> {
        Ok(Self { initial, steps: steps.map(floats).transpose()?.unwrap_or_default() })
    }
}

impl NoiseSource for RecordedNoise {
    /// A draw beyond the recorded ones is NaN, so that no comparison can pass on it.
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        let (values, start) = match key.draw {
            NoiseDraw::Initial => (&self.initial, 0),
            NoiseDraw::Step(step) => (&self.steps, step as usize * len),
        };
        values.get(start..start + len).map_or_else(|| vec![f32::NAN; len], <[f32]>::to_vec)
    }
}

/// One picture and the latents after each of its steps.
pub(super) struct Drawn {
    states: Vec<f32>,
    pub(super) picture: Picture,
    pub(super) image: Tensor,
}

impl Drawn {
    /// The picture before rounding, as the reference records it: in [0, 1].
    pub(super) fn unit_image(&self) -> Result<Vec<f32>, candle_core::Error> {
        floats(&((&self.image * 0.5)? + 0.5)?.clamp(0f32, 1f32)?)
    }

    /// The last `len` values of the states: PNDM's callback does not report its warm-up steps.
    pub(super) fn last_states(&self, len: usize) -> Vec<f32> {
        self.states[self.states.len().saturating_sub(len)..].to_vec()
    }
}

/// Draws one picture alone.
pub(super) fn denoise(
    model: &DreamModel,
    params: DenoiseParams,
    condition: Tensor,
    negative: Tensor,
    noise: &dyn NoiseSource,
) -> Result<Drawn, ModelError> {
    let request = DenoiseRequest {
        params,
        condition,
        negative: Some(negative),
        seed: 0,
        choice: 0,
        picture: 0,
    };
    let mut job = model.denoiser()?.start(request, noise)?;
    let mut states = Vec::new();
    while !job.is_done() {
        model.denoiser()?.step(&mut [&mut job], noise)?;
        states.extend_from_slice(job.latents());
    }
    let picture = model.denoiser()?.finish(&job)?;
    let (channels, height, width) = job.latent_shape();
    let latents = Tensor::from_slice(
        job.latents(),
        (1, channels, height, width),
        model.denoiser()?.vae().device(),
    )?;
    let image = model.denoiser()?.vae().decode_latents(&latents)?;
    Ok(Drawn { states, picture, image })
}

/// The recorded text-to-image cases, each from its recorded condition, noise and parameters.
pub(super) fn text_to_image(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    const STAGE: &str = "text_to_image";
    let vectors = goldens.tensors("t2i")?;
    let conditions = goldens.tensors("dream")?;
    let meta = goldens.json("meta")?;
    for (case, recorded) in meta["t2i"].as_object().into_iter().flatten() {
        let class = recorded["scheduler"].as_str().unwrap_or_default();
        let sampler = sampler_of_class(class).ok_or_else(|| ParityError::Vectors {
            path: goldens.path("meta.json"),
            reason: format!("{case}: no sampler is known as {class:?}"),
        })?;
        let own_latents = format!("{case}.latents");
        let latents =
            vectors.get(if vectors.has(&own_latents) { &own_latents } else { "latents" })?;
        let (_, _, height, width) = latents.dims4()?;
        let factor = model.config.picture_multiple();
        let number = |name: &str| recorded[name].as_f64().unwrap_or(f64::NAN);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "recorded parameters are small"
        )]
        let params = DenoiseParams {
            sampler,
            num_inference_steps: number("steps") as usize,
            guidance_scale: number("guidance") as f32,
            guidance_rescale: number("guidance_rescale") as f32,
            eta: 0.0,
            width: width * factor,
            height: height * factor,
        };
        let noises = format!("{case}.noises");
        let noises = if vectors.has(&noises) { Some(vectors.get(&noises)?) } else { None };
        let noise = RecordedNoise::new(floats(latents)?, noises)?;
        let (prompt, negative) = prompts_of(case);
        let condition = conditions.get(&format!("{prompt}.condition"))?.squeeze(0)?;
        let negative = if negative == "uncond" {
            model.unconditional()?
        } else {
            conditions
                .get(&format!("{negative}.condition"))?
                .squeeze(0)?
                .to_device(model.denoiser()?.unet().device())?
        };
        let condition = condition.to_device(model.denoiser()?.unet().device())?;
        let drawn = denoise(model, params, condition, negative, &noise)?;
        let wanted = vectors.floats(&format!("{case}.trajectory"))?;
        on_check(trajectory(
            STAGE,
            format!("{case}.trajectory"),
            &drawn.last_states(wanted.len()),
            &wanted,
        ));
        let found = drawn.unit_image()?;
        let wanted = vectors.floats(&format!("{case}.image"))?;
        on_check(module(STAGE, format!("{case}.image"), &found, &wanted));
        let wanted = vectors.bytes(&format!("{case}.image_u8"))?;
        on_check(levels(STAGE, format!("{case}.image_u8"), drawn.picture.rgb(), &wanted));
    }
    Ok(())
}

/// Which recorded conditions a case used: its name says so.
fn prompts_of(case: &str) -> (&'static str, &'static str) {
    let prompt = if case.contains("image_prompt") { "image_prompt" } else { "prompt0" };
    (prompt, if case.contains("_neg_") { "negative" } else { "uncond" })
}

fn sampler_of_class(class: &str) -> Option<SamplerKind> {
    match class {
        "DDPMScheduler" => Some(SamplerKind::Ddpm),
        "DDIMScheduler" => Some(SamplerKind::Ddim),
        "PNDMScheduler" => Some(SamplerKind::Pndm),
        "DPMSolverMultistepScheduler" => Some(SamplerKind::DpmSolverPlusPlus2M),
        "EulerDiscreteScheduler" => Some(SamplerKind::Euler),
        "EulerAncestralDiscreteScheduler" => Some(SamplerKind::EulerAncestral),
        "UniPCMultistepScheduler" => Some(SamplerKind::UniPc),
        _ => None,
    }
}

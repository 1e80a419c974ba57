//! Do rows computed together equal the same rows computed alone?

use candle_core::{DType, Tensor};
use reverie_model::config::Ability;
use reverie_model::decoder::DecoderRow;
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::denoiser::{DenoiseJob, DenoiseParams, DenoiseRequest};
use reverie_model::dream::ContextPiece;
use reverie_model::noise::CounterNoise;
use reverie_model::{DreamModel, Kernels, ModelError};

/// Rows together against rows alone.
#[derive(Debug, Clone)]
pub struct Invariance {
    /// What was batched.
    pub name: &'static str,
    /// Largest difference relative to the largest magnitude.
    pub error: f64,
    /// Whether every bit is equal.
    pub bit_equal: bool,
    /// Whether the kernels promise that.
    pub promised: bool,
}

impl Invariance {
    /// What is promised to be bit-equal must be; elsewhere float noise is tolerated.
    pub fn passed(&self) -> bool {
        if self.promised { self.bit_equal } else { self.error <= 1e-3 }
    }

    fn compare(name: &'static str, together: &[f32], alone: &[f32]) -> Self {
        let scale = alone.iter().fold(f32::MIN_POSITIVE, |scale, value| scale.max(value.abs()));
        let error = together
            .iter()
            .zip(alone)
            .map(|(together, alone)| f64::from((together - alone).abs() / scale))
            .fold(if together.len() == alone.len() { 0.0 } else { f64::INFINITY }, f64::max);
        let bit_equal = together.len() == alone.len()
            && together
                .iter()
                .zip(alone)
                .all(|(together, alone)| together.to_bits() == alone.to_bits());
        Self { name, error, bit_equal, promised: false }
    }
}

pub(super) fn measure(model: &DreamModel) -> Result<Vec<Invariance>, ModelError> {
    let mut measured = vec![decoder_rows(model)?, prompt_chunks(model)?];
    if model.config.abilities.has(Ability::Creation) {
        measured.push(denoiser_rows(model)?);
    }
    for row in &mut measured {
        row.promised = model.decoder.kernels() == Kernels::Reverie;
    }
    Ok(measured)
}

fn values(tensors: &[Tensor]) -> Result<Vec<f32>, ModelError> {
    let mut all = Vec::new();
    for tensor in tensors {
        all.extend(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?);
    }
    Ok(all)
}

/// Four contexts of different lengths.
fn contexts(model: &DreamModel) -> Result<Vec<Tensor>, ModelError> {
    ["A", "A red fox", "A red fox lived near the quiet river.", "One day"]
        .iter()
        .map(|text| {
            model.embed(&[ContextPiece::Tokens(&model.tokenizer.encode_with_control(text))])
        })
        .collect()
}

fn decoder_rows(model: &DreamModel) -> Result<Invariance, ModelError> {
    let contexts = contexts(model)?;
    let mut caches: Vec<_> = contexts.iter().map(|_| model.decoder.new_cache()).collect();
    let mut rows: Vec<_> = contexts
        .iter()
        .zip(&mut caches)
        .map(|(embeds, cache)| DecoderRow { embeds, cache })
        .collect();
    let together = model.decoder.forward(&mut rows)?;
    let mut alone = Vec::new();
    for embeds in &contexts {
        let mut cache = model.decoder.new_cache();
        alone.extend(model.decoder.forward(&mut [DecoderRow { embeds, cache: &mut cache }])?);
    }
    Ok(Invariance::compare("decoder, 4 ragged rows", &values(&together)?, &values(&alone)?))
}

fn prompt_chunks(model: &DreamModel) -> Result<Invariance, ModelError> {
    let context = contexts(model)?.remove(2);
    let mut cache = model.decoder.new_cache();
    let whole = model.decoder.forward(&mut [DecoderRow { embeds: &context, cache: &mut cache }])?;
    let mut cache = model.decoder.new_cache();
    let mut chunks = Vec::new();
    let length = context.dim(0)?;
    for start in (0..length).step_by(3) {
        let embeds = context.narrow(0, start, 3.min(length - start))?;
        chunks.extend(
            model.decoder.forward(&mut [DecoderRow { embeds: &embeds, cache: &mut cache }])?,
        );
    }
    Ok(Invariance::compare("decoder, prompt in chunks of 3", &values(&chunks)?, &values(&whole)?))
}

/// Three pictures with different samplers, steps and guidance.
fn denoiser_rows(model: &DreamModel) -> Result<Invariance, ModelError> {
    let mut cache = model.decoder.new_cache();
    let embeds =
        model.embed(&[ContextPiece::Tokens(&model.tokenizer.encode_with_control("A red fox"))])?;
    model.decoder.forward(&mut [DecoderRow { embeds: &embeds, cache: &mut cache }])?;
    let condition = model.denoiser()?.condition(&model.dream(&mut cache)?)?;
    let side = model.config.default_picture_side();
    let job = |picture: u32| {
        let (sampler, num_inference_steps, guidance_scale) = [
            (SamplerKind::Ddpm, 4, 7.5),
            (SamplerKind::Euler, 6, 1.0),
            (SamplerKind::UniPc, 5, 2.0),
        ][picture as usize];
        let params = DenoiseParams {
            sampler,
            num_inference_steps,
            guidance_scale,
            guidance_rescale: 0.0,
            eta: 0.0,
            width: side,
            height: side,
        };
        let negative = Some(condition.zeros_like()?);
        let condition = condition.clone();
        let request = DenoiseRequest { params, condition, negative, seed: 1, choice: 0, picture };
        model.denoiser()?.start(request, &CounterNoise)
    };
    let mut together = (0..3).map(job).collect::<Result<Vec<_>, _>>()?;
    while together.iter().any(|job| !job.is_done()) {
        let mut live: Vec<_> = together.iter_mut().filter(|job| !job.is_done()).collect();
        model.denoiser()?.step(&mut live, &CounterNoise)?;
    }
    let mut alone = (0..3).map(job).collect::<Result<Vec<_>, _>>()?;
    for job in &mut alone {
        while !job.is_done() {
            model.denoiser()?.step(&mut [&mut *job], &CounterNoise)?;
        }
    }
    let flat = |jobs: &[DenoiseJob]| {
        jobs.iter().flat_map(|job| job.latents().to_vec()).collect::<Vec<_>>()
    };
    Ok(Invariance::compare("denoiser, 3 different pictures", &flat(&together), &flat(&alone)))
}

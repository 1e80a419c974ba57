//! How long each stage takes, alone on the machine. For comparing builds and devices, not for judging.

use std::time::Instant;

use candle_core::{DType, Tensor};
use reverie_model::config::Ability;
use reverie_model::decoder::DecoderRow;
use reverie_model::dream::ContextPiece;
use reverie_model::{DreamModel, ModelError, Picture};

/// Runs of each stage; the first is not counted.
const RUNS: usize = 6;

/// One stage's times.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The stage and its shape.
    pub name: String,
    /// Median, milliseconds.
    pub median_ms: f64,
    /// Fastest, milliseconds.
    pub min_ms: f64,
    /// Slowest, milliseconds.
    pub max_ms: f64,
}

pub(super) fn measure(model: &DreamModel) -> Result<Vec<Timing>, ModelError> {
    let config = &model.config;
    let mut timings = Vec::new();
    if config.abilities.has(Ability::Comprehension) {
        let picture = gradient(224);
        timings.push(time("CLIP, one picture".to_owned(), || {
            model.vision()?.encode(&[&picture]).map(|features| features[0].clone())
        })?);
    }
    let length = 256.min(config.llama.max_position_embeddings / 2);
    let bos = model.tokenizer.special().bos;
    let prompt = model.embed(&[ContextPiece::Tokens(&vec![bos; length])])?;
    let prefill = |embeds: &Tensor| -> Result<_, ModelError> {
        let mut cache = model.decoder.new_cache();
        let hidden =
            model.decoder.forward(&mut [DecoderRow { embeds, cache: &mut cache }])?.remove(0);
        Ok((hidden, cache))
    };
    timings.push(time(format!("decoder, prefill of {length} positions"), || {
        prefill(&prompt).map(|(hidden, _)| hidden)
    })?);
    let (_, mut cache) = prefill(&prompt)?;
    let token = model.decoder.embed(&[bos])?;
    timings.push(time(format!("decoder, one token after {length}"), || {
        cache.truncate(length);
        let hidden = model
            .decoder
            .forward(&mut [DecoderRow { embeds: &token, cache: &mut cache }])?
            .remove(0);
        model.decoder.logits(&hidden)
    })?);

    if config.abilities.has(Ability::Creation) {
        measure_drawing(model, &mut timings)?;
    }
    Ok(timings)
}

fn measure_drawing(model: &DreamModel, timings: &mut Vec<Timing>) -> Result<(), ModelError> {
    let config = &model.config;
    let head = &config.head;
    let side = head.unet.sample_size;
    let device = model.denoiser()?.unet().device();
    for rows in [1, 2, 4] {
        let latents = Tensor::zeros((rows, head.unet.in_channels, side, side), DType::F32, device)?;
        let shape = (rows, config.num_dream_queries, head.unet.cross_attention_dim);
        let condition = Tensor::zeros(shape, DType::F32, device)?;
        timings.push(time(format!("UNet, {rows} row(s) of {side}x{side} latents"), || {
            model.denoiser()?.unet().forward(&latents, &vec![500.0; rows], &condition)
        })?);
    }
    let latents = Tensor::zeros((1, head.vae.latent_channels, side, side), DType::F32, device)?;
    timings
        .push(time(format!("VAE decode, {0}x{0} pixels", config.default_picture_side()), || {
            model.denoiser()?.vae().decode(&latents)
        })?);
    Ok(())
}

/// A picture that is not one colour.
fn gradient(side: u32) -> Picture {
    let rgb = (0..side * side)
        .flat_map(|at| [(at % side) as u8, (at / side) as u8, (at % 251) as u8])
        .collect();
    Picture::new(side, side, rgb)
}

fn time(
    name: String,
    mut run: impl FnMut() -> Result<Tensor, ModelError>,
) -> Result<Timing, ModelError> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        let result = run()?;
        // A device answers early; its work is done when the device says so.
        result.device().synchronize()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.remove(0);
    times.sort_by(f64::total_cmp);
    Ok(Timing {
        name,
        median_ms: times[times.len() / 2],
        min_ms: times[0],
        max_ms: times[times.len() - 1],
    })
}

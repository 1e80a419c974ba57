//! Whether and how pictures are drawn. Names as diffusers'.

use reverie_model::ModelError;
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::sampler::new_sampler;
use reverie_proto::{
    ChatCompletionRequest, ImageChoice as Wish, ImageFormat, Modality, ProgressWish, Sampler,
};

use super::{Defaults, Limits, RequestError, abilities, either, in_range};
use crate::engine::request::{
    ImageChoice, PictureParams, ProgressReports, SamplingParams, TraceWish,
};
use crate::picture_codec::PictureFormat;

/// What the records of an answer's pictures may take: some six pictures of the published model.
const MAX_TRACE_BYTES: u64 = 64 << 20;
/// More than any picture has steps that differ.
const MAX_PREVIEWS: u64 = 1000;
pub(crate) const MAX_GUIDANCE_SCALE: f64 = 50.0;
const DEFAULT_JPEG_QUALITY: u8 = 90;
/// Of JPEG and WebP; OpenAI's default for `output_compression`.
pub(super) const BEST_QUALITY: u8 = 100;

/// How pictures are to be drawn, by whichever route the wish came.
#[derive(Clone, Copy, Default)]
pub(super) struct DrawingWish<'a> {
    pub(super) size: Option<&'a str>,
    pub(super) steps: Option<u64>,
    pub(super) num_inference_steps: Option<u64>,
    pub(super) guidance_scale: Option<f64>,
    pub(super) guidance_rescale: Option<f64>,
    pub(super) eta: Option<f64>,
    pub(super) sampler: Option<Sampler>,
}

/// Who decides that a picture is drawn, and the most there can be.
#[derive(Clone, Copy)]
pub(super) struct PictureCount {
    pub(super) choice: ImageChoice,
    pub(super) max_images: usize,
}

impl<'a> DrawingWish<'a> {
    pub(super) fn of_chat(request: &'a ChatCompletionRequest) -> Self {
        Self {
            size: request.size.as_deref(),
            steps: request.steps,
            num_inference_steps: request.num_inference_steps,
            guidance_scale: request.guidance_scale,
            guidance_rescale: request.guidance_rescale,
            eta: request.eta,
            sampler: request.sampler,
        }
    }
}

impl PictureCount {
    pub(super) const NONE: Self = Self { choice: ImageChoice::None, max_images: 0 };

    pub(super) fn exactly(count: usize) -> Self {
        Self { choice: ImageChoice::Exactly(count), max_images: count }
    }
}

pub(super) fn picture_params(
    request: &ChatCompletionRequest,
    limits: &Limits,
    sampling: &SamplingParams,
) -> Result<PictureParams, RequestError> {
    let count = match sampling.json_schema {
        // JSON has no pictures in it.
        Some(_) => PictureCount::NONE,
        None => choice(request, limits, sampling.num_beams)?,
    };
    let seed = request.image_seed.unwrap_or(sampling.seed);
    let delivered = (picture_format(request)?, progress(request)?);
    let pictures = drawing(&DrawingWish::of_chat(request), count, seed, delivered, limits)?;
    let trace = trace(request.trace, &pictures, limits)?;
    Ok(PictureParams { trace, ..pictures })
}

/// Whether it is recorded how pictures are drawn. The operator must allow it, and the record has a bound.
fn trace(
    wish: Option<bool>,
    pictures: &PictureParams,
    limits: &Limits,
) -> Result<Option<TraceWish>, RequestError> {
    if wish != Some(true) {
        return Ok(None);
    }
    if !limits.allow_trace {
        let reason = "needs a server that was started with `--allow-trace`";
        return Err(RequestError::unsupported("trace", reason));
    }
    let PictureParams { width, height, num_inference_steps, max_images, .. } = *pictures;
    let of_picture = limits.trace_size.of_picture(width, height, num_inference_steps);
    let max_bytes = of_picture.saturating_mul(max_images as u64);
    if max_bytes > MAX_TRACE_BYTES {
        let reason = format!(
            "of up to {max_images} pictures takes {max_bytes} bytes; at most {MAX_TRACE_BYTES} are kept: \
             set `max_images`, fewer steps or a smaller `size`"
        );
        return Err(RequestError::conflict("trace", &reason));
    }
    Ok(Some(TraceWish { max_bytes }))
}

/// What is told of pictures while they are drawn. Only a stream can tell it.
fn progress(request: &ChatCompletionRequest) -> Result<Option<ProgressReports>, RequestError> {
    let num_previews = match request.progress {
        None | Some(ProgressWish::Nothing) => return Ok(None),
        Some(ProgressWish::Steps) => 0,
        Some(ProgressWish::Previews(count)) => {
            in_range("progress.previews", count, 0..=MAX_PREVIEWS)? as usize
        }
    };
    if request.stream != Some(true) {
        return Err(RequestError::conflict("progress", "needs `stream: true`"));
    }
    Ok(Some(ProgressReports { num_previews }))
}

/// `wish` within `limits`, its gaps filled.
pub(super) fn drawing(
    wish: &DrawingWish<'_>,
    count: PictureCount,
    seed: u64,
    (format, progress): (PictureFormat, Option<ProgressReports>),
    limits: &Limits,
) -> Result<PictureParams, RequestError> {
    let defaults = &limits.defaults;
    let (width, height) = match wish.size {
        None | Some("auto") => (defaults.width, defaults.height),
        Some(size) => parse_size(size, limits)?,
    };
    let steps_name = if wish.steps.is_some() { "steps" } else { "num_inference_steps" };
    let steps = either(("steps", wish.steps), ("num_inference_steps", wish.num_inference_steps))?
        .unwrap_or(defaults.num_inference_steps as u64);
    let steps = in_range(steps_name, steps, 1..=limits.max_num_inference_steps as u64)?;
    let guidance_scale = in_range(
        "guidance_scale",
        wish.guidance_scale.unwrap_or(defaults.guidance_scale),
        0.0..=MAX_GUIDANCE_SCALE,
    )?;
    let guidance_rescale = in_range(
        "guidance_rescale",
        wish.guidance_rescale.unwrap_or(Defaults::GUIDANCE_RESCALE),
        0.0..=1.0,
    )?;
    let eta = in_range("eta", wish.eta.unwrap_or(Defaults::ETA), 0.0..=1.0)?;
    let sampler = wish.sampler.unwrap_or(defaults.sampler);
    if eta > 0.0 && sampler != Sampler::Ddim {
        return Err(RequestError::conflict("eta", "needs `sampler: \"ddim\"`"));
    }
    let (steps, eta) = (steps as usize, eta as f32);
    check_steps(steps_name, sampler, (steps, eta), limits)?;
    Ok(PictureParams {
        choice: count.choice,
        max_images: count.max_images,
        width,
        height,
        num_inference_steps: steps,
        guidance_scale: guidance_scale as f32,
        guidance_rescale: guidance_rescale as f32,
        eta,
        negative_prompt: None, // text until it is encoded: `ValidRequest::engine_request`
        sampler: sampler_kind(sampler),
        seed,
        format,
        progress,
        trace: None,
    })
}

/// Refuses numbers of steps that the checkpoint's noise schedule has no room for with this sampler.
fn check_steps(
    param: &str,
    sampler: Sampler,
    (steps, eta): (usize, f32),
    limits: &Limits,
) -> Result<(), RequestError> {
    match new_sampler(sampler_kind(sampler), &limits.noise_schedule, steps, eta) {
        Ok(_) => Ok(()),
        Err(ModelError::Parameter { wanted, .. }) => {
            Err(RequestError::OutOfRange { param: param.to_owned(), wanted })
        }
        Err(_) => Err(RequestError::conflict(param, "cannot be served with this sampler")),
    }
}

/// The model's name of an update rule.
pub(crate) fn sampler_kind(sampler: Sampler) -> SamplerKind {
    match sampler {
        Sampler::Ddpm => SamplerKind::Ddpm,
        Sampler::Ddim => SamplerKind::Ddim,
        Sampler::Pndm => SamplerKind::Pndm,
        Sampler::DpmSolverPlusPlus2M => SamplerKind::DpmSolverPlusPlus2M,
        Sampler::DpmSolverPlusPlus2MKarras => SamplerKind::DpmSolverPlusPlus2MKarras,
        Sampler::Euler => SamplerKind::Euler,
        Sampler::EulerAncestral => SamplerKind::EulerAncestral,
        Sampler::UniPc => SamplerKind::UniPc,
    }
}

/// WebP of a quality: nothing is lost at the best.
pub(super) fn webp(quality: u8) -> PictureFormat {
    match quality {
        BEST_QUALITY => PictureFormat::Webp,
        quality => PictureFormat::LossyWebp { quality },
    }
}

pub(super) fn picture_format(
    request: &ChatCompletionRequest,
) -> Result<PictureFormat, RequestError> {
    let format = request.image_format.unwrap_or(ImageFormat::Png);
    let quality = request.image_quality.map(|quality| in_range("image_quality", quality, 1..=100));
    match (format, quality.transpose()?.map(|quality| quality as u8)) {
        (ImageFormat::Png, None) => Ok(PictureFormat::Png),
        (ImageFormat::Png, Some(_)) => {
            let reason = "needs `image_format` \"jpeg\" or \"webp\": PNG is lossless";
            Err(RequestError::conflict("image_quality", reason))
        }
        (ImageFormat::Webp, quality) => Ok(webp(quality.unwrap_or(BEST_QUALITY))),
        (ImageFormat::Jpeg, quality) => {
            Ok(PictureFormat::Jpeg { quality: quality.unwrap_or(DEFAULT_JPEG_QUALITY) })
        }
    }
}

/// Who decides, and the most there can be: `modalities` bounds `image_choice`, which `max_images`
/// and a beam search bound in turn.
fn choice(
    request: &ChatCompletionRequest,
    limits: &Limits,
    num_beams: usize,
) -> Result<PictureCount, RequestError> {
    let conflict = |reason| Err(RequestError::conflict("image_choice", reason));
    let wish = match (modalities(request)?, request.image_choice) {
        (Modalities::TextOnly, None | Some(Wish::None)) => Wish::None,
        (Modalities::TextOnly, Some(_)) => return conflict("contradicts `modalities: [\"text\"]`"),
        (Modalities::ImageOnly, None) => Wish::Exactly(1),
        (Modalities::ImageOnly, Some(Wish::None)) => {
            return conflict("contradicts `modalities: [\"image\"]`");
        }
        (Modalities::Unsaid, None) if num_beams > 1 => Wish::None,
        (Modalities::Unsaid | Modalities::Both, None) => Wish::Auto,
        (_, Some(wish)) => wish,
    };
    count(wish, request.max_images, num_beams, limits)
}

/// What `wish` comes to: `max_images` and a beam search bound it.
pub(super) fn count(
    wish: Wish,
    max_images: Option<u64>,
    num_beams: usize,
    limits: &Limits,
) -> Result<PictureCount, RequestError> {
    let max_images = max_images.unwrap_or(limits.max_images as u64);
    let max_images = in_range("max_images", max_images, 0..=limits.max_images as u64)?;
    let max_images = max_images.min(abilities::max_images(limits) as u64);
    let conflict = |reason| Err(RequestError::conflict("image_choice", reason));
    let wish = abilities::wish(wish, limits.abilities);
    if num_beams > 1 && wish != Wish::None {
        return conflict("must be `none` or unset with `num_beams`");
    }
    match wish {
        Wish::None => Ok(PictureCount::NONE),
        Wish::Auto if max_images == 0 => Ok(PictureCount::NONE),
        Wish::Required | Wish::Exactly(_) if max_images == 0 => {
            conflict("asks for pictures, but `max_images` is 0")
        }
        Wish::Auto => {
            Ok(PictureCount { choice: ImageChoice::Auto, max_images: max_images as usize })
        }
        Wish::Required => {
            Ok(PictureCount { choice: ImageChoice::Required, max_images: max_images as usize })
        }
        Wish::Exactly(count) => {
            let count = in_range("image_choice", count, 1..=max_images)? as usize;
            Ok(PictureCount::exactly(count))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modalities {
    Unsaid,
    TextOnly,
    ImageOnly,
    Both,
}

fn modalities(request: &ChatCompletionRequest) -> Result<Modalities, RequestError> {
    let Some(list) = &request.modalities else {
        return Ok(Modalities::Unsaid);
    };
    match (list.contains(&Modality::Text), list.contains(&Modality::Image)) {
        (true, true) => Ok(Modalities::Both),
        (true, false) => Ok(Modalities::TextOnly),
        (false, true) => Ok(Modalities::ImageOnly),
        (false, false) => {
            Err(RequestError::out_of_range("modalities", "at least one of `text` and `image`"))
        }
    }
}

/// `WIDTHxHEIGHT`, each a plain decimal number.
fn parse_size(size: &str, limits: &Limits) -> Result<(usize, usize), RequestError> {
    let (least, most) = (limits.side.start(), limits.side.end());
    let multiple = limits.side_multiple;
    let wanted = || {
        let pixels = limits.max_drawn_pixels;
        RequestError::OutOfRange {
            param: "size".to_owned(),
            wanted: format!(
                "`auto` or WIDTHxHEIGHT, both multiples of {multiple} between {least} and {most}, \
                 with at most {pixels} pixels"
            ),
        }
    };
    let side = |text: &str| {
        let plain = !text.is_empty() && text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
        let side: usize = if plain { text.parse().ok()? } else { return None };
        (limits.side.contains(&side) && side.is_multiple_of(multiple)).then_some(side)
    };
    let (width, height) = size.split_once('x').ok_or_else(wanted)?;
    let (width, height) = side(width).zip(side(height)).ok_or_else(wanted)?;
    if width * height > limits.max_drawn_pixels {
        return Err(wanted());
    }
    Ok((width, height))
}

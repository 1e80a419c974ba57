//! A request for pictures alone: a document that ends with its picture, whose text nobody reads. Drawings come
//! from a bare caption where the checkpoint's template says so; an edit is drawn in context, after the pictures
//! and the words, as DreamLLM edits.

use reverie_model::config::{Abilities, Ability};
use reverie_proto::{Background, ImageFormat, ImageReference, ImageRequest, ImageResponseFormat};

use super::harmless::check_label;
use super::pictures::{BEST_QUALITY, DrawingWish, PictureCount, drawing, webp};
use super::priority::priority;
use super::sampling::{SamplingWish, StoppingWish, sampling_params, stopping_params};
use super::{
    Delivery, DeliveryMode, Disclosure, Dropping, EncodedPicture, Limits, OwnPictures,
    PicturePlace, Piece, PromptForm, RequestError, RequestedPicture, Speaker, Turn, ValidRequest,
    Whereabouts, conversation, effective, in_range, model_name, negative_prompt, num_choices,
};
use crate::engine::request::{PictureParams, ProgressReports, SamplingParams, StoppingParams};
use crate::picture_codec::PictureFormat;
use crate::template::TextToImage;

/// OpenAI's bound of `partial_images`.
const MAX_PARTIAL_IMAGES: u64 = 3;

/// Where the pictures to edit are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditedPictures {
    /// There are none: this draws from nothing.
    None,
    /// In the request's `images`.
    Referenced,
    /// Files beside the request, each with its name for errors.
    Files(Vec<EncodedPicture>),
}

impl EditedPictures {
    /// What the request calls them.
    fn param(&self) -> &'static str {
        match self {
            Self::Files(_) => "image",
            Self::None | Self::Referenced => "images",
        }
    }
}

/// Checks `request` against `limits`; pictures of ours in it come from `own`. `drawn_seed` is its seed if it brings none.
///
/// # Errors
/// [`RequestError`], naming the first parameter at fault.
pub fn validate_images(
    mut request: ImageRequest,
    edited: EditedPictures,
    own: &dyn OwnPictures,
    (limits, drawn_seed): (&Limits, u64),
) -> Result<ValidRequest, RequestError> {
    let model = model_name(request.model.take(), limits)?;
    check_offered(&request)?;
    let priority = priority(request.priority, limits)?;
    let num_choices = num_choices(request.n, limits)?;
    let wish = SamplingWish { seed: request.seed, ..SamplingWish::default() };
    let sampling = sampling_params(&wish, limits, drawn_seed)?;
    let num_edited = match &edited {
        EditedPictures::None => None,
        EditedPictures::Referenced => Some(request.images.as_ref().map_or(0, Vec::len)),
        EditedPictures::Files(files) => Some(files.len()),
    };
    check_room(&request.prompt, num_edited, edited.param(), limits)?;
    let images = request.images.take();
    let prompt = std::mem::take(&mut request.prompt);
    let turns = vec![turn(prompt, pictures(edited, images, own, limits)?)];
    let prompt_form = prompt_form(num_edited, limits);
    let stopping = stopping(prompt_form, limits)?;
    let drawing_wish = drawing_wish(&request);
    let pictures = picture_params(&request, &drawing_wish, &sampling, limits)?;
    let effective = effective((&wish, &sampling), (&drawing_wish, &pictures), limits);
    let delivery = delivery(&request, pictures.format);
    Ok(ValidRequest {
        model,
        turns,
        dropping: Dropping::Never,
        prompt_form,
        sampling,
        stopping,
        negative_prompt: negative_prompt(request.negative_prompt, limits)?,
        pictures,
        delivery,
        num_choices,
        priority,
        effective,
        disclosure: Disclosure::Recipe,
    })
}

/// Refuses by its meaning what this service does not do.
fn check_offered(request: &ImageRequest) -> Result<(), RequestError> {
    if let Some(user) = &request.user {
        check_label("user", user)?;
    }
    if request.mask.is_some() {
        let reason = "is not supported: the model does not inpaint; say in `prompt` what to change";
        return Err(RequestError::unsupported("mask", reason));
    }
    match request.background {
        None | Some(Background::Auto | Background::Opaque) => {}
        Some(Background::Transparent) => {
            let reason = "`transparent` is not supported: pictures have no alpha";
            return Err(RequestError::unsupported("background", reason));
        }
    }
    match (request.response_format, request.stream) {
        (Some(ImageResponseFormat::Url), Some(true)) => {
            let reason = "`url` needs `stream: false`: streamed pictures are `b64_json`";
            Err(RequestError::conflict("response_format", reason))
        }
        (None | Some(ImageResponseFormat::B64Json | ImageResponseFormat::Url), _) => Ok(()),
    }
}

/// Checks before anything is decoded that there is something to say and that it may fit.
fn check_room(
    prompt: &str,
    edited: Option<usize>,
    list: &str,
    limits: &Limits,
) -> Result<(), RequestError> {
    let untrained =
        |param: &str, ability| Err(RequestError::Untrained { param: param.to_owned(), ability });
    match (limits.abilities, edited) {
        (Abilities::ComprehensionOnly, _) => return untrained("model", Ability::Creation),
        (Abilities::CreationOnly, Some(_)) => return untrained(list, Ability::Comprehension),
        (Abilities::Both, _) | (Abilities::CreationOnly, None) => {}
    }
    if limits.max_images == 0 {
        return Err(RequestError::unsupported("model", "draws no pictures here: it is set to 0"));
    }
    if prompt.trim().is_empty() {
        return Err(RequestError::out_of_range("prompt", "more than white space"));
    }
    let num_pictures = edited.unwrap_or(0);
    if edited == Some(0) {
        return Err(RequestError::out_of_range(list, "at least one picture to edit"));
    }
    if num_pictures > limits.max_input_images {
        let (param, limit) = (list.to_owned(), limits.max_input_images);
        return Err(RequestError::TooManyPictures { param, limit });
    }
    conversation::check_length("prompt", prompt.len(), limits)?;
    let positions = 1 + num_pictures * limits.picture_positions;
    conversation::check_room(positions, limits.countable_bytes(prompt), limits)
}

fn pictures(
    edited: EditedPictures,
    images: Option<Vec<ImageReference>>,
    own: &dyn OwnPictures,
    limits: &Limits,
) -> Result<Vec<RequestedPicture>, RequestError> {
    let images = match edited {
        EditedPictures::None => return Ok(Vec::new()),
        EditedPictures::Files(files) => {
            let file = |file| file_of(file, limits).map(RequestedPicture::File);
            return files.into_iter().map(file).collect();
        }
        EditedPictures::Referenced => images.unwrap_or_default(),
    };
    let picture = |(index, image): (usize, ImageReference)| {
        let param = format!("images[{index}].image_url");
        conversation::picture(&param, &image.image_url, own, limits)
    };
    images.into_iter().enumerate().map(picture).collect()
}

fn file_of(file: EncodedPicture, limits: &Limits) -> Result<EncodedPicture, RequestError> {
    use super::PictureUrlFault::{Empty, TooLarge};
    let fault = match file.bytes.len() {
        0 => Empty,
        len if len > limits.max_image_bytes => TooLarge { limit: limits.max_image_bytes },
        _ => return Ok(file),
    };
    Err(RequestError::PictureUrl { param: file.param, fault })
}

/// Pictures first, then the words about them.
fn turn(prompt: String, pictures: Vec<RequestedPicture>) -> Turn<RequestedPicture> {
    let mut pieces: Vec<_> = pictures.into_iter().map(Piece::Picture).collect();
    pieces.push(Piece::Text(prompt));
    Turn { speaker: Speaker::User, pieces }
}

fn prompt_form(edited: Option<usize>, limits: &Limits) -> PromptForm {
    match (edited, limits.text_to_image) {
        (None, TextToImage::Raw) => PromptForm::Caption,
        (None, TextToImage::Chat) | (Some(_), _) => PromptForm::Conversation,
    }
}

/// A caption's picture follows it at once, and so does that of a model which writes no text; in a conversation
/// the model says what it says before it draws.
fn stopping(form: PromptForm, limits: &Limits) -> Result<StoppingParams, RequestError> {
    let stopping = stopping_params(&StoppingWish::default(), limits)?;
    let writes = match (form, limits.abilities) {
        (PromptForm::Conversation, Abilities::Both | Abilities::ComprehensionOnly) => true,
        (PromptForm::Conversation, Abilities::CreationOnly)
        | (PromptForm::Caption | PromptForm::Verbatim, _) => false,
    };
    let max_tokens = if writes { None } else { Some(0) };
    Ok(StoppingParams { max_tokens, ends_with_images: true, ..stopping })
}

fn drawing_wish(request: &ImageRequest) -> DrawingWish<'_> {
    DrawingWish {
        size: request.size.as_deref(),
        steps: request.steps,
        num_inference_steps: request.num_inference_steps,
        guidance_scale: request.guidance_scale,
        guidance_rescale: request.guidance_rescale,
        eta: request.eta,
        sampler: request.sampler,
    }
}

fn picture_params(
    request: &ImageRequest,
    wish: &DrawingWish<'_>,
    sampling: &SamplingParams,
    limits: &Limits,
) -> Result<PictureParams, RequestError> {
    let format = output_format(request.output_format, request.output_compression)?;
    let delivered = (format, progress(request)?);
    drawing(wish, PictureCount::exactly(1), sampling.seed, delivered, limits)
}

/// Previews, which only a stream can send.
fn progress(request: &ImageRequest) -> Result<Option<ProgressReports>, RequestError> {
    let num_previews = partial_images(request.partial_images)?;
    if num_previews.is_some() && request.stream != Some(true) {
        return Err(RequestError::conflict("partial_images", "above 0 needs `stream: true`"));
    }
    Ok(num_previews)
}

/// OpenAI's wish for previews, if it is one.
pub(super) fn partial_images(count: Option<u64>) -> Result<Option<ProgressReports>, RequestError> {
    let count = in_range("partial_images", count.unwrap_or(0), 0..=MAX_PARTIAL_IMAGES)? as usize;
    Ok((count > 0).then_some(ProgressReports { num_previews: count }))
}

/// PNG has nothing to compress away; WebP has at less than the best quality.
pub(super) fn output_format(
    format: Option<ImageFormat>,
    compression: Option<u64>,
) -> Result<PictureFormat, RequestError> {
    let quality = compression.unwrap_or(u64::from(BEST_QUALITY));
    let quality = in_range("output_compression", quality, 0..=u64::from(BEST_QUALITY))? as u8;
    match format.unwrap_or(ImageFormat::Png) {
        ImageFormat::Jpeg => Ok(PictureFormat::Jpeg { quality: quality.max(1) }),
        ImageFormat::Webp => Ok(webp(quality)),
        ImageFormat::Png if quality == BEST_QUALITY => Ok(PictureFormat::Png),
        ImageFormat::Png => {
            let reason = "below 100 needs `output_format` \"jpeg\" or \"webp\": PNG is lossless";
            Err(RequestError::conflict("output_compression", reason))
        }
    }
}

fn delivery(request: &ImageRequest, picture_format: PictureFormat) -> Delivery {
    let mode = match request.stream {
        Some(true) => DeliveryMode::Streamed { include_usage: true },
        Some(false) | None => DeliveryMode::Whole,
    };
    let whereabouts = match request.response_format {
        Some(ImageResponseFormat::Url) => Whereabouts::Address,
        Some(ImageResponseFormat::B64Json) | None => Whereabouts::Inline,
    };
    Delivery { mode, picture_format, whereabouts, place: PicturePlace::Images }
}

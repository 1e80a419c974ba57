//! From what a client typed to what the engine can do: every parameter checked, every default filled
//! in. Pure and synchronous; knows neither HTTP nor tensors, and decodes no picture by itself.

mod abilities;
mod completion;
mod conversation;
mod data_url;
mod delivery;
mod disclosure;
mod error;
mod harmless;
mod images;
mod limits;
mod own_pictures;
mod picture_url;
mod pictures;
mod priority;
mod requested_picture;
mod response_chain;
mod response_context;
mod responses;
mod sampling;
mod stored_response;
mod text_shape;
mod tokenization;
mod truncation;

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use reverie_model::{Picture, PictureError};
use reverie_proto::{ChatCompletionRequest, EffectiveParameters, ProvenanceWish, Truncation};

use crate::engine::request::{
    EngineRequest, ONE_TENANT, PictureParams, RequestIdentity, SamplingParams, StoppingParams,
};
use crate::prompt::{PromptEncoder, build_prompt, raw_prompt};
use crate::template::PromptTemplate;

use self::pictures::DrawingWish;
use self::sampling::{SamplingWish, StoppingWish};

pub(crate) use abilities::max_images;
pub use completion::validate_completion;
pub(crate) use data_url::decode as picture_file;
pub use delivery::{Delivery, DeliveryMode, PicturePlace, Whereabouts};
pub use disclosure::Disclosure;
pub use error::{PictureUrlFault, RequestError};
pub use harmless::IGNORED;
pub use images::{EditedPictures, validate_images};
pub use limits::{Defaults, Limits, WritableTokens};
pub use own_pictures::{NoOwnPictures, OwnPictureFault, OwnPictures};
pub use picture_url::{AllowedDomain, PictureUrl, PictureUrlPolicy};
pub(crate) use pictures::MAX_GUIDANCE_SCALE;
pub(crate) use priority::PRIORITIES;
pub use requested_picture::{RemotePicture, RequestedPicture, files_only, remote_pictures};
pub use response_context::KeptItems;
pub use responses::{ResponseEcho, ValidResponse, validate_response};
pub use sampling::MAX_LOGPROBS;
pub(crate) use sampling::{MAX_BEAMS, MAX_PENALTY};
pub use stored_response::{ItemId, ItemKind, StoredItem, StoredResponse, named_items};
pub use tokenization::{TextToTokenize, validate_detokenize, validate_tokenize};
pub use truncation::{Dropping, FittedRequest, Fitting, fit};

/// A request that can be served, its input pictures still encoded or elsewhere.
#[derive(Debug, Clone)]
pub struct ValidRequest {
    /// The model's name, as the client used it.
    pub model: String,
    /// The conversation; the user speaks last.
    pub turns: Vec<Turn<RequestedPicture>>,
    /// Whether its oldest exchanges may be left out where it is too long.
    pub dropping: Dropping,
    /// How it is written down.
    pub prompt_form: PromptForm,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// When the text ends.
    pub stopping: StoppingParams,
    /// Whether and how pictures are drawn; the negative prompt is still text, below.
    pub pictures: PictureParams,
    /// What pictures should not show.
    pub negative_prompt: Option<String>,
    /// How the answer is sent.
    pub delivery: Delivery,
    /// Answers that are wanted, independent of one another.
    pub num_choices: usize,
    /// Lower is served earlier.
    pub priority: i32,
    /// What the parameters came to, for the answer.
    pub effective: EffectiveParameters,
    /// What the answer and its pictures may tell of all this.
    pub disclosure: Disclosure,
}

/// How a conversation becomes a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptForm {
    /// As the template says.
    Conversation,
    /// Its one text alone, as a picture's caption.
    Caption,
    /// Its one text alone, exactly as it is.
    Verbatim,
}

/// What one speaker says; `P` is a picture, encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn<P> {
    /// Who speaks.
    pub speaker: Speaker,
    /// Text and pictures in order.
    pub pieces: Vec<Piece<P>>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The operator, through the client.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// A piece of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<P> {
    /// Text.
    Text(String),
    /// A picture.
    Picture(P),
}

/// A picture file in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPicture {
    /// The path of its URL in the request, for errors.
    pub param: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Checks `request` against `limits`; pictures of ours in it come from `own`. `drawn_seed` is its seed if it brings none.
///
/// # Errors
/// [`RequestError`], naming the first parameter at fault.
pub fn validate(
    request: ChatCompletionRequest,
    own: &dyn OwnPictures,
    limits: &Limits,
    drawn_seed: u64,
) -> Result<ValidRequest, RequestError> {
    let model = model_name(Some(request.model.clone()), limits)?;
    harmless::check(&request)?;
    abilities::check(&request, limits)?;
    let wish = SamplingWish::of_chat(&request)?;
    let mut sampling = sampling::sampling_params(&wish, limits, drawn_seed)?;
    sampling.json_schema = text_shape::of_chat(&request, limits)?;
    let stopping = sampling::stopping_params(&StoppingWish::of_chat(&request), limits)?;
    let stopping = abilities::stopping(stopping, limits.abilities);
    let pictures = pictures::picture_params(&request, limits, &sampling)?;
    let delivery = delivery::delivery(&request)?;
    let priority = priority::priority(request.priority, limits)?;
    let disclosure = disclosure::disclosure(&request, sampling.seed)?;
    let num_choices = choices(&request, &sampling, limits)?;
    let drawing = DrawingWish::of_chat(&request);
    let effective = effective((&wish, &sampling), (&drawing, &pictures), limits);
    let negative_prompt = negative_prompt(request.negative_prompt, limits)?;
    let may_drop_turns = request.truncation == Some(Truncation::Auto);
    let (turns, dropping) = conversation::turns(request.messages, may_drop_turns, own, limits)?;
    Ok(ValidRequest {
        model,
        turns,
        dropping,
        prompt_form: abilities::prompt_form(limits),
        sampling,
        stopping,
        pictures,
        negative_prompt,
        delivery,
        num_choices,
        priority,
        effective,
        disclosure,
    })
}

/// How many answers are wanted.
fn choices(
    request: &ChatCompletionRequest,
    sampling: &SamplingParams,
    limits: &Limits,
) -> Result<usize, RequestError> {
    let num_choices = num_choices(request.n, limits)?;
    if num_choices > 1 && sampling.num_beams > 1 {
        return Err(RequestError::conflict("n", "must be 1 with `num_beams`"));
    }
    if num_choices > 1 && request.trace == Some(true) {
        return Err(RequestError::conflict("n", "must be 1 with `trace`"));
    }
    match request.provenance {
        Some(ProvenanceWish::Digests | ProvenanceWish::Full) if num_choices > 1 => {
            Err(RequestError::conflict("n", "must be 1 with `provenance`"))
        }
        Some(_) | None => Ok(num_choices),
    }
}

/// `n`, wherever it was given.
fn num_choices(n: Option<u64>, limits: &Limits) -> Result<usize, RequestError> {
    in_range("n", n.unwrap_or(1), 1..=limits.max_choices as u64).map(|n| n as usize)
}

/// What the wishes came to.
fn effective(
    (sampling_wish, sampling): (&SamplingWish<'_>, &SamplingParams),
    (drawing_wish, pictures): (&DrawingWish<'_>, &PictureParams),
    limits: &Limits,
) -> EffectiveParameters {
    EffectiveParameters {
        seed: sampling.seed,
        image_seed: pictures.seed,
        temperature: sampling_wish.temperature(&limits.defaults),
        top_p: sampling_wish.top_p.unwrap_or(Defaults::TOP_P),
        top_k: sampling.top_k as u64,
        min_p: sampling_wish.min_p.unwrap_or(0.0),
        presence_penalty: sampling_wish.presence_penalty.unwrap_or(0.0),
        frequency_penalty: sampling_wish.frequency_penalty.unwrap_or(0.0),
        repetition_penalty: sampling_wish.repetition_penalty.unwrap_or(1.0),
        logit_bias: sampling_wish.logit_bias.cloned().unwrap_or_default(),
        num_beams: sampling.num_beams as u64,
        size: format!("{}x{}", pictures.width, pictures.height),
        sampler: drawing_wish.sampler.unwrap_or(limits.defaults.sampler),
        num_inference_steps: pictures.num_inference_steps,
        guidance_scale: drawing_wish.guidance_scale.unwrap_or(limits.defaults.guidance_scale),
        guidance_rescale: drawing_wish.guidance_rescale.unwrap_or(Defaults::GUIDANCE_RESCALE),
        eta: drawing_wish.eta.unwrap_or(Defaults::ETA),
    }
}

/// What pictures should not show, if that is anything.
fn negative_prompt(text: Option<String>, limits: &Limits) -> Result<Option<String>, RequestError> {
    let text = text.filter(|text| !text.is_empty());
    if let Some(text) = &text {
        conversation::check_length("negative_prompt", text.len(), limits)?;
        conversation::check_room(1, limits.countable_bytes(text), limits)?;
    }
    Ok(text)
}

/// The model's name, as the client used it; the canonical one where routes let it be left out.
fn model_name(name: Option<String>, limits: &Limits) -> Result<String, RequestError> {
    match name {
        None => Ok(limits.model_names.first().cloned().unwrap_or_default()),
        Some(name) if limits.model_names.contains(&name) => Ok(name),
        Some(name) => Err(RequestError::UnknownModel { name }),
    }
}

/// Decodes the pictures of `turns` with `decode`, one after another, so that one at most is there in more
/// pixels than `decode` leaves; the same file given twice is decoded once. Takes long.
///
/// # Errors
/// [`RequestError::Picture`], naming the first picture at fault.
pub fn decode_pictures(
    turns: Vec<Turn<EncodedPicture>>,
    decode: impl Fn(&[u8]) -> Result<Picture, PictureError>,
) -> Result<Vec<Turn<Arc<Picture>>>, RequestError> {
    let mut decoded: HashMap<Vec<u8>, Arc<Picture>> = HashMap::new();
    let mut decode_piece = |piece| -> Result<Piece<Arc<Picture>>, RequestError> {
        let EncodedPicture { param, bytes } = match piece {
            Piece::Text(text) => return Ok(Piece::Text(text)),
            Piece::Picture(encoded) => encoded,
        };
        if let Some(picture) = decoded.get(&bytes) {
            return Ok(Piece::Picture(Arc::clone(picture)));
        }
        let picture = decode(&bytes).map_err(|source| RequestError::Picture { param, source })?;
        let picture = Arc::new(picture);
        decoded.insert(bytes, Arc::clone(&picture));
        Ok(Piece::Picture(picture))
    };
    turns
        .into_iter()
        .map(|Turn { speaker, pieces }| {
            let pieces = pieces.into_iter().map(&mut decode_piece).collect::<Result<_, _>>()?;
            Ok(Turn { speaker, pieces })
        })
        .collect()
}

impl ValidRequest {
    /// `dropped`, if anything could have been.
    pub fn if_droppable<T>(&self, dropped: T) -> Option<T> {
        match self.dropping {
            Dropping::Never => None,
            Dropping::Oldest { at_least: _ } => Some(dropped),
        }
    }

    /// What the engine is asked for: the prompt written down with `template`, `turns` being this
    /// request's own with their pictures decoded.
    pub fn engine_request(
        &self,
        turns: &[Turn<Arc<Picture>>],
        template: &PromptTemplate,
        encoder: PromptEncoder<'_>,
        deadline: Option<Duration>,
    ) -> EngineRequest {
        let negative_prompt = self.negative_prompt.as_ref().map(|text| raw_prompt(text, encoder));
        let prompt = match self.prompt_form {
            PromptForm::Conversation => build_prompt(turns, template, encoder),
            PromptForm::Caption => raw_prompt(&caption(turns, template), encoder),
            PromptForm::Verbatim => raw_prompt(&verbatim(turns), encoder),
        };
        EngineRequest {
            prompt,
            sampling: self.sampling.clone(),
            stopping: self.stopping.clone(),
            pictures: PictureParams { negative_prompt, ..self.pictures.clone() },
            choice: 0,
            deadline,
            tenant: ONE_TENANT,
            priority: self.priority,
            identity: RequestIdentity::default(),
        }
    }
}

/// All text of `turns`, untouched.
fn verbatim(turns: &[Turn<Arc<Picture>>]) -> String {
    let texts = turns.iter().flat_map(|turn| &turn.pieces).filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Picture(_) => None,
    });
    texts.collect()
}

/// All text of `turns`.
fn caption(turns: &[Turn<Arc<Picture>>], template: &PromptTemplate) -> String {
    let texts = turns.iter().flat_map(|turn| &turn.pieces).filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.trim()),
        Piece::Picture(_) => None,
    });
    texts.collect::<Vec<_>>().join(&template.text_separator)
}

/// `value` if it is in `range`, which the error quotes.
fn in_range<T: PartialOrd + Display>(
    param: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<T, RequestError> {
    if range.contains(&value) {
        return Ok(value);
    }
    let wanted = format!("between {} and {}", range.start(), range.end());
    Err(RequestError::OutOfRange { param: param.to_owned(), wanted })
}

/// The value of a parameter that has two names; both may be given if they agree.
fn either<T: PartialEq + Copy>(
    (name, value): (&str, Option<T>),
    (other_name, other): (&str, Option<T>),
) -> Result<Option<T>, RequestError> {
    match (value, other) {
        (Some(value), Some(other)) if value != other => {
            Err(RequestError::conflict(name, &format!("differs from `{other_name}`")))
        }
        (value, other) => Ok(value.or(other)),
    }
}

//! `POST /v1/images/generations` and `POST /v1/images/edits`: body → request → engine → pictures. `n` pictures
//! are `n` documents, each a request of its own to the engine; if one fails, the answer does, and the others are
//! given up.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use reverie_proto::{
    Background, ImageData, ImageFormat, ImageReference, ImagesAnswer, ImagesTokensDetails,
    ImagesUsage, parse,
};
use tokio_stream::{StreamExt as _, StreamMap};

use super::AppState;
use super::answer::AnswerHead;
use super::asking::Asking;
use super::body::{self, HeldBody};
use super::error::ApiError;
use super::form::{self, Form};
use super::image_stream::{self, ImageRoute};
use super::picture_delivery::PictureDelivery;
use super::preparation::{self, Asked, Fingerprint, Prepared};
use crate::engine::document_engine::{EventStream, SubmitError};
use crate::engine::event::{EngineEvent, Usage};
use crate::engine::request::EngineRequest;
use crate::picture_codec::PictureFormat;
use crate::request::{
    DeliveryMode, EditedPictures, Limits, RequestError, ValidRequest, validate_images,
};

/// The events of the answers to one request, by their choice.
pub(super) type ChoiceEvents = StreamMap<usize, EventStream>;

/// Draws.
pub(super) async fn generations(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let route = ImageRoute::Generation;
    let asked = Asked::of_json(&state, route.path(), request).await?;
    let read = |body: Vec<u8>, limits: &Limits, drawn_seed| {
        let request = parse::image_generation(&body)?;
        validate_images(request, EditedPictures::None, limits, drawn_seed)
    };
    answer(&state, asked, read, route).await
}

/// Draws what becomes of pictures.
pub(super) async fn edits(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    preparation::check_ready(&state)?;
    let asking = Asking::read(request.headers(), request.extensions())?;
    let route = ImageRoute::Edit;
    let Some(boundary) = form::boundary(request.headers())? else {
        let HeldBody { bytes, room } = body::json_bytes(request, &state).await?;
        let read = |body: Vec<u8>, limits: &Limits, drawn_seed| {
            let request = parse::image_edit(&body)?;
            drop(body); // its pictures are in the request now
            validate_images(request, EditedPictures::Referenced, limits, drawn_seed)
        };
        let asked = Asked { route: route.path(), asking, room, body: bytes };
        return answer(&state, asked, read, route).await;
    };
    let HeldBody { bytes, room } = body::bytes(request, &state).await?;
    let body = form::read(bytes, boundary).await?;
    let read = |form: Form, limits: &Limits, drawn_seed| {
        let Form { fields, pictures, has_mask } = form;
        let mut request = parse::image_edit_form(fields)?;
        if has_mask {
            request.mask = Some(ImageReference { image_url: String::new(), file_id: None });
        }
        validate_images(request, EditedPictures::Files(pictures), limits, drawn_seed)
    };
    let asked = Asked { route: route.path(), asking, room, body };
    answer(&state, asked, read, route).await
}

async fn answer<B: Fingerprint + Send + 'static>(
    state: &AppState,
    asked: Asked<B>,
    read: impl FnOnce(B, &Limits, u64) -> Result<ValidRequest, RequestError> + Send + 'static,
    route: ImageRoute,
) -> Result<Response, ApiError> {
    let prepared = preparation::prepare(state, asked, read).await;
    let Prepared { valid, request, provenance, identity } =
        prepared.map_err(ApiError::about_prompt)?;
    let submitted = submit(state, &request, valid.num_choices);
    let events = submitted.map_err(|error| ApiError::from(error).about_prompt())?;
    let head = AnswerHead {
        id: format!("img-{identity}"),
        created: events.values().map(EventStream::created).min().unwrap_or_default(),
        model: valid.model,
        effective: valid.effective,
    };
    let delivery = PictureDelivery::new(state, &valid.pictures, provenance);
    match valid.delivery.mode {
        DeliveryMode::Whole => Ok(Json(whole(events, head, &delivery).await?).into_response()),
        DeliveryMode::Streamed { include_usage: _ } => {
            let keep_alive = state.settings.keep_alive;
            Ok(image_stream::stream(events, head, delivery, route, keep_alive))
        }
    }
}

/// Submits as many documents as there are choices. If one finds no place, those before it are given up again.
fn submit(
    state: &AppState,
    request: &EngineRequest,
    num_choices: usize,
) -> Result<ChoiceEvents, SubmitError> {
    let mut events = StreamMap::with_capacity(num_choices);
    for choice in 0..num_choices {
        let identity = request.identity.of_choice(choice as u32);
        let request = EngineRequest { choice: choice as u32, identity, ..request.clone() };
        events.insert(choice, state.engine.submit(request)?);
    }
    Ok(events)
}

/// Waits for all pictures. Dropping the future gives all documents up.
async fn whole(
    mut events: ChoiceEvents,
    head: AnswerHead,
    delivery: &PictureDelivery,
) -> Result<ImagesAnswer, ApiError> {
    let num_choices = events.len();
    let mut drawn: Vec<Option<String>> = vec![None; num_choices];
    let mut usages: Vec<Usage> = Vec::with_capacity(num_choices);
    while usages.len() < num_choices {
        let Some((choice, event)) = events.next().await else {
            return Err(ApiError::engine_gone());
        };
        match event {
            EngineEvent::Text { .. }
            | EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Traced(_) => {}
            EngineEvent::Image { index: _, picture } => {
                drawn[choice] = Some(delivery.file(picture, choice).await?.base64);
            }
            EngineEvent::Finished { reason: _, usage } => usages.push(usage),
            EngineEvent::Failed(error) => return Err(ApiError::from(error)),
        }
    }
    let data: Option<Vec<ImageData>> =
        drawn.into_iter().map(|file| file.map(|b64_json| ImageData { b64_json })).collect();
    Ok(ImagesAnswer {
        created: head.created,
        background: Background::Opaque,
        output_format: wire_format(delivery.format),
        size: head.effective.size.clone(),
        data: data.ok_or_else(ApiError::engine_gone)?,
        usage: together(&usages),
        effective: head.effective,
    })
}

/// What the answers to one prompt took.
pub(super) fn together(usages: &[Usage]) -> ImagesUsage {
    let prompt = usages.first().copied().unwrap_or_default();
    let prompt_images = prompt.prompt_image_positions;
    let input = ImagesTokensDetails {
        image_tokens: prompt_images,
        text_tokens: prompt.prompt_positions - prompt_images,
    };
    let output = ImagesTokensDetails {
        image_tokens: usages.iter().map(|usage| usage.image_positions).sum(),
        text_tokens: usages.iter().map(|usage| usage.text_tokens).sum(),
    };
    let (input_tokens, output_tokens) =
        (prompt.prompt_positions, output.image_tokens + output.text_tokens);
    ImagesUsage {
        input_tokens,
        input_tokens_details: input,
        output_tokens,
        output_tokens_details: output,
        total_tokens: input_tokens + output_tokens,
    }
}

/// The wire's word for a format.
pub(super) fn wire_format(format: PictureFormat) -> ImageFormat {
    match format {
        PictureFormat::Png => ImageFormat::Png,
        PictureFormat::Jpeg { quality: _ } => ImageFormat::Jpeg,
        PictureFormat::Webp => ImageFormat::Webp,
    }
}

//! `POST /v1/images/generations` and `POST /v1/images/edits`: body → request → engine → pictures. `n` pictures
//! are `n` documents, each a request of its own to the engine; if one fails, the answer does, and the others are
//! given up.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use reverie_proto::{
    Background, ImageData, ImageFormat, ImageReference, ImageRequest, ImagesAnswer,
    ImagesTokensDetails, ImagesUsage, parse,
};
use tokio_stream::StreamExt as _;

use super::AppState;
use super::answer::AnswerHead;
use super::asking::Asking;
use super::body::{self, HeldBody};
use super::choices::{self, ChoiceEvents};
use super::error::ApiError;
use super::form::{self, Form};
use super::image_stream::{self, ImageRoute};
use super::picture_delivery::{PictureDelivery, SentFile};
use super::preparation::{self, Asked, Fingerprint, Prepared};
use super::shelf::{AddressBase, Shelf};
use super::unknown_fields::UnknownFields;
use crate::engine::event::{EngineEvent, Usage};
use crate::picture_codec::PictureFormat;
use crate::request::{
    DeliveryMode, EditedPictures, Limits, NoOwnPictures, RequestError, ValidRequest,
    validate_images,
};

/// Draws.
pub(super) async fn generations(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let route = ImageRoute::Generation;
    let base = AddressBase::new(&state, request.headers());
    let asked = Asked::of_json::<ImageRequest>(&state, route.path(), request).await?;
    let read = |body: Vec<u8>, limits: &Limits, drawn_seed| {
        let request = parse::image_generation(&body)?;
        validate_images(request, EditedPictures::None, &NoOwnPictures, (limits, drawn_seed))
    };
    answer(&state, asked, read, (route, &base)).await
}

/// Draws what becomes of pictures.
pub(super) async fn edits(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    preparation::check_ready(&state)?;
    let asking = Asking::read(request.headers(), request.extensions())?;
    let route = ImageRoute::Edit;
    let base = AddressBase::new(&state, request.headers());
    let Some(boundary) = form::boundary(request.headers())? else {
        let unknown = UnknownFields::of(&request);
        let held = body::json_bytes(request, &state).await?;
        let held = unknown.left_out::<ImageRequest>(held, state.settings.unknown_params).await?;
        let HeldBody { bytes, room } = held;
        let own = Shelf::new(&state, asking.tenant());
        let read = move |body: Vec<u8>, limits: &Limits, drawn_seed| {
            let request = parse::image_edit(&body)?;
            drop(body); // its pictures are in the request now
            validate_images(request, EditedPictures::Referenced, &own, (limits, drawn_seed))
        };
        let asked = Asked { route: route.path(), asking, room, body: bytes };
        return answer(&state, asked, read, (route, &base)).await;
    };
    let HeldBody { bytes, room } = body::bytes(request, &state).await?;
    let body = form::read(bytes, boundary).await?;
    let read = |form: Form, limits: &Limits, drawn_seed| {
        let Form { fields, pictures, has_mask } = form;
        let mut request = parse::image_edit_form(fields)?;
        if has_mask {
            request.mask = Some(ImageReference { image_url: String::new(), file_id: None });
        }
        let edited = EditedPictures::Files(pictures);
        validate_images(request, edited, &NoOwnPictures, (limits, drawn_seed))
    };
    let asked = Asked { route: route.path(), asking, room, body };
    answer(&state, asked, read, (route, &base)).await
}

async fn answer<B: Fingerprint + Send + 'static>(
    state: &AppState,
    asked: Asked<B>,
    read: impl FnOnce(B, &Limits, u64) -> Result<ValidRequest, RequestError> + Send + 'static,
    (route, base): (ImageRoute, &AddressBase),
) -> Result<Response, ApiError> {
    let shelf = Shelf::new(state, asked.asking.tenant());
    let prepared = preparation::prepare(state, asked, read).await;
    let Prepared { valid, request, provenance, identity, .. } =
        prepared.map_err(ApiError::about_prompt)?;
    let delivery = PictureDelivery::new(state, &valid, provenance, (shelf, base))?;
    let submitted = choices::submit(state, &request, valid.num_choices);
    let events = submitted.map_err(|error| ApiError::from(error).about_prompt())?;
    let head = AnswerHead {
        id: format!("img-{identity}"),
        created: choices::created(&events),
        model: valid.model,
        effective: valid.effective,
        truncation: None,
    };
    match valid.delivery.mode {
        DeliveryMode::Whole => Ok(Json(whole(events, head, &delivery).await?).into_response()),
        DeliveryMode::Streamed { include_usage: _ } => {
            let keep_alive = state.settings.keep_alive;
            Ok(image_stream::stream(events, head, delivery, route, keep_alive))
        }
    }
}

/// Waits for all pictures. Dropping the future gives all documents up.
async fn whole(
    mut events: ChoiceEvents,
    head: AnswerHead,
    delivery: &PictureDelivery,
) -> Result<ImagesAnswer, ApiError> {
    let num_choices = events.len();
    let mut drawn: Vec<Option<SentFile>> = (0..num_choices).map(|_| None).collect();
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
                drawn[choice] = Some(delivery.file(picture, choice).await?.file);
            }
            EngineEvent::Finished { reason: _, usage } => usages.push(usage),
            EngineEvent::Failed(error) => return Err(ApiError::from(error)),
        }
    }
    let data: Option<Vec<ImageData>> =
        drawn.into_iter().map(|file| file.map(ImageData::from)).collect();
    Ok(ImagesAnswer {
        created: head.created,
        background: Background::Opaque,
        output_format: wire_format(delivery.format),
        size: head.effective.size.clone(),
        data: data.ok_or_else(ApiError::engine_gone)?,
        usage: wire_usage(&usages),
        effective: head.effective,
    })
}

/// What the answers to one prompt took.
pub(super) fn wire_usage(usages: &[Usage]) -> ImagesUsage {
    let usage = choices::together(usages);
    let input = ImagesTokensDetails {
        image_tokens: usage.prompt_image_positions,
        text_tokens: usage.prompt_positions - usage.prompt_image_positions,
    };
    let output =
        ImagesTokensDetails { image_tokens: usage.image_positions, text_tokens: usage.text_tokens };
    let (input_tokens, output_tokens) =
        (usage.prompt_positions, output.image_tokens + output.text_tokens);
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
        PictureFormat::Webp | PictureFormat::LossyWebp { quality: _ } => ImageFormat::Webp,
    }
}

//! `POST /v1/chat/completions`: body → request → prompt → engine → answers, whole or streamed.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use reverie_proto::{ChatCompletionRequest, TruncationReport, parse};

use super::answer::{self, AnswerHead};
use super::choices;
use super::error::ApiError;
use super::logprobs::TokenSpelling;
use super::picture_delivery::PictureDelivery;
use super::preparation::{self, Asked, Prepared};
use super::shelf::{AddressBase, Shelf};
use super::{AppState, sse};
use crate::engine::request::EngineRequest;
use crate::request::{DeliveryMode, Limits, RequestError, validate};

/// Writes one document.
pub(super) async fn completions(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let route = "/v1/chat/completions";
    let base = AddressBase::new(&state, request.headers());
    let asked = Asked::of_json::<ChatCompletionRequest>(&state, route, request).await?;
    let shelf = Shelf::new(&state, asked.asking.tenant());
    let own = shelf.clone();
    let read = move |body: Vec<u8>, limits: &Limits, drawn_seed| {
        let request = parse::chat_request(&body)?;
        drop(body); // its pictures are in the request now
        validate(request, &own, limits, drawn_seed)
    };
    let Prepared { valid, request, dropped, provenance, identity } =
        preparation::prepare(&state, asked, read).await?;
    check_trace(&request)?;
    let delivery = PictureDelivery::new(&state, &valid, provenance, (shelf, &base))?;
    let events = choices::submit(&state, &request, valid.num_choices)?;

    let head = AnswerHead {
        id: format!("chatcmpl-{identity}"),
        created: choices::created(&events),
        truncation: valid.if_droppable(TruncationReport { dropped_messages: dropped }),
        model: valid.model,
        effective: valid.effective,
    };
    let spelling = TokenSpelling::new(&state, valid.sampling.num_logprobs.is_some());
    match valid.delivery.mode {
        DeliveryMode::Whole => {
            let completion = answer::whole(events, head, &delivery, &spelling).await?;
            Ok(Json(completion).into_response())
        }
        DeliveryMode::Streamed { include_usage } => {
            let keep_alive = state.settings.keep_alive;
            Ok(sse::stream(events, head, (delivery, spelling), include_usage, keep_alive))
        }
    }
}

/// A trace is too large to be kept for those who ask again.
fn check_trace(request: &EngineRequest) -> Result<(), RequestError> {
    if request.pictures.trace.is_none() {
        return Ok(());
    }
    if request.identity.idempotency_key.is_some() {
        let reason = "cannot be asked for with `Idempotency-Key`: records are too large to be kept";
        return Err(RequestError::conflict("trace", reason));
    }
    Ok(())
}

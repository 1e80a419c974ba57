//! `POST /v1/chat/completions`: body → request → prompt → engine → answer, whole or streamed.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use reverie_proto::parse;

use super::answer::{self, AnswerHead};
use super::error::ApiError;
use super::picture_delivery::PictureDelivery;
use super::preparation::{self, Asked, Prepared};
use super::{AppState, sse};
use crate::request::{DeliveryMode, Limits, RequestError, validate};

/// Writes one document.
pub(super) async fn completions(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = Asked::of_json(&state, "/v1/chat/completions", request).await?;
    let read = |body: Vec<u8>, limits: &Limits, drawn_seed| {
        let request = parse::chat_request(&body)?;
        drop(body); // its pictures are in the request now
        validate(request, limits, drawn_seed)
    };
    let Prepared { valid, request, provenance, identity } =
        preparation::prepare(&state, asked, read).await?;
    if request.pictures.trace.is_some() && request.identity.idempotency_key.is_some() {
        let reason = "cannot be asked for with `Idempotency-Key`: records are too large to be kept";
        return Err(RequestError::conflict("trace", reason).into());
    }
    let events = state.engine.submit(request)?;

    let head = AnswerHead {
        id: format!("chatcmpl-{identity}"),
        created: events.created(),
        model: valid.model,
        effective: valid.effective,
    };
    let delivery = PictureDelivery::new(&state, &valid.pictures, provenance);
    match valid.delivery.mode {
        DeliveryMode::Whole => {
            let completion = answer::whole(events, head, &delivery).await?;
            Ok(Json(completion).into_response())
        }
        DeliveryMode::Streamed { include_usage } => {
            Ok(sse::stream(events, head, delivery, include_usage, state.settings.keep_alive))
        }
    }
}

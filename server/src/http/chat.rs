//! `POST /v1/chat/completions`: body → request → prompt → engine → answer, whole or streamed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use reverie_proto::parse;
use sha2::{Digest as _, Sha256};

use super::answer::{self, AnswerHead};
use super::asking::Asking;
use super::body::{self, HeldBody};
use super::error::ApiError;
use super::origin::seed_from;
use super::picture_delivery::PictureDelivery;
use super::{AppState, sse};
use crate::engine::document_engine::EngineStatus;
use crate::engine::request::EngineRequest;
use crate::provenance::AnswerProvenance;
use crate::request::{DeliveryMode, Piece, RequestError, ValidRequest, decode_pictures, validate};

/// Writes one document.
pub(super) async fn completions(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    match state.engine.status() {
        // While workers are replaced, what comes waits for them.
        EngineStatus::Ready | EngineStatus::Recovering => {}
        unready @ (EngineStatus::Loading | EngineStatus::Draining | EngineStatus::Failed) => {
            return Err(ApiError::not_ready(unready));
        }
    }
    let asking = Asking::read(request.headers(), request.extensions())?;
    let body = body::json_bytes(request, &state).await?;
    let preparing = Arc::clone(&state.preparing).try_acquire_owned();
    let preparing = preparing.map_err(|_all_taken| ApiError::too_many_preparing())?;
    let Prepared { valid, mut request, fingerprint, provenance } =
        prepare(&state, body, asking).await?;
    drop(preparing); // from here on the engine counts it
    request.deadline = asking.time_left(state.settings.request_timeout)?;
    asking.sign(&mut request, fingerprint, state.origin.unix_time());
    let events = state.engine.submit(request)?;
    let identity =
        asking.root(&fingerprint).map_or_else(|| state.origin.identity(), |root| short(&root));

    let head = AnswerHead {
        id: format!("chatcmpl-{identity}"),
        created: events.created(),
        model: valid.model,
        effective: valid.effective,
    };
    let delivery = PictureDelivery {
        codec: state.codec,
        work: Arc::clone(&state.picture_writing),
        format: valid.delivery.picture_format,
        provenance: Arc::new(provenance),
    };
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

/// A request that the engine can be given.
struct Prepared {
    valid: ValidRequest,
    request: EngineRequest,
    /// SHA-256 of its body.
    fingerprint: [u8; 32],
    provenance: AnswerProvenance,
}

/// 32 hexadecimal digits of a digest.
fn short(digest: &[u8; 32]) -> String {
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that takes long, where blocking is allowed: first the text, then, holding a permit, the
/// pictures.
async fn prepare(state: &AppState, body: HeldBody, asking: Asking) -> Result<Prepared, ApiError> {
    let model = Arc::clone(&state.model);
    let drawn_seed = state.origin.seed();
    let HeldBody { bytes, room } = body;
    let (mut valid, fingerprint) = blocking(move || {
        let request = parse::chat_request(&bytes)?;
        let fingerprint: [u8; 32] = Sha256::digest(&bytes).into();
        drop(bytes); // its pictures are in the request now
        let seed = asking.root(&fingerprint).map_or(drawn_seed, |root| seed_from(&root));
        Ok((validate(request, &model.limits, seed)?, fingerprint))
    })
    .await?;

    let has_pictures = valid.turns.iter().flat_map(|turn| &turn.pieces).any(|piece| match piece {
        Piece::Picture(_) => true,
        Piece::Text(_) => false,
    });
    let permit = if has_pictures {
        let work = Arc::clone(&state.picture_reading);
        Some(work.acquire_owned().await.map_err(|_| ApiError::internal())?)
    } else {
        None
    };
    let model = Arc::clone(&state.model);
    let decode = state.codec.decode;
    blocking(move || {
        let turns = decode_pictures(std::mem::take(&mut valid.turns), |file| {
            decode(file, &model.limits.picture).map(|picture| (model.shrink)(&picture))
        })?;
        drop((permit, room)); // held by the work, not by the client: leaving does not free it early
        let request = valid.engine_request(&turns, &model.template, model.encoder(), None);
        let provenance = AnswerProvenance::new(&model.provenance, &valid, &request);
        if provenance.is_asked_for() {
            model.provenance.hash.get(); // here, where it may take long
        }
        Ok(Prepared { valid, request, fingerprint, provenance })
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RequestError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => {
            tracing::error!(%error, "preparing a request failed");
            Err(ApiError::internal())
        }
    }
}

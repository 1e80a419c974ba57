//! From a body to what the engine can be given, whatever the route: what takes long runs where blocking is
//! allowed, and what is held meanwhile is bounded. Knows no fields and chooses no answer.

use std::sync::Arc;

use axum::extract::Request;
use reverie_model::digest::hexadecimal;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::AppState;
use super::asking::Asking;
use super::body::{self, HeldBody, Room};
use super::error::ApiError;
use super::origin::seed_from;
use super::remote_pictures;
use super::unknown_fields::UnknownFields;
use crate::engine::document_engine::EngineStatus;
use crate::engine::request::EngineRequest;
use crate::provenance::AnswerProvenance;
use crate::request::{
    FittedRequest, Fitting, Limits, Piece, RequestError, ValidRequest, decode_pictures, fit,
};

/// A request as it came.
pub(super) struct Asked<B> {
    /// Where: the same body means different things on different routes.
    pub(super) route: &'static str,
    pub(super) asking: Asking,
    pub(super) room: Room,
    pub(super) body: B,
}

/// Whatever two equal requests have in common.
pub(super) trait Fingerprint {
    fn write_to(&self, digest: &mut Sha256);
}

impl Fingerprint for Vec<u8> {
    fn write_to(&self, digest: &mut Sha256) {
        digest.update(self);
    }
}

/// A request that the engine can be given.
pub(super) struct Prepared {
    pub(super) valid: ValidRequest,
    /// The first of [`ValidRequest::num_choices`].
    pub(super) request: EngineRequest,
    /// Places of the turns that were left out of the conversation.
    pub(super) dropped: Vec<usize>,
    pub(super) provenance: AnswerProvenance,
    /// What the answer's id ends with.
    pub(super) identity: String,
}

/// Whether a request can be served at all, asked before its body is read.
pub(super) fn check_ready(state: &AppState) -> Result<(), ApiError> {
    match state.engine.status() {
        // While workers are replaced, what comes waits for them.
        EngineStatus::Ready | EngineStatus::Recovering => Ok(()),
        unready @ (EngineStatus::Loading | EngineStatus::Draining | EngineStatus::Failed) => {
            Err(ApiError::not_ready(unready))
        }
    }
}

impl Asked<Vec<u8>> {
    /// A request with a JSON body that is to be read as a `T`, which is taken only if it can be served.
    pub(super) async fn of_json<T: DeserializeOwned>(
        state: &AppState,
        route: &'static str,
        request: Request,
    ) -> Result<Self, ApiError> {
        check_ready(state)?;
        let asking = Asking::read(request.headers(), request.extensions())?;
        let unknown = UnknownFields::of(&request);
        let held = body::json_bytes(request, state).await?;
        let held = unknown.left_out::<T>(held, state.settings.unknown_params).await?;
        let HeldBody { bytes: body, room } = held;
        Ok(Self { route, asking, room, body })
    }
}

/// As [`prepare_with`], where `read` says nothing beside the request.
pub(super) async fn prepare<B: Fingerprint + Send + 'static>(
    state: &AppState,
    asked: Asked<B>,
    read: impl FnOnce(B, &Limits, u64) -> Result<ValidRequest, RequestError> + Send + 'static,
) -> Result<Prepared, ApiError> {
    let read = |body, limits: &Limits, drawn_seed| Ok((read(body, limits, drawn_seed)?, ()));
    let (prepared, ()) = prepare_with(state, asked, read).await?;
    Ok(prepared)
}

/// Calls `read` with the body, the limits and a seed to use if there is none; fetches pictures from elsewhere; then,
/// holding a permit, decodes them. The room is given back once they are. What `read` says beside the request is handed on.
pub(super) async fn prepare_with<B: Fingerprint + Send + 'static, T: Send + 'static>(
    state: &AppState,
    asked: Asked<B>,
    read: impl FnOnce(B, &Limits, u64) -> Result<(ValidRequest, T), RequestError> + Send + 'static,
) -> Result<(Prepared, T), ApiError> {
    let Asked { route, asking, room, body } = asked;
    asking.announce(&*state.engine, &state.model.limits)?;
    let preparing = Arc::clone(&state.preparing).try_acquire_owned();
    // Given back when all is done: from there on the engine counts the request.
    let preparing = preparing.map_err(|_all_taken| ApiError::too_many_preparing())?;
    let model = Arc::clone(&state.model);
    let drawn_seed = state.origin.seed();
    // The room and the permit are held by the work, not by the client: leaving frees neither early.
    let ((mut valid, beside), fingerprint, mut room, preparing) = blocking(move || {
        let mut digest = Sha256::new_with_prefix(route);
        body.write_to(&mut digest);
        let fingerprint: [u8; 32] = digest.finalize().into();
        let seed = asking.root(&fingerprint).map_or(drawn_seed, |root| seed_from(&root));
        Ok((read(body, &model.limits, seed)?, fingerprint, room, preparing))
    })
    .await?;

    let turns = std::mem::take(&mut valid.turns);
    let picture_bytes = turns.iter().flat_map(|turn| &turn.pieces).map(|piece| match piece {
        Piece::Picture(picture) => picture.num_bytes(),
        Piece::Text(_) => 0,
    });
    let picture_bytes = picture_bytes.sum();
    room.grow_to(picture_bytes)?; // those that were kept here took none in the body
    let (turns, rooms) = remote_pictures::fetched(state, turns).await?;
    let has_pictures = picture_bytes > 0 || !rooms.is_empty();
    let permit = if has_pictures {
        let work = Arc::clone(&state.picture_reading);
        Some(work.acquire_owned().await.map_err(|_| ApiError::internal())?)
    } else {
        None
    };
    let model = Arc::clone(&state.model);
    let decode = state.codec.decode;
    let (valid, mut request, dropped, provenance, _preparing) = blocking(move || {
        let turns = decode_pictures(turns, |file| {
            decode(file, &model.limits.picture).map(|picture| (model.shrink)(&picture))
        })?;
        drop((permit, room, rooms));
        let (template, encoder) = (&model.template, model.encoder());
        let fitting = Fitting { budget: model.limits.budget(), template, encoder };
        let FittedRequest { request, dropped } = fit(&valid, &turns, &fitting);
        let provenance = AnswerProvenance::new(&model.provenance, &valid, &request);
        if provenance.is_asked_for() {
            model.provenance.hash.get(); // here, where it may take long
        }
        Ok((valid, request, dropped, provenance, preparing))
    })
    .await?;
    request.deadline = asking.time_left(state.settings.request_timeout)?;
    asking.sign(&mut request, fingerprint, state.origin.unix_time());
    let root = asking.root(&fingerprint);
    let identity = root.map_or_else(|| state.origin.identity(), |root| hexadecimal(&root[..16]));
    Ok((Prepared { valid, request, dropped, provenance, identity }, beside))
}

/// Runs `work` where it may take long.
pub(super) async fn blocking<T: Send + 'static>(
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

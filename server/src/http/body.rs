//! From a request to the bytes of its body, JSON or a form, within bounds of size and time. Parses nothing.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use tokio_stream::StreamExt as _;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::AppState;
use super::error::ApiError;

/// Room for bodies is given out in pieces of this many bytes.
pub const BODY_UNIT: usize = 16 << 10;

/// At most this much is allocated on a client's mere promise.
const MAX_PROMISED_BYTES: usize = 64 * 1024;

/// A body, and the room that was kept for it. Keep both as long as anything of its size is held.
#[derive(Debug)]
pub(super) struct HeldBody {
    pub(super) bytes: Vec<u8>,
    pub(super) room: Room,
}

/// A share of the memory that all bodies together may take.
#[derive(Debug)]
pub(super) struct Room {
    memory: Arc<Semaphore>,
    units: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// A share of nothing yet.
    pub(super) fn empty(memory: &Arc<Semaphore>) -> Self {
        Self { memory: Arc::clone(memory), units: None }
    }

    /// Makes it large enough for `bytes`, unless other bodies need what is missing.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        let held = self.units.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(BODY_UNIT).saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let more = u32::try_from(missing)
            .ok()
            .and_then(|units| Arc::clone(&self.memory).try_acquire_many_owned(units).ok())
            .ok_or_else(ApiError::no_room_for_body)?;
        match &mut self.units {
            Some(units) => units.merge(more),
            None => self.units = Some(more),
        }
        Ok(())
    }
}

/// The body, if it says it is JSON, and as [`bytes`].
pub(super) async fn json_bytes(request: Request, state: &AppState) -> Result<HeldBody, ApiError> {
    if !says(request.headers(), "application/json") {
        return Err(ApiError::unsupported_media_type());
    }
    bytes(request, state).await
}

/// Whether the body says that it is a form with files.
pub(super) fn says_form(headers: &HeaderMap) -> bool {
    says(headers, "multipart/form-data")
}

/// The body, if it is not compressed, not too long and not too slow, and if there is room.
pub(super) async fn bytes(request: Request, state: &AppState) -> Result<HeldBody, ApiError> {
    let settings = &state.settings;
    let headers = request.headers();
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(ApiError::unsupported_content_encoding());
    }
    let promised = promised_length(headers).unwrap_or(0);
    // Refused before a byte of it is read, and before `Expect: 100-continue` is answered.
    if promised > settings.max_body_bytes as u64 {
        return Err(ApiError::body_too_large(settings.max_body_bytes));
    }
    let capacity = usize::try_from(promised).unwrap_or(0).min(MAX_PROMISED_BYTES);
    // Room is taken as bytes come: a promise of many must not keep others out.
    let room = Room::empty(&state.body_memory);
    let body = HeldBody { bytes: Vec::with_capacity(capacity), room };
    let reading = read(request.into_body(), body, settings.max_body_bytes);
    match tokio::time::timeout(settings.body_timeout, reading).await {
        Ok(body) => body,
        Err(_elapsed) => Err(ApiError::body_timeout()),
    }
}

fn says(headers: &HeaderMap, media_type: &str) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}

fn promised_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(from: Body, mut body: HeldBody, max_bytes: usize) -> Result<HeldBody, ApiError> {
    let mut frames = from.into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| ApiError::body_broken())?;
        let len = body.bytes.len() + frame.len();
        if len > max_bytes {
            return Err(ApiError::body_too_large(max_bytes));
        }
        body.room.grow_to(len)?;
        body.bytes.extend_from_slice(&frame);
    }
    Ok(body)
}

//! From a request to the bytes of its JSON body, within bounds of size and time. Parses nothing.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use tokio_stream::StreamExt as _;

use super::HttpSettings;
use super::error::ApiError;

/// At most this much is allocated on a client's mere promise.
const MAX_PROMISED_BYTES: usize = 64 * 1024;

/// The body, if it says it is JSON, is not compressed, not too long and not too slow.
pub(super) async fn json_bytes(
    request: Request,
    settings: &HttpSettings,
) -> Result<Vec<u8>, ApiError> {
    let headers = request.headers();
    if !says_json(headers) {
        return Err(ApiError::unsupported_media_type());
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(ApiError::unsupported_content_encoding());
    }
    let promised = promised_length(headers).unwrap_or(0);
    // Refused before a byte of it is read, and before `Expect: 100-continue` is answered.
    if promised > settings.max_body_bytes as u64 {
        return Err(ApiError::body_too_large(settings.max_body_bytes));
    }
    let capacity = usize::try_from(promised).unwrap_or(0).min(MAX_PROMISED_BYTES);
    let reading = read(request.into_body(), Vec::with_capacity(capacity), settings.max_body_bytes);
    match tokio::time::timeout(settings.body_timeout, reading).await {
        Ok(bytes) => bytes,
        Err(_elapsed) => Err(ApiError::body_timeout()),
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn promised_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn read(body: Body, mut bytes: Vec<u8>, max_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| ApiError::body_broken())?;
        if bytes.len() + frame.len() > max_bytes {
            return Err(ApiError::body_too_large(max_bytes));
        }
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes)
}

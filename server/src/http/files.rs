//! `GET /v1/files/{id}/content`: kept pictures, to whoever has a signed address, or to their owner by key.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::access::tenant_of;
use super::error::ApiError;
use super::preparation::blocking;
use super::shelf::{FoundFile, Shelf};
use crate::engine::request::ONE_TENANT;
use crate::file_link::{FileLink, LinkFault};
use crate::store::StoredId;

/// The bytes of a kept picture. A file never changes, so that its id is its entity tag.
pub(super) async fn content(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path(said) = id.map_err(|_| ApiError::no_such_file(""))?;
    let id: StoredId = said.parse().map_err(|_| ApiError::no_such_file(&said))?;
    let link = match query.as_deref().filter(|query| !query.is_empty()) {
        Some(query) => Some(link(id, query).ok_or_else(ApiError::forged_link)?),
        None => None,
    };
    let tenant = match link {
        Some(_) => ONE_TENANT, // the address alone is what opens
        None => tenant_of(&state.settings, &headers)?,
    };
    let shelf = Shelf::new(&state, tenant);
    let max_age = link.map_or(0, |link| shelf.seconds_left(&link));
    let read = move || match link {
        Some(link) => shelf.linked_picture(&link),
        None => shelf.picture(id),
    };
    let found = blocking(move || Ok(read())).await?;
    match found.map_err(|error| ApiError::store_failed(&error))? {
        FoundFile::Here(file) => Ok(answer(id, &file, max_age, &headers)),
        FoundFile::Gone | FoundFile::Refused(LinkFault::Expired) => {
            Err(ApiError::no_such_file(&said))
        }
        FoundFile::Refused(LinkFault::Forged) => Err(ApiError::forged_link()),
    }
}

/// `expires` and `signature`, once each, in any order, and nothing else.
fn link(id: StoredId, query: &str) -> Option<FileLink> {
    let (first, second) = query.split_once('&')?;
    let fields = [first.split_once('=')?, second.split_once('=')?];
    let value = |wanted| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    FileLink::of_parts(id, value("expires")?, value("signature")?)
}

fn answer(id: StoredId, file: &[u8], max_age: u64, headers: &HeaderMap) -> Response {
    let tag = format!("\"{id}\"");
    let is_known =
        headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|known| {
            known.split(',').any(|known| matches!(known.trim(), "*") || known.trim() == tag)
        });
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Body::from(file.to_vec()).into_response();
        let content_type = HeaderValue::from_static(media_type(file));
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    };
    let cached = format!("private, max-age={max_age}, immutable");
    let fields = [
        (ETAG, HeaderValue::from_str(&tag)),
        (CACHE_CONTROL, HeaderValue::from_str(&cached)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_str("nosniff")),
    ];
    for (name, value) in fields {
        response.headers_mut().insert(name, value.expect("plain ASCII"));
    }
    response
}

/// By the first bytes: only our own encoders' files are kept.
fn media_type(file: &[u8]) -> &'static str {
    match file {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, ..] => "image/jpeg",
        [b'R', b'I', b'F', b'F', ..] => "image/webp",
        _ => "application/octet-stream",
    }
}

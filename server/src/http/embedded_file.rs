//! Files inside the binary, as pages and what they load: nothing comes from elsewhere. Knows no page's contents.

use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use reverie_model::digest::hexadecimal;
use rust_embed::EmbeddedFile;

use super::error::ApiError;

/// Nothing is loaded from elsewhere, no script stands in a page, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A folder inside the binary.
pub(super) struct EmbeddedFolder {
    /// The file of this name.
    pub(super) get: fn(&str) -> Option<EmbeddedFile>,
    /// The file that is a page; it has a path of its own.
    pub(super) page: &'static str,
}

/// The folder's page, at `path`.
pub(super) fn page(
    folder: &EmbeddedFolder,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    found(folder, folder.page, path, headers)
}

/// Any other file of the folder.
pub(super) fn file(
    folder: &EmbeddedFolder,
    name: Result<Path<String>, PathRejection>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    match name {
        Ok(Path(name)) if name != folder.page => found(folder, &name, uri.path(), headers),
        Ok(_) | Err(_) => Err(ApiError::no_such_route(uri.path())),
    }
}

/// The file called `name`, unless the client has it already.
fn found(
    folder: &EmbeddedFolder,
    name: &str,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let missing = || ApiError::no_such_route(path);
    let media_type = media_type(name).ok_or_else(missing)?;
    let EmbeddedFile { data, metadata } = (folder.get)(name).ok_or_else(missing)?;
    let tag = entity_tag(&metadata.sha256_hash());
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .any(|tags| tags.to_str().is_ok_and(|tags| tags.split(',').any(|one| one.trim() == tag)));
    let always: [(HeaderName, &str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"), // kept, but asked for again: a new binary brings new files
        (ETAG, &tag),
    ];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, always).into_response()
    } else {
        (always, [(CONTENT_TYPE, media_type)], Body::from(data.into_owned())).into_response()
    })
}

/// A strong validator: the file's own digest.
fn entity_tag(sha256: &[u8; 32]) -> String {
    format!("\"{}\"", hexadecimal(sha256))
}

/// Of the kinds of file there are; any other name is none of ours.
fn media_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

//! `GET /` and `/playground/{file}`: one page to try the server with, from files inside the binary. Its scripts
//! speak to `/v1` like any other client; nothing here knows the model or the wire.

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use rust_embed::RustEmbed;

use super::AppState;
use super::embedded_file::{self, EmbeddedFolder};
use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "playground"]
struct Files;

/// `/` is `index.html`; the others are named relative to it.
const FOLDER: EmbeddedFolder = EmbeddedFolder { get: Files::get, page: "index.html" };

/// The page and its files; they need no key.
pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/", get(page)).route("/playground/{file}", get(file))
}

async fn page(headers: HeaderMap) -> Result<Response, ApiError> {
    embedded_file::page(&FOLDER, "/", &headers)
}

async fn file(
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    embedded_file::file(&FOLDER, name, &uri, &headers)
}

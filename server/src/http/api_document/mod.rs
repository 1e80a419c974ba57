//! `GET /openapi.json`, an OpenAPI 3.1 document of this very instance, and `GET /docs`, a page that shows it. Schemas are derived
//! from the types on the wire; what `request/` checks beyond types, within this instance's limits, is written over them.

mod bounds;
mod operations;
mod schemas;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use rust_embed::RustEmbed;
use serde_json::{Value, json};

use super::AppState;
use super::embedded_file::{self, EmbeddedFolder};
use super::error::ApiError;

#[derive(RustEmbed)]
#[folder = "api_page"]
struct Files;

const FOLDER: EmbeddedFolder = EmbeddedFolder { get: Files::get, page: "index.html" };

/// The document, its page and the page's files; they need no key.
pub(super) fn routes(state: &AppState) -> Router<AppState> {
    let text = serde_json::to_vec_pretty(&document(state)).expect("JSON values always serialise");
    let text = Bytes::from(text);
    let document =
        async move || -> Response { ([(CONTENT_TYPE, "application/json")], text).into_response() };
    Router::new()
        .route("/openapi.json", get(document))
        .route("/docs", get(page))
        .route("/docs/{file}", get(file))
}

async fn page(headers: HeaderMap) -> Result<Response, ApiError> {
    embedded_file::page(&FOLDER, "/docs", &headers)
}

async fn file(
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    embedded_file::file(&FOLDER, name, &uri, &headers)
}

/// The document.
fn document(state: &AppState) -> Value {
    let mut schemas = schemas::schemas();
    bounds::write_over(&mut schemas, &state.model.limits);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Reverie",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Documents of text and pictures in, documents of text and pictures out. The routes are \
                OpenAI's; fields that OpenAI does not have are marked as extensions.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": operations::tags(),
        "paths": operations::paths(&state.settings, &state.model.limits),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    })
}

//! The HTTP edge: all routes and layers on one screen. Knows the wire and the engine's doors; never the
//! scheduler, the model or a tensor.

mod access;
mod answer;
mod api_document;
mod asking;
mod body;
mod capabilities;
mod chat;
mod choices;
mod completions;
mod defect;
mod drawing_trace;
mod embedded_file;
mod error;
mod event_body;
mod files;
mod form;
mod image_stream;
mod images;
mod logprobs;
mod models;
mod origin;
mod picture_delivery;
mod playground;
mod preparation;
mod probes;
mod remote_pictures;
mod response_writer;
mod responses;
mod shelf;
mod sse;
mod state;
mod stored_responses;
mod tokenization;
mod unknown_fields;

use axum::Router;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tracing::Level;

pub use access::{AllowedHosts, ApiKey};
pub use body::BODY_UNIT;
pub use origin::Origin;
pub use state::{
    AppState, HttpSettings, ServedModel, TextDecoder, TextEncoder, TokenBytes, TokenSpeller,
    Vocabulary,
};

pub use unknown_fields::UnknownParams;

use error::ApiError;

/// Every route, behind every layer. The outermost layer is the last.
pub fn router(state: AppState) -> Router {
    let guarded = Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/responses", post(responses::create))
        .route(
            "/v1/responses/{id}",
            get(stored_responses::retrieve).delete(stored_responses::delete),
        )
        .route("/v1/responses/{id}/cancel", post(stored_responses::cancel))
        .route("/v1/responses/{id}/input_items", get(stored_responses::input_items))
        .route("/v1/images/generations", post(images::generations))
        .route("/v1/images/edits", post(images::edits))
        .route("/v1/capabilities", get(capabilities::capabilities))
        .route("/tokenize", post(tokenization::tokenize))
        .route("/detokenize", post(tokenization::detokenize))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route_layer(from_fn(unknown_fields::name_ignored))
        .route_layer(from_fn_with_state(state.clone(), access::require_key));
    // A signed address opens a file without a key.
    let files = Router::new().route("/v1/files/{id}/content", get(files::content));
    let mut open = probes().merge(files).merge(api_document::routes(&state));
    if state.settings.playground {
        open = open.merge(playground::routes());
    }
    layered(guarded.merge(open), state)
}

/// The probes alone, behind the same layers.
pub fn probe_router(state: AppState) -> Router {
    layered(probes(), state)
}

fn probes() -> Router<AppState> {
    Router::new()
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/health", get(probes::ready))
}

fn layered(routes: Router<AppState>, state: AppState) -> Router {
    routes
        .fallback(async |uri: Uri| ApiError::no_such_route(uri.path()))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(from_fn_with_state(state.clone(), access::require_known_host))
        .layer(CatchPanicLayer::custom(defect::response))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(origin::request_span)
                .on_response(DefaultOnResponse::new().level(Level::INFO))
                // Faults of ours are logged where they happen; a 503 while loading is no fault.
                .on_failure(()),
        )
        .layer(from_fn_with_state(state.clone(), origin::identify))
        .layer(from_fn(error::never_cached))
        .with_state(state)
}

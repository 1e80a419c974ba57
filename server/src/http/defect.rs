//! A handler's panic as an answer. The connection, and all others, go on.

use std::any::Any;

use axum::response::{IntoResponse as _, Response};

use super::error::ApiError;
use crate::engine::guarded_call::panic_text;

/// What a client hears whose request met a defect of ours.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
pub(super) fn response(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!(panic = panic_text(&*panic), "a handler panicked");
    ApiError::internal().into_response()
}

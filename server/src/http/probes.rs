//! `/livez` (should this process go on?), `/readyz` and `/health` (can it serve now?). Open to all.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::AppState;
use super::error::ApiError;
use crate::engine::document_engine::EngineStatus;

/// A probe's answer when all is well.
#[derive(Debug, Serialize)]
pub(super) struct Well {
    status: &'static str,
}

/// 200 unless only a restart helps.
pub(super) async fn live(State(state): State<AppState>) -> Result<Json<Well>, ApiError> {
    match state.engine.status() {
        EngineStatus::Loading
        | EngineStatus::Ready
        | EngineStatus::Recovering
        | EngineStatus::Draining => Ok(Json(Well { status: "alive" })),
        EngineStatus::Failed => Err(ApiError::not_ready(EngineStatus::Failed)),
    }
}

/// 200 while requests can be served.
pub(super) async fn ready(State(state): State<AppState>) -> Result<Json<Well>, ApiError> {
    match state.engine.status() {
        EngineStatus::Ready => Ok(Json(Well { status: "ready" })),
        unready @ (EngineStatus::Loading
        | EngineStatus::Recovering
        | EngineStatus::Draining
        | EngineStatus::Failed) => Err(ApiError::not_ready(unready)),
    }
}

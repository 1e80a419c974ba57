//! Defects of the server's own cost the answer that meets them, and no other.

mod http_kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_kit::{Afterwards, ScriptedEngine, asking, chat, interleaved, settings, state_with};
use reverie_server::engine::document_engine::{
    DocumentEngine, EngineStatus, EventStream, SubmitError,
};
use reverie_server::engine::request::{EngineRequest, TenantId};
use reverie_server::http::{AppState, router};
use serde_json::json;

/// Panics at the first request.
struct Defective {
    engine: Arc<ScriptedEngine>,
    has_panicked: AtomicBool,
}

impl DocumentEngine for Defective {
    fn submit(&self, request: EngineRequest) -> Result<EventStream, SubmitError> {
        assert!(self.has_panicked.swap(true, Ordering::Relaxed), "a defect with a s3cret");
        self.engine.submit(request)
    }

    fn announce(&self, tenant: TenantId, priority: i32) -> Result<(), SubmitError> {
        self.engine.announce(tenant, priority)
    }

    fn status(&self) -> EngineStatus {
        self.engine.status()
    }
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_answer_alone() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::Wait);
    let state = state_with(&engine, settings());
    let engine = Arc::new(Defective { engine, has_panicked: AtomicBool::new(false) });
    let app = router(AppState { engine, ..state });
    let failed = chat(&app, &asking(json!({}))).await;
    assert_eq!(failed.error(), (500, None, "internal_error".to_owned()));
    assert!(failed.headers.contains_key("x-request-id"), "it can be found in the log");
    assert!(!String::from_utf8_lossy(&failed.body).contains("s3cret"));
    assert_eq!(chat(&app, &asking(json!({}))).await.status, 200, "the next one is answered");
}

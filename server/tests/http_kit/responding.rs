//! What the tests of `/v1/responses` share: a server whose clock they move, and how it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use reverie_server::engine::event::EngineEvent;
use reverie_server::http::{AppState, HttpSettings, Origin, router};
use reverie_server::store::RecordStore;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Afterwards, Answer, ScriptedEngine, interleaved, send, settings, state_with};

pub(crate) const NOW: u64 = 1_700_000_001;

/// A server whose clock the test moves, and whose requests have names of their own.
pub(crate) struct Server {
    pub(crate) engine: Arc<ScriptedEngine>,
    pub(crate) app: Router,
    clock: Arc<AtomicU64>,
}

pub(crate) fn server_with(script: Vec<EngineEvent>, settings: HttpSettings) -> Server {
    let engine = ScriptedEngine::new(script, Afterwards::Wait);
    let state = state_with(&engine, settings);
    server_of(engine, state, 1)
}

/// A server over `store`, whose requests are numbered from `first`: one of several.
pub(crate) fn server_over(
    store: Arc<dyn RecordStore>,
    settings: HttpSettings,
    first: usize,
) -> Server {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::Wait);
    let state = AppState { store, ..state_with(&engine, settings) };
    server_of(engine, state, first)
}

fn server_of(engine: Arc<ScriptedEngine>, mut state: AppState, first: usize) -> Server {
    let (clock, number) = (Arc::new(AtomicU64::new(NOW)), AtomicUsize::new(first));
    let time = Arc::clone(&clock);
    let identity = move || Uuid::from_u128(number.fetch_add(1, Ordering::Relaxed) as u128);
    state.origin = Origin::new(identity, move || time.load(Ordering::Relaxed));
    Server { engine, app: router(state), clock }
}

pub(crate) fn server() -> Server {
    server_with(interleaved(), settings())
}

pub(crate) fn request(
    method: Method,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:8000")
        .header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    request.body(body).expect("a request")
}

impl Server {
    pub(crate) async fn respond(&self, fields: Value) -> Answer {
        let mut body = json!({"model": "reverie", "input": "Hello"});
        body.as_object_mut().expect("one").extend(fields.as_object().cloned().expect("one"));
        self.post("/v1/responses", &body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(&self.app, request(Method::POST, path, None, body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(&self.app, request(Method::GET, path, None, &Value::Null)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(&self.app, request(Method::DELETE, path, None, &Value::Null)).await
    }

    /// What the engine was given last.
    pub(crate) fn last_context(&self) -> String {
        let requests = self.engine.requests.lock().expect("no test panics with it");
        format!("{:?}", requests.last().expect("it was asked").prompt)
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }
}

pub(crate) fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// Each of these is refused by its name, and nobody is asked.
pub(crate) async fn check_refused(
    cases: impl IntoIterator<Item = (Value, &'static str, &'static str)>,
) {
    let server = server();
    for (fields, param, code) in cases {
        let refused = server.respond(fields.clone()).await;
        let said = format!("{fields:.200}");
        assert_eq!(refused.error(), (400, Some(param.to_owned()), code.to_owned()), "{said}");
    }
    assert!(server.engine.requests.lock().expect("no test panics with it").is_empty());
}

//! How a request is asked: its deadline, its name, its tenant, and what each refusal of the engine becomes.

mod http_kit;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use http_kit::{
    Afterwards, Answer, ScriptedEngine, app, app_with, asking, finished, post, send, settings,
    state_with, text,
};
use reverie_server::engine::document_engine::SubmitError;
use reverie_server::engine::event::{EngineError, EngineEvent, FinishReason};
use reverie_server::http::{ApiKey, HttpSettings, router};
use serde_json::{Value, json};

fn engine() -> Arc<ScriptedEngine> {
    let script = vec![text("Hello"), finished(FinishReason::EndOfText)];
    ScriptedEngine::new(script, Afterwards::End)
}

fn with(headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = post(asking(json!({})).to_string());
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header");
        request.headers_mut().append(*name, value);
    }
    request
}

#[tokio::test]
async fn a_deadline_that_cannot_be_meant_is_an_error_by_its_header() {
    let app = app(&engine());
    for value in ["0", "-1", "abc", "1000000000000", "", "1.5", "99999999999999999999999"] {
        let answer = send(&app, with(&[("x-request-timeout-ms", value)])).await;
        let param = Some("x-request-timeout-ms".to_owned());
        assert_eq!(answer.error(), (400, param, "invalid_header".to_owned()), "{value}");
    }
    let twice = [("x-request-timeout-ms", "5000"), ("x-request-timeout-ms", "5000")];
    assert_eq!(send(&app, with(&twice)).await.status, 400);
}

#[tokio::test]
async fn a_deadline_is_what_is_left_of_it_and_never_beyond_the_servers_own() {
    let engine = engine();
    let request_timeout = Some(Duration::from_secs(100));
    let app = app_with(&engine, HttpSettings { request_timeout, ..settings() });
    assert_eq!(send(&app, with(&[("x-request-timeout-ms", "50000")])).await.status, 200);
    assert_eq!(send(&app, with(&[("x-request-timeout-ms", "500000")])).await.status, 200);
    let requests = engine.requests.lock().expect("no test panics with it");
    let deadline = requests[0].deadline.expect("a deadline");
    assert!(deadline <= Duration::from_secs(50) && !deadline.is_zero(), "{deadline:?}");
    assert_eq!(requests[1].deadline, request_timeout);
}

#[tokio::test]
async fn a_name_for_a_request_is_short_plain_and_given_once() {
    let app = app(&engine());
    let long = "k".repeat(256);
    for key in ["", long.as_str(), "schlüssel"] {
        let answer = send(&app, with(&[("idempotency-key", key)])).await;
        let param = Some("idempotency-key".to_owned());
        assert_eq!(answer.error(), (400, param, "invalid_header".to_owned()));
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
    assert_eq!(send(&app, with(&twice)).await.status, 400);
}

#[tokio::test]
async fn requests_under_one_name_draw_one_seed_and_get_one_id_and_others_do_not() {
    let engine = engine();
    let app = app(&engine);
    let id = |answer: &Answer| answer.json()["id"].clone();
    let one = send(&app, with(&[("idempotency-key", "one")])).await;
    let again = send(&app, with(&[("idempotency-key", "one")])).await;
    let two = send(&app, with(&[("idempotency-key", "two")])).await;
    assert_eq!(one.body, again.body);
    assert_ne!(id(&one), id(&two));
    let requests = engine.requests.lock().expect("no test panics with it");
    let seeds: Vec<u64> = requests.iter().map(|request| request.sampling.seed).collect();
    assert_eq!(seeds[0], seeds[1]);
    assert_ne!(seeds[0], seeds[2]);
    let [one, again, two] = [0, 1, 2].map(|at| requests[at].identity);
    assert_eq!(one, again);
    assert_eq!(one.fingerprint, two.fingerprint, "the bodies are the same");
    assert_ne!(one.idempotency_key, two.idempotency_key);
}

#[tokio::test]
async fn each_key_is_a_tenant_and_tells_nothing_without_the_secret() {
    let api_keys = vec![ApiKey::new("one"), ApiKey::new("two")];
    let mut tenants = Vec::new();
    for (key, tenant_salt) in
        [("one", [1; 32]), ("one", [1; 32]), ("two", [1; 32]), ("one", [2; 32])]
    {
        let engine = engine();
        let own = HttpSettings { api_keys: api_keys.clone(), tenant_salt, ..settings() };
        let authorization = format!("Bearer {key}");
        let app = app_with(&engine, own);
        let answer = send(&app, with(&[("authorization", authorization.as_str())])).await;
        assert_eq!(answer.status, 200);
        tenants.push(engine.request().tenant);
    }
    assert_eq!(tenants[0], tenants[1]);
    assert_ne!(tenants[0], tenants[2]);
    assert_ne!(tenants[0], tenants[3]);
}

#[tokio::test]
async fn every_refusal_has_its_status_and_says_when_to_come_again_where_that_helps() {
    let retry_after = Duration::from_millis(2_500);
    for (refusal, status, code, waits) in [
        (
            SubmitError::WaitTooLong { wait: 2 * retry_after, limit: retry_after, retry_after },
            429,
            "wait_too_long",
            true,
        ),
        (
            SubmitError::DeadlineInfeasible {
                wait: retry_after,
                left: Duration::ZERO,
                retry_after,
            },
            429,
            "deadline_infeasible",
            true,
        ),
        (SubmitError::TooWide { positions: 9, limit: 8 }, 400, "kv_cache_exceeded", false),
        (SubmitError::TenantQueueFull { waiting: 3, retry_after }, 429, "tenant_queue_full", true),
        (SubmitError::MemoryFull { reserved: 9, retry_after }, 429, "server_busy", true),
        (SubmitError::KeysFull { retry_after }, 429, "idempotency_keys_full", true),
        (SubmitError::KeyConflict, 422, "idempotency_key_reuse", false),
        (SubmitError::Quarantined { retry_after }, 500, "request_quarantined", true),
        (SubmitError::TooLarge { num_bytes: 9, limit: 8 }, 400, "request_too_large", false),
    ] {
        let engine = engine();
        *engine.refusal.lock().expect("no test panics with it") = Some(refusal);
        let answer = send(&app(&engine), with(&[])).await;
        let (is, _, said) = answer.error();
        assert_eq!((is, said.as_str()), (status, code));
        let headers = (answer.header("retry-after"), answer.header("retry-after-ms"));
        assert_eq!(headers, if waits { ("3", "2500") } else { ("", "") }, "{code}");
    }
}

fn post_to(path: &'static str, fields: &Value) -> Request<Body> {
    let mut request = post(fields.to_string());
    *request.uri_mut() = path.parse().expect("a path");
    request
}

/// The priority with which the engine is asked, or the error.
async fn priority(
    has_priorities: bool,
    request: Request<Body>,
) -> Result<i32, (u16, Option<String>, String)> {
    let engine = engine();
    let mut state = state_with(&engine, settings());
    let model = Arc::get_mut(&mut state.model).expect("nobody else has it");
    model.limits.has_priorities = has_priorities;
    let answer = send(&router(state), request).await;
    if answer.status == 400 {
        return Err(answer.error());
    }
    Ok(engine.request().priority)
}

#[tokio::test]
async fn a_request_is_urgent_only_where_the_operator_lets_requests_say_so() {
    let chat = |value: i64| post(asking(json!({"priority": value})).to_string());
    let completion = |value: i64| {
        let fields = json!({"model": "reverie", "prompt": "a", "priority": value});
        post_to("/v1/completions", &fields)
    };
    let image =
        |value: i64| post_to("/v1/images/generations", &json!({"prompt": "a", "priority": value}));
    for asked in [chat, completion, image] as [fn(i64) -> Request<Body>; 3] {
        for value in [-100, -1, 0, 100] {
            assert_eq!(priority(true, asked(value)).await, Ok(value as i32));
        }
        let refused = |code: &str| Err((400, Some("priority".to_owned()), code.to_owned()));
        assert_eq!(priority(false, asked(-1)).await, refused("unsupported_parameter"));
        assert_eq!(priority(false, asked(0)).await, Ok(0));
        assert_eq!(priority(true, asked(101)).await, refused("invalid_value"));
    }
}

#[tokio::test]
async fn every_failure_of_an_accepted_request_has_its_status() {
    for (error, status, code) in [
        (EngineError::Quarantined, 500, "request_quarantined"),
        (EngineError::Lost { deaths: 20 }, 500, "worker_lost"),
        (EngineError::NotFinite("logits".to_owned()), 500, "model_numerical_error"),
        (EngineError::NoWorker, 503, "no_worker"),
        (EngineError::Deadline, 504, "deadline_exceeded"),
    ] {
        let engine = ScriptedEngine::new(vec![EngineEvent::Failed(error)], Afterwards::End);
        let (is, _, said) = send(&app(&engine), with(&[])).await.error();
        assert_eq!((is, said.as_str()), (status, code));
    }
}

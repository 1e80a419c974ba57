//! Who is let in, what bodies are read, and what the routes besides chat say.

mod http_kit;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Version};
use http_kit::{
    Afterwards, ScriptedEngine, app, app_with, asking, get, interleaved, post, send, settings,
};
use reverie_server::engine::document_engine::EngineStatus;
use reverie_server::http::{AllowedHosts, ApiKey, HttpSettings};
use serde_json::json;

fn engine() -> Arc<ScriptedEngine> {
    ScriptedEngine::new(interleaved(), Afterwards::End)
}

fn guarded() -> Router {
    let api_keys = vec![ApiKey::new("sesame"), ApiKey::new("open")];
    app_with(&engine(), HttpSettings { api_keys, ..settings() })
}

fn with_header(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().append(name, value.parse().expect("a header"));
    request
}

#[tokio::test]
async fn only_the_right_key_opens_v1() {
    let app = guarded();
    for key in ["Bearer sesame", "bearer open"] {
        let answer = send(&app, with_header(get("/v1/models"), "authorization", key)).await;
        assert_eq!(answer.status, 200, "{key}");
    }
    let long = format!("Bearer {}", "x".repeat(10_000));
    let wrong = [
        "Bearer",
        "Bearer ",
        "Bearer Sesame",
        "Bearer sesam",
        "Bearer xesame",
        "Bearer sesame ",
        "Bearer  sesame",
        "Bearer sesamee",
        "Basic sesame",
        "sesame",
        &long,
    ];
    let bare = send(&app, get("/v1/models")).await;
    for key in wrong {
        let answer = send(&app, with_header(get("/v1/models"), "authorization", key)).await;
        assert_eq!(answer.error(), (401, None, "invalid_api_key".to_owned()), "{key:.40}");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.body, bare.body, "every refusal is the same");
    }
    let twice = with_header(get("/v1/models"), "authorization", "Bearer sesame");
    let twice = with_header(twice, "authorization", "Bearer sesame");
    assert_eq!(send(&app, twice).await.status, 401);
}

#[tokio::test]
async fn every_v1_route_asks_for_the_key_and_no_probe_does() {
    let app = guarded();
    let chat = send(&app, post(asking(json!({})).to_string())).await;
    for answer in [chat, send(&app, get("/v1/models/reverie")).await] {
        assert_eq!(answer.status, 401);
    }
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(send(&app, get(path)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_loopback_server_answers_to_loopback_names_only() {
    let app = app(&engine());
    let to = |host: &str| Request::get("/livez").header("host", host).body(Body::empty());
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"] {
        let answer = send(&app, to(host).expect("a request")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "evil.example:8000", "127.0.0.2", ""] {
        let answer = send(&app, to(host).expect("a request")).await;
        assert_eq!(answer.error(), (421, None, "host_not_allowed".to_owned()), "{host}");
    }
    let none = Request::get("/livez").version(Version::HTTP_11).body(Body::empty());
    let answer = send(&app, none.expect("a request")).await;
    assert_eq!(answer.error(), (400, None, "invalid_host".to_owned()));
    let two = with_header(get("/livez"), "host", "localhost");
    assert_eq!(send(&app, two).await.error().2, "invalid_host");
    let any = app_with(&engine(), HttpSettings { allowed_hosts: AllowedHosts::Any, ..settings() });
    assert_eq!(send(&any, to("evil.example").expect("a request")).await.status, 200);
}

#[tokio::test]
async fn a_request_keeps_its_plain_identity_and_gets_one_otherwise() {
    let app = app(&engine());
    let answer = send(&app, with_header(get("/livez"), "x-request-id", "trace-1.a_b:c/d")).await;
    assert_eq!(answer.header("x-request-id"), "trace-1.a_b:c/d");
    let long = "x".repeat(129);
    for bad in ["", "a b", "a\tb", "<x>", &long] {
        let answer = send(&app, with_header(get("/nowhere"), "x-request-id", bad)).await;
        assert_eq!(answer.header("x-request-id"), "00000000000000000000000000000007", "{bad}");
    }
}

#[tokio::test]
async fn routes_and_methods_that_are_not_there_get_openais_error() {
    let app = app(&engine());
    let answer = send(&app, get("/v1/generate")).await;
    assert_eq!(answer.error(), (404, None, "not_found".to_owned()));
    let answer = send(&app, get("/v1/chat/completions")).await;
    assert_eq!(answer.error(), (405, None, "method_not_allowed".to_owned()));
    assert!(answer.header("allow").contains("POST"));
    let trace = Request::builder().method("TRACE").uri("/v1/models").header("host", "localhost");
    let answer = send(&app, trace.body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn only_plain_json_is_read() {
    let app = app(&engine());
    let typed = |content_type: Option<&str>| {
        let request = Request::post("/v1/chat/completions").header("host", "localhost");
        match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        }
        .body(Body::from(asking(json!({})).to_string()))
        .expect("a request")
    };
    for good in ["application/json", "Application/JSON; charset=utf-8"] {
        assert_eq!(send(&app, typed(Some(good))).await.status, 200, "{good}");
    }
    for bad in [None, Some("text/plain"), Some("multipart/form-data; boundary=x"), Some("")] {
        let answer = send(&app, typed(bad)).await;
        assert_eq!(answer.error(), (415, None, "unsupported_media_type".to_owned()), "{bad:?}");
    }
    for encoding in ["gzip", "br", "zstd", "identity, gzip"] {
        let request =
            with_header(post(asking(json!({})).to_string()), "content-encoding", encoding);
        let answer = send(&app, request).await;
        assert_eq!(answer.error(), (415, None, "unsupported_content_encoding".to_owned()));
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_by_its_promise_and_by_its_bytes() {
    let small = HttpSettings { max_body_bytes: 1000, ..settings() };
    let app = app_with(&engine(), small);
    let too_large = (413, None, "request_too_large".to_owned());

    let never = tokio_stream::pending::<Result<Bytes, std::io::Error>>();
    let promise = with_header(post(Body::from_stream(never)), "content-length", "100000000000");
    assert_eq!(send(&app, promise).await.error(), too_large, "before any byte came");

    let chunks = [(); 2].map(|()| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 600])));
    let streamed = post(Body::from_stream(tokio_stream::iter(chunks)));
    assert_eq!(send(&app, streamed).await.error(), too_large);

    let mut exact = asking(json!({})).to_string();
    exact.push_str(&" ".repeat(1000 - exact.len()));
    assert_eq!(send(&app, post(exact)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let app = app(&engine());
    let never = tokio_stream::pending::<Result<Bytes, std::io::Error>>();
    let before = tokio::time::Instant::now();
    let answer = send(&app, post(Body::from_stream(never))).await;
    assert_eq!(answer.error(), (408, None, "request_timeout".to_owned()));
    assert_eq!(before.elapsed(), Duration::from_secs(30));

    let broken = tokio_stream::iter([Err::<Bytes, _>(std::io::Error::other("reset"))]);
    let answer = send(&app, post(Body::from_stream(broken))).await;
    assert_eq!(answer.error(), (400, None, "incomplete_body".to_owned()));
}

#[tokio::test]
async fn models_are_listed_and_found_by_every_name() {
    let app = app(&engine());
    let list = send(&app, get("/v1/models")).await.json();
    assert_eq!(list["object"], "list");
    let card = json!({"id": "reverie", "object": "model", "created": 1_700_000_000,
                      "owned_by": "reverie", "max_model_len": 1024,
                      "abilities": ["comprehension", "creation"], "built_in": false});
    assert_eq!(list["data"][0], card);
    assert_eq!(list["data"][1]["id"], "org/alias");
    assert_eq!(send(&app, get("/v1/models/reverie")).await.json(), card);
    for path in ["/v1/models/org/alias", "/v1/models/org%2Falias"] {
        assert_eq!(send(&app, get(path)).await.json()["id"], "org/alias");
    }
    for path in ["/v1/models/gpt-4", "/v1/models/%2e%2e/etc", "/v1/models/%ff", "/v1/models/a%00b"]
    {
        let answer = send(&app, get(path)).await;
        let wanted = (404, Some("model".to_owned()), "model_not_found".to_owned());
        assert_eq!(answer.error(), wanted, "{path}");
    }
}

#[tokio::test]
async fn probes_tell_living_from_ready() {
    let cases = [
        (EngineStatus::Loading, 200, 503),
        (EngineStatus::Ready, 200, 200),
        (EngineStatus::Draining, 200, 503),
        (EngineStatus::Failed, 503, 503),
    ];
    for (status, live, ready) in cases {
        let engine = engine();
        *engine.status.lock().expect("unpoisoned") = status;
        let app = app(&engine);
        assert_eq!(send(&app, get("/livez")).await.status, live, "{status:?}");
        for path in ["/readyz", "/health"] {
            assert_eq!(send(&app, get(path)).await.status, ready, "{status:?} {path}");
        }
    }
}

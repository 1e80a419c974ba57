//! Fields that nobody here knows: an error that names them, or ignored and named in a header, as the operator says.

mod http_kit;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_kit::{
    Afterwards, Answer, ScriptedEngine, app, app_with, asking, chat, finished, send, settings, text,
};
use reverie_server::engine::event::FinishReason;
use reverie_server::http::{HttpSettings, UnknownParams};
use serde_json::{Value, json};
use std::sync::Arc;

const HEADER: &str = "x-reverie-ignored-params";

fn engine() -> Arc<ScriptedEngine> {
    let script = vec![text("a"), finished(FinishReason::EndOfText)];
    ScriptedEngine::new(script, Afterwards::End)
}

fn forgiving(engine: &Arc<ScriptedEngine>) -> Router {
    app_with(engine, HttpSettings { unknown_params: UnknownParams::Ignore, ..settings() })
}

async fn post_to(app: &Router, path: &str, body: &Value) -> Answer {
    let request = Request::post(path)
        .header("host", "localhost:8000")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request");
    send(app, request).await
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_default() {
    let answer = chat(&app(&engine()), &asking(json!({"guided_json": {"type": "object"}}))).await;
    let wanted = (400, Some("guided_json".to_owned()), "unknown_parameter".to_owned());
    assert_eq!(answer.error(), wanted);
    assert_eq!(answer.header(HEADER), "");
}

#[tokio::test]
async fn a_gateway_may_send_more_and_is_told_what_was_ignored() {
    let engine = engine();
    let fields = json!({"guided_json": {"type": "object"}, "seed": 7, "x,\n": 1, "plugins": []});
    let answer = chat(&forgiving(&engine), &asking(fields)).await;
    assert_eq!(answer.status, 200);
    let mut named: Vec<&str> = answer.header(HEADER).split(", ").collect();
    named.sort_unstable();
    assert_eq!(named, ["guided_json", "plugins", "x??"]);
    assert_eq!(engine.request().sampling.seed, 7, "the rest is read as ever");

    let plain = chat(&forgiving(&self::engine()), &asking(json!({"seed": 7}))).await;
    assert_eq!(plain.header(HEADER), "", "nothing was ignored");
}

#[tokio::test]
async fn what_is_known_is_as_strict_as_ever() {
    let app = forgiving(&engine());
    let answer = chat(&app, &asking(json!({"plugins": [], "temperature": 3}))).await;
    assert_eq!(answer.error(), (400, Some("temperature".to_owned()), "invalid_value".to_owned()));
    assert_eq!(answer.header(HEADER), "plugins", "errors name them, too");
    let nested = json!({"messages": [{"role": "user", "content": "x", "weight": 2}]});
    let answer = chat(&app, &asking(nested)).await;
    let wanted = (400, Some("messages[0].weight".to_owned()), "unknown_parameter".to_owned());
    assert_eq!(answer.error(), wanted, "inside of a field nothing is ignored");
}

#[tokio::test]
async fn names_are_bounded_and_every_route_with_json_has_them() {
    let engine = engine();
    let app = forgiving(&engine);
    let many: serde_json::Map<String, Value> =
        (0..40).map(|number| (format!("{number}{}", "x".repeat(100)), json!(1))).collect();
    let answer = chat(&app, &asking(Value::Object(many))).await;
    let header = answer.header(HEADER);
    assert!(header.ends_with("and 8 more") && header.len() < 32 * 66 + 12, "{header}");
    for (path, body) in [
        ("/v1/completions", json!({"model": "reverie", "prompt": "a", "best": 1})),
        ("/v1/images/generations", json!({"prompt": "", "best": 1})),
        ("/v1/images/edits", json!({"prompt": "", "images": [], "best": 1})),
    ] {
        assert_eq!(post_to(&app, path, &body).await.header(HEADER), "best", "{path}");
    }
}

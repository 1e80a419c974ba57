//! What real clients send by their default calls is taken: recorded by `tests/clients/conformance`, asked again here.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Map, Value};

#[path = "http_kit/mod.rs"]
mod kit;

use kit::{Afterwards, ScriptedEngine, app, drawn, finished, png, send, text};
use reverie_server::engine::event::FinishReason;

const RECORDED: &str = include_str!("../../tests/clients/conformance/default-calls.json");
const BOUNDARY: &str = "border";

/// The recorded call with a model that is served here; a form, whose files are only described, with a picture in it.
fn request(route: &str, fields: &Map<String, Value>) -> Request<Body> {
    let mut fields = fields.clone();
    fields.insert("model".to_owned(), "reverie".into());
    let is_file = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("a file of "));
    let asked = Request::post(route).header("host", "localhost:8000");
    if !fields.values().any(is_file) {
        let body = Value::Object(fields).to_string();
        return asked
            .header("content-type", "application/json")
            .body(body.into())
            .expect("a request");
    }
    let mut body = Vec::new();
    for (name, value) in &fields {
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"");
        body.extend(head.into_bytes());
        if is_file(value) {
            body.extend(b"; filename=\"picture.png\"\r\ncontent-type: image/png\r\n\r\n");
            body.extend(png(20, 1));
        } else {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            body.extend(format!("\r\n\r\n{value}").into_bytes());
        }
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    asked.header("content-type", content_type).body(body.into()).expect("a request")
}

#[tokio::test]
async fn every_clients_default_call_is_answered() {
    let recorded: Map<String, Value> =
        serde_json::from_str(RECORDED).expect("it was written as JSON");
    assert!(recorded.len() > 20, "all clients are there");
    for (who, call) in &recorded {
        let route = call["route"].as_str().and_then(|route| route.strip_prefix("POST "));
        let route = route.unwrap_or_else(|| panic!("{who}: {call}"));
        let fields = call["fields"].as_object().expect("fields have names");
        let mut script = if route.contains("/images/") { drawn(0, 90) } else { vec![text("Red.")] };
        script.push(finished(FinishReason::EndOfText));
        let engine = ScriptedEngine::new(script, Afterwards::End);
        let answer = send(&app(&engine), request(route, fields)).await;
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{who}: {said}");
    }
}

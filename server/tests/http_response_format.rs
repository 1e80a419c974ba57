//! What shape a text must have: which shapes are taken, what they exclude, and what reaches the engine.

mod http_kit;

use std::sync::Arc;

use http_kit::responding::{check_refused, server};
use http_kit::{Afterwards, ScriptedEngine, app, asking, chat, finished};
use reverie_server::engine::event::FinishReason;
use reverie_server::engine::request::{EngineRequest, ImageChoice};
use serde_json::{Value, json};

fn engine() -> Arc<ScriptedEngine> {
    ScriptedEngine::new(vec![finished(FinishReason::EndOfText)], Afterwards::End)
}

async fn engine_request(fields: Value) -> EngineRequest {
    let engine = engine();
    let answer = chat(&app(&engine), &asking(fields)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    engine.request()
}

fn schema(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "it", "schema": schema, "strict": true}})
}

fn with(format: Value, more: Value) -> Value {
    let mut fields = more;
    fields["response_format"] = format;
    asking(fields)
}

#[tokio::test]
async fn a_schema_reaches_the_engine_as_it_was_typed_and_draws_nothing() {
    let format = schema(&json!({"type": "object", "properties": {"b": {}, "a": {}}}));
    let request = engine_request(json!({"response_format": format})).await;
    let kept = request.sampling.json_schema.expect("it is followed");
    assert_eq!(*kept, r#"{"type":"object","properties":{"b":{},"a":{}}}"#, "properties in order");
    assert_eq!((request.pictures.choice, request.pictures.max_images), (ImageChoice::None, 0));

    let request = engine_request(json!({"response_format": {"type": "json_object"}})).await;
    assert_eq!(
        request.sampling.json_schema.as_deref().map(String::as_str),
        Some(r#"{"type":"object"}"#)
    );
    let request = engine_request(json!({"response_format": {"type": "text"}})).await;
    assert_eq!(request.sampling.json_schema, None);
    assert_eq!(request.pictures.choice, ImageChoice::Auto);
}

#[tokio::test]
async fn what_cannot_be_followed_is_named() {
    let (whole, inner) = ("response_format.json_schema", "response_format.json_schema.schema");
    let app = app(&engine());
    let object = || json!({"type": "object"});
    let cases = [
        (with(schema(&json!({"type": "no type"})), json!({})), inner, "invalid_value"),
        (with(schema(&json!(true)), json!({})), inner, "invalid_value"),
        (with(schema(&json!({"$ref": "#/nowhere"})), json!({})), inner, "invalid_value"),
        (with(schema(&json!({"title": "x".repeat(70_000)})), json!({})), inner, "string_too_long"),
        (with(json!({"type": "json_schema"}), json!({})), whole, "invalid_value"),
        (
            with(json!({"type": "text", "json_schema": {"name": "x", "schema": {}}}), json!({})),
            whole,
            "invalid_value",
        ),
        (
            with(
                json!({"type": "json_schema", "json_schema": {"name": "", "schema": {}}}),
                json!({}),
            ),
            "response_format.json_schema.name",
            "invalid_value",
        ),
        (
            with(json!({"type": "json_schema", "json_schema": {"name": "x"}}), json!({})),
            inner,
            "missing_required_parameter",
        ),
        (with(json!({"type": "grammar"}), json!({})), "response_format.type", "invalid_value"),
        (
            with(json!({"type": "text", "x": 1}), json!({})),
            "response_format.x",
            "unknown_parameter",
        ),
        (
            with(schema(&object()), json!({"image_choice": "required"})),
            "image_choice",
            "invalid_value",
        ),
        (with(schema(&object()), json!({"image_choice": 1})), "image_choice", "invalid_value"),
        (with(schema(&object()), json!({"modalities": ["image"]})), "modalities", "invalid_value"),
        (with(schema(&object()), json!({"min_tokens": 1})), "min_tokens", "invalid_value"),
        (with(schema(&object()), json!({"ignore_eos": true})), "ignore_eos", "invalid_value"),
        (with(schema(&object()), json!({"num_beams": 2})), "num_beams", "invalid_value"),
    ];
    for (request, param, code) in cases {
        let answer = chat(&app, &request).await;
        let wanted = (400, Some(param.to_owned()), code.to_owned());
        assert_eq!(answer.error(), wanted, "{:.120}", request["response_format"].to_string());
    }
    let answer = chat(&app, &with(schema(&json!({"type": "no type"})), json!({}))).await.json();
    let message = answer["error"]["message"].as_str().expect("a message");
    assert!(message.contains("cannot be followed: "), "it says why: {message}");
}

#[tokio::test]
async fn text_of_a_shape_is_asked_for_and_said_back() {
    let server = server();
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "name": "shape", "schema": schema, "strict": true});
    let text = json!({"format": format, "verbosity": "low"});
    let answer = server.respond(json!({"text": text})).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.json()["text"], text);
    let any = server.respond(json!({"text": {"format": {"type": "json_object"}}})).await;
    assert_eq!(any.status, 200, "{}", any.json());
    let plain = server.respond(json!({"text": {"verbosity": "high"}})).await.json();
    assert_eq!(plain["text"], json!({"format": {"type": "text"}, "verbosity": "high"}));

    let requests = server.engine.requests.lock().expect("no test panics with it");
    let schemas: Vec<_> = requests.iter().map(|request| &request.sampling.json_schema).collect();
    let asked = schemas[0].as_deref().expect("a schema");
    assert_eq!(asked.parse::<Value>().expect("JSON"), schema);
    assert_eq!(schemas[1].as_deref().map(String::as_str), Some(r#"{"type":"object"}"#));
    assert_eq!(schemas[2], &None);
    for request in &requests[..2] {
        let pictures = (request.pictures.choice, request.pictures.max_images);
        assert_eq!(pictures, (ImageChoice::None, 0), "JSON has none in it");
    }
}

#[tokio::test]
async fn shapes_that_no_text_can_have_are_refused_by_their_place() {
    let format = |fields: Value| json!({"text": {"format": fields}});
    let named = |schema: Value| json!({"type": "json_schema", "name": "n", "schema": schema});
    let with = |more: Value| {
        let mut fields = format(named(json!({})));
        fields.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        fields
    };
    let cases = [
        (format(json!({"type": "json_schema"})), "text.format.name", "invalid_value"),
        (
            format(json!({"type": "json_schema", "name": "n"})),
            "text.format.schema",
            "invalid_value",
        ),
        (
            format(json!({"type": "json_schema", "name": "", "schema": {}})),
            "text.format.name",
            "invalid_value",
        ),
        (
            format(json!({"type": "json_object", "schema": {}})),
            "text.format.schema",
            "invalid_value",
        ),
        (format(json!({"type": "text", "name": "n"})), "text.format.name", "invalid_value"),
        (format(json!({"type": "xml"})), "text.format.type", "invalid_value"),
        (format(json!({"type": "text", "shape": 1})), "text.format.shape", "unknown_parameter"),
        (format(named(json!({"type": "nothing"}))), "text.format.schema", "invalid_value"),
        (
            format(named(json!({"description": "a".repeat(100_000)}))),
            "text.format.schema",
            "string_too_long",
        ),
        (with(json!({"image_choice": "required"})), "image_choice", "invalid_value"),
        (with(json!({"tool_choice": "required"})), "tool_choice", "invalid_value"),
    ];
    check_refused(cases).await;
}

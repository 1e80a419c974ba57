//! How likely tokens were, in the shapes of both text routes. The scripted engine judges; the edge only spells.

mod http_kit;

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_kit::{Afterwards, Answer, ScriptedEngine, app, asking, chat, finished, send};
use reverie_model::token_logprobs::{TokenLogprob, TokenLogprobs};
use reverie_server::engine::event::{EngineEvent, FinishReason, JudgedToken};
use serde_json::{Value, json};

/// A token of the kit's vocabulary: a hundred and its byte.
fn id(byte: u8) -> u32 {
    100 + u32::from(byte)
}

fn judged(byte: u8, text: &str, chosen: f32, top: &[(u32, f32)]) -> JudgedToken {
    let top = top.iter().map(|(token, logprob)| TokenLogprob { token: *token, logprob: *logprob });
    let logprobs = TokenLogprobs { chosen, top: top.collect() };
    JudgedToken { token: id(byte), text: text.to_owned(), logprobs }
}

fn text(delta: &str, logprobs: Vec<JudgedToken>) -> EngineEvent {
    EngineEvent::Text { delta: delta.to_owned(), num_tokens: logprobs.len(), logprobs }
}

/// A space that is dropped, a letter, and a character in two parts; `</s>` and `<dream_start>` were likely, too.
fn script() -> Vec<EngineEvent> {
    let first = judged(b' ', "", -0.5, &[(id(b' '), -0.5), (2, -1.5)]);
    let letter = judged(b'a', "a", -0.25, &[(id(b'a'), -0.25), (9, -2.0)]);
    let parts = [judged(0xC3, "", -3.0, &[]), judged(0xA9, "é", -0.125, &[(id(b'!'), -0.0625)])];
    vec![
        text("a", vec![first, letter]),
        text("é", parts.to_vec()),
        finished(FinishReason::EndOfText),
    ]
}

fn engine() -> Arc<ScriptedEngine> {
    ScriptedEngine::new(script(), Afterwards::End)
}

fn content() -> Value {
    json!([
        {"token": "", "logprob": -0.5, "bytes": [], "top_logprobs": [
            {"token": "", "logprob": -0.5, "bytes": []},
            {"token": "#2", "logprob": -1.5, "bytes": null}]},
        {"token": "a", "logprob": -0.25, "bytes": [97], "top_logprobs": [
            {"token": "a", "logprob": -0.25, "bytes": [97]},
            {"token": "#9", "logprob": -2.0, "bytes": null}]},
        {"token": "\u{fffd}", "logprob": -3.0, "bytes": [195], "top_logprobs": []},
        {"token": "\u{fffd}", "logprob": -0.125, "bytes": [169], "top_logprobs": [
            {"token": "!", "logprob": -0.0625, "bytes": [33]}]},
    ])
}

async fn complete(body: &Value) -> Answer {
    let request = Request::post("/v1/completions")
        .header("host", "localhost:8000")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request");
    send(&app(&engine()), request).await
}

fn chunks(answer: &Answer) -> Vec<Value> {
    let stream = std::str::from_utf8(&answer.body).expect("UTF-8");
    let events = stream.split_terminator("\n\n").map(|event| &event["data: ".len()..]);
    let data = events.filter(|data| *data != "[DONE]");
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

#[tokio::test]
async fn a_whole_chat_tells_of_every_token_of_its_text() {
    let fields = json!({"logprobs": true, "top_logprobs": 2});
    let answer = chat(&app(&engine()), &asking(fields)).await.json();
    let logprobs = &answer["choices"][0]["logprobs"];
    assert_eq!(logprobs, &json!({"content": content(), "refusal": null}));
    let bytes = logprobs["content"].as_array().expect("tokens").iter();
    let bytes = bytes.flat_map(|token| token["bytes"].as_array().expect("bytes"));
    let bytes: Vec<u8> = bytes.map(|byte| byte.as_u64().expect("a byte") as u8).collect();
    assert_eq!(
        bytes,
        answer["choices"][0]["message"]["content"].as_str().expect("text").as_bytes()
    );
}

#[tokio::test]
async fn a_streamed_chat_tells_of_tokens_with_their_text() {
    let fields = json!({"logprobs": true, "top_logprobs": 2, "stream": true});
    let chunks = chunks(&chat(&app(&engine()), &asking(fields)).await);
    let all: Vec<Value> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array())
        .flatten()
        .cloned()
        .collect();
    assert_eq!(Value::Array(all), content());
    assert_eq!(chunks[1]["choices"][0]["delta"]["content"], "a");
    assert_eq!(chunks[1]["choices"][0]["logprobs"]["content"].as_array().map(Vec::len), Some(2));
    assert_eq!(chunks[0]["choices"][0]["logprobs"], Value::Null, "the role is no token");
}

#[tokio::test]
async fn nobody_is_told_who_does_not_ask() {
    let answer = chat(&app(&engine()), &asking(json!({}))).await.json();
    assert_eq!(answer["choices"][0]["logprobs"], Value::Null);
    let answer = complete(&json!({"model": "reverie", "prompt": "x"})).await.json();
    assert_eq!(answer["choices"][0]["logprobs"], Value::Null);
}

#[tokio::test]
async fn a_completion_tells_in_lists_of_one_length() {
    let wanted = json!({
        "text_offset": [0, 0, 1, 1],
        "token_logprobs": [-0.5, -0.25, -3.0, -0.125],
        "tokens": ["", "a", "bytes:\\xc3", "bytes:\\xa9"],
        "top_logprobs": [
            {"": -0.5, "#2": -1.5},
            {"a": -0.25, "#9": -2.0},
            {"bytes:\\xc3": -3.0},
            {"!": -0.0625, "bytes:\\xa9": -0.125},
        ],
    });
    let mut body = json!({"model": "reverie", "prompt": "x", "logprobs": 2});
    let answer = complete(&body).await.json();
    assert_eq!(answer["choices"][0]["logprobs"], wanted);

    body["stream"] = json!(true);
    let chunks = chunks(&complete(&body).await);
    for list in ["text_offset", "token_logprobs", "tokens", "top_logprobs"] {
        let pieces =
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"][list].as_array());
        let all: Vec<Value> = pieces.flatten().cloned().collect();
        assert_eq!(Value::Array(all), wanted[list], "{list}");
    }
}

//! Answers, whole and streamed: their order, their end, and what a client that leaves sets free.

mod http_kit;

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use http_kit::{
    Afterwards, Answer, ScriptedEngine, app, app_with, asking, chat, drawn, finished, interleaved,
    pixels, post, settings, text,
};
use reverie_server::engine::document_engine::{EngineStatus, SubmitError};
use reverie_server::engine::event::{EngineError, EngineEvent, FinishReason};
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;
use tower::Service as _;

/// What one server-sent event said: its name if it had one, and its data.
fn events(answer: &Answer) -> Vec<(Option<String>, String)> {
    let body = std::str::from_utf8(&answer.body).expect("a stream is UTF-8");
    let mut events = Vec::new();
    for block in body.split_terminator("\n\n") {
        let (mut name, mut data) = (None, None);
        for line in block.lines() {
            let (field, value) = line.split_once(": ").expect("field: value");
            match field {
                "event" => name = Some(value.to_owned()),
                "data" => assert!(data.replace(value.to_owned()).is_none(), "one line of data"),
                other => panic!("field {other} in {block}"),
            }
        }
        events.push((name, data.expect("data")));
    }
    events
}

fn chunks(answer: &Answer) -> Vec<Value> {
    let mut events = events(answer);
    assert_eq!(events.pop(), Some((None, "[DONE]".to_owned())));
    let parse = |(name, data): (Option<String>, String)| {
        assert_eq!(name, None);
        serde_json::from_str(&data).expect("JSON")
    };
    events.into_iter().map(parse).collect()
}

fn streaming(include_usage: bool) -> Value {
    asking(json!({"stream": true, "stream_options": {"include_usage": include_usage}}))
}

#[tokio::test]
async fn a_stream_is_in_document_order() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::Wait);
    let answer = chat(&app(&engine), &streaming(true)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.header("cache-control"), "no-cache");
    assert_eq!(answer.header("x-accel-buffering"), "no");

    let chunks = chunks(&answer);
    let deltas: Vec<&Value> =
        chunks[..7].iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(*deltas[0], json!({"role": "assistant", "content": ""}));
    assert_eq!(*deltas[1], json!({"content": "Once"}));
    assert_eq!(*deltas[2], json!({"content": " upon."}));
    assert_eq!(deltas[3]["images"][0]["index"], 0);
    assert_eq!(*deltas[4], json!({"content": " Then."}));
    assert_eq!(deltas[5]["images"][0]["index"], 1);
    assert_eq!(*deltas[6], json!({}));
    for (delta, shade) in [(deltas[3], 10), (deltas[5], 200)] {
        let [image] = delta["images"].as_array().expect("a list").as_slice() else {
            panic!("one complete picture per delta");
        };
        assert_eq!(image["type"], "image_url");
        let url = image["image_url"]["url"].as_str().expect("a URL");
        assert_eq!(pixels(url, "image/png"), [shade; 12], "exactly what the model saw");
    }

    let last = &chunks[6]["choices"][0];
    assert_eq!(last["finish_reason"], "stop");
    assert_eq!(last["finish_details"], json!({"type": "end_of_text"}));
    assert!(chunks[6]["effective"]["seed"].is_u64());
    assert!(chunks[..6].iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));

    assert_eq!(chunks.len(), 8);
    assert_eq!(chunks[7]["choices"], json!([]));
    let usage = json!({
        "prompt_tokens": 40, "completion_tokens": 41, "total_tokens": 81,
        "prompt_tokens_details": {"cached_tokens": 32, "image_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 36},
        "images": {"input": 1, "output": 2, "positions_used": 81, "positions_left": 943,
                   "more_images_fit": 26},
    });
    assert_eq!(chunks[7]["usage"], usage);
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], chunks[0]["id"]);
        assert_eq!(chunk["model"], "reverie");
    }
}

#[tokio::test]
async fn usage_is_streamed_only_where_it_is_asked_for() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let chunks = chunks(&chat(&app(&engine), &streaming(false)).await);
    assert_eq!(chunks.len(), 7);
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test]
async fn a_whole_answer_has_its_order_in_content_parts_and_is_valid_history() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::Wait);
    let answer = chat(&app(&engine), &asking(json!({"image_format": "webp"}))).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = answer.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"], "Once upon. Then.");
    let parts = json!([
        {"type": "text", "text": "Once upon."}, {"type": "image_ref", "index": 0},
        {"type": "text", "text": " Then."}, {"type": "image_ref", "index": 1},
    ]);
    assert_eq!(message["content_parts"], parts);
    for (index, shade) in [(0, 10), (1, 200)] {
        let image = &message["images"][index];
        assert_eq!((&image["type"], &image["index"]), (&json!("image_url"), &json!(index)));
        let url = image["image_url"]["url"].as_str().expect("a URL");
        assert_eq!(pixels(url, "image/webp"), [shade; 12]);
    }

    let again = ScriptedEngine::new(vec![finished(FinishReason::EndOfText)], Afterwards::End);
    let messages = json!([
        {"role": "user", "content": "Tell."}, message, {"role": "user", "content": "And?"},
    ]);
    let answer = chat(&app(&again), &asking(json!({"messages": messages}))).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    let segments = again.request().prompt.len();
    assert_eq!(segments, 7, "text, dream, picture, text, dream, picture, text");
}

#[tokio::test]
async fn every_end_has_openais_word_and_its_own() {
    let cases = [
        (FinishReason::EndOfText, "stop", "end_of_text"),
        (FinishReason::StopString, "stop", "stop_string"),
        (FinishReason::MaxTokens, "length", "max_tokens"),
        (FinishReason::MaxImages, "length", "max_images"),
        (FinishReason::ContextFull, "length", "context_full"),
    ];
    for (reason, word, exact) in cases {
        let engine = ScriptedEngine::new(vec![finished(reason)], Afterwards::End);
        let answer = chat(&app(&engine), &asking(json!({}))).await.json();
        assert_eq!(answer["choices"][0]["finish_reason"], word);
        assert_eq!(answer["choices"][0]["finish_details"]["type"], exact);
    }
}

#[tokio::test]
async fn text_that_looks_like_the_protocol_stays_in_its_event() {
    let nasty = "\n\ndata: [DONE]\r\n\"\u{2028}\\";
    let script = vec![text(nasty), finished(FinishReason::EndOfText)];
    let engine = ScriptedEngine::new(script, Afterwards::End);
    let chunks = chunks(&chat(&app(&engine), &streaming(false)).await);
    assert_eq!(chunks[1]["choices"][0]["delta"]["content"], nasty);
    assert_eq!(chunks.len(), 3);
}

#[tokio::test]
async fn a_failure_in_the_middle_is_an_error_event_without_done() {
    let secret = "/secret/path: CUDA_ERROR";
    let cases = [
        (vec![EngineEvent::Failed(EngineError::Model(secret.into()))], "internal_error", 500),
        (vec![EngineEvent::Failed(EngineError::Deadline)], "deadline_exceeded", 504),
        (vec![EngineEvent::Failed(EngineError::ShuttingDown)], "draining", 503),
        (vec![], "internal_error", 500),
    ];
    for (end, code, status) in cases {
        let script: Vec<EngineEvent> = [text("Once")].into_iter().chain(end).collect();
        let engine = ScriptedEngine::new(script.clone(), Afterwards::End);
        let answer = chat(&app(&engine), &streaming(true)).await;
        assert_eq!(answer.status, 200, "it had begun");
        let events = events(&answer);
        let (name, data) = events.last().expect("an event");
        assert_eq!(name.as_deref(), Some("error"));
        let error: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(error["error"]["code"], code);
        assert!(!data.contains("secret"), "{data}");
        assert!(events.iter().all(|(_, data)| data != "[DONE]"));

        let engine = ScriptedEngine::new(script, Afterwards::End);
        let answer = chat(&app(&engine), &asking(json!({}))).await;
        assert_eq!(answer.error(), (status, None, code.to_owned()), "whole");
    }
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_drops_the_engines_events() {
    let mut script = vec![text("Once")];
    script.extend(drawn(0, 1));
    let engine = ScriptedEngine::new(script, Afterwards::Wait);
    let departure = engine.next_departure();
    let response = app(&engine).call(post(streaming(false).to_string())).await.expect("answered");
    let mut frames = response.into_body().into_data_stream();
    for _ in ["role", "text", "picture"] {
        frames.next().await.expect("an event").expect("whole");
    }
    drop(frames);
    departure.await.expect("the events were dropped, and said so");
}

#[tokio::test]
async fn a_client_that_leaves_before_a_whole_answer_drops_the_engines_events() {
    let engine = ScriptedEngine::new(vec![text("Once")], Afterwards::Wait);
    let departure = engine.next_departure();
    let answer = app(&engine).call(post(asking(json!({})).to_string()));
    tokio::select! {
        biased;
        _ = answer => panic!("the document never ends"),
        () = async { while engine.requests.lock().expect("unpoisoned").is_empty() {
            tokio::task::yield_now().await;
        } } => {}
    }
    departure.await.expect("the events were dropped, and said so");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_so_every_fifteen_seconds() {
    let engine = ScriptedEngine::new(Vec::new(), Afterwards::Wait);
    let response = app(&engine).call(post(streaming(false).to_string())).await.expect("answered");
    let mut frames = response.into_body().into_data_stream();
    let role = frames.next().await.expect("an event").expect("whole");
    assert!(role.starts_with(b"data: {"));
    let before = tokio::time::Instant::now();
    let comment = frames.next().await.expect("a comment").expect("whole");
    assert!(comment.starts_with(b":"), "{comment:?}");
    assert_eq!(before.elapsed().as_secs(), 15);
}

#[tokio::test]
async fn what_the_engine_refuses_is_said_with_its_numbers() {
    let full = SubmitError::QueueFull { waiting: 9, retry_after: Duration::from_millis(2500) };
    let long = SubmitError::TooLong { positions: 1025, limit: 1024 };
    let cases = [
        (full, (429, None, "queue_full".to_owned()), "3"),
        (long, (400, Some("messages".to_owned()), "context_length_exceeded".to_owned()), ""),
        (SubmitError::Loading, (503, None, "model_loading".to_owned()), "5"),
        (SubmitError::Draining, (503, None, "draining".to_owned()), "5"),
        (SubmitError::Failed, (503, None, "engine_failed".to_owned()), "5"),
    ];
    for (refusal, error, retry_after) in cases {
        let engine = ScriptedEngine::new(Vec::new(), Afterwards::End);
        *engine.refusal.lock().expect("unpoisoned") = Some(refusal.clone());
        let answer = chat(&app(&engine), &streaming(true)).await;
        assert_eq!(answer.error(), error);
        assert_eq!(answer.header("retry-after"), retry_after);
        if let SubmitError::TooLong { .. } = refusal {
            let message = answer.json()["error"]["message"].to_string();
            assert!(message.contains("1025") && message.contains("1024"), "{message}");
        }
    }
}

#[tokio::test]
async fn an_engine_that_is_not_ready_refuses_before_the_body_is_read() {
    let cases = [
        (EngineStatus::Loading, "model_loading"),
        (EngineStatus::Draining, "draining"),
        (EngineStatus::Failed, "engine_failed"),
    ];
    for (status, code) in cases {
        let engine = ScriptedEngine::new(Vec::new(), Afterwards::End);
        *engine.status.lock().expect("unpoisoned") = status;
        let answer = http_kit::send(&app(&engine), post("not JSON")).await;
        assert_eq!(answer.error(), (503, None, code.to_owned()));
        assert_eq!(answer.header("retry-after"), "5");
    }
}

#[tokio::test]
async fn a_deadline_goes_along_with_the_request() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let request_timeout = Some(Duration::from_secs(60));
    let settings = reverie_server::http::HttpSettings { request_timeout, ..settings() };
    chat(&app_with(&engine, settings), &asking(json!({}))).await;
    assert_eq!(engine.request().deadline, request_timeout);
}

#[tokio::test]
async fn bodies_that_are_not_requests_get_openais_error() {
    let engine = ScriptedEngine::new(Vec::new(), Afterwards::End);
    let app = app(&engine);
    let invalid = |body: &'static [u8]| http_kit::send(&app, post(body));
    let trailing = br#"{"model":"reverie","messages":[{"role":"user","content":"x"}]} x"#;
    for body in [b"".as_slice(), b"{", b"[]", b"1", trailing, b"\xef\xbb\xbf{}", b"{\"\xff\"}"] {
        let answer = invalid(body).await;
        assert_eq!(answer.error(), (400, None, "invalid_json".to_owned()), "{body:?}");
        assert_eq!(answer.header(CONTENT_TYPE.as_str()), "application/json");
    }
    let twice = invalid(br#"{"model":"reverie","model":"reverie","messages":[]}"#).await;
    assert_eq!(twice.error(), (400, Some("model".to_owned()), "duplicate_field".to_owned()));
    let missing = invalid(br#"{"model":"reverie"}"#).await;
    let code = "missing_required_parameter".to_owned();
    assert_eq!(missing.error(), (400, Some("messages".to_owned()), code));
}

#[tokio::test]
async fn a_model_that_is_not_served_is_not_found_and_quoted_with_care() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let app = app(&engine);
    for name in
        ["gpt-4", "../../etc/passwd", "%2e%2e/", "a\u{0}b", "\u{202e}x", &"m".repeat(100_000)]
    {
        let answer = chat(&app, &asking(json!({"model": name}))).await;
        let wanted = (404, Some("model".to_owned()), "model_not_found".to_owned());
        assert_eq!(answer.error(), wanted);
        assert!(answer.body.len() < 512, "{} bytes", answer.body.len());
        assert!(!String::from_utf8_lossy(&answer.body).contains('\u{202e}'));
    }
    let alias = chat(&app, &asking(json!({"model": "org/alias"}))).await.json();
    assert_eq!(alias["model"], "org/alias");
}

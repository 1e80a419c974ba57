//! Several answers to one request: side by side in one answer or one stream, with one account of what they took.

mod http_kit;

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_kit::{
    Afterwards, Answer, ScriptedEngine, app, asking, chat, finished, interleaved, post, send, text,
};
use reverie_server::engine::document_engine::SubmitError;
use reverie_server::engine::event::{EngineError, EngineEvent, FinishReason};
use serde_json::{Value, json};
use tower::Service as _;

fn events(answer: &Answer) -> Vec<String> {
    let stream = std::str::from_utf8(&answer.body).expect("UTF-8");
    stream.split_terminator("\n\n").map(str::to_owned).collect()
}

fn chunks(answer: &Answer) -> Vec<Value> {
    let data = events(answer).into_iter().filter_map(|event| {
        serde_json::from_str(event.strip_prefix("data: ").unwrap_or_default()).ok()
    });
    data.collect()
}

#[tokio::test]
async fn each_choice_is_a_document_of_its_own_with_the_same_prompt() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let answer = chat(&app(&engine), &asking(json!({"n": 3, "seed": 5}))).await.json();
    let requests = engine.requests.lock().expect("no test panics with it").clone();
    let numbers: Vec<u32> = requests.iter().map(|request| request.choice).collect();
    assert_eq!(numbers, [0, 1, 2], "each has draws of its own");
    let seeds = requests.iter().map(|request| (request.sampling.seed, request.pictures.seed));
    assert_eq!(seeds.collect::<Vec<_>>(), [(5, 5); 3]);
    assert_eq!(format!("{:?}", requests[0].prompt), format!("{:?}", requests[2].prompt));
    assert_ne!(requests[0].identity.fingerprint, requests[1].identity.fingerprint);

    let choices = answer["choices"].as_array().expect("choices");
    let indices: Vec<_> = choices.iter().map(|choice| choice["index"].clone()).collect();
    assert_eq!(indices, [json!(0), json!(1), json!(2)]);
    for choice in choices {
        assert_eq!(choice["message"], choices[0]["message"], "the script is the same");
        assert_eq!(choice["message"]["images"].as_array().map(Vec::len), Some(2));
    }
    let usage = &answer["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(40), &json!(123)));
    assert_eq!(usage["total_tokens"], 163, "the prompt counts once");
    assert_eq!((&usage["images"]["input"], &usage["images"]["output"]), (&json!(1), &json!(6)));
    assert_eq!(usage["images"]["positions_left"], 943, "that of the longest");
}

#[tokio::test]
async fn the_first_choice_is_the_answer_to_the_request_for_one() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let one = chat(&app(&engine), &asking(json!({"seed": 5}))).await.json();
    let three = chat(&app(&engine), &asking(json!({"n": 3, "seed": 5}))).await.json();
    assert_eq!(one["choices"][0], three["choices"][0]);
    let requests = engine.requests.lock().expect("no test panics with it").clone();
    assert_eq!(requests[0].choice, requests[1].choice);
    assert_eq!(format!("{:?}", requests[0].sampling), format!("{:?}", requests[1].sampling));
}

#[tokio::test]
async fn streamed_choices_come_side_by_side_and_end_one_by_one() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let fields = json!({"n": 2, "stream": true, "stream_options": {"include_usage": true}});
    let answer = chat(&app(&engine), &asking(fields)).await;
    let chunks = chunks(&answer);
    for index in [0, 1] {
        let own: Vec<&Value> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"].get(0))
            .filter(|choice| choice["index"] == index)
            .collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        let said: String =
            own.iter().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(said, "Once upon. Then.");
        let pictures = own.iter().filter(|choice| choice["delta"]["images"].is_array()).count();
        assert_eq!(pictures, 2);
        assert_eq!(own.last().expect("chunks")["finish_reason"], "stop");
        assert_eq!(own.iter().filter(|choice| !choice["finish_reason"].is_null()).count(), 1);
    }
    let usage: Vec<&Value> = chunks.iter().filter(|chunk| chunk["usage"].is_object()).collect();
    let [usage] = usage[..] else { panic!("{} chunks with usage", usage.len()) };
    assert_eq!(usage["usage"]["total_tokens"], 40 + 2 * 41);
    assert_eq!(events(&answer).last().map(String::as_str), Some("data: [DONE]"));
}

#[tokio::test]
async fn one_failure_is_the_failure_of_all() {
    let broken = vec![text("a"), EngineEvent::Failed(EngineError::Model("broken".to_owned()))];
    let engine = ScriptedEngine::new(broken, Afterwards::End);
    let answer = chat(&app(&engine), &asking(json!({"n": 2}))).await;
    assert_eq!(answer.error(), (500, None, "internal_error".to_owned()));
    let answer = chat(&app(&engine), &asking(json!({"n": 2, "stream": true}))).await;
    assert!(events(&answer).last().is_some_and(|event| event.starts_with("event: error")));
    assert!(!events(&answer).contains(&"data: [DONE]".to_owned()));
}

#[tokio::test]
async fn choices_that_find_no_place_refuse_the_whole_request() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::Wait);
    let retry_after = std::time::Duration::from_secs(3);
    *engine.refusal.lock().expect("free") =
        Some(SubmitError::QueueFull { waiting: 8, retry_after });
    let answer = chat(&app(&engine), &asking(json!({"n": 2, "stream": true}))).await;
    assert_eq!(answer.error(), (429, None, "queue_full".to_owned()));
    assert_eq!(answer.header("retry-after"), "3");
}

#[tokio::test]
async fn a_client_that_leaves_gives_all_choices_up() {
    let engine = ScriptedEngine::new(vec![text("a")], Afterwards::Wait);
    let body = asking(json!({"n": 2, "stream": true})).to_string();
    let first = engine.next_departure();
    let response = app(&engine).call(post(body)).await.expect("the router never fails");
    drop(response);
    first.await.expect("its events are dropped");
    assert_eq!(engine.requests.lock().expect("free").len(), 2);
}

#[tokio::test]
async fn a_completion_goes_on_in_several_ways() {
    let script = vec![text("b"), text("c"), finished(FinishReason::EndOfText)];
    let engine = ScriptedEngine::new(script, Afterwards::End);
    let body = json!({"model": "reverie", "prompt": "a", "n": 2, "best_of": 2});
    let request = Request::post("/v1/completions")
        .header("host", "localhost:8000")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request");
    let answer = send(&app(&engine), request).await.json();
    let texts: Vec<&Value> = answer["choices"]
        .as_array()
        .expect("choices")
        .iter()
        .map(|choice| &choice["text"])
        .collect();
    assert_eq!(texts, [&json!("bc"), &json!("bc")]);
    assert_eq!(answer["choices"][1]["index"], 1);
    assert_eq!(answer["usage"]["prompt_tokens"], 40);
    assert_eq!(Arc::strong_count(&engine), 1, "nobody holds the engine any more");
}

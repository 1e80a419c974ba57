//! Raw completions, tokenization and what an instance says it can do.

mod http_kit;

use axum::body::Body;
use axum::http::Request;
use http_kit::{Afterwards, Answer, ScriptedEngine, app, data_url, finished, get, png, send, text};
use reverie_server::engine::event::FinishReason;
use reverie_server::engine::request::ImageChoice;
use serde_json::{Value, json};
use std::sync::Arc;

fn writer() -> Arc<ScriptedEngine> {
    let script = vec![text(" upon"), text(" a time"), finished(FinishReason::MaxTokens)];
    ScriptedEngine::new(script, Afterwards::End)
}

async fn ask(engine: &Arc<ScriptedEngine>, path: &str, body: &Value) -> Answer {
    let request = Request::post(path)
        .header("host", "localhost:8000")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request");
    send(&app(engine), request).await
}

#[tokio::test]
async fn a_completion_goes_on_from_the_prompt_exactly_as_it_is() {
    let engine = writer();
    let body = json!({"model": "reverie", "prompt": [" a "], "stop": "x", "seed": 3});
    let answer = ask(&engine, "/v1/completions", &body).await.json();
    assert_eq!(answer["object"], "text_completion");
    let choice =
        json!({"index": 0, "text": " upon a time", "logprobs": null, "finish_reason": "length"});
    assert_eq!(answer["choices"], json!([choice]));
    assert_eq!(answer["usage"]["prompt_tokens"], 40);
    let request = engine.request();
    assert_eq!(format!("{:?}", request.prompt), "[Tokens([1, 132, 197, 132])]");
    assert_eq!(request.stopping.max_tokens, Some(16), "as OpenAI's");
    assert_eq!(request.pictures.choice, ImageChoice::None);
}

#[tokio::test]
async fn a_streamed_completion_says_the_same_in_pieces() {
    let engine = writer();
    let body = json!({
        "model": "reverie", "prompt": "Once", "stream": true,
        "stream_options": {"include_usage": true},
    });
    let answer = ask(&engine, "/v1/completions", &body).await;
    let stream = String::from_utf8(answer.body).expect("UTF-8");
    let mut data: Vec<_> = stream
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").expect("data"))
        .collect();
    assert_eq!(data.pop(), Some("[DONE]"));
    let chunks: Vec<Value> =
        data.into_iter().map(|data| serde_json::from_str(data).expect("JSON")).collect();
    let said: String =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(said, " upon a time");
    assert_eq!(chunks[2]["choices"][0]["finish_reason"], "length");
    assert_eq!(
        (&chunks[3]["choices"], &chunks[3]["usage"]["total_tokens"]),
        (&json!([]), &json!(81))
    );
}

#[tokio::test]
async fn every_bad_parameter_of_a_completion_is_named() {
    let engine = writer();
    let cases = [
        (json!({"prompt": [1, 2]}), "prompt[0]", "invalid_value"),
        (json!({"prompt": []}), "prompt", "invalid_value"),
        (json!({"prompt": ["a", "b"]}), "prompt", "invalid_value"),
        (json!({"prompt": [[1]]}), "prompt[0]", "invalid_value"),
        (json!({"prompt": null}), "prompt", "invalid_value"),
        (json!({"prompt": "x".repeat(1 << 16)}), "prompt", "context_length_exceeded"),
        (json!({"prompt": "x".repeat(1 << 18)}), "prompt", "string_too_long"),
        (json!({"echo": true}), "echo", "unsupported_parameter"),
        (json!({"n": 5}), "n", "invalid_value"),
        (json!({"n": 0}), "n", "invalid_value"),
        (json!({"best_of": 2}), "best_of", "unsupported_parameter"),
        (json!({"n": 2, "best_of": 3}), "best_of", "unsupported_parameter"),
        (json!({"logprobs": 21}), "logprobs", "invalid_value"),
        (json!({"logprobs": true}), "logprobs", "invalid_value"),
        (json!({"frequency_penalty": 2.5}), "frequency_penalty", "invalid_value"),
        (json!({"logit_bias": {"8": 1}}), "logit_bias.8", "invalid_value"),
        (json!({"suffix": "x"}), "suffix", "unsupported_parameter"),
        (json!({"max_tokens": 0}), "max_tokens", "invalid_value"),
        (json!({"temperature": 2.1}), "temperature", "invalid_value"),
        (json!({"stream_options": {}}), "stream_options", "invalid_value"),
        (json!({"image_choice": 1}), "image_choice", "unknown_parameter"),
    ];
    for (fields, param, code) in cases {
        let mut body = json!({"model": "reverie", "prompt": "a"});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("one").clone());
        let answer = ask(&engine, "/v1/completions", &body).await;
        assert_eq!(answer.error(), (400, Some(param.into()), code.into()), "{fields:.80}");
    }
}

#[tokio::test]
async fn tokens_are_the_positions_of_the_context() {
    let engine = writer();
    let plain = json!({"prompt": "a</s>", "add_special_tokens": false, "return_token_strs": true});
    let answer = ask(&engine, "/tokenize", &plain).await.json();
    assert_eq!(
        answer["tokens"],
        json!([197, 160, 147, 215, 162]),
        "text never becomes a control token"
    );
    assert_eq!((&answer["count"], &answer["max_model_len"]), (&json!(5), &json!(1024)));
    assert_eq!(answer["token_strs"][0], "#197");
    let with_start = ask(&engine, "/tokenize", &json!({"prompt": "a"})).await.json();
    assert_eq!(
        (&with_start["tokens"], &with_start["token_strs"]),
        (&json!([1, 197]), &Value::Null)
    );

    let content = json!([
        {"type": "image_url", "image_url": {"url": data_url(&png(9, 1))}},
        {"type": "text", "text": "What?"},
    ]);
    let chat = json!({"messages": [{"role": "user", "content": content}]});
    let tokens = ask(&engine, "/tokenize", &chat).await.json()["tokens"].clone();
    let tokens: Vec<u64> = serde_json::from_value(tokens).expect("ids");
    let start = tokens.iter().position(|id| *id == 6).expect("<im_start>");
    assert_eq!(tokens[start + 17], 7, "<im_end>");
    assert!(tokens[start + 1..start + 17].iter().all(|id| *id == 5), "patches between them");

    let back = ask(&engine, "/detokenize", &json!({"tokens": [197, 198]})).await.json();
    assert_eq!(back, json!({"prompt": "ab"}));
    assert_eq!(engine.requests.lock().expect("no test panics with it").len(), 0);
}

#[tokio::test]
async fn every_bad_tokenization_is_named() {
    let engine = writer();
    let messages = json!([{"role": "user", "content": "a"}]);
    let cases = [
        ("/tokenize", json!({}), "prompt", "invalid_value"),
        ("/tokenize", json!({"prompt": "a", "messages": &messages}), "messages", "invalid_value"),
        (
            "/tokenize",
            json!({"messages": &messages, "add_generation_prompt": false}),
            "add_generation_prompt",
            "unsupported_parameter",
        ),
        (
            "/tokenize",
            json!({"messages": &messages, "add_special_tokens": true}),
            "add_special_tokens",
            "invalid_value",
        ),
        (
            "/tokenize",
            json!({"prompt": "a", "chat_template": "x"}),
            "chat_template",
            "unknown_parameter",
        ),
        ("/detokenize", json!({"tokens": [1, 356]}), "tokens[1]", "invalid_value"),
        ("/detokenize", json!({"tokens": [-1]}), "tokens[0]", "invalid_value"),
        ("/detokenize", json!({"tokens": [u64::MAX]}), "tokens[0]", "invalid_value"),
        ("/detokenize", json!({"tokens": vec![1; (1 << 17) + 1]}), "tokens", "array_too_long"),
        ("/detokenize", json!({}), "tokens", "missing_required_parameter"),
    ];
    for (path, body, param, code) in cases {
        let answer = ask(&engine, path, &body).await;
        assert_eq!(answer.error(), (400, Some(param.into()), code.into()), "{path} {body:.80}");
    }
    let answer = ask(&engine, "/tokenize", &json!({"prompt": "a", "model": "gpt-4"})).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn what_capabilities_promise_is_what_requests_may_ask() {
    let engine = writer();
    let answer = send(&app(&engine), get("/v1/capabilities")).await.json();
    assert_eq!(answer["models"], json!(["reverie", "org/alias"]));
    assert_eq!(answer["abilities"], json!(["comprehension", "creation"]));
    assert_eq!(answer["positions"], json!({"max_model_len": 1024, "image": 18, "drawing": 28}));
    assert_eq!(answer["limits"]["max_n"], 4);
    let defaults = answer["defaults"].as_object().expect("an object");
    assert_eq!(defaults["sampler"], "ddpm");
    let body = json!({"model": "reverie", "messages": [{"role": "user", "content": "a"}]});
    let plain = ask(&engine, "/v1/chat/completions", &body).await.json();
    for (parameter, default) in defaults {
        assert_eq!(&plain["effective"][parameter], default, "{parameter}");
    }
    let drawing = answer["ignored_parameters"]["/v1/images/generations"].clone();
    assert_eq!(drawing, json!(["user", "quality", "style", "moderation"]));
    for sampler in answer["samplers"].as_array().expect("a list") {
        let body = json!({"prompt": "a", "sampler": sampler, "stream": true});
        let asked = ask(&engine, "/v1/images/generations", &body).await;
        assert_eq!(asked.status, 200, "{sampler}");
    }
}

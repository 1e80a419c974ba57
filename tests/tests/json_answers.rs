//! Answers of a shape, by the embedded model: whatever it draws, what ends by itself is JSON of its schema, alone or
//! in company, whole or streamed.

use reverie_tests::folders::mini;
use reverie_tests::server::{MODEL, Setup, TestServer, asking};
use serde_json::{Value, json};

/// A schema, and what its JSON must be.
struct Shape {
    name: &'static str,
    schema: Value,
    is_met: fn(&Value) -> bool,
}

fn shapes() -> Vec<Shape> {
    let text = json!({"type": "string", "maxLength": 8});
    vec![
        Shape {
            name: "object",
            schema: json!({"type": "object", "properties": {"color": {"enum": ["red", "green", "blue"]},
                "is_round": {"type": "boolean"}, "what": text}, "additionalProperties": false,
                "required": ["color", "is_round", "what"]}),
            is_met: |value| {
                let color =
                    value["color"].as_str().is_some_and(|c| ["red", "green", "blue"].contains(&c));
                let what = value["what"].as_str().is_some_and(|what| what.chars().count() <= 8);
                color
                    && what
                    && value["is_round"].is_boolean()
                    && value.as_object().map(|o| o.len()) == Some(3)
            },
        },
        Shape {
            name: "list",
            schema: json!({"type": "array", "minItems": 1, "maxItems": 3,
                           "items": {"type": "integer", "minimum": 1, "maximum": 30}}),
            is_met: |value| {
                let in_range = |item: &Value| item.as_u64().is_some_and(|n| (1..=30).contains(&n));
                let is_met = |items: &Vec<Value>| {
                    (1..=3).contains(&items.len()) && items.iter().all(in_range)
                };
                value.as_array().is_some_and(is_met)
            },
        },
        Shape {
            name: "either",
            schema: json!({"anyOf": [{"type": "null"}, {"const": "yes"}, {"type": "boolean"}]}),
            is_met: |value| value.is_null() || value.is_boolean() || value == "yes",
        },
    ]
}

fn request(shape: &Shape, seed: u64, max_tokens: usize) -> Value {
    let format = json!({"type": "json_schema",
                        "json_schema": {"name": shape.name, "schema": shape.schema, "strict": true}});
    let fields = json!({"seed": seed, "temperature": 1.3, "max_tokens": max_tokens,
                        "response_format": format});
    asking(json!("Describe a large red circle as JSON."), fields)
}

async fn ask(server: &TestServer, request: &Value) -> Value {
    server.answer("/v1/chat/completions", request).await
}

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().expect("text")
}

#[tokio::test]
async fn whatever_is_drawn_is_json_of_its_schema() {
    let server = Setup::new(&mini()).start().await;
    for shape in shapes() {
        for seed in 0..16 {
            let answer = ask(&server, &request(&shape, seed, 120)).await;
            let text = content(&answer);
            assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{}: {text}", shape.name);
            let value = serde_json::from_str(text)
                .unwrap_or_else(|_| panic!("{}, seed {seed}: no JSON: {text}", shape.name));
            assert!((shape.is_met)(&value), "{}, seed {seed}: {text}", shape.name);
            assert_eq!(answer["usage"]["images"]["output"], 0);
        }
    }
}

#[tokio::test]
async fn an_answer_stops_when_it_is_whole_and_is_cut_before() {
    let server = Setup::new(&mini()).start().await;
    let shape = &shapes()[0];
    let whole = ask(&server, &request(shape, 3, 120)).await;
    // `</s>` is sampled, too, unless there is no room for it.
    let num_tokens = whole["usage"]["completion_tokens"].as_u64().expect("tokens") as usize - 1;
    assert_eq!(whole["choices"][0]["finish_details"]["type"], "end_of_text");
    let exact = ask(&server, &request(shape, 3, num_tokens)).await;
    assert_eq!(content(&exact), content(&whole));
    assert_eq!(exact["choices"][0]["finish_reason"], "stop", "it is whole");
    let cut = ask(&server, &request(shape, 3, num_tokens - 1)).await;
    assert_eq!(cut["choices"][0]["finish_reason"], "length", "it is not");
    assert!(content(&whole).starts_with(content(&cut)) && content(&cut) != content(&whole));
}

#[tokio::test]
async fn any_object_begins_as_one_and_choices_are_shaped_alike() {
    let server = Setup::new(&mini()).start().await;
    let fields =
        json!({"seed": 2, "n": 2, "max_tokens": 40, "response_format": {"type": "json_object"}});
    let answer = ask(&server, &asking(json!("Describe a large red circle as JSON."), fields)).await;
    for choice in answer["choices"].as_array().expect("choices") {
        let text = choice["message"]["content"].as_str().expect("text");
        assert!(text.starts_with('{'), "{text}");
        if choice["finish_reason"] == "stop" {
            let value: Value = serde_json::from_str(text).expect("whole JSON");
            assert!(value.is_object());
        }
    }
}

#[tokio::test]
async fn a_shaped_answer_is_the_same_in_company_and_in_a_stream() {
    let server = Setup::new(&mini()).start().await;
    let shapes = shapes();
    let alone = ask(&server, &request(&shapes[0], 5, 120)).await;
    let (a, b, c) =
        (request(&shapes[0], 5, 120), request(&shapes[1], 6, 120), request(&shapes[2], 7, 120));
    let free = asking(
        json!("Tell a story."),
        json!({"seed": 1, "image_choice": "none", "max_tokens": 60}),
    );
    let (together, _, _, _) =
        tokio::join!(ask(&server, &a), ask(&server, &b), ask(&server, &c), ask(&server, &free));
    assert_eq!(together["choices"], alone["choices"]);

    let mut stream = request(&shapes[0], 5, 120);
    stream["stream"] = json!(true);
    let body = server.post(&stream).await.text().await.expect("a stream");
    let said: String = body
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(said, content(&alone));
}

#[tokio::test]
async fn a_response_has_the_shape_that_a_chat_has() {
    let server = Setup::new(&mini()).start().await;
    for shape in shapes() {
        let chat = ask(&server, &request(&shape, 9, 120)).await;
        let format = json!({"type": "json_schema", "name": shape.name, "schema": shape.schema});
        let response = json!({"model": MODEL, "input": "Describe a large red circle as JSON.", "seed": 9,
            "temperature": 1.3, "max_output_tokens": 120, "store": false, "text": {"format": format}});
        let response = server.answer("/v1/responses", &response).await;
        let output = response["output"].as_array().expect("items");
        let [message] = output.as_slice() else { panic!("one message: {output:?}") };
        assert_eq!(message["content"][0]["text"], content(&chat), "{}", shape.name);
        assert_eq!(response["status"], "completed");
    }
}

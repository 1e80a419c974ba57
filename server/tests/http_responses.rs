//! `/v1/responses`: items in document order, whole and as events, and what may be asked.

mod http_kit;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_kit::responding::{NOW, check_refused, server, server_with};
use http_kit::{Answer, data_url, finished, picture, png, settings, text};
use reverie_server::engine::event::{EngineError, EngineEvent, FinishReason};
use reverie_server::engine::request::{ImageChoice, ProgressReports};
use reverie_server::picture_codec::PictureFormat;
use serde_json::{Value, json};

/// Names and data of an answer's events.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    let body = String::from_utf8(answer.body.clone()).expect("UTF-8");
    assert!(!body.contains("[DONE]"), "OpenAI's responses have none");
    let events = body.split("\n\n").filter(|event| !event.is_empty());
    events
        .map(|event| {
            let (name, data) = event.split_once('\n').expect("two lines");
            let name = name.strip_prefix("event: ").expect("a name").to_owned();
            let data: Value = data.strip_prefix("data: ").expect("data").parse().expect("JSON");
            assert_eq!(data["type"], name.as_str());
            (name, data)
        })
        .collect()
}

fn pixels(base64: &Value) -> Vec<u8> {
    let file = STANDARD.decode(base64.as_str().expect("base64")).expect("base64");
    image::load_from_memory(&file).expect("a picture").into_rgb8().into_raw()
}

#[tokio::test]
async fn a_response_is_its_texts_and_pictures_in_document_order() {
    let answer = server().respond(json!({"metadata": {"a": "b"}, "seed": 5})).await;
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert!(body["id"].as_str().expect("an id").starts_with("resp_"));
    let fixed = json!({
        "object": "response", "status": "completed", "created_at": NOW, "completed_at": NOW,
        "error": null, "incomplete_details": null, "background": false, "store": true,
        "model": "reverie", "tool_choice": "auto", "tools": [], "parallel_tool_calls": true,
        "previous_response_id": null, "instructions": null, "metadata": {"a": "b"},
        "truncation": "disabled", "text": {"format": {"type": "text"}}, "top_logprobs": 0,
        "temperature": 1.0, "top_p": 1.0, "service_tier": "default",
    });
    for (name, value) in fixed.as_object().expect("an object") {
        assert_eq!(&body[name], value, "{name}");
    }
    assert_eq!(body["effective"]["seed"], 5);
    assert_eq!(body["usage"]["input_tokens"], 40);
    assert_eq!(body["usage"]["input_tokens_details"]["cached_tokens"], 32);
    assert_eq!(
        (&body["usage"]["output_tokens"], &body["usage"]["total_tokens"]),
        (&41.into(), &81.into())
    );
    let output = body["output"].as_array().expect("items");
    let types: Vec<&str> = output.iter().map(|item| item["type"].as_str().expect("one")).collect();
    assert_eq!(types, ["message", "image_generation_call", "message", "image_generation_call"]);
    let content =
        json!([{"type": "output_text", "text": "Once upon.", "annotations": [], "logprobs": []}]);
    assert_eq!(output[0]["content"], content);
    assert_eq!(
        (&output[0]["role"], &output[0]["status"]),
        (&"assistant".into(), &"completed".into())
    );
    assert_eq!(output[2]["content"][0]["text"], " Then.");
    assert_eq!(pixels(&output[1]["result"]), vec![10; 12]);
    assert_eq!(pixels(&output[3]["result"]), vec![200; 12]);
    assert_eq!((&output[3]["output_format"], &output[3]["size"]), (&"png".into(), &"64x64".into()));
    let ids: Vec<&str> = output.iter().map(|item| item["id"].as_str().expect("one")).collect();
    assert!(ids[0].starts_with("msg_") && ids[1].starts_with("ig_"), "{ids:?}");
    assert!((1..4).all(|index| !ids[..index].contains(&ids[index])), "{ids:?}");
}

#[tokio::test]
async fn a_stream_is_openais_events_and_no_others() {
    let server = server();
    let answer = server.respond(json!({"stream": true})).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let events = events(&answer);
    let message = |num_deltas: usize| {
        let mut names = vec!["response.output_item.added", "response.content_part.added"];
        names.extend(vec!["response.output_text.delta"; num_deltas]);
        names.extend(["response.output_text.done", "response.content_part.done"]);
        names.push("response.output_item.done");
        names
    };
    let picture = [
        "response.output_item.added",
        "response.image_generation_call.in_progress",
        "response.image_generation_call.generating",
        "response.image_generation_call.completed",
        "response.output_item.done",
    ];
    let mut wanted = vec!["response.created", "response.in_progress"];
    wanted.extend(message(2));
    wanted.extend(picture);
    wanted.extend(message(1));
    wanted.extend(picture);
    wanted.push("response.completed");
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, wanted);

    for (number, (_, data)) in events.iter().enumerate() {
        assert_eq!(data["sequence_number"], number);
    }
    assert_eq!(events[0].1["response"]["status"], "in_progress");
    assert_eq!(events[0].1["response"]["output"], json!([]));
    let last = &events.last().expect("an end").1["response"];
    let output = last["output"].as_array().expect("items");
    assert_eq!(last["status"], "completed");
    let mut done = Vec::new();
    for (name, data) in &events {
        let index = data["output_index"].as_u64();
        match name.as_str() {
            "response.output_item.added" => {
                assert_eq!(data["item"]["status"], "in_progress");
                assert_eq!(data["item"]["id"], output[index.expect("one") as usize]["id"]);
            }
            "response.output_item.done" => {
                assert_eq!(index, Some(done.len() as u64));
                done.push(data["item"].clone());
            }
            _ if data.get("item_id").is_some() => {
                assert_eq!(data["item_id"], output[index.expect("one") as usize]["id"]);
            }
            _ => {}
        }
    }
    assert_eq!(&done, output);
    let deltas = events.iter().filter(|(name, _)| name == "response.output_text.delta");
    let deltas: Vec<&str> = deltas.map(|(_, data)| data["delta"].as_str().expect("text")).collect();
    assert_eq!(deltas, ["Once", " upon.", " Then."]);
    let whole = server.get(&format!("/v1/responses/{}", last["id"].as_str().expect("an id"))).await;
    assert_eq!(&whole.json(), last, "stored before its end was said");
}

#[tokio::test]
async fn partial_images_come_between_generating_and_completed() {
    let preview = |step| EngineEvent::ImageProgress {
        index: 0,
        step,
        num_steps: 9,
        preview: Some(Arc::new(picture(step as u8))),
    };
    let drawing = EngineEvent::Image { index: 0, picture: Arc::new(picture(9)) };
    let mut script = vec![EngineEvent::ImageStarted { index: 0 }, preview(3), preview(6), drawing];
    script.push(finished(FinishReason::EndOfText));
    let server = server_with(script, settings());
    let tools = json!([{"type": "image_generation", "partial_images": 2, "size": "32x16"}]);
    let events = events(&server.respond(json!({"stream": true, "tools": tools})).await);
    let previews = server.engine.request().pictures.progress;
    assert_eq!(previews, Some(ProgressReports { num_previews: 2 }));
    let partial = "response.image_generation_call.partial_image";
    let names: Vec<&str> = events[4..8].iter().map(|(name, _)| name.as_str()).collect();
    let [before, .., after] = names[..] else { panic!("{names:?}") };
    assert_eq!(before, "response.image_generation_call.generating");
    assert_eq!((names[1], names[2]), (partial, partial));
    assert_eq!(after, "response.image_generation_call.completed");
    for (index, (_, data)) in events[5..7].iter().enumerate() {
        assert_eq!(data["partial_image_index"], index);
        assert_eq!(data["item_id"], events[2].1["item"]["id"]);
        let shade = 3 * (index as u8 + 1);
        assert_eq!(pixels(&data["partial_image_b64"]), vec![shade; 32 * 16 * 3], "as large");
    }
}

#[tokio::test]
async fn a_limit_makes_a_response_incomplete_and_its_last_text_too() {
    for (reason, details) in [
        (FinishReason::MaxTokens, "max_tokens"),
        (FinishReason::MaxImages, "max_images"),
        (FinishReason::ContextFull, "context_full"),
    ] {
        let server = server_with(vec![text("Once"), finished(reason)], settings());
        let body = server.respond(json!({"max_output_tokens": 1})).await.json();
        assert_eq!((&body["status"], &body["completed_at"]), (&"incomplete".into(), &Value::Null));
        assert_eq!(body["incomplete_details"]["reason"], "max_output_tokens");
        assert_eq!(body["incomplete_details"]["finish_details"]["type"], details);
        assert_eq!(body["output"][0]["status"], "incomplete");
        let streamed = events(&server.respond(json!({"stream": true})).await);
        assert_eq!(streamed.last().expect("an end").0, "response.incomplete");
    }
}

#[tokio::test]
async fn a_failure_ends_a_stream_as_openai_does_and_in_the_shape_that_clients_raise_on() {
    let mut script = vec![text("Once")];
    script.push(EngineEvent::ImageStarted { index: 0 });
    script.push(EngineEvent::Failed(EngineError::Model("a secret".to_owned())));
    let server = server_with(script, settings());
    let answer = server.respond(json!({"stream": true})).await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
    let events = events(&answer);
    let [.., (failed, said), (error, raised)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((failed.as_str(), error.as_str()), ("response.failed", "error"));
    let response = &said["response"];
    assert_eq!(
        (&response["status"], &response["error"]["code"]),
        (&"failed".into(), &"server_error".into())
    );
    assert_eq!(response["output"][0]["status"], "completed");
    assert_eq!(response["output"][1]["status"], "failed");
    assert_eq!(raised["error"]["message"], response["error"]["message"]);
    assert_eq!(
        (&raised["code"], &raised["message"]),
        (&"internal_error".into(), &raised["error"]["message"])
    );
    let id = response["id"].as_str().expect("an id");
    assert_eq!(server.get(&format!("/v1/responses/{id}")).await.status, 404, "nothing is stored");
    assert_eq!(server.respond(json!({})).await.status, 500, "a whole one is an error");
}

#[tokio::test]
async fn the_tool_says_how_pictures_are_drawn_and_tool_choice_who_decides() {
    let server = server();
    let tool = |fields: Value| {
        let mut tool = json!({"type": "image_generation"});
        tool.as_object_mut().expect("one").extend(fields.as_object().cloned().expect("one"));
        json!([tool])
    };
    let given = async |fields: Value| {
        let answer = server.respond(fields).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let requests = server.engine.requests.lock().expect("no test panics with it");
        requests.last().expect("one").clone()
    };
    let plain = given(json!({})).await;
    assert_eq!(plain.pictures.choice, ImageChoice::Auto, "with or without the tool");
    let drawn = given(json!({
        "tools": tool(json!({"size": "32x48", "output_format": "jpeg", "output_compression": 70, "quality": "high",
                             "partial_images": 0, "action": "auto", "model": "gpt-image-1", "moderation": "low",
                             "background": "opaque", "input_fidelity": "high"})),
        "tool_choice": {"type": "image_generation"}, "max_tool_calls": 3,
    })).await;
    assert_eq!((drawn.pictures.width, drawn.pictures.height), (32, 48));
    assert_eq!(drawn.pictures.format, PictureFormat::Jpeg { quality: 70 });
    assert_eq!((drawn.pictures.choice, drawn.pictures.max_images), (ImageChoice::Required, 3));
    for (fields, choice) in [
        (json!({"tool_choice": "none"}), ImageChoice::None),
        (json!({"tool_choice": "auto", "tools": []}), ImageChoice::Auto),
        (json!({"tool_choice": "required", "tools": tool(json!({}))}), ImageChoice::Required),
        (json!({"image_choice": 2, "tool_choice": "required"}), ImageChoice::Exactly(2)),
        (json!({"image_choice": "none"}), ImageChoice::None),
        (json!({"max_tool_calls": 0}), ImageChoice::None),
    ] {
        assert_eq!(given(fields.clone()).await.pictures.choice, choice, "{fields}");
    }
}

#[tokio::test]
async fn what_clients_send_by_themselves_is_taken() {
    let answer = server()
        .respond(json!({
            "user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "auto",
            "prompt_cache_retention": "in_memory", "reasoning": {"effort": "low", "summary": "auto"},
            "parallel_tool_calls": true, "include": ["reasoning.encrypted_content"], "background": false,
            "text": {"format": {"type": "text"}, "verbosity": "low"}, "truncation": "disabled",
            "top_logprobs": 0, "stream": false, "temperature": 0.5, "top_p": 0.9, "conversation": null,
            "prompt": null, "tools": [], "tool_choice": "auto", "metadata": {},
        }))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.json()["prompt_cache_key"], "k");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_its_name() {
    check_refused([
        (json!({"background": true}), "background", "unsupported_parameter"),
        (json!({"conversation": "conv_1"}), "conversation", "unsupported_parameter"),
        (json!({"prompt": {"id": "p"}}), "prompt", "unsupported_parameter"),
        (
            json!({"context_management": [{"type": "compaction"}]}),
            "context_management",
            "unsupported_parameter",
        ),
        (json!({"top_logprobs": 2}), "top_logprobs", "unsupported_parameter"),
        (json!({"truncation": "sometimes"}), "truncation", "invalid_value"),
        (json!({"include": ["message.output_text.logprobs"]}), "include[0]", "invalid_value"),
        (json!({"shininess": 3}), "shininess", "unknown_parameter"),
        (json!({"max_output_tokens": 0}), "max_output_tokens", "invalid_value"),
        (json!({"temperature": 3}), "temperature", "invalid_value"),
        (json!({"stream_options": {}}), "stream_options", "invalid_value"),
        (
            json!({"image_choice": "none", "tool_choice": "required"}),
            "image_choice",
            "invalid_value",
        ),
        (json!({"metadata": {"k".repeat(65): "v"}}), "metadata", "string_too_long"),
    ])
    .await;
    let server = server();
    for id in ["resp_1", "", "../etc/passwd", "resp_0123456789abcdef0123456789abcdef"] {
        let refused = server.respond(json!({"previous_response_id": id})).await.error();
        assert_eq!((refused.0, refused.2.as_str()), (404, "previous_response_not_found"));
    }
    let missing = server.post("/v1/responses", &json!({"model": "reverie"})).await.error();
    assert_eq!(missing, (400, Some("input".into()), "missing_required_parameter".into()));
}

#[tokio::test]
async fn what_was_left_out_is_called_by_its_id_or_place() {
    let server = server();
    // A byte is a position here, and 1,024 are all there are.
    let first = server.respond(json!({"input": "a".repeat(200)})).await.json();
    let input = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "b".repeat(300)},
                       {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "c".repeat(700)}]);
    let fields = json!({"input": input, "previous_response_id": first["id"], "max_output_tokens": 20,
                        "truncation": "auto"});
    let answer = server.respond(fields).await.json();
    assert_eq!(answer["truncation"], "auto");
    let dropped: Vec<&str> = answer["dropped_items"]
        .as_array()
        .expect("names")
        .iter()
        .map(|name| name.as_str().expect("a name"))
        .collect();
    let asked = server
        .get(&format!("/v1/responses/{}/input_items", first["id"].as_str().expect("one")))
        .await;
    let mut wanted = vec![asked.json()["data"][0]["id"].as_str().expect("an id").to_owned()];
    let output = first["output"].as_array().expect("items");
    wanted.extend(output.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
    wanted.extend(["input[1]".to_owned(), "input[2]".to_owned()]);
    assert_eq!(dropped, wanted);

    let fits = server.respond(json!({"truncation": "auto"})).await.json();
    assert_eq!(fits["dropped_items"], json!([]));
    let whole = server.respond(json!({})).await.json();
    assert!(whole.get("dropped_items").is_none(), "nothing may be left out");
}

#[tokio::test]
async fn what_the_tool_cannot_do_is_refused_by_its_name() {
    let image = |fields: Value| json!({"tools": [fields]});
    check_refused([
        (image(json!({"type": "function"})), "tools[0].type", "invalid_value"),
        (
            image(json!({"type": "image_generation", "partial_images": 2})),
            "tools[0].partial_images",
            "invalid_value",
        ),
        (
            image(json!({"type": "image_generation", "size": "17x23"})),
            "tools[0].size",
            "invalid_value",
        ),
        (
            image(json!({"type": "image_generation", "output_compression": 50})),
            "tools[0].output_compression",
            "invalid_value",
        ),
        (
            image(json!({"type": "image_generation", "background": "transparent"})),
            "tools[0].background",
            "unsupported_parameter",
        ),
        (
            image(json!({"type": "image_generation", "input_image_mask": {"file_id": "f"}})),
            "tools[0].input_image_mask",
            "unsupported_parameter",
        ),
        (
            json!({"tools": [{"type": "image_generation"}, {"type": "image_generation"}]}),
            "tools",
            "array_too_long",
        ),
        (json!({"tool_choice": {"type": "function"}}), "tool_choice.type", "invalid_value"),
    ])
    .await;
}

#[tokio::test]
async fn input_that_cannot_be_read_is_refused_by_its_place() {
    let user = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    check_refused([
        (json!({"input": []}), "input", "invalid_value"),
        (json!({"input": [{"role": "assistant", "content": "A"}]}), "input", "invalid_value"),
        (json!({"input": [{"type": "function_call_output"}]}), "input[0].type", "invalid_value"),
        (json!({"input": [{"type": "image_generation_call"}]}), "input[0]", "invalid_value"),
        (
            user(json!({"type": "input_file", "file_id": "f"})),
            "input[0].content[0].type",
            "invalid_value",
        ),
        (user(json!({"type": "input_image"})), "input[0].content[0]", "invalid_value"),
        (
            user(json!({"type": "input_image", "image_url": "http://host/a.png"})),
            "input[0].content[0].image_url",
            "invalid_image_url",
        ),
        (
            user(json!({"type": "input_text", "text": "a".repeat(200_000)})),
            "input",
            "context_length_exceeded",
        ),
        (
            user(json!({"type": "input_text", "text": "a".repeat(20_000)})),
            "input",
            "context_length_exceeded",
        ),
        (
            json!({"input": [{"type": "image_generation_call", "result": "???"}, {"role": "user", "content": "A"}]}),
            "input[0].result",
            "invalid_base64_image",
        ),
        (
            json!({"input": [{"role": "user", "content": vec![json!({"type": "input_image", "image_url": data_url(&png(8, 1))}); 5]}]}),
            "input[0].content[4].image_url",
            "too_many_images",
        ),
        (
            json!({"input": [{"role": "system", "content": [{"type": "input_image", "image_url": data_url(&png(8, 1))}]}, {"role": "user", "content": "A"}]}),
            "input[0].content[0].image_url",
            "invalid_value",
        ),
    ])
    .await;
}

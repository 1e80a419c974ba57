//! Responses that are stored: for whom, for how long, and how a conversation goes on from them.

mod http_kit;

use axum::http::Method;
use http_kit::responding::{id_of, request, server, server_with};
use http_kit::{
    Afterwards, STORE_LIMITS, ScriptedEngine, asking, chat, data_url, drawn, finished, interleaved,
    png, send, settings, text,
};
use reverie_server::engine::event::FinishReason;
use reverie_server::http::{ApiKey, HttpSettings};
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

#[tokio::test]
async fn a_conversation_goes_on_with_the_very_context_of_the_same_chat() {
    let server = server();
    let first = server.respond(json!({"seed": 1})).await;
    let id = id_of(&first);
    let fields = json!({"input": "Make it blue.", "previous_response_id": id});
    let second = server.respond(fields.clone()).await;
    let by_id = server.last_context();
    assert_eq!(second.json()["previous_response_id"], id);

    let chat_first = chat(&server.app, &asking(json!({"seed": 1}))).await.json();
    let message = chat_first["choices"][0]["message"].clone();
    let user = |text: &str| json!({"role": "user", "content": text});
    let messages = json!([user("Hello"), message, user("Make it blue.")]);
    assert_eq!(chat(&server.app, &asking(json!({"messages": messages}))).await.status, 200);
    assert_eq!(by_id, server.last_context());
    assert_eq!(by_id.matches("Dream").count(), 2);

    // The whole conversation, as clients that store nothing themselves send it back.
    let output = first.json()["output"].as_array().cloned().expect("items");
    let around = |items: Vec<Value>| {
        let mut input = vec![json!({"role": "user", "content": "Hello"})];
        input.extend(items);
        input.push(json!({"type": "message", "role": "user",
                          "content": [{"type": "input_text", "text": "Make it blue."}]}));
        json!({"input": input})
    };
    let reference = |item: &Value| json!({"type": "item_reference", "id": item["id"]});
    let id_alone = |item: &Value| match item["type"].as_str() {
        Some("image_generation_call") => json!({"type": "image_generation_call", "id": item["id"]}),
        _ => item.clone(),
    };
    for items in [
        output.clone(),
        output.iter().map(reference).collect(),
        output.iter().map(id_alone).collect(),
    ] {
        let answer = server.respond(around(items)).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(by_id, server.last_context());
    }

    // A third turn goes on from the second, and so from the first; instructions hold for one response only.
    let third = json!({"input": "And?", "previous_response_id": id_of(&second), "instructions": "Be brief."});
    assert_eq!(server.respond(third).await.status, 200);
    assert_eq!(server.last_context().matches("Dream").count(), 4);
    let told = server.last_context();
    let third = json!({"input": "And?", "previous_response_id": id_of(&second)});
    assert_eq!(server.respond(third).await.status, 200);
    assert_ne!(told, server.last_context());
}

#[tokio::test]
async fn pictures_are_shown_by_data_url_address_and_file_id() {
    let server = server();
    let file = png(8, 30);
    let shown = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    let inline = json!({"type": "input_image", "image_url": data_url(&file), "detail": "low"});
    assert_eq!(server.respond(shown(inline)).await.status, 200);
    assert!(server.last_context().contains("Picture"));

    let answer = chat(&server.app, &asking(json!({"image_delivery": "url"}))).await.json();
    let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].clone();
    let text = url.as_str().expect("a URL");
    let id = text.split('/').find(|part| part.starts_with("file-")).expect("an id");
    let by_url = server.respond(shown(json!({"type": "input_image", "image_url": url}))).await;
    assert_eq!(by_url.status, 200, "{}", by_url.json());
    let context = server.last_context();
    let by_id = server.respond(shown(json!({"type": "input_image", "file_id": id}))).await;
    assert_eq!(by_id.status, 200);
    assert_eq!(context, server.last_context());
    let unknown =
        json!({"type": "input_image", "file_id": "file-0123456789abcdef0123456789abcdef"});
    let refused = server.respond(shown(unknown)).await.error();
    let param = Some("input[0].content[0].file_id".into());
    assert_eq!(refused, (404, param, "file_not_found".into()));
}

#[tokio::test]
async fn references_lead_to_so_many_responses_and_no_more() {
    let server = server();
    let mut items = Vec::new();
    for text in ["A", "B"] {
        let answer = server.respond(json!({"input": text})).await;
        let path = format!("/v1/responses/{}/input_items", id_of(&answer));
        items.push(reference_to(&server.get(&path).await.json()["data"][0]));
    }
    let asked = |input: Vec<Value>| json!({"input": input, "truncation": "auto"});
    let together: Vec<Value> = items.iter().flat_map(|item| vec![item.clone(); 200]).collect();
    assert_eq!(server.respond(asked(together)).await.status, 200);
    let by_turns: Vec<Value> = items.iter().cycle().take(300).cloned().collect();
    let refused = server.respond(asked(by_turns)).await.error();
    assert_eq!(refused, (400, Some("input".into()), "invalid_value".into()));
}

#[tokio::test]
async fn what_is_stored_can_be_had_listed_and_forgotten() {
    let server = server();
    let input = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "A"},
                                     {"type": "input_image", "image_url": data_url(&png(8, 30))}]},
    ]);
    let answer = server.respond(json!({"input": input})).await;
    let path = format!("/v1/responses/{}", id_of(&answer));
    let again = server.get(&path).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, answer.json()));

    let list = server.get(&format!("{path}/input_items?order=asc")).await.json();
    assert_eq!((&list["object"], &list["has_more"]), (&"list".into(), &false.into()));
    let items = list["data"].as_array().expect("items").clone();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["content"], json!([{"type": "input_text", "text": "Be brief."}]));
    assert_eq!(items[1]["content"][1]["image_url"], data_url(&png(8, 30)));
    assert_eq!((&list["first_id"], &list["last_id"]), (&items[0]["id"], &items[1]["id"]));
    let newest = server.get(&format!("{path}/input_items?limit=1")).await.json();
    assert_eq!(newest["data"], json!([items[1]]));
    assert_eq!(newest["has_more"], true);
    let after = items[1]["id"].as_str().expect("an id");
    let rest = server.get(&format!("{path}/input_items?limit=1&after={after}")).await.json();
    assert_eq!((&rest["data"], &rest["has_more"]), (&json!([items[0]]), &false.into()));
    for query in ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_1"] {
        let refused = server.get(&format!("{path}/input_items?{query}")).await.error();
        let name = query.split('=').next().map(str::to_owned);
        assert_eq!(refused, (400, name, "invalid_value".into()));
    }

    let unknown = server.get(&format!("{path}/input_items?include%5B%5D=x&colour=1")).await.error();
    assert_eq!(unknown, (400, Some("colour".into()), "unknown_parameter".into()));

    // An item of the input can be referred to as well.
    let reference = json!({"type": "item_reference", "id": items[1]["id"]});
    assert_eq!(server.respond(json!({"input": [reference]})).await.status, 200);
    assert!(server.last_context().contains("Picture"));

    let cancelled = server.post(&format!("{path}/cancel"), &Value::Null).await;
    assert_eq!(cancelled.error().0, 400);
    assert_eq!(cancelled.json()["error"]["message"], "Cannot cancel a synchronous response.");
    assert_eq!(server.get(&format!("{path}?stream=true")).await.error().0, 400);

    let deleted = server.delete(&path).await;
    let id = path.rsplit('/').next().expect("an id");
    assert_eq!(deleted.json(), json!({"id": id, "object": "response", "deleted": true}));
    for gone in [server.get(&path).await, server.delete(&path).await] {
        let param = Some("response_id".to_owned());
        assert_eq!(gone.error(), (404, param, "response_not_found".into()));
        assert_eq!(gone.json()["error"]["message"], format!("Response with id '{id}' not found."));
    }
    let refused = server.respond(json!({"input": [reference_to(&items[1])]})).await;
    assert_eq!(refused.error(), (404, Some("input[0].id".into()), "item_not_found".into()));
}

fn reference_to(item: &Value) -> Value {
    json!({"type": "item_reference", "id": item["id"]})
}

#[tokio::test]
async fn nobody_reaches_another_tenants_responses_and_time_ends_ones_own() {
    let api_keys = ["one", "two"].map(ApiKey::new).to_vec();
    let server = server_with(interleaved(), HttpSettings { api_keys, ..settings() });
    let ask = async |key: &str, method: Method, path: &str, body: Value| {
        send(&server.app, request(method, path, Some(key), &body)).await
    };
    let first = json!({"model": "reverie", "input": "A"});
    let answer = ask("one", Method::POST, "/v1/responses", first).await;
    let (id, item) = (id_of(&answer), answer.json()["output"][1].clone());
    let path = format!("/v1/responses/{id}");
    let next = json!({"model": "reverie", "input": "B", "previous_response_id": id});
    let by_item = json!({"model": "reverie", "input": [reference_to(&item), {"role": "user", "content": "B"}]});
    let tried = async |key: &str| {
        [
            ask(key, Method::GET, &path, Value::Null).await.status.as_u16(),
            ask(key, Method::GET, &format!("{path}/input_items"), Value::Null)
                .await
                .status
                .as_u16(),
            ask(key, Method::POST, "/v1/responses", next.clone()).await.status.as_u16(),
            ask(key, Method::POST, "/v1/responses", by_item.clone()).await.status.as_u16(),
        ]
    };
    assert_eq!(ask("two", Method::DELETE, &path, Value::Null).await.status, 404);
    assert_eq!(tried("two").await, [404; 4]);
    assert_eq!(tried("one").await, [200; 4]);
    assert_eq!(
        send(&server.app, request(Method::GET, &path, None, &Value::Null)).await.status,
        401
    );
    let refused = ask("two", Method::POST, "/v1/responses", next.clone()).await;
    let message = format!("Previous response with id '{id}' not found.");
    assert_eq!(refused.json()["error"]["message"], message);
    let param = Some("previous_response_id".to_owned());
    assert_eq!(refused.error(), (404, param, "previous_response_not_found".into()));

    server.pass(STORE_LIMITS.max_age - 1);
    assert_eq!(tried("one").await, [200; 4], "whatever is used lives on");
    server.pass(STORE_LIMITS.max_age);
    assert_eq!(tried("one").await, [404; 4]);
}

#[tokio::test]
async fn what_is_not_to_be_stored_is_not_and_what_cannot_be_is_refused() {
    let server = server();
    let answer = server.respond(json!({"store": false})).await;
    let id = id_of(&answer);
    assert_eq!(answer.json()["store"], false);
    assert_eq!(server.get(&format!("/v1/responses/{id}")).await.status, 404);
    // Larger than a record may be, and smaller than a body may be.
    let name = "n".repeat(STORE_LIMITS.max_record_bytes() as usize);
    let large = json!({"input": [{"role": "user", "content": "A", "id": name}]});
    assert_eq!(
        server.respond(large.clone()).await.error(),
        (400, Some("store".into()), "invalid_value".into())
    );
    let mut unstored = large;
    unstored["store"] = json!(false);
    assert_eq!(server.respond(unstored).await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_document_and_nothing_is_stored() {
    let engine = ScriptedEngine::new(vec![text("Once")], Afterwards::Wait);
    let left = engine.next_departure();
    let mut app = http_kit::app(&engine);
    let body = json!({"model": "reverie", "input": "A", "stream": true});
    let request = request(Method::POST, "/v1/responses", None, &body);
    let response = tower::Service::call(&mut app, request).await.expect("a response");
    assert_eq!(response.status(), 200);
    let mut events = response.into_body().into_data_stream();
    let mut told = String::new();
    while !told.contains("resp_") {
        let bytes = events.next().await.expect("more to come").expect("bytes");
        told.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
    }
    let id = &told[told.find("resp_").expect("an id")..][.."resp_".len() + 32];
    drop(events);
    left.await.expect("the document is given up");
    let path = format!("/v1/responses/{id}");
    let gone = send(&app, self::request(Method::GET, &path, None, &Value::Null)).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_conversation_with_more_pictures_than_a_request_may_have_is_refused() {
    let server = server();
    let mut id = id_of(&server.respond(json!({})).await);
    id = id_of(&server.respond(json!({"previous_response_id": id})).await);
    id = id_of(&server.respond(json!({"previous_response_id": id})).await);
    let refused = server.respond(json!({"previous_response_id": id})).await.error();
    assert_eq!(refused, (400, Some("previous_response_id".into()), "too_many_images".into()));
}

#[tokio::test]
async fn a_chain_goes_on_beyond_the_pictures_that_are_read_if_the_oldest_may_be_left_out() {
    let server = server();
    let mut chain = vec![server.respond(json!({})).await.json()];
    for _ in 0..6 {
        let previous = &chain[chain.len() - 1]["id"];
        let fields = json!({"previous_response_id": previous, "truncation": "auto"});
        let answer = server.respond(fields).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        chain.push(answer.json());
    }
    // Each has two pictures, and four are read: those of the two before the last.
    let mut wanted = Vec::new();
    for response in &chain[..4] {
        let path = format!("/v1/responses/{}/input_items", response["id"].as_str().expect("one"));
        wanted.push(server.get(&path).await.json()["data"][0]["id"].clone());
        let output = response["output"].as_array().expect("items");
        wanted.extend(output.iter().map(|item| item["id"].clone()));
    }
    assert_eq!(chain[6]["dropped_items"], json!(wanted), "also of what was not even read");
}

#[tokio::test]
async fn what_a_failed_response_did_not_complete_is_taken_back_as_nothing() {
    let server = server();
    let call = |status: &str| {
        json!({"type": "image_generation_call", "id": "ig_0123", "status": status, "result": null,
               "output_format": "png", "size": "64x64", "quality": "auto", "background": "opaque"})
    };
    for status in ["failed", "in_progress", "generating", "incomplete"] {
        let input = json!([{"role": "user", "content": "Draw."}, call(status), {"role": "user", "content": "Again."}]);
        let answer = server.respond(json!({"input": input})).await;
        let id = id_of(&answer);
        let next = server.respond(json!({"previous_response_id": id})).await;
        assert_eq!(next.status, 200, "and is stored: {}", next.json());
    }
    let input = json!([call("completed"), {"role": "user", "content": "Again."}]);
    let missing = server.respond(json!({"input": input})).await.error();
    assert_eq!((missing.0, missing.2.as_str()), (404, "item_not_found"), "one that was drawn");
}

#[tokio::test]
async fn asking_again_under_one_key_is_the_same_response() {
    let mut script = drawn(0, 7);
    script.push(finished(FinishReason::EndOfText));
    let server = server_with(script, settings());
    let ask = async || {
        let body = json!({"model": "reverie", "input": "A"});
        let mut request = request(Method::POST, "/v1/responses", None, &body);
        request.headers_mut().insert("idempotency-key", "one".parse().expect("a value"));
        send(&server.app, request).await.json()
    };
    let (once, again) = (ask().await, ask().await);
    assert_eq!(once, again);
    assert_eq!(once["output"][0]["type"], "image_generation_call", "no text before it, no message");
}

//! One conversation in every shape that it can be had in: pictures in the answer, by address, as Markdown in the text, and
//! as a stored response. The second turn is the same answer in all of them.

use reverie_tests::answer::{Part, WholeAnswer};
use reverie_tests::pictures::file_of;
use reverie_tests::server::{MODEL, TestServer, asking, conversation};
use serde_json::{Value, json};

use crate::mini_server;

const DRAW: &str = "Draw a large red circle on a white background.";
const NEXT: &str = "Make it blue.";

/// What both turns say: text, and pictures as the SHA-256 of their files.
type Said = Vec<String>;

fn fields(more: &Value) -> Value {
    let mut fields = json!({"seed": 1, "num_inference_steps": 4});
    fields.as_object_mut().expect("one").extend(more.as_object().cloned().expect("one"));
    fields
}

fn said(answer: &WholeAnswer) -> Said {
    let part = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Picture(url) => format!("{:?}", file_of(url)),
    };
    answer.document.parts.iter().map(part).collect()
}

/// The second turn of a chat whose first answer came in the shape of `delivery`.
async fn second_chat_turn(server: &TestServer, delivery: &str) -> (Said, usize) {
    let first = asking(json!(DRAW), fields(&json!({"image_delivery": delivery})));
    let first: Value = server.post(&first).await.json().await.expect("JSON");
    let message = &first["choices"][0]["message"];
    // Only what every client knows of a message.
    let echoed = match delivery {
        "markdown" => json!({"role": "assistant", "content": message["content"]}),
        _ => message.clone(),
    };
    let user = |text: &str| json!({"role": "user", "content": text});
    let turns = json!([user(DRAW), echoed, user(NEXT)]);
    let second = server.whole(&conversation(turns, fields(&json!({})))).await;
    (said(&second), second.document.usage.prompt_tokens)
}

/// The second turn of a stored response.
async fn second_response(server: &TestServer) -> (Said, usize) {
    let ask = async |more: Value| -> Value {
        let mut body = fields(&more);
        body["model"] = MODEL.into();
        let answer = server.post_to("/v1/responses", &body).await;
        answer.json().await.expect("JSON")
    };
    let first = ask(json!({"input": DRAW})).await;
    let second = ask(json!({"input": NEXT, "previous_response_id": first["id"]})).await;
    let items = second["output"].as_array().expect("items").iter();
    let item = |item: &Value| match item["type"].as_str() {
        Some("message") => item["content"][0]["text"].as_str().expect("text").to_owned(),
        _ => {
            let file = item["result"].as_str().expect("base64");
            format!("{:?}", file_of(&format!("data:image/png;base64,{file}")))
        }
    };
    let prompt_tokens = second["usage"]["input_tokens"].as_u64().expect("a number");
    (items.map(item).collect(), prompt_tokens as usize)
}

#[tokio::test]
async fn the_second_turn_is_the_same_in_every_shape_of_the_first() {
    let server = mini_server().await;
    let inline = second_chat_turn(&server, "inline").await;
    assert!(inline.0.len() >= 2, "text and a picture: {:?}", inline.0);
    assert_eq!(second_chat_turn(&server, "url").await, inline);
    assert_eq!(second_chat_turn(&server, "markdown").await, inline);
    assert_eq!(second_response(&server).await, inline);
}

//! Pictures by their address: how they are sent, who may have them, until when, and that history in every shape is the same
//! document.

mod http_kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_kit::{
    Afterwards, Answer, STORE_LIMITS, ScriptedEngine, asking, chat, data_url, drawn, finished, get,
    interleaved, pixels, post, send, settings, state_with, text,
};
use reverie_server::engine::event::FinishReason;
use reverie_server::file_link::SigningKey;
use reverie_server::http::{ApiKey, HttpSettings, Origin, router};
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: u64 = 1_700_000_001;

/// A server whose clock the test moves.
struct Server {
    engine: Arc<ScriptedEngine>,
    app: Router,
    clock: Arc<AtomicU64>,
}

fn server_with(settings: HttpSettings) -> Server {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::Wait);
    let mut state = state_with(&engine, settings);
    let clock = Arc::new(AtomicU64::new(NOW));
    let time = Arc::clone(&clock);
    state.origin = Origin::new(|| Uuid::from_u128(7), move || time.load(Ordering::Relaxed));
    Server { engine, app: router(state), clock }
}

fn server() -> Server {
    server_with(settings())
}

impl Server {
    async fn chat(&self, fields: Value) -> Answer {
        chat(&self.app, &asking(fields)).await
    }

    /// What the engine is given for this conversation.
    async fn context_of(&self, messages: Value) -> String {
        let answer = self.chat(json!({"messages": messages, "seed": 1})).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        let requests = self.engine.requests.lock().expect("no test panics with it");
        format!("{:?}", requests.last().expect("it was asked").prompt)
    }

    fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// The path and query of an address of ours.
fn path(url: &Value) -> String {
    let url = url.as_str().expect("a URL");
    url.strip_prefix("http://localhost:8000").unwrap_or_else(|| panic!("{url}")).to_owned()
}

fn stream_of(answer: &Answer) -> Vec<Value> {
    let body = String::from_utf8(answer.body.clone()).expect("UTF-8");
    let data = body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| data.parse().expect("JSON")).collect()
}

#[tokio::test]
async fn pictures_by_address_stand_where_inline_ones_do_and_open_without_a_key() {
    let server = server();
    let answer = server.chat(json!({"image_delivery": "url"})).await;
    let message = &answer.json()["choices"][0]["message"];
    assert_eq!(message["content"], "Once upon. Then.");
    assert_eq!(message["content_parts"][1], json!({"type": "image_ref", "index": 0}));
    let file = send(&server.app, get(&path(&message["images"][1]["image_url"]["url"]))).await;
    assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "image/png"));
    let decoded = image::load_from_memory(&file.body).expect("a picture").into_rgb8();
    assert_eq!(decoded.into_raw(), vec![200; 12]);
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    let max_age = STORE_LIMITS.max_age;
    assert_eq!(file.header("cache-control"), format!("private, max-age={max_age}, immutable"));

    let streamed = stream_of(&server.chat(json!({"image_delivery": "url", "stream": true})).await);
    let urls = streamed.iter().filter_map(|chunk| {
        chunk["choices"][0]["delta"]["images"][0]["image_url"]["url"].as_str().map(str::to_owned)
    });
    let whole = [0, 1].map(|index| message["images"][index]["image_url"]["url"].clone());
    assert_eq!(urls.map(Value::from).collect::<Vec<_>>(), whole, "the same file, the same address");
}

#[tokio::test]
async fn markdown_stands_in_the_text_whole_and_streamed() {
    let server = server();
    let answer = server.chat(json!({"image_delivery": "markdown"})).await;
    let message = &answer.json()["choices"][0]["message"];
    let content = message["content"].as_str().expect("text");
    let (before, rest) =
        content.split_once("![picture 1](http://localhost:8000/v1/files/file-").unwrap();
    assert_eq!(before, "Once upon.\n\n");
    assert!(rest.contains(")\n\n Then.\n\n![picture 2](http://"), "{content}");
    assert!(message.get("images").is_none());
    assert_eq!(message["content_parts"], json!([{"type": "text", "text": content}]));

    let chunks =
        stream_of(&server.chat(json!({"image_delivery": "markdown", "stream": true})).await);
    let deltas = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(deltas.collect::<String>(), content);
}

#[tokio::test]
async fn content_is_a_list_where_that_is_asked_for() {
    let server = server();
    let answer = server.chat(json!({"image_content": "parts"})).await;
    let message = answer.json()["choices"][0]["message"].clone();
    let parts = message["content"].as_array().expect("a list");
    assert_eq!(parts.len(), 4);
    assert_eq!(parts[0], json!({"type": "text", "text": "Once upon."}));
    let url = parts[3]["image_url"]["url"].as_str().expect("a URL");
    assert_eq!(pixels(url, "image/png"), vec![200; 12]);
    assert!(message.get("images").is_none() && message.get("content_parts").is_none());

    let chunks = stream_of(&server.chat(json!({"image_content": "parts", "stream": true})).await);
    let contents = chunks.iter().map(|chunk| chunk["choices"][0]["delta"]["content"].clone());
    let contents: Vec<Value> = contents.filter(|content| !content.is_null()).collect();
    assert_eq!(contents[..3], [json!(""), json!("Once"), json!(" upon.")]);
    assert_eq!(contents[3], json!([parts[1]]));
    assert_eq!(contents.len(), 6);

    let both = server.chat(json!({"image_content": "parts", "image_delivery": "markdown"})).await;
    assert_eq!(both.error(), (400, Some("image_content".into()), "invalid_value".into()));
}

#[tokio::test]
async fn history_is_the_same_document_in_every_shape_that_we_emit() {
    let server = server();
    let mut contexts = Vec::new();
    for fields in [
        json!({}),
        json!({"image_delivery": "url"}),
        json!({"image_delivery": "markdown"}),
        json!({"image_content": "parts"}),
        json!({"image_content": "parts", "image_delivery": "url"}),
    ] {
        let answer = server.chat(fields).await.json();
        let message = answer["choices"][0]["message"].clone();
        let turns =
            json!([{"role": "user", "content": "A"}, message, {"role": "user", "content": "B"}]);
        contexts.push(server.context_of(turns).await);
        if let Some(text) = message["content"].as_str().filter(|text| text.contains("![")) {
            // As a client that knows text only sends it back, and behind another name of ours.
            let text = text.replace("http://localhost:8000", "https://elsewhere.example/reverie");
            let plain = json!({"role": "assistant", "content": text});
            let turns =
                json!([{"role": "user", "content": "A"}, plain, {"role": "user", "content": "B"}]);
            contexts.push(server.context_of(turns).await);
        }
    }
    assert!(contexts[0].matches("Dream").count() == 2, "{}", contexts[0]);
    assert!(contexts.iter().all(|context| *context == contexts[0]), "{contexts:#?}");
}

#[tokio::test]
async fn a_users_markdown_is_text_and_an_address_in_a_users_message_is_a_picture() {
    let server = server();
    let answer = server.chat(json!({"image_delivery": "url"})).await.json();
    let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].clone();
    let shown =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]);
    let file = data_url(&send(&server.app, get(&path(&url))).await.body);
    let inline =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": file}}]}]);
    assert_eq!(server.context_of(shown).await, server.context_of(inline).await);
    let text = format!("![p]({})", url.as_str().expect("a URL"));
    let said = server.context_of(json!([{"role": "user", "content": text}])).await;
    assert!(!said.contains("Picture"), "{said}");
}

#[tokio::test]
async fn forged_expired_and_unknown_addresses_are_refused_by_their_place() {
    let server = server();
    let answer = server.chat(json!({"image_delivery": "url"})).await.json();
    let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].clone();
    let good = path(&url);
    let forged = good.replace("expires=1", "expires=9");
    let status = async |path: &str| send(&server.app, get(path)).await.error();
    assert_eq!(status(&forged).await, (403, Some("signature".into()), "invalid_signature".into()));
    let half = good.split('&').next().expect("a query");
    assert_eq!(status(half).await.0, 403);
    let not_found = (404, Some("id".into()), "file_not_found".into());
    for unknown in ["/v1/files/file-1/content", "/v1/files/..%2f..%2fetc%2fpasswd/content"] {
        assert_eq!(status(unknown).await, not_found);
    }
    let ask = async |url: &str| {
        let content = json!([{"type": "image_url", "image_url": {"url": url}}]);
        server.chat(json!({"messages": [{"role": "user", "content": content}]})).await.error()
    };
    let param = Some("messages[0].content[0].image_url.url".to_owned());
    let full = |path: &str| format!("http://localhost:8000{path}");
    assert_eq!(ask(&full(&forged)).await, (400, param.clone(), "invalid_image_url".into()));

    server.pass(STORE_LIMITS.max_age);
    assert_eq!(status(&good).await, not_found, "in its time it was there");
    assert_eq!(ask(&full(&good)).await, (400, param, "image_url_expired".into()));
    let said = format!("Here: ![p]({})", full(&good));
    let messages =
        json!([{"role": "assistant", "content": said}, {"role": "user", "content": "B"}]);
    let refused = server.chat(json!({"messages": messages})).await.error();
    assert_eq!(refused, (400, Some("messages[0].content".into()), "image_url_expired".into()));
}

#[tokio::test]
async fn a_client_that_has_a_file_is_not_sent_it_again() {
    let server = server();
    let answer = server.chat(json!({"image_delivery": "url"})).await.json();
    let path = path(&answer["choices"][0]["message"]["images"][0]["image_url"]["url"]);
    let file = send(&server.app, get(&path)).await;
    let mut again = get(&path);
    again.headers_mut().insert("if-none-match", file.headers["etag"].clone());
    let again = send(&server.app, again).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), file.header("etag"));
    let head = Request::head(&path).header("host", "localhost").body(Body::empty()).unwrap();
    let head = send(&server.app, head).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), file.body.len().to_string());
}

#[tokio::test]
async fn without_a_signature_a_file_is_its_owners_alone() {
    let api_keys = ["one", "two"].map(ApiKey::new).to_vec();
    let server = server_with(HttpSettings { api_keys, ..settings() });
    let with_key = |mut request: Request<Body>, key: &str| {
        let value = format!("Bearer {key}").parse().expect("a header");
        request.headers_mut().insert("authorization", value);
        request
    };
    let body = asking(json!({"image_delivery": "url"})).to_string();
    let answer = send(&server.app, with_key(post(body), "one")).await.json();
    let signed = path(&answer["choices"][0]["message"]["images"][0]["image_url"]["url"]);
    let plain = signed.split('?').next().expect("a path");
    assert_eq!(send(&server.app, get(&signed)).await.status, 200);
    assert_eq!(send(&server.app, get(plain)).await.status, 401);
    assert_eq!(send(&server.app, with_key(get(plain), "one")).await.status, 200);
    assert_eq!(send(&server.app, with_key(get(plain), "two")).await.status, 404);
}

#[tokio::test]
async fn addresses_begin_with_the_public_url_and_end_with_another_key() {
    let public_url = Some("https://reverie.example/api".to_owned());
    let server = server_with(HttpSettings { public_url, ..settings() });
    let answer = server.chat(json!({"image_delivery": "url"})).await.json();
    let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].clone();
    let url = url.as_str().expect("a URL");
    assert!(url.starts_with("https://reverie.example/api/v1/files/file-"), "{url}");
    let signing_key = SigningKey::of_secret("another");
    let other = server_with(HttpSettings { signing_key, ..settings() });
    let path = url.strip_prefix("https://reverie.example/api").expect("the base");
    assert_eq!(send(&other.app, get(path)).await.status, 403);
}

#[tokio::test]
async fn pictures_alone_come_by_address_too() {
    let mut script = vec![text("Here.")];
    script.extend(drawn(0, 90));
    script.push(finished(FinishReason::EndOfText));
    let engine = ScriptedEngine::new(script, Afterwards::Wait);
    let app = http_kit::app(&engine);
    let ask = async |path: &str, body: Value| {
        let request = Request::post(path)
            .header("host", "localhost:8000")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        send(&app, request).await
    };
    let generations = "/v1/images/generations";
    let answer = ask(generations, json!({"prompt": "a", "n": 2, "response_format": "url"})).await;
    let data = answer.json()["data"].clone();
    assert_eq!(data.as_array().map(Vec::len), Some(2));
    assert!(data[0].get("b64_json").is_none());
    let file = send(&app, get(&path(&data[0]["url"]))).await;
    assert_eq!(file.status, 200);

    let edit = json!({"prompt": "a", "images": [{"image_url": data[0]["url"]}]});
    assert_eq!(ask("/v1/images/edits", edit).await.status, 200);
    let requests = engine.requests.lock().expect("no test panics with it").clone();
    assert!(format!("{:?}", requests.last().expect("one").prompt).contains("Picture"));

    let streamed = json!({"prompt": "a", "stream": true, "response_format": "url"});
    let refused = ask(generations, streamed).await.error();
    assert_eq!(refused, (400, Some("response_format".into()), "invalid_value".into()));
}

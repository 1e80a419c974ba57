//! Several instances of one service: what one keeps, another finds, if they share a folder and the signing key.

mod http_kit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use http_kit::responding::{NOW, id_of, request};
use http_kit::{
    Afterwards, STORE_LIMITS, ScriptedEngine, asking, chat, get, interleaved, send, settings,
    state_with,
};
use reverie_server::file_link::SigningKey;
use reverie_server::http::{HttpSettings, Origin, router};
use reverie_server::store::DirectoryStore;
use serde_json::{Value, json};
use uuid::Uuid;

/// A folder that is gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("reverie-replicas-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _it_may_never_have_been_there = std::fs::remove_dir_all(&self.0);
    }
}

/// An instance whose requests are numbered from `first`.
fn replica(folder: &Path, secret: &str, first: u128) -> Router {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::Wait);
    let settings = HttpSettings { signing_key: SigningKey::of_secret(secret), ..settings() };
    let mut state = state_with(&engine, settings);
    let store = DirectoryStore::open(folder, STORE_LIMITS, NOW).expect("a folder");
    state.store = Arc::new(store);
    let number = std::sync::atomic::AtomicU64::new(0);
    let identity = move || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Uuid::from_u128(first + u128::from(number))
    };
    state.origin = Origin::new(identity, || NOW);
    router(state)
}

async fn respond(app: &Router, fields: Value) -> http_kit::Answer {
    let mut body = json!({"model": "reverie", "input": "Hello"});
    body.as_object_mut().expect("one").extend(fields.as_object().cloned().expect("one"));
    send(app, request(Method::POST, "/v1/responses", None, &body)).await
}

#[tokio::test]
async fn what_one_instance_keeps_another_finds() {
    let folder = Folder::new("shared");
    let (one, other) = (replica(&folder.0, "ours", 1), replica(&folder.0, "ours", 1000));
    let id = id_of(&respond(&one, json!({})).await);
    let next = respond(&other, json!({"previous_response_id": id})).await;
    assert_eq!(next.status, 200, "{}", next.json());
    let path = format!("/v1/responses/{id}");
    assert_eq!(send(&other, get(&path)).await.json()["id"], id);

    let answer = chat(&one, &asking(json!({"image_delivery": "url"}))).await.json();
    let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].clone();
    let address = url.as_str().expect("a URL");
    let path = &address[address.find("/v1/files/").expect("a path")..];
    let (here, there) = (send(&one, get(path)).await, send(&other, get(path)).await);
    assert_eq!(here.status, 200);
    assert_eq!((there.status, &there.body), (here.status, &here.body));
    let shown = json!([{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]);
    assert_eq!(respond(&other, json!({"input": shown})).await.status, 200, "and takes it back");

    // Forgotten by one is forgotten.
    let path = format!("/v1/responses/{id}");
    let forgotten = send(&other, request(Method::DELETE, &path, None, &Value::Null)).await;
    assert_eq!(forgotten.status, 200);
    assert_eq!(send(&one, get(&path)).await.status, 404);
}

#[tokio::test]
async fn an_address_that_another_key_signed_opens_nothing() {
    let folder = Folder::new("foreign");
    let (one, stranger) = (replica(&folder.0, "ours", 1), replica(&folder.0, "theirs", 1000));
    let answer = chat(&one, &asking(json!({"image_delivery": "url"}))).await.json();
    let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].clone();
    let address = url.as_str().expect("a URL");
    let path = &address[address.find("/v1/files/").expect("a path")..];
    assert_eq!(send(&one, get(path)).await.status, 200);
    let refused = send(&stranger, get(path)).await;
    assert!(matches!(refused.status.as_u16(), 403 | 404), "{}", refused.status);
    let shown = json!([{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]);
    assert_eq!(respond(&stranger, json!({"input": shown})).await.status, 400);
}

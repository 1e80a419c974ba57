//! Several instances of one service: what one keeps, another finds, if they share a folder and the signing key.

mod http_kit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_kit::responding::{NOW, Server, id_of, server_over};
use http_kit::{STORE_LIMITS, asking, settings};
use reverie_server::file_link::SigningKey;
use reverie_server::http::HttpSettings;
use reverie_server::store::DirectoryStore;
use serde_json::{Value, json};

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
fn replica(folder: &Path, secret: &str, first: usize) -> Server {
    let settings = HttpSettings { signing_key: SigningKey::of_secret(secret), ..settings() };
    let store = DirectoryStore::open(folder, STORE_LIMITS, NOW).expect("a folder");
    server_over(Arc::new(store), settings, first)
}

/// The address of a picture that `server` drew, and its path.
async fn drawn(server: &Server) -> (Value, String) {
    let fields = asking(json!({"image_delivery": "url"}));
    let answer = server.post("/v1/chat/completions", &fields).await.json();
    let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].clone();
    let address = url.as_str().expect("a URL");
    let path = address[address.find("/v1/files/").expect("a path")..].to_owned();
    (url, path)
}

/// A question about the picture at `url`.
fn shown(url: &Value) -> Value {
    json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]})
}

#[tokio::test]
async fn what_one_instance_keeps_another_finds() {
    let folder = Folder::new("shared");
    let (one, other) = (replica(&folder.0, "ours", 1), replica(&folder.0, "ours", 1000));
    let id = id_of(&one.respond(json!({})).await);
    let next = other.respond(json!({"previous_response_id": id})).await;
    assert_eq!(next.status, 200, "{}", next.json());
    let response = format!("/v1/responses/{id}");
    assert_eq!(other.get(&response).await.json()["id"], id);

    let (url, path) = drawn(&one).await;
    let (here, there) = (one.get(&path).await, other.get(&path).await);
    assert_eq!(here.status, 200);
    assert_eq!((there.status, &there.body), (here.status, &here.body));
    assert_eq!(other.respond(shown(&url)).await.status, 200, "and takes it back");

    assert_eq!(other.delete(&response).await.status, 200);
    assert_eq!(one.get(&response).await.status, 404, "forgotten by one is forgotten");
}

#[tokio::test]
async fn an_address_that_another_key_signed_opens_nothing() {
    let folder = Folder::new("foreign");
    let (one, stranger) = (replica(&folder.0, "ours", 1), replica(&folder.0, "theirs", 1000));
    let (url, path) = drawn(&one).await;
    assert_eq!(one.get(&path).await.status, 200);
    let refused = stranger.get(&path).await;
    assert!(matches!(refused.status.as_u16(), 403 | 404), "{}", refused.status);
    assert_eq!(stranger.respond(shown(&url)).await.status, 400);
}

//! Conversations with pictures on the embedded checkpoint, as a client has them over HTTP.

mod fed_back;
mod history;
mod pictures_in;
mod pictures_out;
mod shapes;
mod sharing;

use image::ImageFormat;
use reverie_tests::folders::mini;
use reverie_tests::pictures::{part, scene};
use reverie_tests::server::{Setup, TestServer};
use serde_json::{Value, json};

async fn mini_server() -> TestServer {
    Setup::new(&mini()).start().await
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A picture of a large square at the top left, on white.
fn square(color: [u8; 3]) -> Value {
    part(&scene(color, ImageFormat::Png))
}

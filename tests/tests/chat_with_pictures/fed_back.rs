//! What the model sees of its own pictures is what it delivered: going on after a picture is the same
//! whether the picture is still there or comes back from the client. The checkpoint is random, so that
//! every pixel matters, and its template adds nothing, so that history can end where the answer was.

use reverie_tests::answer::Part;
use reverie_tests::folders::Scratch;
use reverie_tests::pictures::url_part;
use reverie_tests::server::{Setup, TestServer, asking, conversation};
use reverie_tests::tiny_checkpoint::TinyCheckpoint;
use serde_json::{Value, json};

const PROMPT: &str = "Write a short story";

/// Draws at once, then writes `max_tokens` tokens.
async fn transparent_server() -> (Scratch, TestServer) {
    let scratch = Scratch::new();
    let checkpoint = TinyCheckpoint {
        clip: json!({"patch_size": 16}),
        loud_dream_start: true,
        seed: 7,
        ..TinyCheckpoint::default()
    };
    checkpoint.write(scratch.path());
    let template = json!({
        "name": "transparent", "system": "", "system_separator": "",
        "user": {"prefix": "", "suffix": ""},
        "assistant": {"prefix": "", "text_separator": "", "suffix": "", "end": "none"},
        "text_separator": "", "trim": "every_run", "text_to_image": "raw",
    });
    let file = scratch.join("reverie_template.json");
    std::fs::write(file, template.to_string()).expect("a template");
    let server = Setup::new(scratch.path()).start().await;
    (scratch, server)
}

fn fields(image_choice: Value) -> Value {
    json!({"seed": 3, "temperature": 0.7, "max_tokens": 24, "ignore_eos": true,
           "num_inference_steps": 3, "image_choice": image_choice})
}

/// A delivered picture and the text written after it.
async fn picture_and_text(server: &TestServer, format: Value) -> (String, String) {
    let mut request = asking(json!(PROMPT), fields(json!(1)));
    request.as_object_mut().expect("an object").extend(format.as_object().cloned().expect("one"));
    let parts = server.whole(&request).await.document.parts;
    match &parts[..] {
        [Part::Picture(url), Part::Text(text)] => (url.clone(), text.clone()),
        other => panic!("a picture at once, then text: {} parts", other.len()),
    }
}

/// The text written after `url` where it comes back as the assistant's own picture.
async fn text_after(server: &TestServer, url: &str) -> String {
    let messages = json!([
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": [url_part(url)]},
        {"role": "user", "content": ""},
    ]);
    let document = server.whole(&conversation(messages, fields(json!("none")))).await.document;
    document.texts().concat()
}

#[tokio::test]
async fn a_picture_sent_back_is_continued_exactly_as_the_picture_that_was_drawn() {
    let (_folder, server) = transparent_server().await;
    let mut texts = Vec::new();
    for format in [
        json!({"image_format": "png"}),
        json!({"image_format": "jpeg"}),
        json!({"image_format": "jpeg", "image_quality": 1}),
    ] {
        let (url, text) = picture_and_text(&server, format.clone()).await;
        assert_eq!(text_after(&server, &url).await.trim(), text.trim(), "{format}");
        texts.push(text);
    }
    assert_ne!(texts[0], texts[2], "what a lossy file loses is lost for the model too");
}

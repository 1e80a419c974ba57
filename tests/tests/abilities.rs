//! Checkpoints that only comprehend and checkpoints that only create, over HTTP: what they answer, what
//! they refuse and by which name, and that they need no files of what they cannot do.

use std::path::Path;

use reverie_proto::FinishDetails;
use reverie_tests::answer::{Document, Part, error};
use reverie_tests::folders::{Scratch, mini};
use reverie_tests::pictures::{RED, data_url, part, pixels, scene};
use reverie_tests::server::{Setup, TestServer, asking, conversation};
use reverie_tests::tiny_checkpoint::TinyCheckpoint;
use serde_json::{Value, json};

const CLIP: &str = "components/clip-vit-tiny";
const DIFFUSION: &str = "components/stable-diffusion-tiny";

/// A checkpoint of these abilities, whose decoder and CLIP tower do not depend on them.
fn tiny(abilities: &[&str]) -> TinyCheckpoint {
    TinyCheckpoint {
        main: json!({"reverie_abilities": abilities}),
        seed: 4,
        loud_dream_start: true,
        ..TinyCheckpoint::default()
    }
}

/// A checkpoint of one ability in `folder`, without a file of the other.
fn write(folder: &Path, ability: &str) {
    tiny(&[ability]).write(folder);
    let (needed, other, files) = match ability {
        "comprehension" => {
            (CLIP, DIFFUSION, ["dream_embedding.safetensors", "stable_diffusion_head.safetensors"])
        }
        _ => (DIFFUSION, CLIP, ["clip_vision_embedding.safetensors"; 2]),
    };
    std::fs::remove_dir_all(folder.join(other)).expect("configurations to remove");
    assert!(folder.join(needed).exists());
    assert!(files.iter().all(|file| !folder.join(file).exists()), "only what is needed is written");
}

fn question(fields: Value) -> Value {
    let picture = scene(RED, image::ImageFormat::Png);
    asking(json!([part(&picture), {"type": "text", "text": "What is it?"}]), fields)
}

fn wish(fields: Value) -> Value {
    asking(json!("A large red circle."), fields)
}

async fn abilities(server: &TestServer) -> Value {
    let list: Value = server.get("/v1/models").await.json().await.expect("JSON");
    list["data"][0]["abilities"].clone()
}

/// The request is refused by the name of `param`, because the model lacks `ability`.
async fn refuses(server: &TestServer, request: &Value, param: &str, ability: &str) {
    let (status, found, code, message) = error(server.post(request).await).await;
    assert_eq!((status, found.as_deref()), (400, Some(param)), "{message}");
    assert_eq!(code, "unsupported_by_model");
    assert!(message.contains(ability), "{message}");
}

#[tokio::test]
async fn a_model_that_only_comprehends_answers_in_text_whatever_it_wishes_for() {
    let scratch = Scratch::new();
    let wishful = scratch.join("wishful");
    std::fs::create_dir(&wishful).expect("a folder");
    tiny(&["comprehension", "creation"]).write(&wishful);
    let server = Setup::new(&wishful).start().await;
    let greedy =
        json!({"temperature": 0.0, "max_tokens": 6, "max_images": 1, "num_inference_steps": 1});
    let answer = server.whole(&question(greedy)).await.document;
    assert_eq!(answer.usage.images.output, 1, "the same weights would draw: {:?}", answer.texts());
    drop(server);

    write(scratch.path(), "comprehension");
    let server = Setup::new(scratch.path()).start().await;
    assert_eq!(abilities(&server).await, json!(["comprehension"]));
    for fields in [
        json!({"seed": 1, "temperature": 1.0}),
        json!({"image_choice": "auto", "temperature": 0.0}),
        json!({"modalities": ["text"], "temperature": 0.0}),
        json!({"num_beams": 3}),
    ] {
        let mut request = question(fields);
        request["max_tokens"] = json!(6);
        request["ignore_eos"] = json!(true);
        let Document { parts, ending, usage, .. } = server.whole(&request).await.document;
        assert!(matches!(parts[..], [Part::Text(_)]), "{parts:?}");
        assert_eq!(ending, FinishDetails::MaxTokens);
        assert_eq!((usage.images.input, usage.images.output), (1, 0));
        assert_eq!(usage.images.more_images_fit, 0);
    }
}

#[tokio::test]
async fn a_model_that_only_comprehends_refuses_to_draw_by_the_name_of_what_asks_for_it() {
    let scratch = Scratch::new();
    write(scratch.path(), "comprehension");
    let server = Setup::new(scratch.path()).start().await;
    for (fields, param) in [
        (json!({"image_choice": "required"}), "image_choice"),
        (json!({"image_choice": 2}), "image_choice"),
        (json!({"modalities": ["image"]}), "modalities"),
        (json!({"modalities": ["text", "image"]}), "modalities"),
    ] {
        refuses(&server, &question(fields), param, "creation").await;
    }
    let picture = data_url(&scene(RED, image::ImageFormat::Png), "image/png");
    let drawn = json!([
        {"role": "user", "content": "Draw."},
        {"role": "assistant", "content": "", "images": [{"type": "image_url", "image_url": {"url": picture}}]},
        {"role": "user", "content": "What is it?"},
    ]);
    let param = "messages[1].images[0].image_url.url";
    refuses(&server, &conversation(drawn, json!({})), param, "creation").await;
}

#[tokio::test]
async fn a_model_that_only_creates_answers_with_the_picture_and_nothing_else() {
    let scratch = Scratch::new();
    write(scratch.path(), "creation");
    let server = Setup::new(scratch.path()).start().await;
    assert_eq!(abilities(&server).await, json!(["creation"]));
    let fields =
        json!({"seed": 7, "num_inference_steps": 2, "guidance_scale": 3.0, "max_tokens": 50});
    let first = server.whole(&wish(fields.clone())).await.document;
    let [Part::Picture(url)] = first.parts.as_slice() else { panic!("{:?}", first.parts) };
    assert_eq!(pixels(url).dimensions(), (64, 64));
    assert_eq!(first.ending, FinishDetails::EndOfText, "nothing is cut off");
    assert_eq!((first.usage.images.output, first.usage.prompt_tokens_details.image_tokens), (1, 0));
    assert_eq!(first.usage.completion_tokens, 8 + 2, "the dream block, and no picture fed back");
    for more in [
        json!({"image_choice": "required"}),
        json!({"image_choice": 1}),
        json!({"modalities": ["image"]}),
        json!({"max_images": 5}),
    ] {
        let mut request = wish(fields.clone());
        request
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().expect("fields"));
        let again = server.whole(&request).await.document;
        assert_eq!(again, first, "however the picture is asked for");
    }
    let streamed = server.stream(&wish(fields.clone())).await.document().await;
    assert_eq!(streamed.parts, first.parts);
    let other = server.whole(&asking(json!("A small blue square."), fields)).await.document;
    assert_ne!(other.parts, first.parts, "the caption decides");
}

#[tokio::test]
async fn a_model_that_only_creates_refuses_text_and_pictures_by_the_name_of_what_asks_for_them() {
    let scratch = Scratch::new();
    write(scratch.path(), "creation");
    let server = Setup::new(scratch.path()).start().await;
    for (fields, param) in [
        (json!({"image_choice": "none"}), "image_choice"),
        (json!({"modalities": ["text"]}), "modalities"),
        (json!({"modalities": ["text", "image"]}), "modalities"),
        (json!({"max_images": 0}), "max_images"),
        (json!({"num_beams": 2}), "num_beams"),
        (json!({"min_tokens": 1}), "min_tokens"),
        (json!({"ignore_eos": true}), "ignore_eos"),
    ] {
        refuses(&server, &wish(fields), param, "comprehension").await;
    }
    let param = "messages[0].content[0].image_url.url";
    refuses(&server, &question(json!({})), param, "comprehension").await;
    for (request, param) in [
        (wish(json!({"image_choice": 2})), "image_choice"),
        (conversation(two_turns(), json!({})), "messages"),
    ] {
        let (status, found, code, _) = error(server.post(&request).await).await;
        assert_eq!((status, found.as_deref(), code.as_str()), (400, Some(param), "invalid_value"));
    }
}

fn two_turns() -> Value {
    json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A red circle."}])
}

#[tokio::test]
async fn a_template_may_have_captions_written_down_as_conversations() {
    let scratch = Scratch::new();
    write(scratch.path(), "creation");
    let name = "reverie_template.json";
    let text = std::fs::read(mini().join(name)).expect("a template");
    let mut template: Value = serde_json::from_slice(&text).expect("JSON");
    template["text_to_image"] = json!("chat");
    template["defaults"]["num_inference_steps"] = json!(2);
    std::fs::write(scratch.join(name), template.to_string()).expect("a written template");
    let server = Setup::new(scratch.path()).start().await;
    let answer = server.whole(&conversation(two_turns(), json!({"seed": 7}))).await.document;
    assert!(matches!(answer.parts[..], [Part::Picture(_)]), "{:?}", answer.parts);
}

//! What answers and pictures say of where they come from, and what they keep to themselves.

mod http_kit;

use std::sync::Arc;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_kit::{
    Afterwards, MODEL_SHA256, ScriptedEngine, asking, chat, interleaved, settings, state_with,
};
use image::{ImageDecoder as _, ImageReader};
use reverie_server::http::router;
use reverie_server::picture_codec::PictureCodec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const SECRET: &str = "a word that only the client knows";

/// Text and two pictures, whose files are written as a daemon writes them.
fn app() -> Router {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let mut state = state_with(&engine, settings());
    state.codec = PictureCodec::standard();
    router(state)
}

fn asking_secretly(fields: &Value) -> Value {
    let mut request = asking(json!({
        "messages": [{"role": "user", "name": "ada", "content": SECRET}],
        "negative_prompt": SECRET, "stop": SECRET, "user": "u-1", "metadata": {"key": "m-1"},
        "image_choice": 2, "max_tokens": 9,
    }));
    let fields = fields.as_object().expect("an object").clone();
    request.as_object_mut().expect("an object").extend(fields);
    request
}

async fn answer(fields: &Value) -> Value {
    let answer = chat(&app(), &asking_secretly(fields)).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

/// The last chunk with a finish reason, of a stream.
async fn last_chunk(fields: Value) -> Value {
    let mut fields = fields;
    fields["stream"] = json!(true);
    let answer = chat(&app(), &asking_secretly(&fields)).await;
    let body = String::from_utf8(answer.body).expect("UTF-8");
    let chunks = body.lines().filter_map(|line| line.strip_prefix("data: {"));
    let chunks = chunks.map(|rest| serde_json::from_str(&format!("{{{rest}")).expect("JSON"));
    let chunks: Vec<Value> = chunks.collect();
    let with = chunks.iter().filter(|chunk| chunk.get("provenance").is_some()).count();
    assert!(with <= 1, "it is said once");
    let finish = |chunk: &&Value| !chunk["choices"][0]["finish_reason"].is_null();
    chunks.iter().find(finish).expect("a finish").clone()
}

fn files(answer: &Value) -> Vec<Vec<u8>> {
    let images = answer["choices"][0]["message"]["images"].as_array().expect("pictures").iter();
    let url = |item: &Value| item["image_url"]["url"].as_str().expect("a URL").to_owned();
    images
        .map(|item| {
            STANDARD.decode(url(item).split_once(',').expect("a data URL").1).expect("base64")
        })
        .collect()
}

/// The notes of a PNG, as the png crate finds them.
fn notes(file: &[u8]) -> Vec<(String, String)> {
    let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG");
    let chunks = reader.info().utf8_text.iter();
    chunks.map(|chunk| (chunk.keyword.clone(), chunk.get_text().expect("text"))).collect()
}

fn note(file: &[u8]) -> Value {
    let notes = notes(file);
    let found = notes.iter().find(|(key, _)| key == "reverie:provenance").expect("the note");
    serde_json::from_str(&found.1).expect("JSON")
}

/// SHA-256 as the documentation defines it.
fn digest(file: &[u8]) -> String {
    let rgb = image::load_from_memory(file).expect("a picture").into_rgb8();
    let mut hash = Sha256::new();
    hash.update(rgb.width().to_le_bytes());
    hash.update(rgb.height().to_le_bytes());
    hash.update(rgb.as_raw());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mentions(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn an_answer_says_where_it_comes_from_only_if_asked() {
    for fields in [json!({}), json!({"provenance": false}), json!({"provenance": null})] {
        assert!(answer(&fields).await.get("provenance").is_none());
        assert!(last_chunk(fields).await.get("provenance").is_none());
    }
    let fields = json!({"provenance": true, "seed": 5, "top_k": 7, "eta": 0.5, "sampler": "ddim"});
    let whole = answer(&fields).await;
    let provenance = &whole["provenance"];
    assert_eq!(last_chunk(fields).await["provenance"], *provenance, "streams say the same");
    assert_eq!(provenance["parameters"], whole["effective"]);
    let parameters = json!({
        "seed": 5, "image_seed": 5, "temperature": 1.0, "top_p": 1.0, "top_k": 7, "num_beams": 1,
        "size": "64x64", "sampler": "ddim", "num_inference_steps": 50, "guidance_scale": 7.5,
        "guidance_rescale": 0.0, "eta": 0.5,
    });
    assert_eq!(provenance["parameters"], parameters);
    assert_eq!(provenance["model"], "reverie");
    assert_eq!(provenance["model_sha256"], MODEL_SHA256);
    assert_eq!(provenance["numerics_class"], "scripted");
    assert_eq!(provenance["device"], "cpu");
    assert_eq!(provenance["negative_prompt"], true);
    assert!(provenance.get("request").is_none());
    let pictures: Vec<Value> = files(&whole)
        .iter()
        .enumerate()
        .map(|(index, file)| {
            json!({"index": index, "width": 2, "height": 2, "pixels_sha256": digest(file)})
        })
        .collect();
    assert_eq!(provenance["pictures"], json!(pictures));
}

#[tokio::test]
async fn digests_are_of_what_was_delivered_in_every_format() {
    for format in ["png", "webp", "jpeg"] {
        let whole = answer(&json!({"provenance": true, "image_format": format})).await;
        for (file, said) in
            files(&whole).iter().zip(whole["provenance"]["pictures"].as_array().unwrap())
        {
            assert_eq!(said["pixels_sha256"], digest(file), "{format}");
            assert!(
                mentions(file, "reverie:provenance") && mentions(file, &digest(file)),
                "{format}"
            );
        }
    }
}

#[tokio::test]
async fn the_question_has_one_digest_and_another_question_another() {
    let digest = async |fields: Value| {
        let mut fields = fields;
        fields["provenance"] = json!(true);
        answer(&fields).await["provenance"]["context_sha256"].as_str().expect("a digest").to_owned()
    };
    let first = digest(json!({})).await;
    assert_eq!(digest(json!({"seed": 9, "size": "32x32"})).await, first);
    let messages = json!([{"role": "user", "content": "something else"}]);
    assert_ne!(digest(json!({"messages": messages})).await, first);
}

#[tokio::test]
async fn pictures_carry_their_recipe_and_iptcs_mark_and_nothing_that_was_asked() {
    let whole = answer(&json!({"seed": 5})).await;
    for (index, file) in files(&whole).iter().enumerate() {
        let note = note(file);
        assert_eq!((&note["index"], &note["pixels_sha256"]), (&json!(index), &json!(digest(file))));
        assert_eq!(note["parameters"], whole["effective"]);
        assert_eq!(note["model_sha256"], MODEL_SHA256);
        assert!(note.get("context_sha256").is_none() && note.get("request").is_none());
        let everything = notes(file).iter().map(|(_, text)| text.as_str()).collect::<String>();
        for private in [SECRET, "ada", "u-1", "m-1"] {
            assert!(!mentions(everything.as_bytes(), private), "{private}: {everything}");
        }
        let id = whole["id"].as_str().expect("an id");
        assert!(!everything.contains(id), "nothing depends on when or to whom it is sent");
        let reader = ImageReader::new(std::io::Cursor::new(file)).with_guessed_format();
        let xmp = reader.expect("a file").into_decoder().expect("a PNG").xmp_metadata();
        let xmp = xmp.expect("readable").expect("a packet");
        assert!(mentions(&xmp, "digitalsourcetype/trainedAlgorithmicMedia"));
    }
    assert_eq!(files(&answer(&json!({"seed": 5})).await), files(&whole), "the same bytes again");
}

#[tokio::test]
async fn a_request_is_kept_only_on_request_and_without_what_has_no_effect() {
    let whole = answer(&json!({"provenance": "full"})).await;
    let kept = &whole["provenance"]["request"];
    let seed = &whole["effective"]["seed"];
    let wanted = json!({
        "model": "reverie", "messages": [{"role": "user", "content": SECRET}],
        "negative_prompt": SECRET, "stop": SECRET, "image_choice": 2, "max_tokens": 9, "seed": seed,
    });
    assert_eq!(*kept, wanted, "the drawn seed is filled in");
    for file in files(&whole) {
        let note = note(&file);
        assert_eq!(note["request"], wanted);
        assert_eq!(note["context_sha256"], whole["provenance"]["context_sha256"]);
    }
    assert_eq!(last_chunk(json!({"provenance": "full"})).await["provenance"]["request"], wanted);
}

#[tokio::test]
async fn a_request_too_large_for_its_pictures_is_refused_by_name() {
    let state = state_with(&ScriptedEngine::new(interleaved(), Afterwards::End), settings());
    let mut state = state;
    let mut model = Arc::into_inner(state.model).expect("nobody else holds it");
    model.limits.max_model_len = 1 << 20;
    state.model = Arc::new(model);
    let app = router(state);
    let request = |length: usize, wish: Value| {
        let messages = json!([{"role": "user", "content": "x".repeat(length)}]);
        asking(json!({"messages": messages, "provenance": wish}))
    };
    assert_eq!(chat(&app, &request(500_000, json!("full"))).await.status, 200);
    let long = chat(&app, &request(530_000, json!("full"))).await;
    assert_eq!(long.error(), (400, Some("provenance".to_owned()), "invalid_value".to_owned()));
    assert!(long.json()["error"]["message"].to_string().contains("524288"));
    assert_eq!(chat(&app, &request(530_000, json!(true))).await.status, 200);
}

#[tokio::test]
async fn a_wish_of_another_kind_is_refused_by_name() {
    for wish in [json!("all"), json!(1), json!([])] {
        let answer = chat(&app(), &asking(json!({"provenance": wish}))).await;
        let (status, param, _) = answer.error();
        assert_eq!((status, param.as_deref()), (400, Some("provenance")));
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains("true, false or `full`"), "{message}");
    }
}

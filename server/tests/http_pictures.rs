//! Pictures in requests: data URLs, limits, faults by their path, and history in every shape.

mod http_kit;

use std::sync::Arc;

use http_kit::{Afterwards, ScriptedEngine, app, asking, chat, data_url, finished, png};
use reverie_server::engine::event::FinishReason;
use reverie_server::engine::request::PromptSegment;
use reverie_server::picture_codec::PictureFormat;
use serde_json::{Value, json};

const URL_PARAM: &str = "messages[0].content[1].image_url.url";

fn engine() -> Arc<ScriptedEngine> {
    ScriptedEngine::new(vec![finished(FinishReason::EndOfText)], Afterwards::End)
}

fn part(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}

fn showing(url: &str) -> Value {
    let content = json!([{"type": "text", "text": "Look:"}, part(url)]);
    asking(json!({"messages": [{"role": "user", "content": content}]}))
}

/// The prompt as letters: tokens, picture by its first shade, dream.
fn shape(engine: &ScriptedEngine) -> Vec<String> {
    let describe = |segment: &PromptSegment| match segment {
        PromptSegment::Tokens(_) => "tokens".to_owned(),
        PromptSegment::Picture(picture) => format!("picture {}", picture.rgb()[0]),
        PromptSegment::Dream => "dream".to_owned(),
    };
    engine.request().prompt.iter().map(describe).collect()
}

#[tokio::test]
async fn a_data_url_is_accepted_in_every_form_the_standard_has() {
    let file = png(8, 90);
    let plain = data_url(&file);
    let data = plain.split_once(',').expect("a data URL").1;
    for head in [
        "data:image/png;base64",
        "DATA:IMAGE/PNG;BASE64",
        "data:;base64",
        "data:image/jpeg;base64",
        "data:image/png;charset=utf-8;base64",
        "data:image/x-anything;name=a.png;base64",
    ] {
        let engine = engine();
        let answer = chat(&app(&engine), &showing(&format!("{head},{data}"))).await;
        assert_eq!(answer.status, 200, "{head}: {:?}", answer.json());
        assert_eq!(shape(&engine), ["tokens", "picture 90", "tokens"]);
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_named_by_its_path_and_fault() {
    let file = png(8, 90);
    let good = data_url(&file);
    let data = good.split_once(',').expect("a data URL").1.to_owned();
    let cut = data_url(&file[..file.len() / 2]);
    let unpadded = good.trim_end_matches('=').to_owned();
    assert_ne!(unpadded, good, "the file's length needs padding");
    let cases = [
        ("", "invalid_image_url"),
        ("http://example.com/a.png", "invalid_image_url"),
        ("HTTPS://example.com/a.png", "invalid_image_url"),
        ("file:///etc/passwd", "invalid_image_url"),
        ("javascript:alert(1)", "invalid_image_url"),
        (data.as_str(), "invalid_image_url"),
        ("data:image/png,%89PNG", "invalid_image_url"),
        ("data:image/png;base64", "invalid_image_url"),
        (&format!("data:image/png;base64;x,{data}"), "invalid_image_url"),
        (&format!("data:image/png,{data}"), "invalid_image_url"),
        ("data:,", "invalid_image_url"),
        ("data:image/png;base64,", "empty_image_file"),
        (&format!("data:image/png;base64,,{data}"), "invalid_base64_image"),
        (&unpadded, "invalid_base64_image"),
        (&format!("{good}="), "invalid_base64_image"),
        (&format!("{good}\n"), "invalid_base64_image"),
        ("data:image/png;base64,AA AA", "invalid_base64_image"),
        ("data:image/png;base64,AA\nAA", "invalid_base64_image"),
        ("data:image/png;base64,-_-_", "invalid_base64_image"),
        ("data:image/png;base64,AB==", "invalid_base64_image"),
        ("data:image/png;base64,A", "invalid_base64_image"),
        ("data:image/png;base64,é===", "invalid_base64_image"),
        (&format!("data:text/html;base64,{data}"), "unsupported_image_media_type"),
        (&format!("data:application/pdf;base64,{data}"), "unsupported_image_media_type"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "unsupported_image_media_type"),
        ("data:image/png;base64,AAAA", "unsupported_image_media_type"),
        (&cut, "image_parse_error"),
        (&data_url(&png(101, 0)), "image_too_large"),
        (&data_url(&vec![0; 4097]), "image_file_too_large"),
        (&data_url(&vec![0; 100_000]), "image_file_too_large"),
    ];
    for (url, code) in cases {
        let engine = engine();
        let answer = chat(&app(&engine), &showing(url)).await;
        let wanted = (400, Some(URL_PARAM.to_owned()), code.to_owned());
        assert_eq!(answer.error(), wanted, "{url:.60}");
        assert!(engine.requests.lock().expect("unpoisoned").is_empty());
        assert!(answer.body.len() < 512, "the data is not repeated");
    }
}

#[tokio::test]
async fn pictures_stay_where_they_were_put_among_text() {
    let engine = engine();
    let (first, second) = (data_url(&png(8, 1)), data_url(&png(8, 2)));
    let content = json!([
        part(&first), part(&second), {"type": "text", "text": "and"}, part(&first),
    ]);
    let request = asking(json!({"messages": [{"role": "user", "content": content}]}));
    assert_eq!(chat(&app(&engine), &request).await.status, 200);
    let wanted = ["tokens", "picture 1", "picture 2", "tokens", "picture 1", "tokens"];
    assert_eq!(shape(&engine), wanted);
    let pictures: Vec<_> = engine
        .request()
        .prompt
        .into_iter()
        .filter_map(|segment| match segment {
            PromptSegment::Picture(picture) => Some(picture),
            PromptSegment::Tokens(_) | PromptSegment::Dream => None,
        })
        .collect();
    assert!(Arc::ptr_eq(&pictures[0], &pictures[2]), "the same file is decoded once");
}

#[tokio::test]
async fn too_many_pictures_are_refused_wherever_they_are() {
    let url = data_url(&png(8, 1));
    let many = json!([part(&url), part(&url), part(&url)]);
    let cases = [
        (json!([{"role": "user", "content": vec![part(&url); 5]}]), "messages[0].content"),
        (
            json!([{"role": "user", "content": many}, {"role": "user", "content": many}]),
            "messages[1].content",
        ),
        (
            json!([
                {"role": "user", "content": many},
                {"role": "assistant", "content": "x", "images": many},
                {"role": "user", "content": "x"},
            ]),
            "messages[1].images",
        ),
    ];
    for (messages, param) in cases {
        let answer = chat(&app(&engine()), &asking(json!({"messages": messages}))).await;
        let wanted = (400, Some(param.to_owned()), "too_many_images".to_owned());
        assert_eq!(answer.error(), wanted);
    }
}

#[tokio::test]
async fn what_surely_does_not_fit_is_refused_before_anything_is_decoded() {
    // The context has 1024 positions; a token stands for 16 bytes at most.
    let borderline = json!({"messages": [{"role": "user", "content": "a".repeat(16 * 1023)}]});
    let answer = chat(&app(&engine()), &asking(borderline)).await;
    assert_eq!(answer.status, 200, "it might fit; the engine knows");

    let too_long = json!({"messages": [{"role": "user", "content": "a".repeat(16 * 1024)}]});
    let answer = chat(&app(&engine()), &asking(too_long)).await;
    let wanted = (400, Some("messages".to_owned()), "context_length_exceeded".to_owned());
    assert_eq!(answer.error(), wanted);
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains("1025") && message.contains("1024"), "{message}");

    let text = "a".repeat(16 * 1022);
    let content = json!([{"type": "text", "text": text}, part("data:image/png;base64,!")]);
    let with_picture = json!({"messages": [{"role": "user", "content": content}]});
    let answer = chat(&app(&engine()), &asking(with_picture)).await;
    assert_eq!(answer.error(), wanted, "the broken picture is not even looked at");
}

#[tokio::test]
async fn history_is_taken_back_in_every_shape() {
    let (first, second) = (data_url(&png(8, 1)), data_url(&png(8, 2)));
    let item = |index: Option<u64>, url: &str| match index {
        Some(index) => json!({"type": "image_url", "index": index, "image_url": {"url": url}}),
        None => part(url),
    };
    let ordered = ["tokens", "dream", "picture 1", "tokens", "dream", "picture 2", "tokens"];
    let appended = ["tokens", "dream", "picture 1", "dream", "picture 2", "tokens"];
    let parts = |first: u64, second: u64| {
        json!([
            {"type": "text", "text": "One."}, {"type": "image_ref", "index": first},
            {"type": "text", "text": " Two."}, {"type": "image_ref", "index": second},
        ])
    };
    let cases = [
        (
            json!({"content": "One. Two.", "content_parts": parts(0, 1),
                   "images": [item(Some(0), &first), item(Some(1), &second)]}),
            ordered.as_slice(),
        ),
        (
            json!({"content": "One. Two.", "content_parts": parts(0, 1),
                   "images": [item(Some(1), &second), item(Some(0), &first)]}),
            &ordered,
        ),
        (
            json!({"content": null, "content_parts": parts(0, 1),
                   "images": [item(None, &first), item(None, &second)]}),
            &ordered,
        ),
        (
            json!({"content": [{"type": "text", "text": "One."}, part(&first),
                               {"type": "text", "text": "Two."}, part(&second)]}),
            &ordered,
        ),
        (
            json!({"content": "One. Two.", "images": [item(None, &first), item(None, &second)]}),
            &appended,
        ),
        (json!({"images": [item(Some(0), &first), item(Some(1), &second)]}), &appended),
        (
            // As LiteLLM sends it back, and OpenAI's helpers.
            json!({"content": "One. Two.", "provider_specific_fields": {"content_parts": parts(0, 1)},
                   "images": [item(Some(0), &first), item(Some(1), &second)], "parsed": null}),
            &ordered,
        ),
        (json!({"content": "One."}), &["tokens"]),
    ];
    for (message, wanted) in cases {
        let mut message = message;
        message["role"] = "assistant".into();
        let engine = engine();
        let messages = json!([
            {"role": "user", "content": "Tell."}, message, {"role": "user", "content": "And?"},
        ]);
        let answer = chat(&app(&engine), &asking(json!({"messages": messages}))).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        assert_eq!(shape(&engine), wanted);
    }
}

#[tokio::test]
async fn a_text_given_delta_by_delta_is_the_text() {
    let url = data_url(&png(8, 1));
    let item = json!({"type": "image_url", "index": 0, "image_url": {"url": url}});
    let reference = json!({"type": "image_ref", "index": 0});
    let mut prompts = Vec::new();
    for texts in [&["One. Two."][..], &["One", ". Tw", "o."]] {
        let mut order: Vec<_> =
            texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
        order.push(reference.clone());
        let engine = engine();
        let messages = json!([
            {"role": "user", "content": "Tell."},
            {"role": "assistant", "content": "One. Two.", "images": [item], "content_parts": order},
            {"role": "user", "content": "And?"},
        ]);
        let answer = chat(&app(&engine), &asking(json!({"messages": messages}))).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        prompts.push(format!("{:?}", engine.request().prompt));
    }
    assert_eq!(prompts[0], prompts[1]);
}

#[tokio::test]
async fn messages_that_make_no_conversation_are_named() {
    let url = data_url(&png(8, 1));
    let user = json!({"role": "user", "content": "x"});
    let image = json!({"type": "image_url", "index": 0, "image_url": {"url": url}});
    let answer_with = |parts: Value| {
        json!([
            user,
            {"role": "assistant", "content": "x", "images": [image], "content_parts": parts},
            user,
        ])
    };
    let text = json!({"type": "text", "text": "x"});
    let reference = |index: u64| json!({"type": "image_ref", "index": index});
    let cases = [
        (json!([]), "messages"),
        (json!([{"role": "assistant", "content": "x"}]), "messages"),
        (json!([user, {"role": "system", "content": "x"}]), "messages"),
        (json!([{"role": "user", "content": null}]), "messages[0].content"),
        (json!([{"role": "user"}]), "messages[0].content"),
        (json!([{"role": "user", "content": []}]), "messages[0].content"),
        (json!([{"role": "tool", "content": "x"}, user]), "messages[0].role"),
        (json!([user, {"role": "assistant"}, user]), "messages[1].content"),
        (
            json!([{"role": "system", "content": [part(&url)]}, user]),
            "messages[0].content[0].image_url.url",
        ),
        (json!([{"role": "user", "content": "x", "images": [image]}]), "messages[0].images"),
        (
            json!([{"role": "user", "content": "x", "content_parts": [text]}]),
            "messages[0].content_parts",
        ),
        (answer_with(json!([text])), "messages[1].content_parts"),
        (answer_with(json!([text, reference(1)])), "messages[1].content_parts"),
        (answer_with(json!([text, reference(0), reference(0)])), "messages[1].content_parts"),
        (
            answer_with(json!([{"type": "text", "text": "y"}, reference(0)])),
            "messages[1].content_parts",
        ),
    ];
    for (messages, param) in cases {
        let answer = chat(&app(&engine()), &asking(json!({"messages": messages}))).await;
        let wanted = (400, Some(param.to_owned()), "invalid_value".to_owned());
        assert_eq!(answer.error(), wanted, "{messages:.200}");
    }
}

#[tokio::test]
async fn a_jpeg_answer_says_that_it_is_one() {
    let mut script = http_kit::drawn(0, 128);
    script.push(finished(FinishReason::EndOfText));
    let engine = ScriptedEngine::new(script, Afterwards::End);
    let request = asking(json!({"image_format": "jpeg", "image_quality": 50}));
    let answer = chat(&app(&engine), &request).await.json();
    let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].as_str();
    assert!(url.expect("a URL").starts_with("data:image/jpeg;base64,/9j/"));
}

#[tokio::test]
async fn a_webp_answer_is_lossy_where_it_names_a_quality() {
    for (quality, format) in [
        (json!(null), PictureFormat::Webp),
        (json!(100), PictureFormat::Webp),
        (json!(75), PictureFormat::LossyWebp { quality: 75 }),
    ] {
        let mut script = http_kit::drawn(0, 128);
        script.push(finished(FinishReason::EndOfText));
        let engine = ScriptedEngine::new(script, Afterwards::End);
        let request = asking(json!({"image_format": "webp", "image_quality": quality}));
        let answer = chat(&app(&engine), &request).await.json();
        let url = answer["choices"][0]["message"]["images"][0]["image_url"]["url"].as_str();
        assert!(url.expect("a URL").starts_with("data:image/webp;base64,UklGR"));
        assert_eq!(engine.request().pictures.format, format);
    }
}

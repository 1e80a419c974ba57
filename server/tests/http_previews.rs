//! What is told of pictures while they are drawn: in chat beside empty deltas, of pictures alone as partial images.

mod http_kit;

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use http_kit::{
    Afterwards, ScriptedEngine, app, asking, chat, data_url, drawn, finished, interleaved,
    named_events, picture, pixels, png, send, text,
};
use reverie_server::engine::event::{EngineEvent, FinishReason};
use reverie_server::engine::request::ProgressReports;
use serde_json::{Value, json};

const GENERATIONS: &str = "/v1/images/generations";
const EDITS: &str = "/v1/images/edits";

fn ask(path: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header("host", "localhost:8000")
        .header("content-type", "application/json")
        .body(body.to_string().into())
        .expect("a request")
}

#[tokio::test]
async fn progress_is_told_beside_empty_deltas() {
    let step = |step, preview: Option<u8>| EngineEvent::ImageProgress {
        index: 1,
        step,
        num_steps: 20,
        preview: preview.map(|shade| Arc::new(picture(shade))),
    };
    let script = vec![
        text("So"),
        EngineEvent::ImageStarted { index: 1 },
        step(3, None),
        step(4, Some(90)),
        EngineEvent::Image { index: 1, picture: Arc::new(picture(7)) },
        finished(FinishReason::EndOfText),
    ];
    let engine = ScriptedEngine::new(script, Afterwards::End);
    let request = asking(json!({"stream": true, "progress": {"previews": 5}, "size": "64x32"}));
    let body = String::from_utf8(chat(&app(&engine), &request).await.body).expect("UTF-8");
    let chunk = |event: &str| serde_json::from_str(event.strip_prefix("data: ")?).ok();
    let chunks: Vec<Value> = body.split_terminator("\n\n").filter_map(chunk).collect();
    assert_eq!(engine.request().pictures.progress, Some(ProgressReports { num_previews: 5 }));
    assert_eq!(chunks.len(), 6);
    for chunk in &chunks[2..4] {
        let choice = &chunk["choices"][0];
        assert_eq!((&choice["delta"], &choice["finish_reason"]), (&json!({}), &Value::Null));
    }
    assert_eq!(chunks[2]["progress"], json!({"index": 1, "step": 3, "num_steps": 20}));
    let told = &chunks[3]["progress"];
    assert_eq!(
        (&told["index"], &told["step"], &told["num_steps"]),
        (&json!(1), &json!(4), &json!(20))
    );
    let preview = told["preview"].as_str().expect("a URL");
    let shown = pixels(preview, "image/jpeg");
    assert_eq!(shown.len(), 64 * 32 * 3, "large enough to be seen, not larger than the picture");
    assert!(shown.iter().all(|value| value.abs_diff(90) < 4));
    for chunk in chunks[..2].iter().chain(&chunks[4..]) {
        assert!(chunk.get("progress").is_none(), "{chunk}");
    }
}

#[tokio::test]
async fn progress_that_cannot_be_told_is_refused() {
    let wanted = |param: &str| (400, Some(param.to_owned()), "invalid_value".to_owned());
    for (fields, param) in [
        (json!({"progress": true}), "progress"),
        (json!({"progress": {"previews": 1}, "stream": false}), "progress"),
        (json!({"progress": {"previews": 1001}, "stream": true}), "progress.previews"),
        (json!({"progress": {"previews": -1}, "stream": true}), "progress.previews"),
        (json!({"progress": 3, "stream": true}), "progress"),
    ] {
        let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
        assert_eq!(
            chat(&app(&engine), &asking(fields.clone())).await.error(),
            wanted(param),
            "{fields}"
        );
    }
    for (fields, progress) in [
        (json!({"progress": false}), None),
        (json!({"progress": null}), None),
        (json!({"progress": true, "stream": true}), Some(ProgressReports { num_previews: 0 })),
    ] {
        let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
        assert_eq!(chat(&app(&engine), &asking(fields)).await.status, 200);
        assert_eq!(engine.request().pictures.progress, progress);
    }
}

#[tokio::test]
async fn partial_images_come_before_their_picture_in_its_format_and_size() {
    for (path, partial, completed) in [
        (GENERATIONS, "image_generation.partial_image", "image_generation.completed"),
        (EDITS, "image_edit.partial_image", "image_edit.completed"),
    ] {
        let preview = |step| EngineEvent::ImageProgress {
            index: 0,
            step,
            num_steps: 9,
            preview: (step % 3 == 0).then(|| Arc::new(picture(step as u8 * 20))),
        };
        let mut script = vec![EngineEvent::ImageStarted { index: 0 }];
        script.extend((1..9).map(preview));
        script.extend(drawn(0, 90).split_off(1));
        script.push(finished(FinishReason::EndOfText));
        let engine = ScriptedEngine::new(script, Afterwards::Wait);
        let mut body = json!({"prompt": "ab", "stream": true, "partial_images": 2, "n": 2,
                              "size": "32x64", "output_format": "webp"});
        if path == EDITS {
            body["images"] = json!([{"image_url": data_url(&png(20, 1))}]);
        }
        let answer = send(&app(&engine), ask(path, &body)).await;
        let events = named_events(&answer);
        for choice in [0, 1] {
            let of_choice: Vec<_> =
                events.iter().filter(|(_, data)| data["index"] == choice).collect();
            let names: Vec<&str> = of_choice.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, [partial, partial, completed]);
            for (index, (name, data)) in of_choice[..2].iter().enumerate() {
                assert_eq!(
                    (&data["type"], &data["partial_image_index"]),
                    (&json!(name), &json!(index))
                );
                assert_eq!(
                    (&data["output_format"], &data["size"]),
                    (&"webp".into(), &"32x64".into())
                );
                let shade = (index as u8 + 1) * 60;
                let url = format!(
                    "data:image/webp;base64,{}",
                    data["b64_json"].as_str().expect("a file")
                );
                assert_eq!(pixels(&url, "image/webp"), vec![shade; 32 * 64 * 3]);
            }
        }
        let requests = engine.requests.lock().expect("no test panics with it");
        assert!(requests.iter().all(|request| {
            request.pictures.progress == Some(ProgressReports { num_previews: 2 })
        }));
    }
}

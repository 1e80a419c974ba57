//! Pictures alone: generations and edits, in JSON and as forms, whole and streamed.

mod http_kit;

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_kit::{
    Afterwards, Answer, MODEL_SHA256, ScriptedEngine, app, data_url, drawn, finished, named_events,
    png, send, settings, state_with, text,
};
use reverie_server::engine::document_engine::SubmitError;
use reverie_server::engine::event::{EngineError, EngineEvent, FinishReason};
use reverie_server::engine::request::{EngineRequest, ImageChoice, PromptSegment, RequestIdentity};
use reverie_server::http::router;
use reverie_server::picture_codec::{PictureCodec, PictureFormat};
use serde_json::{Value, json};

const GENERATIONS: &str = "/v1/images/generations";
const EDITS: &str = "/v1/images/edits";
const BOUNDARY: &str = "frontier";

fn one_picture() -> Vec<EngineEvent> {
    let mut script = vec![text("Here it is.")];
    script.extend(drawn(0, 90));
    script.push(finished(FinishReason::EndOfText));
    script
}

fn artist() -> Arc<ScriptedEngine> {
    ScriptedEngine::new(one_picture(), Afterwards::Wait)
}

fn request(path: &str, content_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("host", "localhost:8000")
        .header("content-type", content_type)
        .body(body.into())
        .expect("a request")
}

async fn ask(engine: &Arc<ScriptedEngine>, path: &str, body: &Value) -> Answer {
    send(&app(engine), request(path, "application/json", body.to_string())).await
}

/// A form of text fields and files.
fn form(fields: &[(&str, &str)], files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    form_between(BOUNDARY, fields, files)
}

fn form_between(boundary: &str, fields: &[(&str, &str)], files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n")
                .into_bytes(),
        );
        body.extend(value.as_bytes());
        body.extend(b"\r\n");
    }
    for (name, file) in files {
        body.extend(
            format!(
                "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"; \
                 filename=\"a.png\"\r\ncontent-type: image/png\r\n\r\n"
            )
            .into_bytes(),
        );
        body.extend(file);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{boundary}--\r\n").into_bytes());
    body
}

async fn post_form(engine: &Arc<ScriptedEngine>, body: Vec<u8>) -> Answer {
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    send(&app(engine), request(EDITS, &content_type, body)).await
}

fn pixels(b64_json: &Value) -> Vec<u8> {
    let file = STANDARD.decode(b64_json.as_str().expect("base64")).expect("base64");
    image::load_from_memory(&file).expect("a picture").into_rgb8().into_raw()
}

#[tokio::test]
async fn a_generation_is_the_bare_caption_and_one_picture_at_once() {
    let engine = artist();
    let answer = ask(&engine, GENERATIONS, &json!({"prompt": " ab ", "seed": 5})).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    let body = answer.json();
    assert_eq!(body["created"], 1_700_000_001);
    assert_eq!((&body["output_format"], &body["background"]), (&"png".into(), &"opaque".into()));
    assert_eq!(body["size"], "64x64");
    assert_eq!(body["effective"]["seed"], 5);
    assert_eq!(pixels(&body["data"][0]["b64_json"]), vec![90; 12]);
    let usage = json!({
        "input_tokens": 40, "input_tokens_details": {"image_tokens": 10, "text_tokens": 30},
        "output_tokens": 41, "output_tokens_details": {"image_tokens": 36, "text_tokens": 5},
        "total_tokens": 81,
    });
    assert_eq!(body["usage"], usage);

    let request = engine.request();
    assert_eq!(format!("{:?}", request.prompt), "[Tokens([1, 197, 198])]", "<s>ab");
    assert_eq!(request.stopping.max_tokens, Some(0), "a caption's picture follows it at once");
    assert!(request.stopping.ends_with_images);
    assert_eq!((request.pictures.choice, request.choice), (ImageChoice::Exactly(1), 0));
    assert_eq!((request.sampling.seed, request.pictures.seed), (5, 5));
}

#[tokio::test]
async fn n_pictures_are_n_documents_of_one_seed_and_different_choices() {
    let engine = artist();
    let answer =
        ask(&engine, GENERATIONS, &json!({"prompt": "ab", "n": 3, "seed": 5})).await.json();
    assert_eq!(answer["data"].as_array().map(Vec::len), Some(3));
    assert_eq!(answer["usage"]["input_tokens"], 40, "the prompt is one");
    assert_eq!(answer["usage"]["output_tokens"], 3 * 41);
    let requests = engine.requests.lock().expect("no test panics with it");
    let choices: Vec<_> = requests.iter().map(|one| (one.choice, one.pictures.seed)).collect();
    assert_eq!(choices, [(0, 5), (1, 5), (2, 5)]);
}

/// What asking under `key` is recognised by, and the seed it draws from.
async fn recognised(path: &str, content_type: &str, body: Vec<u8>) -> Vec<(RequestIdentity, u64)> {
    let engine = artist();
    let mut request = request(path, content_type, body);
    request.headers_mut().insert("idempotency-key", "one".parse().expect("a value"));
    assert_eq!(send(&app(&engine), request).await.status, 200);
    let requests = engine.requests.lock().expect("no test panics with it");
    requests.iter().map(|request| (request.identity, request.sampling.seed)).collect()
}

#[tokio::test]
async fn asking_again_under_one_key_is_recognised_choice_by_choice_and_route_by_route() {
    let json = |text: &str| text.as_bytes().to_vec();
    let ask = |path, text| recognised(path, "application/json", json(text));
    let once = ask(GENERATIONS, r#"{"model": "reverie", "prompt": "ab", "n": 2}"#).await;
    let again = ask(GENERATIONS, r#"{"model": "reverie", "prompt": "ab", "n": 2}"#).await;
    let keys = |asked: &[(RequestIdentity, u64)]| {
        let fields =
            |(one, seed): &(RequestIdentity, u64)| (one.fingerprint, one.idempotency_key, *seed);
        asked.iter().map(fields).collect::<Vec<_>>()
    };
    assert_eq!(keys(&once), keys(&again));
    assert_ne!(once[0].0.idempotency_key, once[1].0.idempotency_key);
    assert_ne!(once[0].0.fingerprint, once[1].0.fingerprint);
    assert_eq!(once[0].1, once[1].1, "one seed");

    let both = r#"{"model": "reverie", "prompt": "ab"}"#;
    let drawn = ask(GENERATIONS, both).await;
    let written = ask("/v1/completions", both).await;
    assert_ne!(drawn[0].0.fingerprint, written[0].0.fingerprint);
    assert_eq!(
        drawn[0].0.idempotency_key, written[0].0.idempotency_key,
        "so the second is refused"
    );
}

#[tokio::test]
async fn a_form_is_recognised_by_what_it_says_and_not_by_its_boundary() {
    let asked = async |boundary: &str, prompt: &str| {
        let body = form_between(boundary, &[("prompt", prompt)], &[("image", png(20, 1))]);
        let content_type = format!("multipart/form-data; boundary={boundary}");
        recognised(EDITS, &content_type, body).await[0].0.fingerprint
    };
    assert_eq!(asked("border", "ab").await, asked("limes", "ab").await);
    assert_ne!(asked("border", "ab").await, asked("border", "abc").await);
}

#[tokio::test]
async fn each_file_carries_its_recipe_and_which_of_n_it_is() {
    let engine = artist();
    let mut state = state_with(&engine, settings());
    state.codec = PictureCodec::standard();
    let body = json!({"prompt": "a secret word", "n": 2, "seed": 5, "guidance_rescale": 0.5});
    let asked = request(GENERATIONS, "application/json", body.to_string());
    let answer = send(&router(state), asked).await.json();
    for index in 0..2 {
        let file = STANDARD.decode(answer["data"][index]["b64_json"].as_str().expect("base64"));
        let file = file.expect("base64");
        let reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().expect("a PNG");
        let notes = reader.info().utf8_text.iter().map(|note| note.get_text().expect("text"));
        let notes = notes.collect::<Vec<_>>().concat();
        assert!(notes.contains(MODEL_SHA256), "{notes}");
        assert!(notes.contains(r#""image_seed":5"#) && notes.contains(r#""guidance_rescale":0.5"#));
        assert!(notes.contains(&format!(r#""index":{index}"#)), "{notes}");
        assert!(notes.contains("digitalsourcetype/trainedAlgorithmicMedia"), "{notes}");
        assert!(!notes.contains("secret"), "what was asked is not said");
    }
}

#[tokio::test]
async fn one_failure_or_refusal_is_the_whole_answers() {
    let failing = vec![EngineEvent::Failed(EngineError::Deadline)];
    let engine = ScriptedEngine::new(failing, Afterwards::End);
    let answer = ask(&engine, GENERATIONS, &json!({"prompt": "ab", "n": 2})).await;
    assert_eq!(answer.error(), (504, None, "deadline_exceeded".to_owned()));

    let engine = artist();
    let too_long = SubmitError::TooLong { positions: 2000, limit: 1024 };
    *engine.refusal.lock().expect("no test panics with it") = Some(too_long);
    let answer = ask(&engine, GENERATIONS, &json!({"prompt": "ab"})).await;
    let wanted = (400, Some("prompt".to_owned()), "context_length_exceeded".to_owned());
    assert_eq!(answer.error(), wanted);

    let mute = ScriptedEngine::new(vec![finished(FinishReason::EndOfText)], Afterwards::End);
    let answer = ask(&mute, GENERATIONS, &json!({"prompt": "ab"})).await;
    assert_eq!(answer.status, 500, "no picture is no answer");
}

#[tokio::test]
async fn leaving_before_the_end_gives_the_documents_up() {
    let engine = ScriptedEngine::new(Vec::new(), Afterwards::Wait);
    let left = engine.next_departure();
    let body = json!({"prompt": "ab"}).to_string();
    let app = app(&engine);
    let asking = send(&app, request(GENERATIONS, "application/json", body));
    tokio::select! {
        _ = asking => panic!("there is no answer"),
        () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
    }
    left.await.expect("the events were dropped");
}

#[tokio::test]
async fn an_edit_shows_the_pictures_in_order_and_then_says_what_to_change() {
    let files = [png(20, 10), png(30, 20)];
    let in_json = json!({
        "prompt": "make it blue", "model": "org/alias", "seed": 3,
        "images": [{"image_url": data_url(&files[0])}, {"image_url": data_url(&files[1])}],
    });
    let by_json = artist();
    assert_eq!(ask(&by_json, EDITS, &in_json).await.status, 200);
    let fields = [("prompt", "make it blue"), ("model", "org/alias"), ("seed", "3"), ("n", "1")];
    let by_form = artist();
    let files = files.map(|file| ("image[]", file));
    assert_eq!(post_form(&by_form, form(&fields, &files)).await.status, 200);

    let request = EngineRequest { identity: RequestIdentity::default(), ..by_json.request() };
    let same = EngineRequest { identity: RequestIdentity::default(), ..by_form.request() };
    assert_eq!(format!("{request:?}"), format!("{same:?}"), "both say the same");
    let shown: Vec<_> = request
        .prompt
        .iter()
        .filter_map(|segment| match segment {
            PromptSegment::Picture(picture) => Some(picture.width()),
            PromptSegment::Tokens(_) | PromptSegment::Dream => None,
        })
        .collect();
    assert_eq!(shown, [20, 30]);
    assert_eq!(request.stopping.max_tokens, None, "the model may speak before it draws");
    assert!(request.stopping.ends_with_images);
}

#[tokio::test]
async fn a_stream_ends_with_its_pictures_and_each_says_what_it_took() {
    for (path, name) in
        [(GENERATIONS, "image_generation.completed"), (EDITS, "image_edit.completed")]
    {
        let engine = artist();
        let mut body = json!({"prompt": "ab", "stream": true, "output_format": "jpeg", "n": 2});
        if path == EDITS {
            body["images"] = json!([{"image_url": data_url(&png(20, 1))}]);
        }
        let answer = ask(&engine, path, &body).await;
        assert_eq!(answer.header("content-type"), "text/event-stream");
        let events = named_events(&answer);
        let mut indices: Vec<_> = events.iter().map(|(_, data)| data["index"].as_u64()).collect();
        indices.sort_unstable();
        assert_eq!(indices, [Some(0), Some(1)], "nothing follows, not even [DONE]");
        for (event, data) in events {
            assert_eq!((event.as_str(), data["type"].as_str()), (name, Some(name)));
            assert_eq!((&data["output_format"], &data["size"]), (&"jpeg".into(), &"64x64".into()));
            assert_eq!(data["usage"]["total_tokens"], 81);
            assert_eq!(pixels(&data["b64_json"]).len(), 12);
        }
    }
}

#[tokio::test]
async fn a_failing_stream_ends_with_an_error_event() {
    let failing = vec![text("I"), EngineEvent::Failed(EngineError::Deadline)];
    let engine = ScriptedEngine::new(failing, Afterwards::Wait);
    let answer = ask(&engine, GENERATIONS, &json!({"prompt": "ab", "stream": true})).await;
    let stream = String::from_utf8(answer.body).expect("UTF-8");
    assert!(stream.starts_with("event: error\ndata: {\"error\":"), "{stream}");
    assert!(stream.contains("deadline_exceeded") && !stream.contains("[DONE]"));
}

#[tokio::test]
async fn parameters_reach_the_engine_as_they_were_meant() {
    let engine = artist();
    let body = json!({
        "prompt": "ab", "size": "128x64", "steps": 9, "guidance_scale": 2.5, "sampler": "ddim",
        "guidance_rescale": 0.25, "eta": 0.75, "negative_prompt": "no", "output_format": "jpeg",
        "output_compression": 70, "response_format": "b64_json", "background": "opaque",
        "quality": "hd", "style": "vivid", "moderation": "low", "user": "u", "n": 1,
    });
    assert_eq!(ask(&engine, GENERATIONS, &body).await.status, 200);
    let pictures = engine.request().pictures;
    assert_eq!((pictures.width, pictures.height, pictures.num_inference_steps), (128, 64, 9));
    assert_eq!((pictures.guidance_scale, pictures.guidance_rescale), (2.5, 0.25));
    assert_eq!(pictures.format, PictureFormat::Jpeg { quality: 70 });
    assert_eq!(format!("{:?}", pictures.negative_prompt), "Some([Tokens([1, 210, 211])])");
}

#[tokio::test]
async fn webp_is_lossless_unless_it_is_to_be_compressed() {
    for (compression, format) in [
        (json!(null), PictureFormat::Webp),
        (json!(100), PictureFormat::Webp),
        (json!(0), PictureFormat::LossyWebp { quality: 0 }),
        (json!(80), PictureFormat::LossyWebp { quality: 80 }),
    ] {
        let engine = artist();
        let body =
            json!({"prompt": "ab", "output_format": "webp", "output_compression": compression});
        let answer = ask(&engine, GENERATIONS, &body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["output_format"], "webp");
        assert_eq!(engine.request().pictures.format, format);
    }
}

#[tokio::test]
async fn every_bad_parameter_is_named() {
    let (long, longer) = ("x".repeat(1 << 16), "x".repeat(1 << 18));
    let cases = [
        (json!({"prompt": ""}), "prompt", "invalid_value"),
        (json!({"prompt": " \n"}), "prompt", "invalid_value"),
        (json!({"prompt": 1}), "prompt", "invalid_value"),
        (json!({"prompt": ["ab"]}), "prompt", "invalid_value"),
        (json!({"prompt": long}), "prompt", "context_length_exceeded"),
        (json!({"prompt": longer}), "prompt", "string_too_long"),
        (json!({"n": 0}), "n", "invalid_value"),
        (json!({"n": 5}), "n", "invalid_value"),
        (json!({"n": -1}), "n", "invalid_value"),
        (json!({"n": 1.0}), "n", "invalid_value"),
        (json!({"n": 2_147_483_648_u64}), "n", "invalid_value"),
        (json!({"size": "0x0"}), "size", "invalid_value"),
        (json!({"size": "1024x1024"}), "size", "invalid_value"),
        (json!({"size": "64×64"}), "size", "invalid_value"),
        (json!({"steps": 0}), "steps", "invalid_value"),
        (json!({"num_inference_steps": 101}), "num_inference_steps", "invalid_value"),
        (json!({"guidance_scale": 1e30}), "guidance_scale", "invalid_value"),
        (json!({"eta": 0.5}), "eta", "invalid_value"),
        (json!({"seed": -1}), "seed", "invalid_value"),
        (json!({"sampler": "lms"}), "sampler", "invalid_value"),
        (json!({"output_format": "gif"}), "output_format", "invalid_value"),
        (json!({"output_compression": 50}), "output_compression", "invalid_value"),
        (
            json!({"output_compression": 101, "output_format": "jpeg"}),
            "output_compression",
            "invalid_value",
        ),
        (json!({"background": "transparent"}), "background", "unsupported_parameter"),
        (json!({"quality": "best"}), "quality", "invalid_value"),
        (json!({"partial_images": 2}), "partial_images", "invalid_value"),
        (json!({"partial_images": 2, "stream": false}), "partial_images", "invalid_value"),
        (json!({"partial_images": 4, "stream": true}), "partial_images", "invalid_value"),
        (json!({"stream": "yes"}), "stream", "invalid_value"),
        (json!({"user": "a\u{0}b"}), "user", "invalid_value"),
        (json!({"images": []}), "images", "unknown_parameter"),
        (json!({"mask": {"image_url": "x"}}), "mask", "unknown_parameter"),
        (json!({"tempreature": 1}), "tempreature", "unknown_parameter"),
    ];
    let engine = artist();
    for (fields, param, code) in cases {
        let mut body = json!({"prompt": "ab"});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("one").clone());
        let answer = ask(&engine, GENERATIONS, &body).await;
        assert_eq!(answer.error(), (400, Some(param.into()), code.into()), "{fields:.80}");
    }
    let answer = ask(&engine, GENERATIONS, &json!({"model": "reverie"})).await;
    let missing = (400, Some("prompt".to_owned()), "missing_required_parameter".to_owned());
    assert_eq!(answer.error(), missing);
    let answer = ask(&engine, GENERATIONS, &json!({"prompt": "ab", "model": "dall-e-3"})).await;
    assert_eq!(answer.error(), (404, Some("model".to_owned()), "model_not_found".to_owned()));
    assert_eq!(engine.requests.lock().expect("no test panics with it").len(), 0);
}

#[tokio::test]
async fn every_bad_picture_to_edit_is_named() {
    let engine = artist();
    let image = json!({"image_url": data_url(&png(20, 1))});
    let cases = [
        (json!({}), "images", "invalid_value"),
        (json!({"images": []}), "images", "invalid_value"),
        (
            json!({"images": [&image, {"image_url": "http://a/b.png"}]}),
            "images[1].image_url",
            "invalid_image_url",
        ),
        (
            json!({"images": [{"image_url": "data:image/png;base64,!"}]}),
            "images[0].image_url",
            "invalid_base64_image",
        ),
        (
            json!({"images": [{"image_url": "data:image/png;base64,AAAA"}]}),
            "images[0].image_url",
            "unsupported_image_media_type",
        ),
        (json!({"images": [{"file_id": "file-1"}]}), "images[0].file_id", "unsupported_parameter"),
        (json!({"images": vec![&image; 5]}), "images", "too_many_images"),
        (json!({"images": [&image], "mask": &image}), "mask", "unsupported_parameter"),
    ];
    for (fields, param, code) in cases {
        let mut body = json!({"prompt": "ab"});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("one").clone());
        let answer = ask(&engine, EDITS, &body).await;
        assert_eq!(answer.error(), (400, Some(param.into()), code.into()), "{fields:.80}");
    }
}

#[tokio::test]
async fn every_bad_form_is_refused() {
    let engine = artist();
    let file = || vec![("image", png(20, 1))];
    let good = ("prompt", "ab");
    let cases = [
        (form(&[good], &[]), Some("image"), "invalid_value"),
        (form(&[], &file()), Some("prompt"), "missing_required_parameter"),
        (form(&[good, good], &file()), Some("prompt"), "duplicate_field"),
        (form(&[good, ("n", "two")], &file()), Some("n"), "invalid_value"),
        (form(&[good, ("n", "+1")], &file()), Some("n"), "invalid_value"),
        (form(&[good, ("seed", "-1")], &file()), Some("seed"), "invalid_value"),
        (form(&[good, ("stream", "1")], &file()), Some("stream"), "invalid_value"),
        (
            form(&[good, ("guidance_scale", "NaN")], &file()),
            Some("guidance_scale"),
            "invalid_value",
        ),
        (form(&[good, ("sampler", "lms")], &file()), Some("sampler"), "invalid_value"),
        (form(&[good, ("shininess", "3")], &file()), Some("shininess"), "unknown_parameter"),
        (form(&[good], &[("image", Vec::new())]), Some("image"), "empty_image_file"),
        (form(&[good], &[("image", vec![7; 5000])]), Some("image"), "image_file_too_large"),
        (
            form(&[good], &[("image[]", png(9, 1)), ("image[]", vec![7; 9])]),
            Some("image[1]"),
            "unsupported_image_media_type",
        ),
        (
            form(&[good], &[("image", png(9, 1)), ("mask", png(9, 1))]),
            Some("mask"),
            "unsupported_parameter",
        ),
        (b"no form at all".to_vec(), None, "invalid_form"),
        (form(&[good], &file())[..60].to_vec(), None, "invalid_form"),
        (form(&[good; 1100], &[]), None, "array_too_long"),
    ];
    for (index, (body, param, code)) in cases.into_iter().enumerate() {
        let answer = post_form(&engine, body).await;
        let wanted = (400, param.map(str::to_owned), code.to_owned());
        assert_eq!(answer.error(), wanted, "case {index}");
    }
    let no_boundary = request(EDITS, "multipart/form-data", form(&[good], &file()));
    assert_eq!(send(&app(&engine), no_boundary).await.error().2, "invalid_form");
    let to_generations = request(GENERATIONS, "multipart/form-data; boundary=a", "x");
    assert_eq!(send(&app(&engine), to_generations).await.status, 415);
    let large = post_form(&engine, form(&[good], &[("image", vec![7; 2 << 20])])).await;
    assert_eq!(large.status, 413, "forms are bodies like any other");
}

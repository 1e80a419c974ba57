//! Records of how pictures were drawn: who may ask, how much, and the file that they come in.

mod http_kit;

use std::sync::Arc;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_kit::{
    Afterwards, ScriptedEngine, app, asking, chat, drawn, finished, post, send, settings,
    state_with,
};
use reverie_model::config::HeadConfig;
use reverie_model::diffusion::trace::{TensorRecord, TraceSize};
use reverie_server::engine::event::{EngineEvent, FinishReason};
use reverie_server::http::router;
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn traced() -> Vec<EngineEvent> {
    let record = |name: &str, shape: Vec<usize>, values: Vec<f32>| TensorRecord {
        name: name.to_owned(),
        shape,
        values,
    };
    let first = vec![
        record("condition", vec![2, 1], vec![1.5, -2.0]),
        record("latents", vec![1], vec![3.0]),
    ];
    let second = vec![record("condition", vec![1], vec![0.25])];
    let mut script = drawn(0, 10);
    script.extend(drawn(1, 20));
    script.push(EngineEvent::Traced(Arc::new(vec![first, second])));
    script.push(finished(FinishReason::EndOfText));
    script
}

fn engine() -> Arc<ScriptedEngine> {
    ScriptedEngine::new(traced(), Afterwards::End)
}

/// A server whose operator allows it.
fn laboratory(engine: &Arc<ScriptedEngine>) -> Router {
    let mut state = state_with(engine, settings());
    let model = Arc::get_mut(&mut state.model).expect("nobody else has it yet");
    model.limits.allow_trace = true;
    router(state)
}

fn assert_is_the_file(trace: &Value) {
    assert_eq!(trace["format"], "safetensors");
    let file = STANDARD.decode(trace["data"].as_str().expect("a file")).expect("base64");
    let tensors = SafeTensors::deserialize(&file).expect("safetensors");
    let mut names = tensors.names();
    names.sort_unstable();
    assert_eq!(names, ["picture.0.condition", "picture.0.latents", "picture.1.condition"]);
    let condition = tensors.tensor("picture.0.condition").expect("a tensor");
    assert_eq!(condition.shape(), [2, 1]);
    assert_eq!(condition.data(), [1.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat());
}

#[tokio::test]
async fn a_record_comes_with_the_whole_answer_and_with_a_streams_end() {
    let engine = engine();
    let app = laboratory(&engine);
    let request = asking(json!({"trace": true, "max_images": 2}));
    assert_is_the_file(&chat(&app, &request).await.json()["trace"]);
    let wish = engine.request().pictures.trace.expect("a wish");
    assert!(wish.max_bytes > 2 * 50 * 4 * 64, "room for every step's latents: {wish:?}");

    let several = chat(&app, &asking(json!({"trace": true, "max_images": 1, "n": 2}))).await;
    assert_eq!(several.error(), (400, Some("n".to_owned()), "invalid_value".to_owned()));

    let request = asking(json!({"trace": true, "max_images": 2, "stream": true}));
    let body = String::from_utf8(chat(&app, &request).await.body).expect("UTF-8");
    let chunks: Vec<Value> = body
        .split_terminator("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    let (last, others) = chunks.split_last().expect("chunks");
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_is_the_file(&last["trace"]);
    assert!(others.iter().all(|chunk| chunk.get("trace").is_none()));
}

#[tokio::test]
async fn what_was_not_asked_for_or_not_allowed_is_not_recorded() {
    let engine = engine();
    let refused = chat(&app(&engine), &asking(json!({"trace": true}))).await;
    assert_eq!(refused.error(), (400, Some("trace".into()), "unsupported_parameter".into()));
    assert!(
        refused.json()["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("--allow-trace"))
    );
    for fields in [json!({}), json!({"trace": false}), json!({"trace": null})] {
        assert_eq!(chat(&app(&engine), &asking(fields)).await.status, 200);
    }
    let requests = engine.requests.lock().expect("no test panics with it");
    assert!(requests.iter().all(|request| request.pictures.trace.is_none()));
}

#[tokio::test]
async fn records_that_would_be_too_large_or_kept_are_refused() {
    let engine = engine();
    let app = laboratory(&engine);
    let wanted = (400, Some("trace".to_owned()), "invalid_value".to_owned());
    let state = |size: &str| {
        asking(json!({"trace": true, "max_images": 8, "size": size, "num_inference_steps": 100}))
    };
    assert_eq!(chat(&app, &state("64x64")).await.status, 200);
    let mut vast = state_with(&engine, settings());
    let limits = &mut Arc::get_mut(&mut vast.model).expect("nobody else has it yet").limits;
    limits.allow_trace = true;
    limits.trace_size = TraceSize::new(&HeadConfig::default(), 1 << 20);
    assert_eq!(chat(&router(vast), &state("64x64")).await.error(), wanted);
    let mut request = post(state("64x64").to_string());
    request.headers_mut().insert("idempotency-key", "a-name".parse().expect("a header"));
    assert_eq!(send(&app, request).await.error(), wanted);
    assert_eq!(chat(&app, &asking(json!({"trace": 1}))).await.error().1, Some("trace".to_owned()));
}

//! What hostile or careless clients must not reach: failures deep in the engine, memory without bound.

mod http_kit;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request};
use http_kit::{Afterwards, ScriptedEngine, app_with, asking, interleaved, post, send, state_with};
use reverie_model::config::NoiseScheduleConfig;
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_proto::parse;
use reverie_server::engine::document_engine::SubmitError;
use reverie_server::http::{BODY_UNIT, HttpSettings, router};
use reverie_server::request::{Limits, NoOwnPictures, RequestError, validate};
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;

fn refusal(fields: Value, limits: &Limits) -> Option<RequestError> {
    let body = asking(fields).to_string();
    let request = parse::chat_request(body.as_bytes()).expect("well formed");
    validate(request, &NoOwnPictures, limits, 0).err()
}

#[test]
fn steps_that_the_noise_schedule_cannot_hold_are_the_clients_fault() {
    let noise_schedule = Arc::new(NoiseSchedule::new(&NoiseScheduleConfig {
        num_train_timesteps: 60,
        ..NoiseScheduleConfig::default()
    }));
    let limits = Limits { noise_schedule, ..http_kit::limits() };
    for (steps, sampler) in [(61, "ddpm"), (60, "ddpm"), (60, "unipc"), (60, "dpmpp_2m")] {
        for name in ["steps", "num_inference_steps"] {
            let fields = json!({name: steps, "sampler": sampler});
            match refusal(fields, &limits) {
                Some(RequestError::OutOfRange { param, wanted: _ }) => assert_eq!(param, name),
                other => panic!("{steps} steps of {sampler}: {other:?}"),
            }
        }
    }
    for sampler in ["ddpm", "ddim", "pndm", "dpmpp_2m", "dpmpp_2m_karras", "euler", "unipc"] {
        assert_eq!(refusal(json!({"steps": 50, "sampler": sampler}), &limits), None, "{sampler}");
    }
}

/// A chat request whose body says nothing for ever after `begun`.
fn stalled(begun: Vec<u8>) -> Request<Body> {
    let begun = tokio_stream::once(Ok::<_, Infallible>(Bytes::from(begun)));
    post(Body::from_stream(begun.chain(tokio_stream::pending())))
}

#[tokio::test]
async fn bodies_that_are_held_have_a_common_bound_and_give_it_back() {
    let max_held_body_bytes = 2 * BODY_UNIT;
    let settings = HttpSettings { max_held_body_bytes, ..http_kit::settings() };
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let app = app_with(&engine, settings);
    let body = asking(json!({})).to_string();
    assert_eq!(send(&app, post(body.clone())).await.status, 200);

    let mut holder = Box::pin(send(&app, stalled(vec![b' '; BODY_UNIT + 1])));
    tokio::select! {
        biased;
        answer = &mut holder => panic!("an unfinished body was answered: {answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    let refused = send(&app, post(body.clone())).await;
    assert_eq!(refused.error(), (429, None, "server_busy".to_owned()));
    assert!(!refused.header("retry-after").is_empty());
    drop(holder);
    assert_eq!(send(&app, post(body)).await.status, 200, "whoever leaves makes room");
}

#[tokio::test]
async fn a_full_engine_costs_nobody_the_reading_of_a_request() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let retry_after = Duration::from_secs(3);
    let full = SubmitError::QueueFull { waiting: 9, retry_after };
    *engine.congestion.lock().expect("no test panics with it") = Some(full);
    let app = app_with(&engine, http_kit::settings());
    let unreadable = || post("{".to_owned());
    let refused = send(&app, unreadable()).await;
    assert_eq!(refused.error(), (429, None, "queue_full".to_owned()), "it was not even parsed");
    assert_eq!(refused.header("retry-after"), "3");
    let mut named = unreadable();
    named.headers_mut().insert("idempotency-key", HeaderValue::from_static("one"));
    let read = send(&app, named).await;
    assert_eq!(read.status, 400, "one that may be answered already is read");
    *engine.congestion.lock().expect("no test panics with it") = None;
    assert_eq!(send(&app, post(asking(json!({})).to_string())).await.status, 200);
}

#[test]
fn text_that_cannot_fit_is_refused_wherever_it_hides() {
    let long = "a".repeat(1 << 20);
    let spaces = " ".repeat(1 << 20);
    let greedy = Limits { drops_spaces: true, ..http_kit::limits() };
    for text in [long, spaces] {
        let user = json!({"role": "user", "content": "Hello"});
        let assistant = |fields: Value| {
            let mut message = json!({"role": "assistant", "content": null});
            let fields = fields.as_object().expect("an object").clone();
            message.as_object_mut().expect("an object").extend(fields);
            json!({"messages": [user, message, user]})
        };
        let parts = json!([{"type": "text", "text": text}]);
        let everywhere = [
            json!({"messages": [{"role": "user", "content": text}]}),
            json!({"messages": [{"role": "user", "content": parts}]}),
            json!({"messages": [{"role": "system", "content": text}, user]}),
            assistant(json!({"content_parts": parts})),
            assistant(json!({"content": "", "content_parts": parts})),
            json!({"negative_prompt": text}),
        ];
        for fields in everywhere {
            for limits in [&http_kit::limits(), &greedy] {
                match refusal(fields.clone(), limits) {
                    Some(RequestError::ContextLength { .. } | RequestError::TextTooLong { .. }) => {
                    }
                    other => panic!("{:.60}: {other:?}", fields.to_string()),
                }
            }
        }
    }
}

#[tokio::test]
async fn requests_on_their_way_to_the_queue_are_bounded() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let state = state_with(&engine, http_kit::settings());
    let app = router(state.clone());
    let body = asking(json!({})).to_string();
    let all = state.preparing.available_permits() as u32;
    let held = state.preparing.try_acquire_many(all).expect("nobody else is there");
    let refused = send(&app, post(body.clone())).await;
    assert_eq!(refused.error(), (429, None, "server_busy".to_owned()));
    drop(held);
    assert_eq!(send(&app, post(body)).await.status, 200);
    assert_eq!(state.preparing.available_permits() as u32, all);
}

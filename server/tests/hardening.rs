//! What hostile or careless clients must not reach: failures deep in the engine, memory without bound.

mod http_kit;

use std::sync::Arc;

use http_kit::asking;
use reverie_model::config::NoiseScheduleConfig;
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_proto::parse;
use reverie_server::request::{Limits, RequestError, validate};
use serde_json::{Value, json};

fn refusal(fields: Value, limits: &Limits) -> Option<RequestError> {
    let body = asking(fields).to_string();
    validate(parse::chat_request(body.as_bytes()).unwrap(), limits, 0).err()
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

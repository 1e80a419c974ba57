//! Every parameter of a chat request at and beyond its borders.

mod http_kit;

use http_kit::{Afterwards, ScriptedEngine, app, asking, chat, finished, post, send};
use reverie_model::diffusion::SamplerKind;
use reverie_server::engine::event::FinishReason;
use reverie_server::engine::request::{EngineRequest, ImageChoice};
use serde_json::{Value, json};

/// A numeric field: what it accepts, and what it must refuse besides.
struct Numeric {
    name: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
}

const HUGE: [&str; 4] = ["9223372036854775808", "18446744073709551616", "1e300", "1e999"];
const OTHER_TYPES: [&str; 5] = ["\"1\"", "true", "[]", "{}", "[1]"];

/// Fields that need another one to make sense bring it along.
const COMPANIONS: [(&str, &str); 3] = [
    ("image_quality", "\"image_format\":\"jpeg\","),
    ("eta", "\"sampler\":\"ddim\","),
    ("top_logprobs", "\"logprobs\":true,"),
];

const fn numeric(
    name: &'static str,
    good: &'static [&'static str],
    bad: &'static [&'static str],
) -> Numeric {
    Numeric { name, good, bad }
}

const NUMERIC: [Numeric; 24] = [
    numeric("temperature", &["0", "-0.0", "1e-45", "2", "2.0"], &["-1", "-0.001", "2.0001"]),
    numeric("top_p", &["1e-45", "0.5", "1"], &["-1", "0", "1.0000001"]),
    numeric("top_k", &["-1", "0", "1", "2147483647"], &["-2", "1.0", "2147483648"]),
    numeric("seed", &["0", "9223372036854775808", "18446744073709551615"], &["-1", "0.5"]),
    numeric("num_beams", &["1"], &["-1", "0", "9", "1.0"]),
    numeric("min_p", &["0", "0.5", "1"], &["-0.001", "1.0001"]),
    numeric("presence_penalty", &["-2", "0", "-0.0", "2"], &["-2.0001", "2.0001"]),
    numeric("frequency_penalty", &["-2", "0", "0.001", "2"], &["-2.0001", "3"]),
    numeric("repetition_penalty", &["1e-45", "1", "10"], &["-1", "0", "10.0001"]),
    numeric("top_logprobs", &["0", "1", "20"], &["-1", "21", "1.0"]),
    numeric("n", &["1", "4"], &["-1", "0", "5", "129", "2147483648", "1.0"]),
    numeric("max_tokens", &["1", "2147483648", "9223372036854775808"], &["-1", "0", "1.0"]),
    numeric("max_completion_tokens", &["1", "2147483648"], &["-1", "0", "1.0"]),
    numeric("min_tokens", &["0", "1", "2147483648"], &["-1", "1.0"]),
    numeric("max_images", &["0", "1", "8"], &["-1", "9", "1000000", "1.0"]),
    numeric("image_choice", &["1", "8"], &["-1", "0", "9", "1.0", "\"maybe\""]),
    numeric("num_inference_steps", &["1", "100"], &["-1", "0", "101", "1000000", "1.0"]),
    numeric("steps", &["1", "100"], &["-1", "0", "101", "1000000", "1.0"]),
    numeric("guidance_scale", &["0", "1", "7.5", "50"], &["-1", "-0.001", "50.001", "1e30"]),
    numeric("guidance_rescale", &["0", "1"], &["-1", "1.0001"]),
    numeric("eta", &["0", "1"], &["-1", "1.0001"]),
    numeric("image_seed", &["0", "18446744073709551615"], &["-1", "0.5"]),
    numeric("priority", &["0"], &["-101", "101", "1.0"]),
    numeric("image_quality", &["1", "100"], &["-1", "0", "101", "1.5"]),
];

fn with(name: &str, value: &str) -> String {
    let companion = COMPANIONS.iter().find(|(field, _)| *field == name).map_or("", |pair| pair.1);
    let messages = r#""model":"reverie","messages":[{"role":"user","content":"x"}]"#;
    format!("{{{companion}\"{name}\":{value},{messages}}}")
}

fn engine() -> std::sync::Arc<ScriptedEngine> {
    ScriptedEngine::new(vec![finished(FinishReason::EndOfText)], Afterwards::End)
}

#[tokio::test]
async fn every_number_is_checked_at_its_borders() {
    let app = app(&engine());
    for Numeric { name, good, bad } in NUMERIC {
        for value in good.iter().chain(["null"].iter()) {
            let answer = send(&app, post(with(name, value))).await;
            assert_eq!(answer.status, 200, "{name}: {value}: {:?}", answer.json());
        }
        for value in bad {
            let answer = send(&app, post(with(name, value))).await;
            let wanted = (400, Some(name.to_owned()), "invalid_value".to_owned());
            assert_eq!(answer.error(), wanted, "{name}: {value}");
        }
    }
}

#[tokio::test]
async fn every_number_is_a_number_of_its_size() {
    let app = app(&engine());
    for Numeric { name, good, .. } in NUMERIC {
        let huge = HUGE.iter().filter(|huge| !good.contains(huge));
        for value in OTHER_TYPES.iter().chain(huge) {
            let answer = send(&app, post(with(name, value))).await;
            // Seeds reach 2^64 - 1, and counts of tokens are cut to the context.
            let wide = ["seed", "image_seed", "max_completion_tokens", "min_tokens"];
            if wide.contains(&name) && *value == HUGE[0] {
                assert_eq!(answer.status, 200, "{name}: {value}");
                continue;
            }
            let (status, param, code) = answer.error();
            assert_eq!((status, param.as_deref()), (400, Some(name)), "{name}: {value}");
            assert_eq!(code, "invalid_value", "{name}: {value}");
        }
    }
}

#[tokio::test]
async fn every_other_parameter_is_checked_and_named() {
    let app = app(&engine());
    let long = "x".repeat(513);
    let cases = [
        (json!({"stop": ""}), "stop", "invalid_value"),
        (json!({"stop": ["ok", ""]}), "stop", "invalid_value"),
        (json!({"stop": "x".repeat(257)}), "stop", "invalid_value"),
        (json!({"stop": vec!["x"; 10_000]}), "stop", "array_too_long"),
        (json!({"stop": 1}), "stop", "invalid_value"),
        (json!({"stream": "yes"}), "stream", "invalid_value"),
        (json!({"stream_options": {}}), "stream_options", "invalid_value"),
        (
            json!({"stream": true, "stream_options": {"x": 1}}),
            "stream_options.x",
            "unknown_parameter",
        ),
        (json!({"size": "0x0"}), "size", "invalid_value"),
        (json!({"size": "999999x999999"}), "size", "invalid_value"),
        (json!({"size": "-1x5"}), "size", "invalid_value"),
        (json!({"size": "+64x64"}), "size", "invalid_value"),
        (json!({"size": "64"}), "size", "invalid_value"),
        (json!({"size": "64×64"}), "size", "invalid_value"),
        (json!({"size": "64x64x64"}), "size", "invalid_value"),
        (json!({"size": "72x64"}), "size", "invalid_value"),
        (json!({"size": "128x128"}), "size", "invalid_value"),
        (json!({"size": 64}), "size", "invalid_value"),
        (json!({"sampler": "lms"}), "sampler", "invalid_value"),
        (json!({"eta": 0.5}), "eta", "invalid_value"),
        (json!({"image_format": "gif"}), "image_format", "invalid_value"),
        (json!({"image_quality": 90}), "image_quality", "invalid_value"),
        (json!({"image_quality": 101, "image_format": "webp"}), "image_quality", "invalid_value"),
        (json!({"max_tokens": 1, "max_completion_tokens": 2}), "max_tokens", "invalid_value"),
        (json!({"max_tokens": 1, "min_tokens": 2}), "min_tokens", "invalid_value"),
        (json!({"steps": 1, "num_inference_steps": 2}), "steps", "invalid_value"),
        (json!({"modalities": []}), "modalities", "invalid_value"),
        (json!({"modalities": ["audio"]}), "modalities[0]", "invalid_value"),
        (json!({"modalities": ["text"], "image_choice": 1}), "image_choice", "invalid_value"),
        (json!({"modalities": ["image"], "image_choice": "none"}), "image_choice", "invalid_value"),
        (json!({"max_images": 0, "image_choice": "required"}), "image_choice", "invalid_value"),
        (json!({"max_images": 2, "image_choice": 3}), "image_choice", "invalid_value"),
        (json!({"num_beams": 2, "temperature": 0.5}), "temperature", "invalid_value"),
        (json!({"num_beams": 2, "image_choice": "auto"}), "image_choice", "invalid_value"),
        (json!({"num_beams": 2, "modalities": ["image"]}), "image_choice", "invalid_value"),
        (json!({"tools": [{}]}), "tools", "unsupported_parameter"),
        (json!({"tool_choice": "auto"}), "tool_choice", "invalid_value"),
        (json!({"user": long}), "user", "string_too_long"),
        (json!({"user": "a\u{0}b"}), "user", "invalid_value"),
        (json!({"metadata": {"a": long}}), "metadata", "string_too_long"),
        (json!({"chat_template": "x"}), "chat_template", "unknown_parameter"),
        (json!({"chat_template_kwargs": {}}), "chat_template_kwargs", "unknown_parameter"),
        (json!({"prompt_token_ids": [1]}), "prompt_token_ids", "unknown_parameter"),
        (json!({"tempreature": 1}), "tempreature", "unknown_parameter"),
        (json!({"tempreature": null}), "tempreature", "unknown_parameter"),
    ];
    for (fields, param, code) in cases {
        let answer = chat(&app, &asking(fields.clone())).await;
        assert_eq!(answer.error(), (400, Some(param.into()), code.into()), "{fields:.80}");
    }
}

#[tokio::test]
async fn what_shapes_the_choice_of_tokens_is_checked_and_named() {
    let app = app(&engine());
    let cases = [
        (json!({"logprobs": 1}), "logprobs", "invalid_value"),
        (json!({"top_logprobs": 2}), "top_logprobs", "invalid_value"),
        (json!({"logprobs": false, "top_logprobs": 2}), "top_logprobs", "invalid_value"),
        (json!({"num_beams": 2, "logprobs": true}), "logprobs", "invalid_value"),
        (json!({"num_beams": 2, "presence_penalty": 1}), "presence_penalty", "invalid_value"),
        (json!({"num_beams": 2, "logit_bias": {"100": 1}}), "logit_bias", "invalid_value"),
        (json!({"num_beams": 2, "n": 2}), "n", "invalid_value"),
        (json!({"provenance": true, "n": 2}), "n", "invalid_value"),
        (json!({"logit_bias": [1]}), "logit_bias", "invalid_value"),
        (json!({"logit_bias": {"a": 1}}), "logit_bias", "invalid_value"),
        (json!({"logit_bias": {"-1": 1}}), "logit_bias", "invalid_value"),
        (json!({"logit_bias": {"0100": 1}}), "logit_bias", "invalid_value"),
        (json!({"logit_bias": {"4294967296": 1}}), "logit_bias", "invalid_value"),
        (json!({"logit_bias": {"100": "1"}}), "logit_bias.100", "invalid_value"),
        (json!({"logit_bias": {"100": 100.1}}), "logit_bias.100", "invalid_value"),
        (json!({"logit_bias": {"100": -101}}), "logit_bias.100", "invalid_value"),
        (json!({"logit_bias": {"356": 1}}), "logit_bias.356", "invalid_value"),
        (json!({"logit_bias": {"1": 1}}), "logit_bias.1", "invalid_value"),
        (json!({"logit_bias": {"8": 1}}), "logit_bias.8", "invalid_value"),
        (json!({"logit_bias": many_biases(1025)}), "logit_bias", "array_too_long"),
    ];
    for (fields, param, code) in cases {
        let answer = chat(&app, &asking(fields.clone())).await;
        assert_eq!(answer.error(), (400, Some(param.into()), code.into()), "{fields:.80}");
    }
}

/// So many tokens, each made likelier.
fn many_biases(count: usize) -> Value {
    (0..count).map(|token| (token.to_string(), json!(1))).collect::<serde_json::Map<_, _>>().into()
}

async fn engine_request(fields: Value) -> EngineRequest {
    let engine = engine();
    let answer = chat(&app(&engine), &asking(fields)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    engine.request()
}

#[tokio::test]
async fn parameters_reach_the_engine_as_they_were_meant() {
    let request = engine_request(json!({
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": 11, "max_completion_tokens": 77,
        "min_tokens": 3, "ignore_eos": true, "stop": ["a", "b"], "image_choice": "required",
        "max_images": 3, "size": "128x64", "steps": 9, "guidance_scale": 2.5, "guidance_rescale": 0.25,
        "eta": 0.75, "sampler": "ddim", "negative_prompt": "no", "image_seed": 12, "min_p": 0.25,
        "presence_penalty": 0.5, "frequency_penalty": -0.5, "repetition_penalty": 1.5,
        "logit_bias": {"100": -100, "2": 1.5, "9": 100}, "logprobs": true, "top_logprobs": 5,
    }))
    .await;
    let sampling = &request.sampling;
    assert_eq!((sampling.min_p, sampling.repetition_penalty), (0.25, 1.5));
    assert_eq!((sampling.presence_penalty, sampling.frequency_penalty), (0.5, -0.5));
    let biases = sampling.logit_bias.iter().map(|bias| (bias.token, bias.bias));
    assert_eq!(biases.collect::<Vec<_>>(), [(2, 1.5), (9, 100.0), (100, -100.0)]);
    assert_eq!(sampling.num_logprobs, Some(5));
    assert_eq!((request.sampling.temperature, request.sampling.top_p), (0.5, 0.9));
    assert_eq!((request.sampling.top_k, request.sampling.seed), (40, 11));
    assert_eq!((request.stopping.max_tokens, request.stopping.min_tokens), (Some(77), 3));
    assert!(request.stopping.ignore_eos);
    assert_eq!(request.stopping.stop, ["a", "b"]);
    let pictures = request.pictures;
    assert_eq!((pictures.choice, pictures.max_images), (ImageChoice::Required, 3));
    assert_eq!((pictures.width, pictures.height, pictures.num_inference_steps), (128, 64, 9));
    assert_eq!((pictures.guidance_scale, pictures.guidance_rescale), (2.5, 0.25));
    assert_eq!((pictures.eta, pictures.sampler, pictures.seed), (0.75, SamplerKind::Ddim, 12));
    let negative = pictures.negative_prompt.expect("it was given");
    assert_eq!(format!("{negative:?}"), "[Tokens([1, 210, 211])]", "<s> and the text's bytes");
}

#[tokio::test]
async fn what_is_not_said_is_the_checkpoints_and_a_drawn_seed_is_returned() {
    let engine = engine();
    let answer = chat(&app(&engine), &asking(json!({}))).await.json();
    let request = engine.request();
    assert_eq!(request.sampling.temperature, 1.0);
    assert_eq!(request.stopping.max_tokens, None);
    assert_eq!((request.pictures.choice, request.pictures.max_images), (ImageChoice::Auto, 8));
    assert_eq!(request.pictures.seed, request.sampling.seed, "pictures follow the seed");
    assert_eq!(answer["effective"]["seed"], request.sampling.seed);
    assert!(request.sampling.seed < 1 << 53, "a drawn seed survives JavaScript");
    let wanted = json!({
        "seed": request.sampling.seed, "image_seed": request.sampling.seed, "temperature": 1.0,
        "top_p": 1.0, "top_k": 0, "num_beams": 1, "size": "64x64", "sampler": "ddpm",
        "num_inference_steps": 50, "guidance_scale": 7.5, "guidance_rescale": 0.0, "eta": 0.0,
    });
    assert_eq!(answer["effective"], wanted);
}

#[tokio::test]
async fn modalities_bound_who_decides_about_pictures() {
    let cases = [
        (json!({"modalities": ["text"]}), ImageChoice::None),
        (json!({"modalities": ["image"]}), ImageChoice::Exactly(1)),
        (json!({"modalities": ["image"], "image_choice": 3}), ImageChoice::Exactly(3)),
        (json!({"modalities": ["image", "text"]}), ImageChoice::Auto),
        (json!({"image_choice": "none"}), ImageChoice::None),
        (json!({"max_images": 0}), ImageChoice::None),
        (json!({"num_beams": 5}), ImageChoice::None),
        (json!({"num_beams": 5, "temperature": 0, "modalities": ["text"]}), ImageChoice::None),
    ];
    for (fields, wanted) in cases {
        let request = engine_request(fields.clone()).await;
        assert_eq!(request.pictures.choice, wanted, "{fields}");
    }
}

#[tokio::test]
async fn nearly_no_temperature_is_greedy_and_large_counts_mean_the_context() {
    for temperature in [json!(0), json!(-0.0), json!(1e-45), json!(1e-6)] {
        let request = engine_request(json!({"temperature": temperature})).await;
        assert_eq!(request.sampling.temperature, 0.0);
    }
    let request = engine_request(json!({"max_tokens": u64::MAX, "min_tokens": u64::MAX})).await;
    assert_eq!((request.stopping.max_tokens, request.stopping.min_tokens), (Some(1024), 1024));
    let request = engine_request(json!({"top_p": 1e-45, "top_k": -1})).await;
    assert!(request.sampling.top_p > 0.0);
    assert_eq!(request.sampling.top_k, 0);
}

#[tokio::test]
async fn what_clients_send_by_themselves_changes_nothing() {
    let fields = json!({
        "user": "u", "store": false, "metadata": {"a": "b"}, "parallel_tool_calls": true,
        "service_tier": "auto", "prompt_cache_key": "k", "reasoning_effort": "low",
        "verbosity": "low", "safety_identifier": "s", "logprobs": false, "tools": [],
        "tool_choice": "none", "frequency_penalty": 0, "presence_penalty": 0, "logit_bias": {},
        "response_format": {"type": "text"}, "n": 1, "seed": 5,
    });
    let plain = engine_request(json!({"seed": 5})).await;
    let mut decorated = engine_request(fields).await;
    assert_ne!(decorated.identity, plain.identity, "bodies differ, and so do their fingerprints");
    decorated.identity = plain.identity;
    assert_eq!(format!("{plain:?}"), format!("{decorated:?}"));
}

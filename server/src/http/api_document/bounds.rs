//! What `request/` demands of single fields beyond their types, in this instance's own numbers. A field that no bound is known
//! of keeps its type's schema; what relates several fields is said in words by the error that refuses it.

use serde_json::{Map, Value, json};

use crate::request::{
    Limits, MAX_BEAMS, MAX_GUIDANCE_SCALE, MAX_LOGPROBS, MAX_PENALTY, PRIORITIES,
};

/// Writes each bound over the field of every request that has it.
pub(super) fn write_over(schemas: &mut Map<String, Value>, limits: &Limits) {
    let bounds = fields(limits);
    let requests =
        schemas.iter_mut().filter(|(name, _)| name.ends_with("Request") || name.ends_with("Form"));
    for (name, schema) in requests {
        let Some(properties) = schema["properties"].as_object_mut() else { continue };
        for (field, bound) in bounds.iter().chain(&own(name, limits)) {
            if let Some(known) = properties.get_mut(*field).and_then(Value::as_object_mut) {
                bind(known, bound);
            }
        }
    }
}

/// Adds `bound`'s keywords: beside the type, or in the alternative that is not null.
fn bind(known: &mut Map<String, Value>, bound: &Value) {
    let Some(bound) = bound.as_object() else { return };
    let target = known
        .get_mut("anyOf")
        .and_then(|choices| choices.as_array_mut())
        .and_then(|choices| choices.iter_mut().find(|choice| choice["type"] != "null"))
        .and_then(Value::as_object_mut);
    match target {
        Some(choice) => choice.extend(bound.clone()),
        None => known.extend(bound.clone()),
    }
}

/// Bounds of fields that mean the same in every request.
fn fields(limits: &Limits) -> Vec<(&'static str, Value)> {
    let steps = json!({"minimum": 1, "maximum": limits.max_num_inference_steps});
    vec![
        ("model", json!({"examples": limits.model_names})),
        ("temperature", json!({"minimum": 0, "maximum": 2})),
        ("top_p", json!({"exclusiveMinimum": 0, "maximum": 1})),
        ("top_k", json!({"minimum": -1, "maximum": i32::MAX})),
        ("num_beams", json!({"minimum": 1, "maximum": MAX_BEAMS})),
        ("min_p", json!({"minimum": 0, "maximum": 1})),
        ("frequency_penalty", json!({"minimum": -MAX_PENALTY, "maximum": MAX_PENALTY})),
        ("presence_penalty", json!({"minimum": -MAX_PENALTY, "maximum": MAX_PENALTY})),
        ("priority", json!({"minimum": PRIORITIES.start(), "maximum": PRIORITIES.end()})),
        ("max_completion_tokens", json!({"minimum": 1})),
        ("max_output_tokens", json!({"minimum": 1})),
        ("max_images", json!({"minimum": 0, "maximum": limits.max_images})),
        ("size", json!({"pattern": "^(auto|[0-9]{1,6}x[0-9]{1,6})$"})),
        ("steps", steps.clone()),
        ("num_inference_steps", steps),
        ("guidance_scale", json!({"minimum": 0, "maximum": MAX_GUIDANCE_SCALE})),
        ("guidance_rescale", json!({"minimum": 0, "maximum": 1})),
        ("eta", json!({"minimum": 0, "maximum": 1})),
        ("image_quality", json!({"minimum": 1, "maximum": 100})),
        ("output_compression", json!({"minimum": 0, "maximum": 100})),
    ]
}

/// Bounds of fields that mean something else elsewhere.
fn own(request: &str, limits: &Limits) -> Vec<(&'static str, Value)> {
    let choices = json!({"minimum": 1, "maximum": limits.max_choices});
    match request {
        "ChatCompletionRequest" => vec![
            ("max_tokens", json!({"minimum": 1})),
            ("top_logprobs", json!({"minimum": 0, "maximum": MAX_LOGPROBS})),
            ("n", choices),
        ],
        "CompletionRequest" => vec![
            ("max_tokens", json!({"minimum": 1})),
            ("logprobs", json!({"minimum": 0, "maximum": MAX_LOGPROBS})),
            ("n", choices),
        ],
        "ImageGenerationRequest" | "ImageEditRequest" | "ImageEditForm" => {
            vec![("n", choices)]
        }
        _ => Vec::new(),
    }
}

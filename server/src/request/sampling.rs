//! How tokens are chosen and when text ends. Names and special values as vLLM's `SamplingParams`.

use reverie_proto::{ChatCompletionRequest, Stop};

use super::{Defaults, Limits, RequestError, either, in_range};
use crate::engine::request::{SamplingParams, StoppingParams};

/// Below this, a temperature is greedy: dividing logits by less overflows (vLLM's `_SAMPLING_EPS`).
const GREEDY_BELOW: f64 = 1e-5;
const MAX_BEAMS: u64 = 8;
const MAX_STOP_BYTES: usize = 256;

pub(super) fn sampling_params(
    request: &ChatCompletionRequest,
    defaults: &Defaults,
    drawn_seed: u64,
) -> Result<SamplingParams, RequestError> {
    let num_beams = in_range("num_beams", request.num_beams.unwrap_or(1), 1..=MAX_BEAMS)?;
    let temperature = effective_temperature(request, defaults);
    let temperature = in_range("temperature", temperature, 0.0..=2.0)?;
    let temperature = if temperature < GREEDY_BELOW { 0.0 } else { temperature as f32 };
    if num_beams > 1 && temperature > 0.0 {
        return Err(RequestError::conflict("temperature", "must be 0 or unset with `num_beams`"));
    }
    let top_p = request.top_p.unwrap_or(1.0);
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(RequestError::out_of_range("top_p", "above 0 and at most 1"));
    }
    let top_k = in_range("top_k", request.top_k.unwrap_or(0), -1..=i64::from(i32::MAX))?;
    Ok(SamplingParams {
        temperature,
        top_p: (top_p as f32).max(f32::MIN_POSITIVE),
        top_k: usize::try_from(top_k).unwrap_or(0), // -1 is off
        seed: request.seed.unwrap_or(drawn_seed),
        num_beams: num_beams as usize,
    })
}

/// As given, else 0 for a beam search, else the checkpoint's.
pub(super) fn effective_temperature(request: &ChatCompletionRequest, defaults: &Defaults) -> f64 {
    let beams = request.num_beams.is_some_and(|num_beams| num_beams > 1);
    request.temperature.unwrap_or(if beams { 0.0 } else { defaults.temperature })
}

pub(super) fn stopping_params(
    request: &ChatCompletionRequest,
    limits: &Limits,
) -> Result<StoppingParams, RequestError> {
    let max_tokens = either(
        ("max_tokens", request.max_tokens),
        ("max_completion_tokens", request.max_completion_tokens),
    )?;
    let name = if request.max_tokens.is_some() { "max_tokens" } else { "max_completion_tokens" };
    if max_tokens == Some(0) {
        return Err(RequestError::out_of_range(name, "at least 1"));
    }
    let min_tokens = request.min_tokens.unwrap_or(0);
    if max_tokens.is_some_and(|max| min_tokens > max) {
        return Err(RequestError::conflict("min_tokens", &format!("is more than `{name}`")));
    }
    // Nothing longer than the context is ever reached, so larger numbers mean the context.
    let clamp =
        |tokens: u64| usize::try_from(tokens).unwrap_or(usize::MAX).min(limits.max_model_len);
    Ok(StoppingParams {
        max_tokens: max_tokens.map(clamp),
        min_tokens: clamp(min_tokens),
        ignore_eos: request.ignore_eos.unwrap_or(false),
        stop: stop_strings(request.stop.as_ref())?,
    })
}

fn stop_strings(stop: Option<&Stop>) -> Result<Vec<String>, RequestError> {
    let strings = match stop {
        None => Vec::new(),
        Some(Stop::One(string)) => vec![string.clone()],
        Some(Stop::Many(strings)) => strings.clone(),
    };
    if strings.iter().any(|string| string.is_empty() || string.len() > MAX_STOP_BYTES) {
        return Err(RequestError::out_of_range("stop", "strings of 1 to 256 bytes"));
    }
    Ok(strings)
}

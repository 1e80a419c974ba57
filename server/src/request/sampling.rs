//! How tokens are chosen and when text ends. Names and special values as vLLM's `SamplingParams`.

use reverie_proto::{ChatCompletionRequest, Stop};

use super::{Defaults, Limits, RequestError, either, in_range};
use crate::engine::request::{SamplingParams, StoppingParams};

/// Below this, a temperature is greedy: dividing logits by less overflows (vLLM's `_SAMPLING_EPS`).
const GREEDY_BELOW: f64 = 1e-5;
const MAX_BEAMS: u64 = 8;
const MAX_STOP_BYTES: usize = 256;

/// How tokens are to be chosen, by whichever route the wish came.
#[derive(Clone, Copy, Default)]
pub(super) struct SamplingWish {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<i64>,
    pub(super) seed: Option<u64>,
    pub(super) num_beams: Option<u64>,
}

/// When the text is to end, by whichever route the wish came.
#[derive(Clone, Copy, Default)]
pub(super) struct StoppingWish<'a> {
    pub(super) max_tokens: Option<u64>,
    pub(super) max_completion_tokens: Option<u64>,
    pub(super) min_tokens: Option<u64>,
    pub(super) ignore_eos: Option<bool>,
    pub(super) stop: Option<&'a Stop>,
}

impl SamplingWish {
    pub(super) fn of_chat(request: &ChatCompletionRequest) -> Self {
        let ChatCompletionRequest { temperature, top_p, top_k, seed, num_beams, .. } = *request;
        Self { temperature, top_p, top_k, seed, num_beams }
    }

    /// As given, else 0 for a beam search, else the checkpoint's.
    pub(super) fn temperature(&self, defaults: &Defaults) -> f64 {
        let beams = self.num_beams.is_some_and(|num_beams| num_beams > 1);
        self.temperature.unwrap_or(if beams { 0.0 } else { defaults.temperature })
    }
}

impl<'a> StoppingWish<'a> {
    pub(super) fn of_chat(request: &'a ChatCompletionRequest) -> Self {
        let ChatCompletionRequest {
            max_tokens, max_completion_tokens, min_tokens, ignore_eos, ..
        } = *request;
        let stop = request.stop.as_ref();
        Self { max_tokens, max_completion_tokens, min_tokens, ignore_eos, stop }
    }
}

pub(super) fn sampling_params(
    wish: &SamplingWish,
    defaults: &Defaults,
    drawn_seed: u64,
) -> Result<SamplingParams, RequestError> {
    let num_beams = in_range("num_beams", wish.num_beams.unwrap_or(1), 1..=MAX_BEAMS)?;
    let temperature = in_range("temperature", wish.temperature(defaults), 0.0..=2.0)?;
    let temperature = if temperature < GREEDY_BELOW { 0.0 } else { temperature as f32 };
    if num_beams > 1 && temperature > 0.0 {
        return Err(RequestError::conflict("temperature", "must be 0 or unset with `num_beams`"));
    }
    let top_p = wish.top_p.unwrap_or(1.0);
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(RequestError::out_of_range("top_p", "above 0 and at most 1"));
    }
    let top_k = in_range("top_k", wish.top_k.unwrap_or(0), -1..=i64::from(i32::MAX))?;
    Ok(SamplingParams {
        temperature,
        top_p: (top_p as f32).max(f32::MIN_POSITIVE),
        top_k: usize::try_from(top_k).unwrap_or(0), // -1 is off
        seed: wish.seed.unwrap_or(drawn_seed),
        num_beams: num_beams as usize,
    })
}

pub(super) fn stopping_params(
    wish: &StoppingWish<'_>,
    limits: &Limits,
) -> Result<StoppingParams, RequestError> {
    let max_tokens = either(
        ("max_tokens", wish.max_tokens),
        ("max_completion_tokens", wish.max_completion_tokens),
    )?;
    let name = if wish.max_tokens.is_some() { "max_tokens" } else { "max_completion_tokens" };
    if max_tokens == Some(0) {
        return Err(RequestError::out_of_range(name, "at least 1"));
    }
    let min_tokens = wish.min_tokens.unwrap_or(0);
    if max_tokens.is_some_and(|max| min_tokens > max) {
        return Err(RequestError::conflict("min_tokens", &format!("is more than `{name}`")));
    }
    // Nothing longer than the context is ever reached, so larger numbers mean the context.
    let clamp =
        |tokens: u64| usize::try_from(tokens).unwrap_or(usize::MAX).min(limits.max_model_len);
    Ok(StoppingParams {
        max_tokens: max_tokens.map(clamp),
        min_tokens: clamp(min_tokens),
        ignore_eos: wish.ignore_eos.unwrap_or(false),
        ends_with_images: false,
        stop: stop_strings(wish.stop)?,
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

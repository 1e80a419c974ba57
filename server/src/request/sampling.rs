//! How tokens are chosen and when text ends. Names and special values as vLLM's `SamplingParams`.

use reverie_proto::{ChatCompletionRequest, LogitBias, Stop};

use super::{Defaults, Limits, RequestError, either, in_range};
use crate::engine::request::{SamplingParams, StoppingParams, TokenBias};

/// Below this, a temperature is greedy: dividing logits by less overflows (vLLM's `_SAMPLING_EPS`).
const GREEDY_BELOW: f64 = 1e-5;
pub(crate) const MAX_BEAMS: u64 = 8;
/// Tokens that are told of at each place at most: OpenAI's.
pub const MAX_LOGPROBS: u64 = 20;
pub(crate) const MAX_PENALTY: f64 = 2.0;
const MAX_REPETITION_PENALTY: f64 = 10.0;
const MAX_BIAS: f64 = 100.0;
const MAX_STOP_BYTES: usize = 256;

/// How tokens are to be chosen, by whichever route the wish came.
#[derive(Clone, Copy, Default)]
pub(super) struct SamplingWish<'a> {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<i64>,
    pub(super) seed: Option<u64>,
    pub(super) min_p: Option<f64>,
    pub(super) presence_penalty: Option<f64>,
    pub(super) frequency_penalty: Option<f64>,
    pub(super) repetition_penalty: Option<f64>,
    pub(super) logit_bias: Option<&'a LogitBias>,
    /// Whether log-probabilities are wanted, by its parameter's name, and of how many other tokens.
    pub(super) logprobs: Option<(&'static str, u64)>,
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

impl<'a> SamplingWish<'a> {
    pub(super) fn of_chat(request: &'a ChatCompletionRequest) -> Result<Self, RequestError> {
        let logprobs = match (request.logprobs, request.top_logprobs) {
            (Some(true), top) => Some(("top_logprobs", top.unwrap_or(0))),
            (Some(false) | None, None | Some(0)) => None,
            (Some(false) | None, Some(_)) => {
                return Err(RequestError::conflict("top_logprobs", "needs `logprobs: true`"));
            }
        };
        Ok(Self {
            temperature: request.temperature,
            top_p: request.top_p,
            top_k: request.top_k,
            seed: request.seed,
            min_p: request.min_p,
            presence_penalty: request.presence_penalty,
            frequency_penalty: request.frequency_penalty,
            repetition_penalty: request.repetition_penalty,
            logit_bias: request.logit_bias.as_ref(),
            logprobs,
            num_beams: request.num_beams,
        })
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
    wish: &SamplingWish<'_>,
    limits: &Limits,
    drawn_seed: u64,
) -> Result<SamplingParams, RequestError> {
    let num_beams =
        in_range("num_beams", wish.num_beams.unwrap_or(Defaults::NUM_BEAMS), 1..=MAX_BEAMS)?;
    let temperature = in_range("temperature", wish.temperature(&limits.defaults), 0.0..=2.0)?;
    let temperature = if temperature < GREEDY_BELOW { 0.0 } else { temperature as f32 };
    if num_beams > 1 && temperature > 0.0 {
        return Err(RequestError::conflict("temperature", "must be 0 or unset with `num_beams`"));
    }
    let top_p = wish.top_p.unwrap_or(Defaults::TOP_P);
    if !(top_p > 0.0 && top_p <= 1.0) {
        return Err(RequestError::out_of_range("top_p", "above 0 and at most 1"));
    }
    let top_k = in_range("top_k", wish.top_k.unwrap_or(Defaults::TOP_K), -1..=i64::from(i32::MAX))?;
    let min_p = in_range("min_p", wish.min_p.unwrap_or(0.0), 0.0..=1.0)?;
    let params = SamplingParams {
        temperature,
        top_p: (top_p as f32).max(f32::MIN_POSITIVE),
        top_k: usize::try_from(top_k).unwrap_or(0), // -1 is off
        min_p: min_p as f32,
        presence_penalty: penalty("presence_penalty", wish.presence_penalty)?,
        frequency_penalty: penalty("frequency_penalty", wish.frequency_penalty)?,
        repetition_penalty: repetition_penalty(wish.repetition_penalty)?,
        logit_bias: logit_bias(wish.logit_bias, limits)?,
        num_logprobs: num_logprobs(wish.logprobs)?,
        seed: wish.seed.unwrap_or(drawn_seed),
        json_schema: None, // until it is compiled: `text_shape`
        num_beams: num_beams as usize,
    };
    if num_beams > 1 {
        check_for_beams(&params)?;
    }
    Ok(params)
}

fn penalty(param: &str, wish: Option<f64>) -> Result<f32, RequestError> {
    in_range(param, wish.unwrap_or(0.0), -MAX_PENALTY..=MAX_PENALTY).map(|penalty| penalty as f32)
}

fn repetition_penalty(wish: Option<f64>) -> Result<f32, RequestError> {
    let penalty = wish.unwrap_or(1.0);
    if !(penalty > 0.0 && penalty <= MAX_REPETITION_PENALTY) {
        return Err(RequestError::out_of_range("repetition_penalty", "above 0 and at most 10"));
    }
    Ok((penalty as f32).max(f32::MIN_POSITIVE))
}

/// Text tokens, `</s>` and `<dream_start>` can be made likelier or less likely; all others are never written.
fn logit_bias(wish: Option<&LogitBias>, limits: &Limits) -> Result<Vec<TokenBias>, RequestError> {
    let Some(LogitBias(biases)) = wish else { return Ok(Vec::new()) };
    let checked = |(token, bias): (&u32, &f64)| {
        let param = format!("logit_bias.{token}");
        if !limits.tokens.can_be_written(*token) {
            let wanted = "about a token that can be written: text, `</s>` or `<dream_start>`";
            return Err(RequestError::out_of_range(&param, wanted));
        }
        let bias = in_range(&param, *bias, -MAX_BIAS..=MAX_BIAS)? as f32;
        Ok(TokenBias { token: *token, bias })
    };
    biases.iter().map(checked).collect()
}

fn num_logprobs(wish: Option<(&'static str, u64)>) -> Result<Option<usize>, RequestError> {
    let Some((param, num_top)) = wish else { return Ok(None) };
    in_range(param, num_top, 0..=MAX_LOGPROBS).map(|num_top| Some(num_top as usize))
}

/// A beam search follows the model's own probabilities alone.
fn check_for_beams(params: &SamplingParams) -> Result<(), RequestError> {
    let unfit = [
        ("presence_penalty", params.presence_penalty != 0.0),
        ("frequency_penalty", params.frequency_penalty != 0.0),
        ("repetition_penalty", params.repetition_penalty != 1.0),
        ("logit_bias", !params.logit_bias.is_empty()),
        ("logprobs", params.num_logprobs.is_some()),
    ];
    match unfit.into_iter().find(|(_, is_asked)| *is_asked) {
        Some((param, _)) => Err(RequestError::conflict(param, "cannot be had with `num_beams`")),
        None => Ok(()),
    }
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

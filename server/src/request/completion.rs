//! A raw prompt to go on with: text in, text out, no template and no pictures.

use reverie_model::config::{Abilities, Ability};
use reverie_proto::CompletionRequest;

use super::delivery::delivery_mode;
use super::harmless::{check_label, check_only};
use super::pictures::{DrawingWish, PictureCount, drawing};
use super::priority::priority;
use super::sampling::{SamplingWish, StoppingWish, sampling_params, stopping_params};
use super::{
    Delivery, Disclosure, Dropping, Limits, Piece, PromptForm, RequestError, Speaker, Turn,
    ValidRequest, conversation, effective, model_name, num_choices,
};
use crate::picture_codec::PictureFormat;

/// Tokens where nobody says, as OpenAI's and vLLM's.
const DEFAULT_MAX_TOKENS: u64 = 16;

/// Checks `request` against `limits`. `drawn_seed` is its seed if it brings none.
///
/// # Errors
/// [`RequestError`], naming the first parameter at fault.
pub fn validate_completion(
    request: CompletionRequest,
    limits: &Limits,
    drawn_seed: u64,
) -> Result<ValidRequest, RequestError> {
    check_offered(&request)?;
    let priority = priority(request.priority, limits)?;
    let wish = SamplingWish {
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: request.top_k,
        seed: request.seed,
        min_p: request.min_p,
        presence_penalty: request.presence_penalty,
        frequency_penalty: request.frequency_penalty,
        repetition_penalty: request.repetition_penalty,
        logit_bias: request.logit_bias.as_ref(),
        logprobs: request.logprobs.map(|num_top| ("logprobs", num_top)),
        num_beams: None,
    };
    let num_choices = num_choices(request.n, limits)?;
    check_best_of(request.best_of, num_choices)?;
    let sampling = sampling_params(&wish, limits, drawn_seed)?;
    let stopping = stopping_params(&stopping_wish(&request), limits)?;
    let mode = delivery_mode(request.stream, request.stream_options)?;
    let drawing_wish = DrawingWish::default();
    let seed = sampling.seed;
    let pictures =
        drawing(&drawing_wish, PictureCount::NONE, seed, (PictureFormat::Png, None), limits)?;
    let model = model_name(Some(request.model), limits)?;
    match limits.abilities {
        Abilities::Both | Abilities::ComprehensionOnly => {}
        Abilities::CreationOnly => {
            let (param, ability) = ("model".to_owned(), Ability::Comprehension);
            return Err(RequestError::Untrained { param, ability });
        }
    }
    let text = request.prompt.0;
    conversation::check_length("prompt", text.len(), limits)?;
    conversation::check_room(1, limits.countable_bytes(&text), limits)?;
    Ok(ValidRequest {
        model,
        turns: vec![Turn { speaker: Speaker::User, pieces: vec![Piece::Text(text)] }],
        dropping: Dropping::Never,
        prompt_form: PromptForm::Verbatim,
        effective: effective((&wish, &sampling), (&drawing_wish, &pictures), limits),
        sampling,
        stopping,
        pictures,
        negative_prompt: None,
        delivery: Delivery::inline(mode, PictureFormat::Png),
        num_choices,
        priority,
        disclosure: Disclosure::Recipe,
    })
}

/// All texts that are written are answered: none is thrown away for a better one.
fn check_best_of(best_of: Option<u64>, num_choices: usize) -> Result<(), RequestError> {
    match best_of {
        None => Ok(()),
        Some(best_of) if best_of == num_choices as u64 => Ok(()),
        Some(_) => Err(RequestError::unsupported("best_of", "other than `n` is not supported")),
    }
}

fn stopping_wish(request: &CompletionRequest) -> StoppingWish<'_> {
    StoppingWish {
        max_tokens: request.max_tokens.or(Some(DEFAULT_MAX_TOKENS)),
        max_completion_tokens: None,
        min_tokens: request.min_tokens,
        ignore_eos: request.ignore_eos,
        stop: request.stop.as_ref(),
    }
}

fn check_offered(request: &CompletionRequest) -> Result<(), RequestError> {
    if let Some(user) = &request.user {
        check_label("user", user)?;
    }
    check_only("echo", request.echo, false)
}

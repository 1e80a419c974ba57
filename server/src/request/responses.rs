//! A request for a response: checked like a chat, its conversation gathered from what is stored and what is new. Drawing is the
//! model's own decision, with the tool declared or not, unless `tool_choice` or `image_choice` say otherwise: a model that
//! draws in the middle of its text calls no tool to do so.

use std::collections::BTreeMap;

use reverie_model::config::{Abilities, Ability};
use reverie_proto::{
    Background, ImageChoice as Wish, ImageTool, InputItem, InputPart, ResponseInput,
    ResponseRequest, ResponseToolChoice, Role, TextConfig, TextFormat, Truncation,
};

use super::harmless::{check_label, check_only};
use super::pictures::{DrawingWish, PictureCount, count, drawing};
use super::response_context::{self, KeptItems, ResponseContext, Sources};
use super::sampling::{SamplingWish, StoppingWish, sampling_params, stopping_params};
use super::{
    Delivery, DeliveryMode, Disclosure, Limits, RequestError, ValidRequest, abilities, effective,
    images, in_range, model_name, negative_prompt, priority, text_shape,
};
use crate::engine::request::PictureParams;
use crate::engine::request::SamplingParams;

/// Bytes of a key of `metadata`, as OpenAI's.
const MAX_METADATA_KEY_BYTES: usize = 64;

/// A request for a response that can be served, and what its answer repeats of it.
#[derive(Debug, Clone)]
pub struct ValidResponse {
    /// What is asked of the engine.
    pub valid: ValidRequest,
    /// What is new in the conversation, every message in parts.
    pub input: Vec<InputItem>,
    /// What each turn of the conversation is called: a stored item's id, or its place in the request.
    pub turn_names: Vec<String>,
    /// What the answer repeats.
    pub echo: ResponseEcho,
}

/// What an answer repeats of its request.
#[derive(Debug, Clone)]
pub struct ResponseEcho {
    /// Whether it is kept.
    pub store: bool,
    /// System text.
    pub instructions: Option<String>,
    /// What it goes on from.
    pub previous_response_id: Option<String>,
    /// Tokens at most.
    pub max_output_tokens: Option<u64>,
    /// Pictures at most.
    pub max_tool_calls: Option<u64>,
    /// How pictures are drawn.
    pub tools: Vec<ImageTool>,
    /// Who decides that one is.
    pub tool_choice: ResponseToolChoice,
    /// How the text is.
    pub text: TextConfig,
    /// What happens to a conversation that is too long.
    pub truncation: Truncation,
    /// The client's own notes.
    pub metadata: BTreeMap<String, String>,
    /// The client's user.
    pub user: Option<String>,
    /// The same, hashed.
    pub safety_identifier: Option<String>,
    /// The client's word for what begins alike.
    pub prompt_cache_key: Option<String>,
}

/// Checks `request` against `limits`; what it refers to comes from `kept`. `drawn_seed` is its seed if it brings none.
///
/// # Errors
/// [`RequestError`], naming the first parameter at fault.
pub fn validate_response(
    request: ResponseRequest,
    kept: &dyn KeptItems,
    limits: &Limits,
    drawn_seed: u64,
) -> Result<ValidResponse, RequestError> {
    let model = model_name(Some(request.model.clone()), limits)?;
    let tool = request.tools.as_deref().and_then(<[ImageTool]>::first).cloned();
    check_offered(&request, tool.as_ref())?;
    let sampling_wish = SamplingWish {
        temperature: request.temperature,
        top_p: request.top_p,
        top_k: request.top_k,
        seed: request.seed,
        ..SamplingWish::default()
    };
    let mut sampling = sampling_params(&sampling_wish, limits, drawn_seed)?;
    sampling.json_schema = text_shape::of_response(&request, limits)?;
    if request.max_output_tokens == Some(0) {
        return Err(RequestError::out_of_range("max_output_tokens", "at least 1"));
    }
    let max_completion_tokens = request.max_output_tokens;
    let stopping = StoppingWish { max_completion_tokens, ..StoppingWish::default() };
    let stopping = abilities::stopping(stopping_params(&stopping, limits)?, limits.abilities);
    let drawing_wish = drawing_wish(&request, tool.as_ref());
    let pictures = picture_params(&request, tool.as_ref(), (&drawing_wish, &sampling), limits)?;
    let effective = effective((&sampling_wish, &sampling), (&drawing_wish, &pictures), limits);
    let negative_prompt = negative_prompt(request.negative_prompt.clone(), limits)?;
    let mode = match request.stream {
        Some(true) => DeliveryMode::Streamed { include_usage: true },
        Some(false) | None => DeliveryMode::Whole,
    };
    let delivery = Delivery::inline(mode, pictures.format);
    let echo = echo(&request);
    let input = items(request.input);
    let sources = Sources {
        instructions: echo.instructions.as_deref(),
        previous: echo.previous_response_id.as_deref(),
        input: &input,
        may_drop_turns: echo.truncation == Truncation::Auto,
    };
    let ResponseContext { turns, names, dropping } =
        response_context::gathered(&sources, kept, limits)?;
    Ok(ValidResponse {
        valid: ValidRequest {
            model,
            turns,
            dropping,
            priority: priority::priority(None, limits)?,
            prompt_form: abilities::prompt_form(limits),
            sampling,
            stopping,
            pictures,
            negative_prompt,
            delivery,
            num_choices: 1,
            effective,
            disclosure: Disclosure::Recipe,
        },
        input,
        turn_names: names,
        echo,
    })
}

/// Refuses by its meaning what this service does not do, and what is ignored where it is not harmless.
fn check_offered(request: &ResponseRequest, tool: Option<&ImageTool>) -> Result<(), RequestError> {
    let labels = [
        ("user", &request.user),
        ("safety_identifier", &request.safety_identifier),
        ("prompt_cache_key", &request.prompt_cache_key),
        ("prompt_cache_retention", &request.prompt_cache_retention),
        ("service_tier", &request.service_tier),
    ];
    for (param, label) in labels {
        label.as_deref().map_or(Ok(()), |label| check_label(param, label))?;
    }
    for (key, value) in request.metadata.iter().flatten() {
        if key.len() > MAX_METADATA_KEY_BYTES {
            let (param, limit) = ("metadata".to_owned(), MAX_METADATA_KEY_BYTES);
            return Err(RequestError::TextTooLong { param, limit });
        }
        check_label("metadata", key)?;
        check_label("metadata", value)?;
    }
    check_only("top_logprobs", request.top_logprobs, 0)?;
    if request.stream_options.is_some() && request.stream != Some(true) {
        return Err(RequestError::conflict("stream_options", "needs `stream: true`"));
    }
    let Some(tool) = tool else { return Ok(()) };
    match tool.background {
        None | Some(Background::Auto | Background::Opaque) => Ok(()),
        Some(Background::Transparent) => {
            let reason = "`transparent` is not supported: pictures have no alpha";
            Err(RequestError::unsupported("tools[0].background", reason))
        }
    }
}

fn drawing_wish<'a>(request: &'a ResponseRequest, tool: Option<&'a ImageTool>) -> DrawingWish<'a> {
    DrawingWish {
        size: tool.and_then(|tool| tool.size.as_deref()),
        steps: request.steps,
        num_inference_steps: request.num_inference_steps,
        guidance_scale: request.guidance_scale,
        guidance_rescale: request.guidance_rescale,
        eta: request.eta,
        sampler: request.sampler,
    }
}

fn picture_params(
    request: &ResponseRequest,
    tool: Option<&ImageTool>,
    (drawing_wish, sampling): (&DrawingWish<'_>, &SamplingParams),
    limits: &Limits,
) -> Result<PictureParams, RequestError> {
    let in_tool = |error: RequestError| match (tool, error) {
        (Some(_), RequestError::OutOfRange { param, wanted }) if of_tool(&param) => {
            RequestError::OutOfRange { param: format!("tools[0].{param}"), wanted }
        }
        (Some(_), RequestError::Conflict { param, reason }) if of_tool(&param) => {
            RequestError::Conflict { param: format!("tools[0].{param}"), reason }
        }
        (_, error) => error,
    };
    let output_format = tool.and_then(|tool| tool.output_format);
    let compression = tool.and_then(|tool| tool.output_compression);
    let format = images::output_format(output_format, compression).map_err(in_tool)?;
    let num_previews = tool.and_then(|tool| tool.partial_images);
    let progress = images::partial_images(num_previews).map_err(in_tool)?;
    if progress.is_some() && request.stream != Some(true) {
        let reason = "above 0 needs `stream: true`";
        return Err(RequestError::conflict("tools[0].partial_images", reason));
    }
    let wish = wish(request, limits.abilities)?;
    let max_images = match (request.max_images, request.max_tool_calls) {
        (Some(max_images), Some(max_calls)) => Some(max_images.min(max_calls)),
        // OpenAI's bound is on calls of all kinds, and has no most of its own.
        (None, Some(max_calls)) => Some(max_calls.min(limits.max_images as u64)),
        (max_images, None) => max_images,
    };
    in_range("max_images", request.max_images.unwrap_or(0), 0..=limits.max_images as u64)?;
    let count = match sampling.json_schema {
        // JSON has no pictures in it.
        Some(_) => PictureCount::NONE,
        None => count(wish, max_images, sampling.num_beams, limits)?,
    };
    let seed = request.image_seed.unwrap_or(sampling.seed);
    drawing(drawing_wish, count, seed, (format, progress), limits).map_err(in_tool)
}

/// Whether the tool has a parameter of this name.
fn of_tool(param: &str) -> bool {
    matches!(param, "size" | "output_format" | "output_compression" | "partial_images")
}

/// Who decides that a picture is drawn, if the model was trained for that.
fn wish(request: &ResponseRequest, trained: Abilities) -> Result<Wish, RequestError> {
    let by_tool = match request.tool_choice {
        None | Some(ResponseToolChoice::Auto) => None,
        Some(ResponseToolChoice::None) => Some(Wish::None),
        Some(ResponseToolChoice::Required | ResponseToolChoice::ImageGeneration) => {
            Some(Wish::Required)
        }
    };
    let (param, wish) = match (request.image_choice, by_tool) {
        (Some(Wish::Exactly(count)), Some(Wish::Required)) if count > 0 => {
            ("image_choice", Wish::Exactly(count))
        }
        (Some(wish), Some(other)) if wish != other => {
            let reason = "contradicts `tool_choice`";
            return Err(RequestError::conflict("image_choice", reason));
        }
        (Some(wish), _) => ("image_choice", wish),
        (None, Some(wish)) => ("tool_choice", wish),
        (None, None) => ("tool_choice", Wish::Auto),
    };
    let untrained = |ability| RequestError::Untrained { param: param.to_owned(), ability };
    match (trained, wish) {
        (Abilities::ComprehensionOnly, Wish::Required | Wish::Exactly(_)) => {
            Err(untrained(Ability::Creation))
        }
        (Abilities::CreationOnly, Wish::None) => Err(untrained(Ability::Comprehension)),
        (_, wish) => Ok(wish),
    }
}

fn echo(request: &ResponseRequest) -> ResponseEcho {
    let TextConfig { format, verbosity } = request.text.clone().unwrap_or_default();
    let format = Some(format.unwrap_or_else(TextFormat::plain));
    ResponseEcho {
        store: request.store.unwrap_or(true),
        instructions: request.instructions.clone(),
        previous_response_id: request.previous_response_id.clone(),
        max_output_tokens: request.max_output_tokens,
        max_tool_calls: request.max_tool_calls,
        tools: request.tools.clone().unwrap_or_default(),
        tool_choice: request.tool_choice.unwrap_or(ResponseToolChoice::Auto),
        text: TextConfig { format, verbosity },
        truncation: request.truncation.unwrap_or(Truncation::Disabled),
        metadata: request.metadata.clone().unwrap_or_default(),
        user: request.user.clone(),
        safety_identifier: request.safety_identifier.clone(),
        prompt_cache_key: request.prompt_cache_key.clone(),
    }
}

/// The user's words alone are a message.
fn items(input: ResponseInput) -> Vec<InputItem> {
    match input {
        ResponseInput::Items(items) => items,
        ResponseInput::Text(text) => {
            let content = vec![InputPart::InputText(text)];
            vec![InputItem::Message { id: None, role: Role::User, content }]
        }
    }
}

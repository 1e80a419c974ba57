//! Fields of OpenAI's that clients send by themselves: accepted where they change nothing.
//!
//! Ignored: `user`, `safety_identifier`, `prompt_cache_key`, `service_tier`, `reasoning_effort`,
//! `verbosity`, `store`, `parallel_tool_calls`, `metadata`, `stream_options.include_obfuscation`,
//! `messages[].name`, `image_url.detail`. Accepted only in their empty form: `logprobs`,
//! `frequency_penalty`, `presence_penalty`, `logit_bias`, `tools`, `tool_choice`, `response_format`.

use reverie_proto::ChatCompletionRequest;

use super::RequestError;

const MAX_LABEL_BYTES: usize = 512;

/// Checks that what is ignored is indeed harmless, and that what cannot be done is not asked for.
pub(super) fn check(request: &ChatCompletionRequest) -> Result<(), RequestError> {
    let labels = [
        ("user", &request.user),
        ("safety_identifier", &request.safety_identifier),
        ("prompt_cache_key", &request.prompt_cache_key),
        ("service_tier", &request.service_tier),
        ("reasoning_effort", &request.reasoning_effort),
        ("verbosity", &request.verbosity),
    ];
    for (param, label) in labels {
        if let Some(label) = label {
            check_label(param, label)?;
        }
    }
    if let Some(metadata) = &request.metadata {
        for (key, value) in metadata {
            check_label("metadata", key)?;
            check_label("metadata", value)?;
        }
    }
    for (index, message) in request.messages.iter().enumerate() {
        if let Some(name) = &message.name {
            check_label(&format!("messages[{index}].name"), name)?;
        }
    }
    check_not_offered(request)
}

fn check_label(param: &str, label: &str) -> Result<(), RequestError> {
    if label.len() > MAX_LABEL_BYTES {
        return Err(RequestError::TextTooLong { param: param.to_owned(), limit: MAX_LABEL_BYTES });
    }
    if label.contains('\0') {
        return Err(RequestError::out_of_range(param, "free of NUL characters"));
    }
    Ok(())
}

fn check_not_offered(request: &ChatCompletionRequest) -> Result<(), RequestError> {
    match request.n {
        None | Some(1) => {}
        Some(0) => return Err(RequestError::out_of_range("n", "1")),
        Some(_) => return Err(RequestError::unsupported("n", "above 1 is not supported")),
    }
    if request.logprobs == Some(true) {
        return Err(RequestError::unsupported("logprobs", "is not supported"));
    }
    let penalties = [
        ("frequency_penalty", request.frequency_penalty),
        ("presence_penalty", request.presence_penalty),
    ];
    for (param, penalty) in penalties {
        if penalty.is_some_and(|penalty| penalty != 0.0) {
            return Err(RequestError::unsupported(param, "other than 0 is not supported"));
        }
    }
    Ok(())
}

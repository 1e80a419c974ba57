//! Fields of OpenAI's that clients send by themselves: accepted where they change nothing.
//!
//! [`IGNORED`] are ignored. Accepted only in their empty form: `tools`, `tool_choice`, `suffix`.

use std::fmt::Display;

use reverie_proto::ChatCompletionRequest;

use super::RequestError;

/// What chat takes and ignores.
pub(super) const IGNORED_IN_CHAT: [&str; 14] = [
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
    "reasoning_effort",
    "verbosity",
    "store",
    "parallel_tool_calls",
    "metadata",
    "response_format.json_schema.description",
    "response_format.json_schema.strict",
    "stream_options.include_obfuscation",
    "messages[].name",
    "messages[].content[].image_url.detail",
];

/// What responses take and ignore.
const IGNORED_IN_RESPONSES: [&str; 19] = [
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "reasoning",
    "parallel_tool_calls",
    "include",
    "text.verbosity",
    "stream_options.include_obfuscation",
    "tools[].quality",
    "tools[].action",
    "tools[].model",
    "tools[].moderation",
    "tools[].input_fidelity",
    "input[].status",
    "input[].content[].detail",
    "input[].content[].annotations",
    "input[].content[].logprobs",
];

/// What each route takes and ignores, for clients send it by themselves.
pub const IGNORED: [(&str, &[&str]); 5] = [
    ("/v1/chat/completions", &IGNORED_IN_CHAT),
    ("/v1/responses", &IGNORED_IN_RESPONSES),
    ("/v1/images/generations", &["user", "quality", "style", "moderation"]),
    ("/v1/images/edits", &["user", "quality", "style", "moderation", "input_fidelity"]),
    ("/v1/completions", &["user", "stream_options.include_obfuscation"]),
];

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
    Ok(())
}

pub(super) fn check_label(param: &str, label: &str) -> Result<(), RequestError> {
    if label.len() > MAX_LABEL_BYTES {
        return Err(RequestError::TextTooLong { param: param.to_owned(), limit: MAX_LABEL_BYTES });
    }
    if label.contains('\0') {
        return Err(RequestError::out_of_range(param, "free of NUL characters"));
    }
    Ok(())
}

/// Refuses every value of a field but the one that changes nothing.
pub(super) fn check_only<T: PartialEq + Display + Copy>(
    param: &str,
    value: Option<T>,
    neutral: T,
) -> Result<(), RequestError> {
    match value {
        Some(value) if value != neutral => {
            let reason = format!("other than {neutral} is not supported");
            Err(RequestError::unsupported(param, &reason))
        }
        Some(_) | None => Ok(()),
    }
}

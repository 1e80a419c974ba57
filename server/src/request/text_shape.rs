//! What shape the text of an answer must have: free, or JSON by a schema, which is compiled here once to see that it
//! can be followed.

use std::sync::Arc;

use reverie_model::json_grammar::{GrammarError, MAX_SCHEMA_BYTES};
use reverie_proto::response_format::{NamedSchema, ResponseFormatType};
use reverie_proto::{
    ChatCompletionRequest, ImageChoice, Modality, ResponseFormat, ResponseRequest,
    ResponseToolChoice, TextFormat,
};

use super::harmless::check_label;
use super::{Limits, RequestError};

/// Where a chat's schema stands, and a response's.
const CHAT: &str = "response_format.json_schema";
const RESPONSE: &str = "text.format";
/// The schema of `json_object`.
const ANY_OBJECT: &str = r#"{"type":"object"}"#;
const MAX_NAME_BYTES: usize = 64;

/// The schema that a chat's text must follow, if there is one.
pub(super) fn of_chat(
    request: &ChatCompletionRequest,
    limits: &Limits,
) -> Result<Option<Arc<String>>, RequestError> {
    let Some(format) = &request.response_format else { return Ok(None) };
    let Some(schema) = chat_schema(format)? else { return Ok(None) };
    check_company(&chat_company(request), "`response_format`")?;
    followed(schema, CHAT, limits).map(Some)
}

/// The schema that a response's text must follow, if there is one.
pub(super) fn of_response(
    request: &ResponseRequest,
    limits: &Limits,
) -> Result<Option<Arc<String>>, RequestError> {
    let format = request.text.as_ref().and_then(|text| text.format.as_ref());
    let Some(format) = format else { return Ok(None) };
    let Some(schema) = response_schema(format)? else { return Ok(None) };
    check_company(&response_company(request), "`text.format`")?;
    followed(schema, RESPONSE, limits).map(Some)
}

/// `schema` if it can be followed; it stands in the parameter `place`.
fn followed(schema: String, place: &str, limits: &Limits) -> Result<Arc<String>, RequestError> {
    let param = format!("{place}.schema");
    match limits.json_grammars.compile(&schema) {
        Ok(_) => Ok(Arc::new(schema)),
        Err(GrammarError::TooLarge) => {
            Err(RequestError::TextTooLong { param, limit: MAX_SCHEMA_BYTES })
        }
        Err(GrammarError::Unusable { reason } | GrammarError::Lost { reason }) => {
            Err(RequestError::conflict(&param, &format!("cannot be followed: {reason}")))
        }
    }
}

fn chat_schema(format: &ResponseFormat) -> Result<Option<String>, RequestError> {
    match (format.r#type, &format.json_schema) {
        (ResponseFormatType::Text, None) => Ok(None),
        (ResponseFormatType::JsonObject, None) => Ok(Some(ANY_OBJECT.to_owned())),
        (
            ResponseFormatType::JsonSchema,
            Some(NamedSchema { name, description, schema, strict: _ }),
        ) => {
            check_names(CHAT, name, description.as_deref())?;
            Ok(Some(schema.to_string()))
        }
        (ResponseFormatType::JsonSchema, None) => Err(missing(CHAT)),
        (ResponseFormatType::Text | ResponseFormatType::JsonObject, Some(_)) => Err(unfit(CHAT)),
    }
}

fn response_schema(format: &TextFormat) -> Result<Option<String>, RequestError> {
    let TextFormat { r#type, name, description, schema, strict } = format;
    let given = [
        ("name", name.is_some()),
        ("description", description.is_some()),
        ("schema", schema.is_some()),
        ("strict", strict.is_some()),
    ];
    let given = given.into_iter().find(|(_, is_given)| *is_given);
    let place = |field: &str| format!("{RESPONSE}.{field}");
    match (r#type, given) {
        (ResponseFormatType::Text, None) => Ok(None),
        (ResponseFormatType::JsonObject, None) => Ok(Some(ANY_OBJECT.to_owned())),
        (ResponseFormatType::Text | ResponseFormatType::JsonObject, Some((field, _))) => {
            Err(unfit(&place(field)))
        }
        (ResponseFormatType::JsonSchema, _) => {
            let name = name.as_deref().ok_or_else(|| missing(&place("name")))?;
            check_names(RESPONSE, name, description.as_deref())?;
            let schema = schema.as_ref().ok_or_else(|| missing(&place("schema")))?;
            Ok(Some(schema.to_string()))
        }
    }
}

fn check_names(place: &str, name: &str, description: Option<&str>) -> Result<(), RequestError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(RequestError::out_of_range(&format!("{place}.name"), "1 to 64 bytes"));
    }
    description.map_or(Ok(()), |text| check_label(&format!("{place}.description"), text))
}

fn missing(param: &str) -> RequestError {
    RequestError::out_of_range(param, "given with `type: \"json_schema\"`")
}

fn unfit(param: &str) -> RequestError {
    RequestError::conflict(param, "needs `type: \"json_schema\"`")
}

/// What cannot be had with JSON, and whether it is asked for: JSON has no pictures in it, ends where it is whole, and
/// is written one token after the other.
type Company = (&'static str, bool);

fn chat_company(request: &ChatCompletionRequest) -> [Company; 5] {
    let only_pictures = request.modalities.as_deref() == Some(&[Modality::Image]);
    [
        ("image_choice", insists(request.image_choice)),
        ("modalities", only_pictures),
        ("min_tokens", request.min_tokens.is_some_and(|min_tokens| min_tokens > 0)),
        ("ignore_eos", request.ignore_eos == Some(true)),
        ("num_beams", request.num_beams.is_some_and(|num_beams| num_beams > 1)),
    ]
}

fn response_company(request: &ResponseRequest) -> [Company; 2] {
    let calls = match request.tool_choice {
        Some(ResponseToolChoice::Required | ResponseToolChoice::ImageGeneration) => true,
        Some(ResponseToolChoice::Auto | ResponseToolChoice::None) | None => false,
    };
    [("image_choice", insists(request.image_choice)), ("tool_choice", calls)]
}

/// Whether a picture must be drawn.
fn insists(choice: Option<ImageChoice>) -> bool {
    match choice {
        Some(ImageChoice::Required) => true,
        Some(ImageChoice::Exactly(count)) => count > 0,
        Some(ImageChoice::Auto | ImageChoice::None) | None => false,
    }
}

fn check_company(company: &[Company], format: &str) -> Result<(), RequestError> {
    match company.iter().find(|(_, is_asked)| *is_asked) {
        Some((param, _)) => {
            let reason = format!("cannot be had with JSON as {format}");
            Err(RequestError::conflict(param, &reason))
        }
        None => Ok(()),
    }
}

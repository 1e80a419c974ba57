//! What shape the text of an answer must have: free, or JSON by a schema, which is compiled here once to see that it
//! can be followed.

use std::sync::Arc;

use reverie_model::json_grammar::{GrammarError, MAX_SCHEMA_BYTES};
use reverie_proto::response_format::{NamedSchema, ResponseFormatType};
use reverie_proto::{ChatCompletionRequest, ImageChoice, Modality, ResponseFormat};

use super::harmless::check_label;
use super::{Limits, RequestError};

const SCHEMA: &str = "response_format.json_schema.schema";
/// The schema of `json_object`.
const ANY_OBJECT: &str = r#"{"type":"object"}"#;
const MAX_NAME_BYTES: usize = 64;

/// The schema that the text must follow, if there is one.
pub(super) fn json_schema(
    request: &ChatCompletionRequest,
    limits: &Limits,
) -> Result<Option<Arc<String>>, RequestError> {
    let Some(format) = &request.response_format else { return Ok(None) };
    let schema = match schema_of(format)? {
        None => return Ok(None),
        Some(schema) => schema,
    };
    check_company(request)?;
    match limits.json_grammars.compile(&schema) {
        Ok(_) => Ok(Some(Arc::new(schema))),
        Err(GrammarError::TooLarge) => {
            Err(RequestError::TextTooLong { param: SCHEMA.to_owned(), limit: MAX_SCHEMA_BYTES })
        }
        Err(GrammarError::Unusable { reason } | GrammarError::Lost { reason }) => {
            Err(RequestError::conflict(SCHEMA, &format!("cannot be followed: {reason}")))
        }
    }
}

fn schema_of(format: &ResponseFormat) -> Result<Option<String>, RequestError> {
    match (format.r#type, &format.json_schema) {
        (ResponseFormatType::Text, None) => Ok(None),
        (ResponseFormatType::JsonObject, None) => Ok(Some(ANY_OBJECT.to_owned())),
        (
            ResponseFormatType::JsonSchema,
            Some(NamedSchema { name, description, schema, strict: _ }),
        ) => {
            if name.is_empty() || name.len() > MAX_NAME_BYTES {
                let wanted = "1 to 64 bytes";
                return Err(RequestError::out_of_range("response_format.json_schema.name", wanted));
            }
            if let Some(description) = description {
                check_label("response_format.json_schema.description", description)?;
            }
            Ok(Some(schema.to_string()))
        }
        (ResponseFormatType::JsonSchema, None) => {
            let wanted = "given with `type: \"json_schema\"`";
            Err(RequestError::out_of_range("response_format.json_schema", wanted))
        }
        (ResponseFormatType::Text | ResponseFormatType::JsonObject, Some(_)) => {
            let reason = "needs `type: \"json_schema\"`";
            Err(RequestError::conflict("response_format.json_schema", reason))
        }
    }
}

/// JSON has no pictures in it, ends where it is whole, and is written one token after the other.
fn check_company(request: &ChatCompletionRequest) -> Result<(), RequestError> {
    let insists = match request.image_choice {
        Some(ImageChoice::Required | ImageChoice::Exactly(_)) => true,
        Some(ImageChoice::Auto | ImageChoice::None) | None => false,
    };
    let only_pictures = request.modalities.as_deref() == Some(&[Modality::Image]);
    let unfit = [
        ("image_choice", insists),
        ("modalities", only_pictures),
        ("min_tokens", request.min_tokens.is_some_and(|min_tokens| min_tokens > 0)),
        ("ignore_eos", request.ignore_eos == Some(true)),
        ("num_beams", request.num_beams.is_some_and(|num_beams| num_beams > 1)),
    ];
    match unfit.into_iter().find(|(_, is_asked)| *is_asked) {
        Some((param, _)) => {
            Err(RequestError::conflict(param, "cannot be had with JSON as `response_format`"))
        }
        None => Ok(()),
    }
}

//! What is to be tokenized or detokenized, checked. Encodes nothing.

use reverie_proto::{DetokenizeRequest, TokenizeRequest};

use super::{Limits, OwnPictures, RequestError, RequestedPicture, Turn, conversation, model_name};

/// What is to be tokenized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextToTokenize {
    /// Plain text, after `<s>` or not.
    Plain {
        /// The text.
        text: String,
        /// Whether `<s>` comes first.
        begins_document: bool,
    },
    /// A conversation, as the template writes it down.
    Conversation(Vec<Turn<RequestedPicture>>),
}

/// Checks `request` against `limits`.
///
/// # Errors
/// [`RequestError`], naming the first parameter at fault.
pub fn validate_tokenize(
    request: TokenizeRequest,
    own: &dyn OwnPictures,
    limits: &Limits,
) -> Result<TextToTokenize, RequestError> {
    model_name(request.model, limits)?;
    match (request.prompt, request.messages) {
        (Some(_), Some(_)) => Err(RequestError::conflict("messages", "excludes `prompt`")),
        (None, None) => Err(RequestError::out_of_range("prompt", "given, or else `messages`")),
        (Some(text), None) => {
            if request.add_generation_prompt.is_some() {
                let reason = "needs `messages`";
                return Err(RequestError::conflict("add_generation_prompt", reason));
            }
            conversation::check_length("prompt", text.len(), limits)?;
            let begins_document = request.add_special_tokens.unwrap_or(true);
            Ok(TextToTokenize::Plain { text, begins_document })
        }
        (None, Some(messages)) => {
            if request.add_special_tokens == Some(true) {
                let reason = "must be false or unset: the template has its own `<s>`";
                return Err(RequestError::conflict("add_special_tokens", reason));
            }
            if request.add_generation_prompt == Some(false) {
                let reason = "must be true: every prompt ends with the opening of the answer";
                return Err(RequestError::unsupported("add_generation_prompt", reason));
            }
            let (turns, _nothing_dropped) = conversation::turns(messages, false, own, limits)?;
            Ok(TextToTokenize::Conversation(turns))
        }
    }
}

/// The ids of `request`, each below `vocab_size`.
///
/// # Errors
/// [`RequestError`], naming the first parameter at fault.
pub fn validate_detokenize(
    request: DetokenizeRequest,
    limits: &Limits,
    vocab_size: usize,
) -> Result<Vec<u32>, RequestError> {
    model_name(request.model, limits)?;
    let checked = |(index, id): (usize, u64)| match u32::try_from(id) {
        Ok(known) if id < vocab_size as u64 => Ok(known),
        Ok(_) | Err(_) => {
            let param = format!("tokens[{index}]");
            Err(RequestError::out_of_range(&param, &format!("below {vocab_size}")))
        }
    };
    request.tokens.into_iter().enumerate().map(checked).collect()
}

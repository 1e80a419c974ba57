//! From bytes to a request, strictly: each fault is named by its place, and nothing of the content is
//! ever repeated in an error.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::chat_request::ChatCompletionRequest;
use crate::completion::CompletionRequest;
use crate::form;
use crate::image_request::ImageRequest;
use crate::response_request::ResponseRequest;
use crate::tokenization::{DetokenizeRequest, TokenizeRequest};

/// A body that is not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, not UTF-8, too deep, no object, or followed by something else.
    #[error("the body is not a valid JSON object (at byte {offset})")]
    Syntax {
        /// Bytes into the body.
        offset: usize,
    },
    /// A field this service does not know.
    #[error("unknown parameter `{param}`")]
    UnknownField {
        /// Its path.
        param: String,
    },
    /// A field given twice.
    #[error("`{param}` is given twice")]
    DuplicateField {
        /// Its path.
        param: String,
    },
    /// A field that must be given.
    #[error("`{param}` is required")]
    MissingField {
        /// Its path.
        param: String,
    },
    /// An array longer than any request needs.
    #[error("`{param}` has too many items: at most {limit}")]
    TooMany {
        /// Its path.
        param: String,
        /// Items allowed.
        limit: String,
    },
    /// A field of OpenAI's that only its empty value is understood of.
    #[error("`{param}` is not supported")]
    Unsupported {
        /// Its path.
        param: String,
    },
    /// A value of another type, or a number out of its type's range.
    #[error("`{param}` must be {wanted}")]
    Invalid {
        /// Its path.
        param: String,
        /// What it must be.
        wanted: String,
    },
}

/// Starts the message of an error about a field whose only supported value is the empty one.
const UNSUPPORTED: &str = "unsupported";
/// Starts the message of an error about an array that is too long; the limit follows.
pub(crate) const TOO_MANY: &str = "too many items, expected at most ";

/// At most this much of a path is repeated.
const MAX_PATH_CHARS: usize = 128;

/// Reads a chat request.
///
/// # Errors
/// [`ParseError`], naming the first fault's place.
pub fn chat_request(body: &[u8]) -> Result<ChatCompletionRequest, ParseError> {
    strictly(body)
}

/// Reads a request for drawings, which has no pictures to edit.
///
/// # Errors
/// As [`chat_request`].
pub fn image_generation(body: &[u8]) -> Result<ImageRequest, ParseError> {
    let request: ImageRequest = strictly(body)?;
    match request.edits_only() {
        None => Ok(request),
        Some(param) => Err(ParseError::UnknownField { param: param.to_owned() }),
    }
}

/// Reads a request to edit pictures.
///
/// # Errors
/// As [`chat_request`].
pub fn image_edit(body: &[u8]) -> Result<ImageRequest, ParseError> {
    strictly(body)
}

/// Reads a request to edit pictures from the text fields of a form, whose files are the pictures.
///
/// # Errors
/// As [`chat_request`], syntax excepted.
pub fn image_edit_form(fields: Vec<(String, String)>) -> Result<ImageRequest, ParseError> {
    serde_path_to_error::deserialize(form::deserializer(fields)).map_err(|error| {
        let path = quotable(&error.path().to_string());
        explain(b"", &path, error.inner())
    })
}

/// Reads a request for a response.
///
/// # Errors
/// As [`chat_request`].
pub fn response_request(body: &[u8]) -> Result<ResponseRequest, ParseError> {
    strictly(body)
}

/// Reads a raw prompt.
///
/// # Errors
/// As [`chat_request`].
pub fn completion_request(body: &[u8]) -> Result<CompletionRequest, ParseError> {
    strictly(body)
}

/// Reads what is to be tokenized.
///
/// # Errors
/// As [`chat_request`].
pub fn tokenize_request(body: &[u8]) -> Result<TokenizeRequest, ParseError> {
    strictly(body)
}

/// Reads what is to be detokenized.
///
/// # Errors
/// As [`chat_request`].
pub fn detokenize_request(body: &[u8]) -> Result<DetokenizeRequest, ParseError> {
    strictly(body)
}

fn strictly<T: DeserializeOwned>(body: &[u8]) -> Result<T, ParseError> {
    // serde would also take an array, field by field.
    if let Some(offset) = body.iter().position(|byte| !byte.is_ascii_whitespace())
        && body[offset] != b'{'
    {
        return Err(ParseError::Syntax { offset });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let request = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = quotable(&error.path().to_string());
        explain(body, &path, error.inner())
    })?;
    deserializer.end().map_err(|error| explain(body, ".", &error))?;
    Ok(request)
}

/// Turns the deserialiser's error into ours. Its wording is fixed by serde's `de::Error` trait.
fn explain(body: &[u8], path: &str, error: &serde_json::Error) -> ParseError {
    let full = error.to_string();
    let message = full.rsplit_once(" at line ").map_or(full.as_str(), |(message, _)| message);
    let here = || if path == "." { "body".to_owned() } else { path.to_owned() };
    let inside = |name: &str| {
        if path == "." { name.to_owned() } else { format!("{path}.{name}") }
    };
    let quoted = || message.split('`').nth(1).unwrap_or_default();
    let out_of_range = message.starts_with("number out of range");
    if !error.is_data() && !out_of_range {
        return ParseError::Syntax { offset: byte_offset(body, error.line(), error.column()) };
    }
    if message.starts_with("unknown field") {
        return ParseError::UnknownField { param: here() };
    }
    if message.starts_with("duplicate field") {
        return ParseError::DuplicateField { param: inside(quoted()) };
    }
    if message.starts_with("missing field") {
        return ParseError::MissingField { param: inside(quoted()) };
    }
    if let Some(limit) = message.strip_prefix(TOO_MANY) {
        return ParseError::TooMany { param: here(), limit: limit.to_owned() };
    }
    if message.starts_with(UNSUPPORTED) {
        return ParseError::Unsupported { param: here() };
    }
    if path == "." {
        return ParseError::Syntax { offset: byte_offset(body, error.line(), error.column()) };
    }
    if out_of_range {
        return ParseError::Invalid { param: here(), wanted: "a finite number".to_owned() };
    }
    // The last ", expected " is the type's own description; what precedes it may quote the client.
    let wanted = message.rsplit_once(", expected ").map_or("something else", |(_, wanted)| wanted);
    ParseError::Invalid { param: here(), wanted: in_plain_words(wanted) }
}

/// A path may hold a client's own key: short, and nothing that could dress up a terminal or a log.
fn quotable(path: &str) -> String {
    let plain = |char: char| {
        if char.is_alphanumeric() || char.is_ascii_graphic() { char } else { '\u{fffd}' }
    };
    path.chars().take(MAX_PATH_CHARS).map(plain).collect()
}

fn in_plain_words(expected: &str) -> String {
    match expected {
        "f64" => "a number".to_owned(),
        "u64" => "a whole number of at least 0".to_owned(),
        "i64" => "a whole number".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "an object".to_owned(),
        other if other.starts_with("struct ") => "an object".to_owned(),
        other => other.to_owned(),
    }
}

/// `line` and `column` count from 1, as serde_json does; column 0 is the line break before it.
fn byte_offset(body: &[u8], line: usize, column: usize) -> usize {
    let before = body.split_inclusive(|&byte| byte == b'\n').take(line.saturating_sub(1));
    let start: usize = before.map(<[u8]>::len).sum();
    (start + column.saturating_sub(1)).min(body.len())
}

/// The value of a field we understand only when it says nothing: null, false, `""`, `[]` or `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Empty;

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EmptyVisitor)
    }
}

/// The value of a field that says nothing new, whatever it is: not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Ignored;

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_ignored| Self)
    }
}

/// Stops at the first thing that is there, so that nothing of it is ever held.
struct EmptyVisitor;

fn only_if<E: serde::de::Error>(is_empty: bool) -> Result<Empty, E> {
    if is_empty { Ok(Empty) } else { Err(E::custom(UNSUPPORTED)) }
}

impl<'de> Visitor<'de> for EmptyVisitor {
    type Value = Empty;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("nothing")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Empty, E> {
        Ok(Empty)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Empty, E> {
        only_if(!value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Empty, E> {
        only_if(value == 0)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Empty, E> {
        only_if(value == 0)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Empty, E> {
        only_if(value == 0.0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Empty, E> {
        only_if(text.is_empty())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Empty, A::Error> {
        only_if(items.next_element::<IgnoredAny>()?.is_none())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Empty, A::Error> {
        only_if(fields.next_key::<IgnoredAny>()?.is_none())
    }
}

/// Arrays whose length is checked while they are read, not after.
pub(crate) mod bounded {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;

    use super::{Deserialize, Deserializer, MapAccess, SeqAccess, TOO_MANY, Visitor, fmt};

    /// The rest of a sequence, at most `MAX` items of it.
    pub(crate) fn sequence<'de, A, T, const MAX: usize>(mut seq: A) -> Result<Vec<T>, A::Error>
    where
        A: SeqAccess<'de>,
        T: Deserialize<'de>,
    {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == MAX {
                return Err(serde::de::Error::custom(format_args!("{TOO_MANY}{MAX}")));
            }
            items.push(item);
        }
        Ok(items)
    }

    /// An array of at most `MAX` items.
    pub(crate) fn array<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        struct ArrayVisitor<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ArrayVisitor<T, MAX> {
            type Value = Vec<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
                sequence::<_, _, MAX>(seq)
            }
        }
        deserializer.deserialize_seq(ArrayVisitor::<T, MAX>(PhantomData))
    }

    /// Null, or an object of at most `MAX` strings.
    pub(crate) fn some_pairs<'de, D, const MAX: usize>(
        deserializer: D,
    ) -> Result<Option<BTreeMap<String, String>>, D::Error>
    where
        D: Deserializer<'de>,
    {
        struct PairsVisitor<const MAX: usize>;
        impl<'de, const MAX: usize> Visitor<'de> for PairsVisitor<MAX> {
            type Value = Option<BTreeMap<String, String>>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of strings")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((key, value)) = fields.next_entry()? {
                    if pairs.len() == MAX {
                        return Err(serde::de::Error::custom(format_args!("{TOO_MANY}{MAX}")));
                    }
                    pairs.insert(key, value);
                }
                Ok(Some(pairs))
            }
        }
        deserializer.deserialize_any(PairsVisitor::<MAX>)
    }

    /// Null, or an array of at most `MAX` items.
    pub(crate) fn some<'de, D, T, const MAX: usize>(
        deserializer: D,
    ) -> Result<Option<Vec<T>>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        struct SomeVisitor<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for SomeVisitor<T, MAX> {
            type Value = Option<Vec<T>>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }
            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_some<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Self::Value, D::Error> {
                array::<_, _, MAX>(deserializer).map(Some)
            }
        }
        deserializer.deserialize_option(SomeVisitor::<T, MAX>(PhantomData))
    }
}

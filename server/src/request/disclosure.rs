//! What an answer and its pictures may tell of the request. Knows the request as it was typed.

use std::io::{self, Write};

use reverie_proto::{ChatCompletionRequest, ProvenanceWish};
use serde_json::{Map, Value};

use super::RequestError;
use super::harmless::IGNORED_IN_CHAT;

/// A request that is kept stands in every picture of its answer, and picture readers bound the text they
/// read: Pillow takes 1 MiB.
const MAX_KEPT_BYTES: usize = 512 << 10;

/// Fields that say how an answer is sent and change nothing of what is written or drawn.
const ON_DELIVERY: [&str; 7] = [
    "stream",
    "stream_options",
    "image_delivery",
    "image_content",
    "provenance",
    "progress",
    "trace",
];

/// What an answer and its pictures may tell of the request.
#[derive(Debug, Clone, PartialEq)]
pub enum Disclosure {
    /// Its parameters.
    Recipe,
    /// Digests of what was asked.
    Digests,
    /// All that has an effect, as a request that asks for the same answer again.
    Full(Value),
}

/// What `request` wants to be told of it; `seed` is its own or the drawn one.
pub(super) fn disclosure(
    request: &ChatCompletionRequest,
    seed: u64,
) -> Result<Disclosure, RequestError> {
    match request.provenance {
        None | Some(ProvenanceWish::Recipe) => Ok(Disclosure::Recipe),
        Some(ProvenanceWish::Digests) => Ok(Disclosure::Digests),
        Some(ProvenanceWish::Full) => kept(request, seed).map(Disclosure::Full),
    }
}

fn kept(request: &ChatCompletionRequest, seed: u64) -> Result<Value, RequestError> {
    let too_long = || {
        let reason = format!(
            "`full` keeps the request in every picture, at most {MAX_KEPT_BYTES} bytes of it; \
             this one is longer: keep it yourself and say `true`"
        );
        RequestError::conflict("provenance", &reason)
    };
    let mut text = BoundedText(Vec::new());
    serde_json::to_writer(&mut text, request).map_err(|_| too_long())?;
    let mut fields: Map<String, Value> = serde_json::from_slice(&text.0).map_err(|_| too_long())?;
    for name in ON_DELIVERY.into_iter().chain(IGNORED_IN_CHAT) {
        fields.remove(name);
    }
    for message in fields.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(message) = message.as_object_mut() {
            message.remove("name");
        }
    }
    fields.insert("seed".to_owned(), seed.into());
    Ok(without_nulls(Value::Object(fields)))
}

/// Null means the same as absent in a request.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name, without_nulls(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// Refuses to grow beyond [`MAX_KEPT_BYTES`].
struct BoundedText(Vec<u8>);

impl Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_KEPT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

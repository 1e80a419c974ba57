//! From an event of a streamed answer to what it adds to the record. Knows the shape of chunks, as much of it
//! as any OpenAI-compatible server has.

use serde::Deserialize;

use crate::event_lines::Event;
use crate::micros::Micros;
use crate::record::{Fault, Outcome, Record, Usage};

/// How far an answer has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<WireUsage>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Delta {
    content: Option<String>,
    images: Option<Vec<Image>>,
}

#[derive(Deserialize)]
struct Image {
    image_url: ImageUrl,
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    completion_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    image_tokens: Option<u64>,
}

impl Progress {
    /// Notes in `record` what came `now`; the outcome, if it was the last.
    pub(super) fn take(
        &mut self,
        event: &Event,
        now: Micros,
        record: &mut Record,
    ) -> Option<Outcome> {
        let failed = |fault, message| Some(Outcome::Failed { fault, message });
        if event.data == "[DONE]" {
            return Some(Outcome::Completed { finish_reason: self.finish_reason.take() });
        }
        if event.name == "error" {
            return failed(Fault::Error, event.data.clone());
        }
        let chunk: Chunk = match serde_json::from_str(&event.data) {
            Ok(chunk) => chunk,
            Err(error) => return failed(Fault::Shape, error.to_string()),
        };
        if let Some(error) = chunk.error {
            return failed(Fault::Error, error.to_string());
        }
        for Choice { delta, finish_reason } in chunk.choices {
            if delta.content.is_some_and(|text| !text.is_empty()) {
                record.texts.push(now);
            }
            for image in delta.images.unwrap_or_default() {
                let url = image.image_url.url;
                if !["data:image/", "http://", "https://"].iter().any(|it| url.starts_with(it)) {
                    return failed(Fault::Shape, "a picture without an address".to_owned());
                }
                record.images.push(now);
            }
            self.finish_reason = finish_reason.or(self.finish_reason.take());
        }
        if let Some(usage) = chunk.usage {
            let image_tokens = usage.completion_tokens_details.and_then(|it| it.image_tokens);
            record.usage = Some(Usage {
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
                image_tokens: image_tokens.unwrap_or_default(),
            });
        }
        None
    }
}

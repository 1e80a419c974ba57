//! From the engine's events to server-sent events, in document order.
//!
//! Role first, then text deltas and one complete picture per delta at its place (and before it, where that is
//! asked for, how far it is, beside empty deltas), then the finish, then
//! the usage if asked for, then `[DONE]`. After a failure an `error` event is the last, without
//! `[DONE]`: that is what both OpenAI SDKs raise on. Dropping the body drops the engine's stream.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use reverie_proto::{
    ChatCompletionChunk, ChunkChoice, Delta, DrawingTrace, PictureDigest, PictureProgress, Role,
};
use tokio_stream::StreamExt as _;

use super::answer::{AnswerHead, finish, wire_usage};
use super::drawing_trace::drawing_trace;
use super::error::ApiError;
use super::event_body::{self, EventWriter, Page};
use super::picture_delivery::{DeliveredPicture, PictureDelivery};
use crate::engine::document_engine::EventStream;
use crate::engine::event::{EngineEvent, FinishReason, Usage};
use crate::provenance::AnswerProvenance;

/// The response that streams `events`.
pub(super) fn stream(
    events: EventStream,
    head: AnswerHead,
    delivery: PictureDelivery,
    include_usage: bool,
    keep_alive: Duration,
) -> Response {
    let provenance = Arc::clone(&delivery.provenance);
    let delivered = events.then(move |event| {
        let delivery = delivery.clone();
        async move { deliver(event, &delivery).await }
    });
    let writer = ChunkWriter { head, provenance, digests: Vec::new(), trace: None, include_usage };
    event_body::response(delivered, writer, keep_alive)
}

/// An event whose picture is ready to be sent.
enum Delivered {
    Nothing,
    Text(String),
    Progress(PictureProgress),
    Image(DeliveredPicture),
    Traced(DrawingTrace),
    Finished(FinishReason, Usage),
    Failed(ApiError),
}

async fn deliver(event: EngineEvent, delivery: &PictureDelivery) -> Delivered {
    match event {
        EngineEvent::Text { delta, num_tokens: _ } if delta.is_empty() => Delivered::Nothing,
        EngineEvent::Text { delta, num_tokens: _ } => Delivered::Text(delta),
        EngineEvent::ImageStarted { .. } => Delivered::Nothing,
        EngineEvent::ImageProgress { index, step, num_steps, preview } => {
            let preview = match preview {
                None => None,
                Some(preview) => match delivery.preview_url(preview).await {
                    Ok(url) => Some(url),
                    Err(error) => return Delivered::Failed(error),
                },
            };
            Delivered::Progress(PictureProgress { index: index as u64, step, num_steps, preview })
        }
        EngineEvent::Image { index, picture } => match delivery.item(picture, index).await {
            Ok(delivered) => Delivered::Image(delivered),
            Err(error) => Delivered::Failed(error),
        },
        EngineEvent::Traced(pictures) => match drawing_trace(pictures).await {
            Ok(trace) => Delivered::Traced(trace),
            Err(error) => Delivered::Failed(error),
        },
        EngineEvent::Finished { reason, usage } => Delivered::Finished(reason, usage),
        EngineEvent::Failed(error) => Delivered::Failed(ApiError::from(error)),
    }
}

/// Writes the chunks of one answer.
struct ChunkWriter {
    head: AnswerHead,
    provenance: Arc<AnswerProvenance>,
    /// Of the pictures so far.
    digests: Vec<PictureDigest>,
    trace: Option<DrawingTrace>,
    include_usage: bool,
}

impl EventWriter for ChunkWriter {
    type Happening = Delivered;

    fn open(&mut self, page: &mut Page) {
        let role = Some(Role::Assistant);
        let delta = Delta { role, content: Some(String::new()), images: Vec::new() };
        self.push_delta(delta, page);
    }

    fn write(&mut self, delivered: Delivered, page: &mut Page) {
        match delivered {
            Delivered::Nothing => {}
            Delivered::Text(text) => {
                self.push_delta(Delta { content: Some(text), ..Delta::default() }, page);
            }
            Delivered::Progress(progress) => {
                let chunk = self.chunk(vec![unended(Delta::default())]);
                page.push(&ChatCompletionChunk { progress: Some(progress), ..chunk });
            }
            Delivered::Image(DeliveredPicture { item, digest }) => {
                self.digests.push(digest);
                self.push_delta(Delta { images: vec![item], ..Delta::default() }, page);
            }
            Delivered::Traced(trace) => self.trace = Some(trace),
            Delivered::Finished(reason, usage) => self.push_end(reason, &usage, page),
            Delivered::Failed(error) => page.fail(&error),
        }
    }

    fn id(&self) -> &str {
        &self.head.id
    }
}

impl ChunkWriter {
    fn push_delta(&self, delta: Delta, page: &mut Page) {
        page.push(&self.chunk(vec![unended(delta)]));
    }

    fn push_end(&mut self, reason: FinishReason, usage: &Usage, page: &mut Page) {
        let (finish_reason, finish_details) = finish(reason);
        let last = ChunkChoice {
            index: 0,
            delta: Delta::default(),
            logprobs: None,
            finish_reason: Some(finish_reason),
            finish_details: Some(finish_details),
        };
        let effective = Some(self.head.effective.clone());
        let provenance = self.provenance.of_answer(std::mem::take(&mut self.digests));
        let trace = self.trace.take();
        page.push(&ChatCompletionChunk { effective, provenance, trace, ..self.chunk(vec![last]) });
        if self.include_usage {
            let usage = Some(wire_usage(usage));
            page.push(&ChatCompletionChunk { usage, ..self.chunk(Vec::new()) });
        }
        page.end_with_done();
    }

    fn chunk(&self, choices: Vec<ChunkChoice>) -> ChatCompletionChunk {
        ChatCompletionChunk {
            id: self.head.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            created: self.head.created,
            model: self.head.model.clone(),
            choices,
            usage: None,
            effective: None,
            provenance: None,
            progress: None,
            trace: None,
        }
    }
}

/// An answer that goes on.
fn unended(delta: Delta) -> ChunkChoice {
    ChunkChoice { index: 0, delta, logprobs: None, finish_reason: None, finish_details: None }
}

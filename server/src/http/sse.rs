//! From the engine's events to server-sent events, in document order.
//!
//! Role first, then text deltas and one complete picture per delta at its place, then the finish, then
//! the usage if asked for, then `[DONE]`. After a failure an `error` event is the last, without
//! `[DONE]`: that is what both OpenAI SDKs raise on. Dropping the body drops the engine's stream.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use reverie_proto::{ChatCompletionChunk, ChunkChoice, Delta, PictureDigest, Role};
use serde::Serialize;
use tokio_stream::StreamExt as _;

use super::answer::{AnswerHead, finish, wire_usage};
use super::error::ApiError;
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
    let chunks = ChunkStream::new(Box::pin(delivered), head, provenance, include_usage);
    let keep_alive = KeepAlive::new().interval(keep_alive);
    let mut response = Sse::new(chunks).keep_alive(keep_alive).into_response();
    // Proxies that gather an answer before passing it on are told not to.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(unbuffered, HeaderValue::from_static("no"));
    response
}

/// An event whose picture is ready to be sent.
enum Delivered {
    Nothing,
    Text(String),
    Image(DeliveredPicture),
    Finished(FinishReason, Usage),
    Failed(ApiError),
}

async fn deliver(event: EngineEvent, delivery: &PictureDelivery) -> Delivered {
    match event {
        EngineEvent::Text { delta, num_tokens: _ } if delta.is_empty() => Delivered::Nothing,
        EngineEvent::Text { delta, num_tokens: _ } => Delivered::Text(delta),
        EngineEvent::ImageStarted { .. } | EngineEvent::ImageProgress { .. } => Delivered::Nothing,
        EngineEvent::Image { index, picture } => match delivery.item(picture, index).await {
            Ok(delivered) => Delivered::Image(delivered),
            Err(error) => Delivered::Failed(error),
        },
        EngineEvent::Finished { reason, usage } => Delivered::Finished(reason, usage),
        EngineEvent::Failed(error) => Delivered::Failed(ApiError::from(error)),
    }
}

/// The chunks of one answer.
struct ChunkStream {
    /// `None` once the last event was seen.
    events: Option<Pin<Box<dyn Stream<Item = Delivered> + Send>>>,
    ready: VecDeque<Event>,
    head: AnswerHead,
    provenance: Arc<AnswerProvenance>,
    /// Of the pictures so far.
    digests: Vec<PictureDigest>,
    include_usage: bool,
}

impl ChunkStream {
    fn new(
        events: Pin<Box<dyn Stream<Item = Delivered> + Send>>,
        head: AnswerHead,
        provenance: Arc<AnswerProvenance>,
        include_usage: bool,
    ) -> Self {
        let (events, ready, digests) = (Some(events), VecDeque::new(), Vec::new());
        let mut chunks = Self { events, ready, head, provenance, digests, include_usage };
        let role = Some(Role::Assistant);
        chunks.push_delta(Delta { role, content: Some(String::new()), images: Vec::new() });
        chunks
    }

    fn push(&mut self, delivered: Delivered) {
        match delivered {
            Delivered::Nothing => {}
            Delivered::Text(text) => {
                self.push_delta(Delta { content: Some(text), ..Delta::default() });
            }
            Delivered::Image(DeliveredPicture { item, digest }) => {
                self.digests.push(digest);
                self.push_delta(Delta { images: vec![item], ..Delta::default() });
            }
            Delivered::Finished(reason, usage) => self.push_end(reason, &usage),
            Delivered::Failed(error) => {
                self.ready.push_back(json_event(Event::default().event("error"), &error.body()));
                self.events = None;
            }
        }
    }

    fn push_delta(&mut self, delta: Delta) {
        let chunk = self.chunk(vec![ChunkChoice {
            index: 0,
            delta,
            logprobs: None,
            finish_reason: None,
            finish_details: None,
        }]);
        self.ready.push_back(json_event(Event::default(), &chunk));
    }

    fn push_end(&mut self, reason: FinishReason, usage: &Usage) {
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
        let last = ChatCompletionChunk { effective, provenance, ..self.chunk(vec![last]) };
        self.ready.push_back(json_event(Event::default(), &last));
        if self.include_usage {
            let usage = Some(wire_usage(usage));
            let total = ChatCompletionChunk { usage, ..self.chunk(Vec::new()) };
            self.ready.push_back(json_event(Event::default(), &total));
        }
        self.ready.push_back(Event::default().data("[DONE]"));
        self.events = None;
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
        }
    }
}

/// `data` on one line; JSON escapes every line break in it.
fn json_event(event: Event, data: &impl Serialize) -> Event {
    let line = serde_json::to_string(data).expect("our own types always serialise");
    event.data(line)
}

impl Stream for ChunkStream {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Some(events) = self.events.as_mut() else {
                return Poll::Ready(None);
            };
            let delivered = ready!(events.as_mut().poll_next(cx));
            self.push(delivered.unwrap_or_else(|| Delivered::Failed(ApiError::engine_gone())));
        }
    }
}

impl Drop for ChunkStream {
    fn drop(&mut self) {
        if self.events.is_some() {
            tracing::info!(id = self.head.id, status = 499, "the client left before the end");
        }
    }
}

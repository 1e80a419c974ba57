//! From the engine's events to server-sent events, in document order.
//!
//! Of each choice: role first, then text deltas and one complete picture per delta at its place (and before it, where
//! that is asked for, how far it is, beside empty deltas), then the finish. After
//! the last choice's: the usage if asked for, then `[DONE]`. After a failure an `error` event is the last, without
//! `[DONE]`: that is what both OpenAI SDKs raise on. Dropping the body drops the engine's stream.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use reverie_proto::{
    ChatCompletionChunk, ChunkChoice, Content, Delta, DrawingTrace, PictureDigest, PictureProgress,
    Role,
};
use tokio_stream::StreamExt as _;

use super::answer::{AnswerHead, finish, wire_usage};
use super::choices::{self, ByChoice, ChoiceEvents};
use super::drawing_trace::drawing_trace;
use super::error::ApiError;
use super::event_body::{self, EventWriter, Page};
use super::logprobs::TokenSpelling;
use super::picture_delivery::{DeliveredPicture, PictureDelivery};
use crate::engine::event::{EngineEvent, FinishReason, JudgedToken, Usage};
use crate::provenance::AnswerProvenance;
use crate::request::PicturePlace;

/// The response that streams `events`, choices side by side.
pub(super) fn stream(
    events: ChoiceEvents,
    head: AnswerHead,
    (delivery, spelling): (PictureDelivery, TokenSpelling),
    include_usage: bool,
    keep_alive: Duration,
) -> Response {
    let (provenance, place) = (Arc::clone(&delivery.provenance), delivery.place);
    let num_choices = events.len();
    let delivered = events.then(move |(choice, event)| {
        let delivery = delivery.clone();
        async move { (choice, deliver(event, &delivery).await) }
    });
    let writer = ChunkWriter {
        head,
        provenance,
        place,
        spelling,
        digests: vec![Vec::new(); num_choices],
        usages: ByChoice::new(num_choices),
        trace: None,
        include_usage,
    };
    event_body::response(delivered, writer, keep_alive)
}

/// An event whose picture is ready to be sent.
enum Delivered {
    Nothing,
    Text(String, Vec<JudgedToken>),
    Progress(PictureProgress),
    Image(DeliveredPicture),
    Traced(DrawingTrace),
    Finished(FinishReason, Usage),
    Failed(ApiError),
}

async fn deliver(event: EngineEvent, delivery: &PictureDelivery) -> Delivered {
    match event {
        EngineEvent::Text { delta, num_tokens: _, logprobs } => {
            if delta.is_empty() && logprobs.is_empty() {
                return Delivered::Nothing;
            }
            Delivered::Text(delta, logprobs)
        }
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
        EngineEvent::Image { index, picture } => match delivery.picture(picture, index).await {
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

/// One complete picture, where it is wanted.
fn delta_of(picture: &DeliveredPicture, place: PicturePlace) -> Delta {
    let of_content = |content| Delta { content: Some(content), ..Delta::default() };
    match place {
        PicturePlace::Images => Delta { images: vec![picture.item()], ..Delta::default() },
        PicturePlace::Parts => of_content(Content::Parts(vec![picture.part()])),
        PicturePlace::Markdown => of_content(Content::Text(picture.markdown())),
    }
}

/// Writes the chunks of the answers to one request.
struct ChunkWriter {
    head: AnswerHead,
    provenance: Arc<AnswerProvenance>,
    place: PicturePlace,
    spelling: TokenSpelling,
    /// Of the pictures so far, by choice.
    digests: Vec<Vec<PictureDigest>>,
    /// Of the choices that have ended.
    usages: ByChoice<Usage>,
    trace: Option<DrawingTrace>,
    include_usage: bool,
}

impl EventWriter for ChunkWriter {
    type Happening = (usize, Delivered);

    fn open(&mut self, page: &mut Page) {
        for choice in 0..self.digests.len() {
            let role = Some(Role::Assistant);
            let content = Some(Content::Text(String::new()));
            let delta = Delta { role, content, images: Vec::new() };
            page.push(&self.chunk(vec![addition(choice, delta)]));
        }
    }

    fn write(&mut self, (choice, delivered): Self::Happening, page: &mut Page) {
        match delivered {
            Delivered::Nothing => {}
            Delivered::Text(text, judged) => {
                let content = Some(Content::Text(text));
                let delta = Delta { content, ..Delta::default() };
                let logprobs = self.spelling.chat_logprobs(self.spelling.in_chat(&judged));
                let chunk = ChunkChoice { logprobs, ..addition(choice, delta) };
                page.push(&self.chunk(vec![chunk]));
            }
            Delivered::Progress(progress) => {
                let chunk = self.chunk(vec![addition(choice, Delta::default())]);
                page.push(&ChatCompletionChunk { progress: Some(progress), ..chunk });
            }
            Delivered::Image(picture) => {
                let delta = delta_of(&picture, self.place);
                page.push(&self.chunk(vec![addition(choice, delta)]));
                self.digests[choice].push(picture.digest);
            }
            Delivered::Traced(trace) => self.trace = Some(trace),
            Delivered::Finished(reason, usage) => self.push_end(choice, reason, usage, page),
            Delivered::Failed(error) => page.fail(&error),
        }
    }

    fn id(&self) -> &str {
        &self.head.id
    }
}

/// What is new of a choice that goes on.
fn addition(index: usize, delta: Delta) -> ChunkChoice {
    ChunkChoice { index, delta, logprobs: None, finish_reason: None, finish_details: None }
}

impl ChunkWriter {
    fn push_end(&mut self, choice: usize, reason: FinishReason, usage: Usage, page: &mut Page) {
        let (finish_reason, finish_details) = finish(reason);
        let last = ChunkChoice {
            finish_reason: Some(finish_reason),
            finish_details: Some(finish_details),
            ..addition(choice, Delta::default())
        };
        let effective = Some(self.head.effective.clone());
        let provenance = self.provenance.of_answer(std::mem::take(&mut self.digests[choice]));
        let truncation = self.head.truncation.clone();
        let trace = self.trace.take();
        let last = self.chunk(vec![last]);
        page.push(&ChatCompletionChunk { effective, truncation, provenance, trace, ..last });
        let Some(usages) = self.usages.complete(choice, usage) else { return };
        if self.include_usage {
            let usage = Some(wire_usage(&choices::together(&usages)));
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
            truncation: None,
            provenance: None,
            progress: None,
            trace: None,
        }
    }
}

//! `POST /v1/completions`: a raw prompt goes on, whole or streamed. Text only.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use reverie_proto::{Completion, CompletionChoice, FinishReason as WireFinishReason, parse};
use tokio_stream::StreamExt as _;

use super::AppState;
use super::answer::{AnswerHead, finish, wire_usage};
use super::error::ApiError;
use super::event_body::{self, EventWriter, Page};
use super::preparation::{self, Asked, Prepared};
use crate::engine::document_engine::EventStream;
use crate::engine::event::EngineEvent;
use crate::request::{DeliveryMode, Limits, validate_completion};

/// Goes on with a text.
pub(super) async fn completions(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = Asked::of_json(&state, "/v1/completions", request).await?;
    let read = |body: Vec<u8>, limits: &Limits, drawn_seed| {
        validate_completion(parse::completion_request(&body)?, limits, drawn_seed)
    };
    let prepared = preparation::prepare(&state, asked, read).await;
    let Prepared { valid, request, provenance: _, identity } =
        prepared.map_err(ApiError::about_prompt)?;
    let submitted = state.engine.submit(request);
    let events = submitted.map_err(|error| ApiError::from(error).about_prompt())?;
    let head = AnswerHead {
        id: format!("cmpl-{identity}"),
        created: events.created(),
        model: valid.model,
        effective: valid.effective,
    };
    match valid.delivery.mode {
        DeliveryMode::Whole => Ok(Json(whole(events, head).await?).into_response()),
        DeliveryMode::Streamed { include_usage } => {
            let writer = CompletionWriter { head, include_usage };
            Ok(event_body::response(events, writer, state.settings.keep_alive))
        }
    }
}

/// Waits for the end of `events`. Dropping the future gives the document up.
async fn whole(mut events: EventStream, head: AnswerHead) -> Result<Completion, ApiError> {
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event {
            EngineEvent::Text { delta, num_tokens: _ } => text.push_str(&delta),
            EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Image { .. }
            | EngineEvent::Traced(_) => {}
            EngineEvent::Finished { reason, usage } => {
                let choices = vec![choice(text, Some(finish(reason).0))];
                let usage = Some(wire_usage(&usage));
                let effective = Some(head.effective.clone());
                return Ok(Completion { usage, effective, ..piece(&head, choices) });
            }
            EngineEvent::Failed(error) => return Err(ApiError::from(error)),
        }
    }
    Err(ApiError::engine_gone())
}

fn choice(text: String, finish_reason: Option<WireFinishReason>) -> CompletionChoice {
    CompletionChoice { index: 0, text, logprobs: None, finish_reason }
}

fn piece(head: &AnswerHead, choices: Vec<CompletionChoice>) -> Completion {
    Completion {
        id: head.id.clone(),
        object: "text_completion".to_owned(),
        created: head.created,
        model: head.model.clone(),
        choices,
        usage: None,
        effective: None,
    }
}

/// Writes the chunks of one answer.
struct CompletionWriter {
    head: AnswerHead,
    include_usage: bool,
}

impl EventWriter for CompletionWriter {
    type Happening = EngineEvent;

    fn open(&mut self, _page: &mut Page) {}

    fn write(&mut self, event: EngineEvent, page: &mut Page) {
        match event {
            EngineEvent::Text { delta, num_tokens: _ } => {
                if !delta.is_empty() {
                    page.push(&piece(&self.head, vec![choice(delta, None)]));
                }
            }
            EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Image { .. }
            | EngineEvent::Traced(_) => {}
            EngineEvent::Finished { reason, usage } => {
                let last = vec![choice(String::new(), Some(finish(reason).0))];
                let effective = Some(self.head.effective.clone());
                page.push(&Completion { effective, ..piece(&self.head, last) });
                if self.include_usage {
                    let usage = Some(wire_usage(&usage));
                    page.push(&Completion { usage, ..piece(&self.head, Vec::new()) });
                }
                page.end_with_done();
            }
            EngineEvent::Failed(error) => page.fail(&ApiError::from(error)),
        }
    }

    fn id(&self) -> &str {
        &self.head.id
    }
}

//! `POST /v1/completions`: a raw prompt goes on, whole or streamed. Text only.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use reverie_proto::{Completion, CompletionChoice, CompletionLogprobs, CompletionRequest, parse};
use tokio_stream::StreamExt as _;

use super::AppState;
use super::answer::{AnswerHead, finish, wire_usage};
use super::choices::{self, ByChoice, ChoiceEvents};
use super::error::ApiError;
use super::event_body::{self, EventWriter, Page};
use super::logprobs::TokenSpelling;
use super::preparation::{self, Asked, Prepared};
use crate::engine::event::{EngineEvent, FinishReason, JudgedToken, Usage};
use crate::request::{DeliveryMode, Limits, validate_completion};

/// Goes on with a text.
pub(super) async fn completions(
    State(state): State<AppState>,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = Asked::of_json::<CompletionRequest>(&state, "/v1/completions", request).await?;
    let read = |body: Vec<u8>, limits: &Limits, drawn_seed| {
        validate_completion(parse::completion_request(&body)?, limits, drawn_seed)
    };
    let prepared = preparation::prepare(&state, asked, read).await;
    let Prepared { valid, request, identity, .. } = prepared.map_err(ApiError::about_prompt)?;
    let submitted = choices::submit(&state, &request, valid.num_choices);
    let events = submitted.map_err(|error| ApiError::from(error).about_prompt())?;
    let head = AnswerHead {
        id: format!("cmpl-{identity}"),
        created: choices::created(&events),
        model: valid.model,
        effective: valid.effective,
        truncation: None,
    };
    let spelling = TokenSpelling::new(&state, valid.sampling.num_logprobs.is_some());
    match valid.delivery.mode {
        DeliveryMode::Whole => Ok(Json(whole(events, head, &spelling).await?).into_response()),
        DeliveryMode::Streamed { include_usage } => {
            let num_choices = events.len();
            let offsets = vec![0; num_choices];
            let usages = ByChoice::new(num_choices);
            let writer = CompletionWriter { head, spelling, offsets, usages, include_usage };
            Ok(event_body::response(events, writer, state.settings.keep_alive))
        }
    }
}

/// One text as it is written.
#[derive(Default)]
struct GrowingText {
    text: String,
    logprobs: CompletionLogprobs,
    /// Characters of the text before the next token.
    offset: usize,
}

/// Waits for the end of all `events`. Dropping the future gives the documents up.
async fn whole(
    mut events: ChoiceEvents,
    head: AnswerHead,
    spelling: &TokenSpelling,
) -> Result<Completion, ApiError> {
    let num_choices = events.len();
    let mut growing: Vec<GrowingText> = (0..num_choices).map(|_| GrowingText::default()).collect();
    let mut ended = ByChoice::new(num_choices);
    while let Some((index, event)) = events.next().await {
        let GrowingText { text, logprobs, offset } = &mut growing[index];
        match event {
            EngineEvent::Text { delta, num_tokens: _, logprobs: judged } => {
                text.push_str(&delta);
                *offset = spelling.add_to_completion(&judged, *offset, logprobs);
            }
            EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Image { .. }
            | EngineEvent::Traced(_) => {}
            EngineEvent::Finished { reason, usage } => {
                let Some(endings) = ended.complete(index, (reason, usage)) else { continue };
                let (reasons, usages): (Vec<_>, Vec<_>) = endings.into_iter().unzip();
                let written = growing.into_iter().zip(reasons).enumerate();
                let choices = written.map(|(index, (written, reason))| CompletionChoice {
                    index,
                    text: written.text,
                    logprobs: spelling.completion_logprobs(written.logprobs),
                    finish_reason: Some(finish(reason).0),
                });
                let choices = choices.collect();
                let usage = Some(wire_usage(&choices::together(&usages)));
                let effective = Some(head.effective.clone());
                return Ok(Completion { usage, effective, ..piece(&head, choices) });
            }
            EngineEvent::Failed(error) => return Err(ApiError::from(error)),
        }
    }
    Err(ApiError::engine_gone())
}

fn addition(index: usize, text: String) -> CompletionChoice {
    CompletionChoice { index, text, logprobs: None, finish_reason: None }
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

/// Writes the chunks of the texts that go on from one prompt.
struct CompletionWriter {
    head: AnswerHead,
    spelling: TokenSpelling,
    /// Characters so far, by choice.
    offsets: Vec<usize>,
    /// Of the choices that have ended.
    usages: ByChoice<Usage>,
    include_usage: bool,
}

impl EventWriter for CompletionWriter {
    type Happening = (usize, EngineEvent);

    fn open(&mut self, _page: &mut Page) {}

    fn write(&mut self, (choice, event): Self::Happening, page: &mut Page) {
        match event {
            EngineEvent::Text { delta, num_tokens: _, logprobs } => {
                if !delta.is_empty() || !logprobs.is_empty() {
                    self.push_text(choice, delta, &logprobs, page);
                }
            }
            EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Image { .. }
            | EngineEvent::Traced(_) => {}
            EngineEvent::Finished { reason, usage } => self.push_end(choice, reason, usage, page),
            EngineEvent::Failed(error) => page.fail(&ApiError::from(error)),
        }
    }

    fn id(&self) -> &str {
        &self.head.id
    }
}

impl CompletionWriter {
    fn push_text(&mut self, choice: usize, text: String, judged: &[JudgedToken], page: &mut Page) {
        let mut logprobs = CompletionLogprobs::default();
        let offset = &mut self.offsets[choice];
        *offset = self.spelling.add_to_completion(judged, *offset, &mut logprobs);
        let logprobs = self.spelling.completion_logprobs(logprobs);
        let chunk = CompletionChoice { logprobs, ..addition(choice, text) };
        page.push(&piece(&self.head, vec![chunk]));
    }

    fn push_end(&mut self, choice: usize, reason: FinishReason, usage: Usage, page: &mut Page) {
        let finish_reason = Some(finish(reason).0);
        let last = vec![CompletionChoice { finish_reason, ..addition(choice, String::new()) }];
        let effective = Some(self.head.effective.clone());
        page.push(&Completion { effective, ..piece(&self.head, last) });
        let Some(usages) = self.usages.complete(choice, usage) else { return };
        if self.include_usage {
            let usage = Some(wire_usage(&choices::together(&usages)));
            page.push(&Completion { usage, ..piece(&self.head, Vec::new()) });
        }
        page.end_with_done();
    }
}

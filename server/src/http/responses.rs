//! `POST /v1/responses`: body → request → engine → items, whole or as OpenAI's events. A response is stored before its end is
//! said, so that the next one can go on from it at once; one that is given up or fails is not stored.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response as HttpResponse};
use reverie_proto::{
    InputItem, Reasoning, Response, ResponseEvent, ResponseHappening, ResponseRequest,
    ResponseStatus, parse,
};
use tokio::sync::Mutex;
use tokio_stream::StreamExt as _;

use super::AppState;
use super::error::ApiError;
use super::event_body::{self, EventWriter, Page};
use super::images::wire_format;
use super::origin::Origin;
use super::picture_delivery::{PictureDelivery, SentFile};
use super::preparation::{self, Asked, Prepared};
use super::response_writer::ResponseWriter;
use super::shelf::{AddressBase, Shelf};
use crate::engine::document_engine::EventStream;
use crate::engine::event::EngineEvent;
use crate::request::{
    DeliveryMode, Limits, RequestError, ResponseEcho, StoredResponse, ValidRequest, ValidResponse,
    named_items, validate_response,
};
use crate::store::StoredId;

/// Writes one response.
pub(super) async fn create(
    State(state): State<AppState>,
    request: Request,
) -> Result<HttpResponse, ApiError> {
    let base = AddressBase::new(&state, request.headers());
    let asked = Asked::of_json::<ResponseRequest>(&state, "/v1/responses", request).await?;
    let shelf = Shelf::new(&state, asked.asking.tenant());
    let kept = shelf.clone();
    let read = move |body: Vec<u8>, limits: &Limits, drawn_seed| {
        let num_bytes = body.len() as u64;
        let request = parse::response_request(&body)?;
        drop(body); // its pictures are in the request now
        let ValidResponse { valid, input, turn_names, echo } =
            validate_response(request, &kept, limits, drawn_seed)?;
        check_size(num_bytes, &echo, &kept)?;
        Ok((valid, (input, turn_names, echo)))
    };
    let prepared = preparation::prepare_with(&state, asked, read).await;
    let (prepared, (input, turn_names, echo)) = prepared.map_err(ApiError::about_input)?;
    let Prepared { valid, request, dropped, provenance, identity } = prepared;
    let mode = valid.delivery.mode;
    let delivery = PictureDelivery::new(&state, &valid, provenance, (shelf.clone(), &base))?;
    let submitted = state.engine.submit(request);
    let events = submitted.map_err(|error| ApiError::from(error).about_input())?;
    let id = shelf.response_id(&identity);
    let dropped = valid.if_droppable(named(&dropped, &turn_names));
    let response = response(id, events.created(), valid, echo);
    let response = Response { dropped_items: dropped, ..response };
    let num_input_items = input.len();
    // What is not stored is not needed any more: it may hold large pictures.
    let input = if response.store { named_items(input, id) } else { Vec::new() };
    let format = wire_format(delivery.format);
    let writer = ResponseWriter::new(response, (id, num_input_items), format);
    let answering = Answering { writer, delivery, id, input, shelf, origin: state.origin.clone() };
    match mode {
        DeliveryMode::Whole => Ok(Json(answering.whole(events).await?).into_response()),
        DeliveryMode::Streamed { include_usage: _ } => {
            Ok(answering.stream(events, state.settings.keep_alive))
        }
    }
}

/// What is larger than a record may be cannot be stored, and nothing is dropped in silence.
fn check_size(num_bytes: u64, echo: &ResponseEcho, shelf: &Shelf) -> Result<(), RequestError> {
    let limit = shelf.max_record_bytes();
    if echo.store && num_bytes > limit {
        let reason = format!("must be false for a request of more than {limit} bytes");
        return Err(RequestError::Conflict { param: "store".to_owned(), reason });
    }
    Ok(())
}

/// What the turns that were left out are called.
fn named(dropped: &[usize], turn_names: &[String]) -> Vec<String> {
    dropped.iter().filter_map(|turn| turn_names.get(*turn)).cloned().collect()
}

/// The response before anything is written.
fn response(id: StoredId, created_at: u64, valid: ValidRequest, echo: ResponseEcho) -> Response {
    let ValidRequest { model, effective, .. } = valid;
    Response {
        id: id.to_string(),
        object: "response".to_owned(),
        created_at,
        completed_at: None,
        status: ResponseStatus::InProgress,
        background: false,
        error: None,
        incomplete_details: None,
        instructions: echo.instructions,
        max_output_tokens: echo.max_output_tokens,
        max_tool_calls: echo.max_tool_calls,
        model,
        output: Vec::new(),
        parallel_tool_calls: true,
        previous_response_id: echo.previous_response_id,
        prompt_cache_key: echo.prompt_cache_key,
        reasoning: Reasoning::default(),
        safety_identifier: echo.safety_identifier,
        service_tier: "default".to_owned(),
        store: echo.store,
        temperature: effective.temperature,
        text: echo.text,
        tool_choice: echo.tool_choice,
        tools: echo.tools,
        top_logprobs: 0,
        top_p: effective.top_p,
        truncation: echo.truncation,
        dropped_items: None,
        usage: None,
        user: echo.user,
        metadata: echo.metadata,
        effective,
    }
}

/// A response on its way.
struct Answering {
    writer: ResponseWriter,
    delivery: PictureDelivery,
    id: StoredId,
    input: Vec<InputItem>,
    shelf: Shelf,
    origin: Origin,
}

impl Answering {
    /// Waits for the end of `events`. Dropping the future gives the document up.
    async fn whole(mut self, mut events: EventStream) -> Result<Response, ApiError> {
        while let Some(event) = events.next().await {
            self.happen(event).await?;
            if self.writer.response().status != ResponseStatus::InProgress {
                return Ok(self.writer.into_response());
            }
        }
        Err(ApiError::engine_gone())
    }

    /// The response that streams `events`.
    fn stream(mut self, events: EventStream, keep_alive: std::time::Duration) -> HttpResponse {
        let id = self.writer.response().id.clone();
        let begin = self.writer.begin();
        let answering = Arc::new(Mutex::new(self));
        let happenings = events.then(move |event| {
            let answering = Arc::clone(&answering);
            async move {
                // One event is delivered at a time: nobody ever waits here.
                let mut answering = answering.lock().await;
                match answering.happen(event).await {
                    Ok(events) => events,
                    Err(error) => answering.writer.fail(&error),
                }
            }
        });
        event_body::response(happenings, EventRelay { begin, id }, keep_alive)
    }

    /// What is to be said of `event`; its pictures are encoded, and what is complete is stored.
    async fn happen(&mut self, event: EngineEvent) -> Result<Vec<ResponseEvent>, ApiError> {
        Ok(match event {
            EngineEvent::Text { delta, .. } => self.writer.push_text(delta),
            EngineEvent::ImageStarted { index: _ } => self.writer.start_picture(),
            EngineEvent::ImageProgress { preview: None, .. } | EngineEvent::Traced(_) => Vec::new(),
            EngineEvent::ImageProgress { preview: Some(preview), .. } => {
                self.writer.preview_picture(self.delivery.partial_image(preview).await?)
            }
            EngineEvent::Image { index, picture } => {
                match self.delivery.file(picture, index).await?.file {
                    SentFile::Base64(file) => self.writer.push_picture(file),
                    // No response asks for addresses.
                    SentFile::Address(_) => return Err(ApiError::internal()),
                }
            }
            EngineEvent::Finished { reason, usage } => {
                let now = self.origin.unix_time();
                let mut events = self.writer.finish(reason, &usage, now);
                self.store(now).await?;
                events.push(self.writer.end());
                events
            }
            EngineEvent::Failed(error) => return Err(ApiError::from(error)),
        })
    }

    async fn store(&mut self, now: u64) -> Result<(), ApiError> {
        if !self.writer.response().store {
            return Ok(());
        }
        let response = self.writer.response().clone();
        let stored = StoredResponse { response, input: std::mem::take(&mut self.input) };
        let (shelf, id) = (self.shelf.clone().later(now), self.id);
        let kept = preparation::blocking(move || Ok(shelf.keep_response(id, &stored)));
        kept.await?.map_err(|error| ApiError::store_failed(&error))
    }
}

/// Passes events on, which are complete.
struct EventRelay {
    begin: Vec<ResponseEvent>,
    id: String,
}

impl EventWriter for EventRelay {
    type Happening = Vec<ResponseEvent>;

    fn open(&mut self, page: &mut Page) {
        let begin = std::mem::take(&mut self.begin);
        self.write(begin, page);
    }

    fn write(&mut self, events: Vec<ResponseEvent>, page: &mut Page) {
        for event in events {
            page.push_named(event.happening.name(), &event);
            match event.happening {
                ResponseHappening::Completed { .. }
                | ResponseHappening::Incomplete { .. }
                | ResponseHappening::Error { .. } => page.end(),
                _ => {}
            }
        }
    }

    fn id(&self) -> &str {
        &self.id
    }
}

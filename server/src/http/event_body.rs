//! Server-sent events as a response: whatever happens to an answer goes through its writer and leaves as
//! events, in order. After a failure an `error` event is the last: that is what OpenAI's SDKs raise on. Dropping
//! the body drops what happens. Knows no answer's shape.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use serde::Serialize;

use super::error::ApiError;

/// Turns what happens to one kind of answer into events.
pub(super) trait EventWriter: Send + Unpin + 'static {
    /// What happens.
    type Happening: Send;

    /// Writes the events that come before anything has happened.
    fn open(&mut self, page: &mut Page);

    /// Writes down one thing.
    fn write(&mut self, happening: Self::Happening, page: &mut Page);

    /// The answer's name in the log.
    fn id(&self) -> &str;
}

/// Events that are ready to leave, and whether more can follow.
#[derive(Debug, Default)]
pub(super) struct Page {
    ready: VecDeque<Event>,
    is_over: bool,
}

impl Page {
    /// `data` in an event without a name.
    pub(super) fn push(&mut self, data: &impl Serialize) {
        self.ready.push_back(json_event(Event::default(), data));
    }

    /// `data` in an event of this name.
    pub(super) fn push_named(&mut self, name: &str, data: &impl Serialize) {
        self.ready.push_back(json_event(Event::default().event(name), data));
    }

    /// The answer is complete; nothing follows but OpenAI's mark of the end.
    pub(super) fn end_with_done(&mut self) {
        self.ready.push_back(Event::default().data("[DONE]"));
        self.end();
    }

    /// The answer is complete; nothing follows.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// The answer cannot be completed.
    pub(super) fn fail(&mut self, error: &ApiError) {
        self.push_named("error", &error.body());
        self.end();
    }
}

/// `data` on one line; JSON escapes every line break in it.
fn json_event(event: Event, data: &impl Serialize) -> Event {
    let line = serde_json::to_string(data).expect("our own types always serialise");
    event.data(line)
}

/// The response in which `writer` tells what happens.
pub(super) fn response<W: EventWriter>(
    happenings: impl Stream<Item = W::Happening> + Send + 'static,
    mut writer: W,
    keep_alive: Duration,
) -> Response {
    let mut page = Page::default();
    writer.open(&mut page);
    let body = EventBody { happenings: Some(Box::pin(happenings)), page, writer };
    let keep_alive = KeepAlive::new().interval(keep_alive);
    let mut response = Sse::new(body).keep_alive(keep_alive).into_response();
    // Proxies that gather an answer before passing it on are told not to.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(unbuffered, HeaderValue::from_static("no"));
    response
}

struct EventBody<W: EventWriter> {
    /// `None` once the answer is over.
    happenings: Option<Pin<Box<dyn Stream<Item = W::Happening> + Send>>>,
    page: Page,
    writer: W,
}

impl<W: EventWriter> Stream for EventBody<W> {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.page.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Some(happenings) = this.happenings.as_mut() else {
                return Poll::Ready(None);
            };
            match ready!(happenings.as_mut().poll_next(cx)) {
                Some(happening) => this.writer.write(happening, &mut this.page),
                None => this.page.fail(&ApiError::engine_gone()),
            }
            if this.page.is_over {
                this.happenings = None;
            }
        }
    }
}

impl<W: EventWriter> Drop for EventBody<W> {
    fn drop(&mut self) {
        if self.happenings.is_some() {
            tracing::info!(id = self.writer.id(), status = 499, "the client left before the end");
        }
    }
}

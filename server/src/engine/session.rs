//! The client's end of a sequence: where its events go, its text, its deadline. What the scheduler and
//! the runner must not know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_model::Picture;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::admission::Place;
use super::command::Submission;
use super::event::{EngineError, EngineEvent};
use super::runner::TextDecoder;
use super::text::{DocumentText, TextDelta};

/// One open request.
pub(super) struct Session {
    events: mpsc::Sender<EngineEvent>,
    text: DocumentText,
    submitted: Instant,
    deadline: Option<Instant>,
    report_progress: bool,
    num_images: usize,
    /// Held for as long as the session lives.
    place: Place,
}

/// Why a session is given up between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// Nobody listens any more.
    ClientLeft,
    /// Its time is over.
    Overdue,
}

impl Session {
    pub(super) fn new(submission: Submission, text: Box<dyn TextDecoder>) -> Self {
        let request = &submission.request;
        Self {
            text: DocumentText::new(text, request.stopping.stop.clone()),
            submitted: submission.submitted,
            deadline: deadline(&submission),
            report_progress: request.pictures.report_progress,
            num_images: 0,
            events: submission.events,
            place: submission.place,
        }
    }

    /// Whether the request is still worth a step at `now`.
    pub(super) fn given_up(&self, now: Instant) -> Option<GivenUp> {
        if self.events.is_closed() {
            return Some(GivenUp::ClientLeft);
        }
        self.deadline.is_some_and(|deadline| now >= deadline).then_some(GivenUp::Overdue)
    }

    /// How long ago it was submitted.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.submitted)
    }

    /// A token joins the text; whether a stop string is complete.
    pub(super) fn push_token(&mut self, id: u32) -> bool {
        let (delta, stopped) = self.text.push(id);
        self.send_text(delta);
        stopped
    }

    /// A whole text at once, in one event; which token completed a stop string, if one did.
    pub(super) fn push_tokens(&mut self, ids: &[u32]) -> Option<usize> {
        let mut whole: Option<TextDelta> = None;
        let mut stopped = None;
        for (index, id) in ids.iter().enumerate() {
            let (delta, stops) = self.text.push(*id);
            if let Some(delta) = delta {
                let whole = whole.get_or_insert_default();
                whole.delta.push_str(&delta.delta);
                whole.num_tokens += delta.num_tokens;
            }
            if stops {
                stopped = Some(index);
                break;
            }
        }
        self.send_text(whole);
        stopped
    }

    /// A picture or the end follows.
    pub(super) fn flush_text(&mut self) {
        let delta = self.text.flush();
        self.send_text(delta);
    }

    /// A picture is going to be drawn.
    pub(super) fn start_image(&mut self, index: usize) {
        self.flush_text();
        self.send(EngineEvent::ImageStarted { index });
    }

    /// A denoising step is done.
    pub(super) fn image_progress(&mut self, index: usize, step: usize, num_steps: usize) {
        if self.report_progress {
            self.send(EngineEvent::ImageProgress { index, step, num_steps });
        }
    }

    /// A picture is drawn.
    pub(super) fn image(&mut self, picture: Arc<Picture>) {
        let index = self.num_images;
        self.num_images += 1;
        self.send(EngineEvent::Image { index, picture });
    }

    /// The last event. Whoever has received it finds the session's place free.
    pub(super) fn end(mut self, event: EngineEvent) {
        if let EngineEvent::Finished { .. } = event {
            self.flush_text();
        }
        let Self { events, place, .. } = self;
        drop(place);
        send(&events, event);
    }

    fn send_text(&self, delta: Option<TextDelta>) {
        if let Some(TextDelta { delta, num_tokens }) = delta {
            self.send(EngineEvent::Text { delta, num_tokens });
        }
    }

    fn send(&self, event: EngineEvent) {
        send(&self.events, event);
    }
}

/// A client that left is noticed before the next step. The channel holds every event that the request
/// can cause, so that it is full only by a defect.
fn send(events: &mpsc::Sender<EngineEvent>, event: EngineEvent) {
    match events.try_send(event) {
        Ok(()) | Err(TrySendError::Closed(_)) => {}
        Err(TrySendError::Full(event)) => {
            // Its contents are the client's, and not for the log.
            let kind = std::mem::discriminant(&event);
            debug_assert!(false, "more events than counted: {kind:?}");
            tracing::error!(?kind, "more events than a request can have; one is lost");
        }
    }
}

/// Refuses a submission.
pub(super) fn refuse(submission: &Submission, error: EngineError) {
    // A client that left needs no answer, and the channel of a request without events has room.
    let _client_left = submission.events.try_send(EngineEvent::Failed(error));
}

fn deadline(submission: &Submission) -> Option<Instant> {
    let time = submission.request.deadline?;
    submission.submitted.checked_add(time)
}

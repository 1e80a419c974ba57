//! A client's end of an answer: events as they come, and a mark of how far it has read. Dropping it gives the
//! answer up. Knows no contents.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use reverie_scheduler::dispatcher::RequestId;
use tokio::sync::mpsc;

use super::inbox::{FrontEvent, nudge};
use super::progress::{ProgressQueue, ProgressReport};
use crate::engine::event::EngineEvent;

/// An event, and how many pieces of the answer have been delivered with it.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) event: EngineEvent,
    pub(super) num_entries: usize,
}

/// How far a client has read, for the front to look at.
#[derive(Debug, Default)]
pub(super) struct ReadMark {
    num_entries: AtomicUsize,
    is_awaited: AtomicBool,
}

impl ReadMark {
    pub(super) fn num_entries(&self) -> usize {
        self.num_entries.load(Ordering::Acquire)
    }

    pub(super) fn set_awaited(&self, is_awaited: bool) {
        self.is_awaited.store(is_awaited, Ordering::Release);
    }
}

/// A client's events.
pub(super) struct Reading {
    client: RequestId,
    events: mpsc::Receiver<Sent>,
    progress: Arc<ProgressQueue>,
    /// A picture that waits until what was told of its progress is read.
    picture: Option<(usize, Sent)>,
    mark: Arc<ReadMark>,
    inbox: SyncSender<FrontEvent>,
    has_ended: bool,
}

impl Reading {
    pub(super) fn new(
        client: RequestId,
        (events, progress): (mpsc::Receiver<Sent>, Arc<ProgressQueue>),
        mark: Arc<ReadMark>,
        inbox: SyncSender<FrontEvent>,
    ) -> Self {
        Self { client, events, progress, picture: None, mark, inbox, has_ended: false }
    }

    /// The next piece of the answer or report of progress. Reports stand between the start of their picture and
    /// the picture: what is read first was said first, or is about a picture that is not there yet.
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Option<Heard>> {
        if self.picture.is_none() {
            let reported = self.progress.watch(cx);
            // Asked after that: whatever was said before the reports is found.
            match self.events.poll_recv(cx) {
                Poll::Ready(Some(sent)) => match sent.event {
                    EngineEvent::Image { index, .. } => self.picture = Some((index, sent)),
                    EngineEvent::Text { .. }
                    | EngineEvent::ImageStarted { .. }
                    | EngineEvent::ImageProgress { .. }
                    | EngineEvent::Traced(_)
                    | EngineEvent::Finished { .. }
                    | EngineEvent::Failed(_) => return Poll::Ready(Some(Heard::Piece(sent))),
                },
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let report = reported.and_then(|last| self.progress.pop(last));
                    return report.map_or(Poll::Pending, |report| {
                        Poll::Ready(Some(Heard::Progress(report)))
                    });
                }
            }
        }
        let Some((index, sent)) = self.picture.take() else { return Poll::Pending };
        if let Some(report) = self.progress.pop(index) {
            self.picture = Some((index, sent));
            return Poll::Ready(Some(Heard::Progress(report)));
        }
        Poll::Ready(Some(Heard::Piece(sent)))
    }
}

/// What a client reads.
enum Heard {
    /// Part of the answer.
    Piece(Sent),
    /// Nothing of the answer.
    Progress(ProgressReport),
}

impl Stream for Reading {
    type Item = EngineEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EngineEvent>> {
        let Sent { event, num_entries } = match ready!(self.poll_heard(cx)) {
            Some(Heard::Piece(sent)) => sent,
            Some(Heard::Progress(report)) => return Poll::Ready(Some(report.into())),
            None => {
                self.has_ended = true;
                return Poll::Ready(None);
            }
        };
        self.mark.num_entries.store(num_entries, Ordering::Release);
        if self.mark.is_awaited.load(Ordering::Acquire) {
            // Without room the front looks by itself, a little later.
            nudge(&self.inbox, FrontEvent::Read(self.client));
        }
        self.has_ended = match event {
            EngineEvent::Finished { .. } | EngineEvent::Failed(_) => true,
            EngineEvent::Text { .. }
            | EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Image { .. }
            | EngineEvent::Traced(_) => false,
        };
        Poll::Ready(Some(event))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.events.close();
        if !self.has_ended {
            // Without room the front finds the closed channel by itself, a little later.
            nudge(&self.inbox, FrontEvent::Cancel(self.client));
        }
    }
}

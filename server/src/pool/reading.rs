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
    mark: Arc<ReadMark>,
    inbox: SyncSender<FrontEvent>,
    has_ended: bool,
}

impl Reading {
    pub(super) fn new(
        client: RequestId,
        events: mpsc::Receiver<Sent>,
        mark: Arc<ReadMark>,
        inbox: SyncSender<FrontEvent>,
    ) -> Self {
        Self { client, events, mark, inbox, has_ended: false }
    }
}

impl Stream for Reading {
    type Item = EngineEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EngineEvent>> {
        let Some(Sent { event, num_entries }) = ready!(self.events.poll_recv(cx)) else {
            self.has_ended = true;
            return Poll::Ready(None);
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
            | EngineEvent::Image { .. } => false,
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

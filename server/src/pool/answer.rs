//! One open answer at the front: what is written of it, its text on the way out, and who reads it. Knows
//! contents; whose turn it is and who works for it are the dispatcher's.

use std::collections::BTreeMap;
use std::sync::Arc;

use reverie_model::Picture;
use reverie_model::diffusion::trace::TensorRecord;
use reverie_model::token_logprobs::TokenLogprobs;
use reverie_scheduler::dispatcher::RequestId;
use reverie_scheduler::{FinishReason, Usage};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::progress::{ProgressQueue, ProgressReport};
use super::reading::{ReadMark, Sent};
use crate::engine::event::{EngineError, EngineEvent};
use crate::engine::order::{Conditions, WrittenPiece};
use crate::engine::request::EngineRequest;
use crate::engine::text::{DocumentText, TextDelta};

/// Bytes that a token's event takes on its way to a client, about.
const TOKEN_BYTES: u64 = 64;

/// Bytes that a token and its log-probability take beside it, about.
const LOGPROB_BYTES: u64 = 96;

/// An answer from its acceptance to its end.
pub(super) struct Answer {
    pub(super) request: Arc<EngineRequest>,
    text: DocumentText,
    pub(super) pieces: Vec<WrittenPiece>,
    /// Bytes of the pieces up to and including each.
    ends: Vec<u64>,
    /// Everything that was sent, for those who come later; empty if nobody can.
    log: Vec<Sent>,
    readers: BTreeMap<RequestId, Reader>,
    /// How likely the token at this position was.
    judged: Option<(usize, TokenLogprobs)>,
    /// What the picture at this position is drawn from.
    pub(super) conditions: Option<(usize, Conditions)>,
    /// What the worker that ended it says.
    pub(super) usage: Option<Usage>,
    pub(super) cause: Option<String>,
    /// How pictures were drawn, by their number and by the parts' names: drawn anew, a picture has the same record.
    traced: BTreeMap<(usize, String), TensorRecord>,
    num_images: usize,
    num_started: usize,
    /// Denoising steps reported of the picture that is drawn now.
    pub(super) num_denoised: usize,
}

/// One client.
pub(super) struct Reader {
    pub(super) events: mpsc::Sender<Sent>,
    /// What it may miss.
    pub(super) progress: Arc<ProgressQueue>,
    pub(super) mark: Arc<ReadMark>,
}

/// What is left of an answer for those who ask again.
pub(super) struct KeptAnswer {
    pub(super) log: Vec<Sent>,
    pub(super) created: u64,
}

/// Bytes that a client gets for a piece.
pub(super) fn num_bytes(piece: &WrittenPiece) -> u64 {
    match piece {
        WrittenPiece::Token(_) | WrittenPiece::LastToken(_) => TOKEN_BYTES,
        WrittenPiece::Picture { picture, .. } => TOKEN_BYTES + picture.rgb().len() as u64,
    }
}

impl Answer {
    pub(super) fn new(request: Arc<EngineRequest>, text: DocumentText) -> Self {
        Self {
            request,
            text,
            pieces: Vec::new(),
            ends: Vec::new(),
            log: Vec::new(),
            readers: BTreeMap::new(),
            judged: None,
            conditions: None,
            usage: None,
            cause: None,
            traced: BTreeMap::new(),
            num_images: 0,
            num_started: 0,
            num_denoised: 0,
        }
    }

    /// Another client reads it, from the beginning.
    pub(super) fn attach(&mut self, client: RequestId, reader: Reader) {
        for sent in &self.log {
            send(&reader, sent.clone());
        }
        self.readers.insert(client, reader);
    }

    pub(super) fn detach(&mut self, client: RequestId) {
        self.readers.remove(&client);
    }

    pub(super) fn is_read_by(&self, client: RequestId) -> bool {
        self.readers.contains_key(&client)
    }

    /// Clients that are gone.
    pub(super) fn departed(&self) -> impl Iterator<Item = RequestId> + '_ {
        let gone = self.readers.iter().filter(|(_, reader)| reader.events.is_closed());
        gone.map(|(client, _)| *client)
    }

    /// The client that has read most, and how many pieces that is.
    pub(super) fn furthest(&self) -> Option<(RequestId, usize)> {
        let read = self.readers.iter().map(|(client, reader)| (*client, reader.mark.num_entries()));
        read.max_by_key(|(_, num_entries)| *num_entries)
    }

    /// The next piece, for every client.
    pub(super) fn deliver(&mut self, piece: WrittenPiece) {
        let position = self.pieces.len();
        let num_bytes = num_bytes(&piece) + self.judged_bytes(position);
        let end = self.ends.last().copied().unwrap_or(0).saturating_add(num_bytes);
        self.ends.push(end);
        self.pieces.push(piece.clone());
        let judged = self.judged.take().filter(|(of, _)| *of == position);
        match piece {
            WrittenPiece::Token(id) | WrittenPiece::LastToken(id) => {
                let (delta, _stopped) = self.text.push(id, judged.map(|(_, logprobs)| logprobs));
                self.say_text(delta);
            }
            WrittenPiece::Picture { picture, .. } => self.say_picture(picture),
        }
    }

    /// How likely the token at `position` was, which comes next; said again after a worker's death.
    pub(super) fn judge(&mut self, position: usize, logprobs: TokenLogprobs) {
        self.judged = Some((position, logprobs));
    }

    /// Bytes that a client gets for what was judged of the token at `position`.
    pub(super) fn judged_bytes(&self, position: usize) -> u64 {
        let judged = self.judged.as_ref().filter(|(of, _)| *of == position);
        judged.map_or(0, |(_, logprobs)| LOGPROB_BYTES * (1 + logprobs.top.len() as u64))
    }

    /// Bytes delivered that nobody has read.
    pub(super) fn unread_bytes(&self) -> u64 {
        let read = self.furthest().map_or(0, |(_, num_entries)| num_entries);
        let before = read.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        self.ends.last().copied().unwrap_or(0) - before
    }

    /// Whether readers are to tell that they read.
    pub(super) fn await_readers(&self, is_awaited: bool) {
        self.readers.values().for_each(|reader| reader.mark.set_awaited(is_awaited));
    }

    /// The picture at `position` is going to be drawn. Said once, however often it is drawn.
    pub(super) fn start_image(&mut self, position: usize) {
        if position != self.pieces.len() || self.num_started > self.num_images {
            return;
        }
        self.announce_image();
    }

    fn announce_image(&mut self) {
        self.num_started += 1;
        self.num_denoised = 0;
        let delta = self.text.flush();
        self.say_text(delta);
        self.say(EngineEvent::ImageStarted { index: self.num_images });
    }

    /// A denoising step of the picture that is drawn now. Said once, however often it is made, and only to those who
    /// read now.
    pub(super) fn denoised(
        &mut self,
        step: usize,
        num_steps: usize,
        preview: Option<Arc<Picture>>,
    ) {
        if self.num_started == self.num_images || step <= self.num_denoised {
            return;
        }
        self.num_denoised = step;
        if self.request.pictures.progress.is_some() {
            let report = ProgressReport { index: self.num_images, step, num_steps, preview };
            self.readers.values().for_each(|reader| reader.progress.push(report.clone()));
        }
    }

    /// A part of the record of how the picture was drawn that comes next.
    pub(super) fn trace(&mut self, record: TensorRecord) {
        if self.request.pictures.trace.is_some() {
            self.traced.insert((self.num_images, record.name.clone()), record);
        }
    }

    fn say_traced(&mut self) {
        if self.request.pictures.trace.is_none() {
            return;
        }
        let mut pictures = vec![Vec::new(); self.num_images];
        for ((picture, _), record) in std::mem::take(&mut self.traced) {
            if let Some(records) = pictures.get_mut(picture) {
                records.push(record);
            }
        }
        self.say(EngineEvent::Traced(Arc::new(pictures)));
    }

    /// Whether a picture of it is being drawn.
    pub(super) fn is_drawing(&self) -> bool {
        self.num_started > self.num_images && self.num_denoised > 0
    }

    /// It is complete. What is left for those who ask again.
    pub(super) fn finish(mut self, reason: FinishReason) -> KeptAnswer {
        let delta = self.text.flush();
        self.say_text(delta);
        self.say_traced();
        let usage = self.usage.unwrap_or_default();
        self.say(EngineEvent::Finished { reason, usage });
        KeptAnswer { log: self.log, created: self.request.identity.created }
    }

    /// It cannot be completed.
    pub(super) fn fail(mut self, error: EngineError) {
        self.say(EngineEvent::Failed(error));
    }

    fn say_picture(&mut self, picture: Arc<Picture>) {
        if self.num_started == self.num_images {
            self.announce_image();
        }
        let index = self.num_images;
        self.num_images += 1;
        self.num_denoised = 0;
        self.conditions = None;
        self.say(EngineEvent::Image { index, picture });
    }

    fn say_text(&mut self, delta: Option<TextDelta>) {
        if let Some(TextDelta { delta, num_tokens, judged }) = delta {
            self.say(EngineEvent::Text { delta, num_tokens, logprobs: judged });
        }
    }

    fn say(&mut self, event: EngineEvent) {
        let sent = Sent { event, num_entries: self.pieces.len() };
        for reader in self.readers.values() {
            send(reader, sent.clone());
        }
        if self.request.identity.idempotency_key.is_some() {
            self.log.push(sent);
        }
    }
}

/// A client that left is noticed by whoever looks next. The channel holds every event that the request can
/// cause, so that it is full only by a defect.
pub(super) fn send(reader: &Reader, sent: Sent) {
    match reader.events.try_send(sent) {
        Ok(()) | Err(TrySendError::Closed(_)) => {}
        Err(TrySendError::Full(sent)) => {
            // Its contents are the client's, and not for the log.
            let kind = std::mem::discriminant(&sent.event);
            debug_assert!(false, "more events than counted: {kind:?}");
            tracing::error!(?kind, "more events than a request can have; one is lost");
        }
    }
}

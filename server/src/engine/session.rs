//! One job of an engine: what is written of its document, and its text as far as stop strings need it. What
//! the scheduler and the runner must not know.

use std::sync::Arc;

use reverie_model::Picture;
use reverie_scheduler::dispatcher::JobId;
use reverie_scheduler::{ContentHash, SequenceId, Span, TokenId, Written};

use super::order::{EngineMessage, WrittenPiece};
use super::request::EngineRequest;
use super::runner::TextDecoder;
use super::text::DocumentText;

/// One open job.
pub(super) struct Session {
    pub(super) job: JobId,
    pub(super) request: Arc<EngineRequest>,
    pub(super) work: SessionWork,
    /// Unless it waits for a picture from elsewhere.
    pub(super) sequence: Option<SequenceId>,
}

/// What a job is to come to.
pub(super) enum SessionWork {
    /// A document.
    Document(Document),
    /// One picture, drawn from a condition that came with the order.
    Picture,
}

/// A document as it grows.
#[derive(Default)]
pub(super) struct Document {
    /// The answer so far, what was written elsewhere included.
    pub(super) written: Vec<WrittenPiece>,
    /// `None` until the model has said how its ids become text.
    text: Option<DocumentText>,
}

impl Session {
    pub(super) fn document(
        job: JobId,
        request: Arc<EngineRequest>,
        written: Vec<WrittenPiece>,
    ) -> Self {
        // The hypotheses of a beam search cannot be computed again from their outcome: it begins anew and
        // comes to the same.
        let written = if request.sampling.num_beams > 1 { Vec::new() } else { written };
        let work = SessionWork::Document(Document { written, text: None });
        Self { job, request, work, sequence: None }
    }

    pub(super) fn picture(job: JobId, request: Arc<EngineRequest>) -> Self {
        Self { job, request, work: SessionWork::Picture, sequence: None }
    }

    pub(super) fn document_mut(&mut self) -> Option<&mut Document> {
        match &mut self.work {
            SessionWork::Document(document) => Some(document),
            SessionWork::Picture => None,
        }
    }

    /// Pieces of its answer.
    pub(super) fn num_entries(&self) -> usize {
        match &self.work {
            SessionWork::Document(document) => document.written.len(),
            SessionWork::Picture => 0,
        }
    }
}

impl Document {
    /// Begins, or goes on, after what is written: a stop string may have begun there.
    pub(super) fn read_back(&mut self, decoder: Box<dyn TextDecoder>, stop: &[String]) {
        if self.text.is_some() {
            return;
        }
        let mut text = DocumentText::new(decoder, stop.to_vec());
        for piece in &self.written {
            match piece {
                WrittenPiece::Token(id) | WrittenPiece::LastToken(id) => {
                    let (_delivered, _known) = text.push(*id, None);
                }
                WrittenPiece::Picture { .. } => {
                    let _delivered = text.flush();
                }
            }
        }
        self.text = Some(text);
    }

    /// A token joins the document; what to say of it, and whether it completed a stop string.
    pub(super) fn push_token(&mut self, job: JobId, id: u32) -> (EngineMessage, bool) {
        let text = self.text.as_mut().expect("a document is read back before it goes on");
        let (_the_front_has_its_own, stopped) = text.push(id, None);
        let piece = if stopped { WrittenPiece::LastToken(id) } else { WrittenPiece::Token(id) };
        (self.push(job, piece), stopped)
    }

    /// A picture joins the document; what to say of it.
    pub(super) fn push_picture(
        &mut self,
        job: JobId,
        picture: Arc<Picture>,
        content: ContentHash,
    ) -> EngineMessage {
        if let Some(text) = &mut self.text {
            let _the_front_has_its_own = text.flush();
        }
        self.push(job, WrittenPiece::Picture { picture, content })
    }

    fn push(&mut self, job: JobId, piece: WrittenPiece) -> EngineMessage {
        let position = self.written.len();
        self.written.push(piece.clone());
        EngineMessage::Produced { job, position, piece }
    }

    /// What is written, in numbers.
    pub(super) fn written(&self) -> Written {
        let mut written = Written::default();
        for piece in &self.written {
            match piece {
                WrittenPiece::Token(id) => push_token(&mut written.spans, *id),
                WrittenPiece::LastToken(id) => {
                    push_token(&mut written.spans, *id);
                    written.is_stopped = true;
                }
                WrittenPiece::Picture { content, .. } => {
                    written.spans.extend([Span::Dream, Span::Picture(*content)]);
                }
            }
        }
        written
    }
}

fn push_token(spans: &mut Vec<Span>, id: u32) {
    match spans.last_mut() {
        Some(Span::Tokens(ids)) => ids.push(TokenId(id)),
        Some(Span::Picture(_) | Span::Dream) | None => spans.push(Span::Tokens(vec![TokenId(id)])),
    }
}

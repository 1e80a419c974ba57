//! What the dispatcher only knows by name, put to its names: clients' ends of answers, contents of orders,
//! pieces that workers produce. Decides nothing.

use std::sync::Arc;

use reverie_scheduler::ContentHash;
use reverie_scheduler::dispatcher::{
    Digest, Ending, Entry, JobId, Order, RequestId, WorkerId, WorkerMessage,
};
use tokio::sync::mpsc;

use super::answer::{Answer, Reader, num_bytes, send};
use super::front::{Asking, Attempt, Front};
use super::progress::ProgressQueue;
use super::reading::{ReadMark, Reading};
use super::wording::engine_error;
use crate::engine::document_engine::{EventStream, SubmitError};
use crate::engine::order::{EngineMessage, EngineOrder, WrittenPiece};
use crate::engine::request::EngineRequest;
use crate::engine::sequence_spec::max_events;
use crate::engine::text::DocumentText;

impl Front {
    /// The client that asks gets its answer's beginning, or hears why not.
    pub(super) fn answer_asking(&mut self, answer: Result<EventStream, SubmitError>) {
        if let Some(Asking { reply, .. }) = self.asking.take() {
            // A client that left meanwhile drops the stream, which gives the answer up.
            let _left = reply.try_send(answer);
        }
    }

    /// A reader with room for every event that `request` can have, and its stream.
    fn reader(
        &self,
        client: RequestId,
        request: &EngineRequest,
        created: u64,
    ) -> (Reader, EventStream) {
        let (events, received) = mpsc::channel(max_events(request, &self.config.budget));
        let mark = Arc::new(ReadMark::default());
        let progress = Arc::new(ProgressQueue::default());
        let heard = (received, Arc::clone(&progress));
        let reading = Reading::new(client, heard, Arc::clone(&mark), self.sender.clone());
        (Reader { events, progress, mark }, EventStream::new(created, reading))
    }

    pub(super) fn admit(&mut self, client: RequestId) {
        let Some(asking) = &self.asking else { return };
        let request = Arc::clone(&asking.request);
        let (reader, stream) = self.reader(client, &request, request.identity.created);
        let text = DocumentText::new((self.text)(), request.stopping.stop.clone());
        let mut answer = Answer::new(request, text);
        answer.attach(client, reader);
        self.answers.insert(client, answer);
        self.answer_asking(Ok(stream));
    }

    pub(super) fn attach(&mut self, client: RequestId, to: RequestId) {
        let Some(answer) = self.answers.get(&to) else { return };
        let request = Arc::clone(&answer.request);
        let (reader, stream) = self.reader(client, &request, request.identity.created);
        if let Some(answer) = self.answers.get_mut(&to) {
            answer.attach(client, reader);
        }
        self.answer_asking(Ok(stream));
    }

    pub(super) fn replay(&mut self, client: RequestId, of: RequestId) {
        let (Some(kept), Some(asking)) = (self.kept.get(&of), &self.asking) else { return };
        let (reader, stream) = self.reader(client, &asking.request, kept.created);
        for sent in &kept.log {
            send(&reader, sent.clone());
        }
        self.answer_asking(Ok(stream));
    }

    pub(super) fn finish(&mut self, request: RequestId, ending: Ending) {
        self.jobs.retain(|_, attempt| attempt.request != request);
        let Some(mut answer) = self.answers.remove(&request) else { return };
        match ending {
            Ending::Complete(reason) => {
                tracing::info!(request = request.0, ?reason, usage = ?answer.usage, "finished");
                let is_named = answer.request.identity.idempotency_key.is_some();
                let kept = answer.finish(reason);
                if is_named {
                    self.kept.insert(request, kept);
                }
            }
            Ending::Cancelled => tracing::info!(request = request.0, "given up by its client"),
            Ending::Failed(failure) => {
                let cause = answer.cause.take();
                tracing::warn!(request = request.0, ?failure, cause, "failed");
                answer.fail(engine_error(failure, cause));
            }
        }
    }

    /// An order with its contents; `None` if they are not there any more.
    pub(super) fn contents_of(
        &mut self,
        worker: WorkerId,
        order: Order,
        at_hand: Option<&WrittenPiece>,
    ) -> Option<EngineOrder> {
        match order {
            Order::Write { job, request, journal } => {
                let answer = self.answers.get(&request)?;
                debug_assert_eq!(
                    journal.len(),
                    answer.pieces.len(),
                    "the journal is what was sent"
                );
                let written = answer.pieces.clone();
                let contents = Arc::clone(&answer.request);
                let (worker_id, num_written) = (worker.0, written.len());
                tracing::info!(
                    request = request.0,
                    worker = worker_id,
                    num_written,
                    "worker has work"
                );
                self.jobs.insert(job, Attempt { request, worker });
                Some(EngineOrder::Write { job, request: contents, written })
            }
            Order::Draw { job, condition } => {
                let answer = self.answers.get(&condition.request)?;
                let (position, conditions) = answer.conditions.as_ref()?;
                if *position != condition.position {
                    return None;
                }
                let before = answer.pieces.iter().filter(|piece| piece.is_picture());
                let (picture, conditions) = (before.count(), conditions.clone());
                let request = Arc::new(EngineRequest {
                    prompt: Vec::new(),
                    ..EngineRequest::clone(&answer.request)
                });
                self.jobs.insert(job, Attempt { request: condition.request, worker });
                Some(EngineOrder::Draw { job, request, picture, conditions })
            }
            Order::Picture { job, position, .. } => {
                let request = self.jobs.get(&job)?.request;
                let delivered = self.answers.get(&request)?.pieces.get(position);
                match delivered.or(at_hand)? {
                    WrittenPiece::Picture { picture, content } => Some(EngineOrder::Picture {
                        job,
                        picture: Arc::clone(picture),
                        content: *content,
                    }),
                    WrittenPiece::Token(_) | WrittenPiece::LastToken(_) => None,
                }
            }
            Order::Abort { job } => Some(EngineOrder::Abort { job }),
            Order::Shutdown => Some(EngineOrder::Shutdown),
        }
    }

    /// Keeps the contents of what a worker says; what is left are names, and the piece that it is about.
    /// `None` says no more than that the worker lives.
    pub(super) fn take_in(
        &mut self,
        message: EngineMessage,
    ) -> Option<(WorkerMessage, Option<WrittenPiece>)> {
        match message {
            EngineMessage::Produced { job, position, piece } => {
                let judged = self.answer_of(job).map_or(0, |answer| answer.judged_bytes(position));
                let (entry, num_bytes) = (entry(&piece), num_bytes(&piece) + judged);
                Some((WorkerMessage::Produced { job, position, entry, num_bytes }, Some(piece)))
            }
            EngineMessage::Judged { job, position, logprobs } => {
                self.answer_of(job)?.judge(position, logprobs);
                None
            }
            EngineMessage::ImageStarted { job, position } => {
                self.answer_of(job)?.start_image(position);
                Some((WorkerMessage::Drawing { job }, None))
            }
            EngineMessage::Denoised { job, step, num_steps, preview } => {
                self.answer_of(job)?.denoised(step, num_steps, preview);
                None
            }
            EngineMessage::Traced { job, record } => {
                self.answer_of(job)?.trace(record);
                None
            }
            EngineMessage::NeedsPicture { job, position, cost, conditions } => {
                if let Some(answer) = self.answer_of(job)
                    && answer.pieces.len() == position
                {
                    answer.conditions = Some((position, conditions));
                }
                Some((WorkerMessage::NeedsPicture { job, position, cost }, None))
            }
            EngineMessage::Drawn { job, picture, content } => {
                let piece = WrittenPiece::Picture { picture, content };
                let (picture, num_bytes) = (Digest(content.0), num_bytes(&piece));
                Some((WorkerMessage::Drawn { job, picture, num_bytes }, Some(piece)))
            }
            EngineMessage::Ended { job, num_entries, reason, usage } => {
                if let Some(answer) = self.answer_of(job) {
                    answer.usage = Some(usage);
                }
                Some((WorkerMessage::Ended { job, num_entries, reason }, None))
            }
            EngineMessage::Failed { job, fault, cause } => {
                if let Some(answer) = self.answer_of(job) {
                    answer.cause = Some(cause);
                }
                Some((WorkerMessage::Failed { job, fault }, None))
            }
            EngineMessage::Aborted { job } => {
                self.jobs.remove(&job);
                Some((WorkerMessage::Aborted { job }, None))
            }
            EngineMessage::Heartbeat | EngineMessage::Stats(_) | EngineMessage::Ready { .. } => {
                None
            }
        }
    }

    fn answer_of(&mut self, job: JobId) -> Option<&mut Answer> {
        let request = self.jobs.get(&job)?.request;
        self.answers.get_mut(&request)
    }
}

/// A piece by name.
fn entry(piece: &WrittenPiece) -> Entry {
    match piece {
        WrittenPiece::Token(id) => Entry::Token(*id),
        WrittenPiece::LastToken(id) => Entry::LastToken(*id),
        WrittenPiece::Picture { content: ContentHash(content), .. } => {
            Entry::Picture(Digest(*content))
        }
    }
}

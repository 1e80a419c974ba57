//! One accepted request as the front sees it, and one attempt at it. Knows no rules.

use std::collections::BTreeSet;

use super::event::Submission;
use super::identity::{JobId, Micros, NumericsClass, RequestId, WorkerId};
use super::journal::Journal;
use super::quarantine;

/// Where a request's document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestState {
    /// It is to be given to a worker, for the first time or again.
    Waiting,
    /// A worker has it.
    Writing {
        /// The attempt.
        job: JobId,
    },
    /// Its client does not read; no worker has it.
    Stalled {
        /// When it is cut, on the listening clock.
        cut_at: Micros,
    },
}

/// A picture that is drawn on another worker than the one that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawing {
    /// Which entry of the answer it will be.
    pub(super) position: usize,
    /// Expected work.
    pub(super) cost: u64,
    /// The attempt, if a worker has it.
    pub(super) job: Option<JobId>,
}

/// A request from its acceptance to its end.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) submission: Submission,
    /// Counts acceptances.
    pub(super) arrival: u64,
    /// When it was accepted.
    pub(super) accepted: Micros,
    pub(super) journal: Journal,
    pub(super) state: RequestState,
    pub(super) drawing: Option<Drawing>,
    /// Who gets the answer.
    pub(super) clients: BTreeSet<RequestId>,
    /// Whether it has ever been given to a worker.
    pub(super) has_started: bool,
    pub(super) record: quarantine::Record,
    /// Whose numbers its tokens are, once there are some.
    pub(super) write_class: Option<NumericsClass>,
    /// Whose numbers its pictures are, once there are some.
    pub(super) draw_class: Option<NumericsClass>,
}

impl Request {
    pub(super) fn new(submission: Submission, arrival: u64, accepted: Micros) -> Self {
        let clients = BTreeSet::from([submission.request]);
        Self {
            submission,
            arrival,
            accepted,
            journal: Journal::default(),
            state: RequestState::Waiting,
            drawing: None,
            clients,
            has_started: false,
            record: quarantine::Record::default(),
            write_class: None,
            draw_class: None,
        }
    }

    /// Its attempts.
    pub(super) fn jobs(&self) -> impl Iterator<Item = JobId> + use<> {
        let writing = match self.state {
            RequestState::Writing { job } => Some(job),
            RequestState::Waiting | RequestState::Stalled { .. } => None,
        };
        writing.into_iter().chain(self.drawing.and_then(|drawing| drawing.job))
    }
}

/// What an attempt is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// The document.
    Write {
        /// The entry that it comes to next.
        next: usize,
        /// Whether it has asked for that entry, a picture.
        awaits: bool,
    },
    /// A picture of it.
    Draw,
}

/// One attempt at one piece of work on one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) request: RequestId,
    pub(super) worker: WorkerId,
    pub(super) cost: u64,
    pub(super) work: Work,
    /// Whether a picture is being drawn.
    pub(super) is_drawing: bool,
    /// Whether its request is suspected of having killed a worker; stays so when the request has ended.
    pub(super) is_suspect: bool,
    /// Whether it is aborted, and has not said so yet.
    pub(super) is_leaving: bool,
}

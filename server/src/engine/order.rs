//! What an engine is told and what it says: orders in, messages out, contents included. Jobs are named by
//! whoever gives the orders. Knows no clients.

use std::sync::Arc;

use reverie_model::Picture;
use reverie_model::diffusion::trace::TensorRecord;
use reverie_model::token_logprobs::TokenLogprobs;
use reverie_scheduler::dispatcher::{JobFault, JobId, NumericsClass};
use reverie_scheduler::{Budget, ContentHash, FinishReason, SchedulerStats, Usage};

use super::request::EngineRequest;

/// A piece of an answer: what has been given to a client, and from which another engine can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenPiece {
    /// A sampled token.
    Token(u32),
    /// The token that completed a stop string.
    LastToken(u32),
    /// A drawn picture.
    Picture {
        /// The picture, to be delivered.
        picture: Arc<Picture>,
        /// The picture as it is fed back to the model.
        content: ContentHash,
    },
}

impl WrittenPiece {
    /// Whether it is a picture.
    pub fn is_picture(&self) -> bool {
        match self {
            Self::Picture { .. } => true,
            Self::Token(_) | Self::LastToken(_) => false,
        }
    }
}

/// What a picture is drawn from: states of the decoder, rows by columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Dream queries.
    pub num_rows: usize,
    /// Width of the cross-attention.
    pub num_columns: usize,
    /// `num_rows * num_columns` numbers, row by row.
    pub values: Vec<f32>,
}

/// The condition of a picture, and that of its negative prompt if it has one of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    /// What the picture is to show.
    pub positive: Condition,
    /// What guidance moves away from; `None` is the checkpoint's unconditional one.
    pub negative: Option<Condition>,
}

/// What an engine is told.
#[derive(Debug, Clone)]
pub enum EngineOrder {
    /// Write this document, after what is written of it already.
    Write {
        /// The attempt.
        job: JobId,
        /// The document.
        request: Arc<EngineRequest>,
        /// The beginning of the answer.
        written: Vec<WrittenPiece>,
    },
    /// Draw this picture.
    Draw {
        /// The attempt.
        job: JobId,
        /// Whose picture it is; its prompt may be missing.
        request: Arc<EngineRequest>,
        /// Which picture of the answer, from 0.
        picture: usize,
        /// What it is drawn from.
        conditions: Conditions,
    },
    /// The picture that a document waits for.
    Picture {
        /// Which job.
        job: JobId,
        /// The picture, to be delivered.
        picture: Arc<Picture>,
        /// The picture as it is fed back to the model.
        content: ContentHash,
    },
    /// Stop this job before the next step.
    Abort {
        /// Which.
        job: JobId,
    },
    /// End; what is being done is given up.
    Shutdown,
}

/// What an engine says.
#[derive(Debug, Clone)]
pub enum EngineMessage {
    /// It is loaded and warm.
    Ready {
        /// What fits into a context.
        budget: Budget,
        /// Jobs that it can hold at once.
        max_jobs: usize,
        /// Positions of its KV cache.
        kv_positions: usize,
        /// Whose numbers its answers agree with.
        class: NumericsClass,
    },
    /// Its loop goes round.
    Heartbeat,
    /// The same, and its scheduler's numbers have changed.
    Stats(SchedulerStats),
    /// A document has grown.
    Produced {
        /// Which job.
        job: JobId,
        /// Which piece of the answer, from 0.
        position: usize,
        /// What.
        piece: WrittenPiece,
    },
    /// How likely the token was that a document grows by next.
    Judged {
        /// Which job.
        job: JobId,
        /// Which piece of the answer it will be.
        position: usize,
        /// How likely.
        logprobs: TokenLogprobs,
    },
    /// A picture is going to be drawn: its condition is computed.
    ImageStarted {
        /// Which job.
        job: JobId,
        /// Which piece of the answer it will be.
        position: usize,
    },
    /// A denoising step is done.
    Denoised {
        /// Which job.
        job: JobId,
        /// Denoising steps done, from 1.
        step: usize,
        /// Denoising steps in all.
        num_steps: usize,
        /// What the picture would be if it were complete now, one pixel for each cell of its latents.
        preview: Option<Arc<Picture>>,
    },
    /// A part of the record of how the picture was drawn whose steps are all done now.
    Traced {
        /// Which job.
        job: JobId,
        /// The part.
        record: TensorRecord,
    },
    /// A document cannot go on without a picture that is drawn elsewhere.
    NeedsPicture {
        /// Which job.
        job: JobId,
        /// Which piece of the answer it will be.
        position: usize,
        /// Rows of all its denoising steps.
        cost: u64,
        /// What it is drawn from.
        conditions: Conditions,
    },
    /// A picture that was ordered is there.
    Drawn {
        /// Which job.
        job: JobId,
        /// The picture, to be delivered.
        picture: Arc<Picture>,
        /// The picture as it is fed back to the model.
        content: ContentHash,
    },
    /// A document is complete.
    Ended {
        /// Which job.
        job: JobId,
        /// Pieces of its answer.
        num_entries: usize,
        /// Why.
        reason: FinishReason,
        /// What it took.
        usage: Usage,
    },
    /// A job cannot be done.
    Failed {
        /// Which job.
        job: JobId,
        /// What kind of fault.
        fault: JobFault,
        /// The cause, for the log.
        cause: String,
    },
    /// An aborted job holds nothing any more.
    Aborted {
        /// Which job.
        job: JobId,
    },
}

impl EngineMessage {
    /// Whether the answer stays the same if this is never heard: a step that follows says all that this one does.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Denoised { .. } => true,
            Self::Ready { .. }
            | Self::Heartbeat
            | Self::Stats(_)
            | Self::Judged { .. }
            | Self::Produced { .. }
            | Self::ImageStarted { .. }
            | Self::Traced { .. }
            | Self::NeedsPicture { .. }
            | Self::Drawn { .. }
            | Self::Ended { .. }
            | Self::Failed { .. }
            | Self::Aborted { .. } => false,
        }
    }
}

/// Nobody listens any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody listens to this engine any more")]
pub struct FrontGone;

/// Where an engine's messages go, in order.
pub trait Outbox {
    /// Takes a message; may wait for room. It leaves with the next [`flush`](Self::flush) at the latest.
    ///
    /// # Errors
    /// If it will never arrive.
    fn say(&mut self, message: EngineMessage) -> Result<(), FrontGone>;

    /// Sends what was said and has not left yet.
    ///
    /// # Errors
    /// If it will never arrive.
    fn flush(&mut self) -> Result<(), FrontGone>;
}

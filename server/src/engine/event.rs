//! What the engine answers, in document order.

use std::sync::Arc;

use reverie_model::Picture;
use reverie_model::diffusion::trace::TensorRecord;
use reverie_model::token_logprobs::TokenLogprobs;
pub use reverie_scheduler::{FinishReason, Usage};

/// One thing that happened to a request. `Finished` and `Failed` are last and exclusive.
#[derive(Debug, Clone)]
pub enum EngineEvent {
    /// Text, whole Unicode scalars, from `num_tokens` sampled tokens.
    Text {
        /// What to append.
        delta: String,
        /// Sampled tokens since the last delta (0 for held-back text released at the end).
        num_tokens: usize,
        /// How likely its tokens were, where the request asks for that. A token of which nothing is text any
        /// more, because a stop string begins before it, is left out.
        logprobs: Vec<JudgedToken>,
    },
    /// Picture `index` is going to be drawn: its condition is computed.
    ImageStarted {
        /// Counts the answer's pictures from 0.
        index: usize,
    },
    /// A denoising step of picture `index` is done. Said only where it was asked for; a client that reads slowly
    /// misses steps.
    ImageProgress {
        /// Counts the answer's pictures from 0.
        index: usize,
        /// Steps done, from 1.
        step: usize,
        /// Steps in all.
        num_steps: usize,
        /// What the picture would be if it were complete now, one pixel for each cell of its latents.
        preview: Option<Arc<Picture>>,
    },
    /// A picture, exactly as it is fed back to the model.
    Image {
        /// Counts the answer's pictures from 0.
        index: usize,
        /// The picture.
        picture: Arc<Picture>,
    },
    /// How each picture was drawn, in their order. Said once, before the end, and only where it was asked for.
    Traced(Arc<Vec<Vec<TensorRecord>>>),
    /// The document is complete.
    Finished {
        /// Why it ended.
        reason: FinishReason,
        /// What it took.
        usage: Usage,
    },
    /// The engine could not go on; nothing follows.
    Failed(EngineError),
}

/// A token of the text, and how likely it was.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedToken {
    /// Which.
    pub token: u32,
    /// What the text has of it; nothing where it is a part of a character that a later token completes.
    pub text: String,
    /// How likely.
    pub logprobs: TokenLogprobs,
}

/// Why the engine could not go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// A computation failed; logged with the request's id, not told to the client.
    #[error("model: {0}")]
    Model(String),
    /// Logits, hidden states or latents were not finite.
    #[error("not finite: {0}")]
    NotFinite(String),
    /// The deadline passed.
    #[error("deadline exceeded")]
    Deadline,
    /// It killed a worker that was its own, after another.
    #[error("quarantined: workers died computing it")]
    Quarantined,
    /// Workers died under it again and again.
    #[error("lost: {deaths} workers died while computing it")]
    Lost {
        /// How many.
        deaths: u32,
    },
    /// Its client did not read.
    #[error("the client did not read")]
    SlowReader,
    /// No worker is left that could do it.
    #[error("no worker is left")]
    NoWorker,
    /// The daemon is going down.
    #[error("shutting down")]
    ShuttingDown,
}

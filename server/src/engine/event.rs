//! What the engine answers, in document order.

use std::sync::Arc;

use reverie_model::Picture;

/// One thing that happened to a request. `Finished` and `Failed` are last and exclusive.
#[derive(Debug, Clone)]
pub enum EngineEvent {
    /// Text, whole Unicode scalars, from `num_tokens` sampled tokens.
    Text {
        /// What to append.
        delta: String,
        /// Tokens it came from (0 for held-back text released at the end).
        num_tokens: usize,
    },
    /// `<dream_start>` was chosen; picture `index` is being drawn.
    ImageStarted {
        /// Counts the answer's pictures from 0.
        index: usize,
    },
    /// One denoising step of picture `index` is done.
    ImageProgress {
        /// Counts the answer's pictures from 0.
        index: usize,
        /// Steps done, from 1.
        step: usize,
        /// Steps in all.
        num_steps: usize,
    },
    /// A picture, exactly as it is fed back to the model.
    Image {
        /// Counts the answer's pictures from 0.
        index: usize,
        /// The picture.
        picture: Arc<Picture>,
    },
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

/// Why a document ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// `</s>`.
    EndOfText,
    /// A stop string.
    StopString,
    /// `max_tokens`.
    MaxTokens,
    /// The model wanted a picture beyond `max_images`.
    MaxImages,
    /// The context is full.
    ContextFull,
}

/// What a document took. A position is a place in the context, text or patch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Positions of the prompt, pictures included.
    pub prompt_positions: usize,
    /// Positions of the prompt that pictures took.
    pub prompt_image_positions: usize,
    /// Pictures in the prompt.
    pub prompt_images: usize,
    /// Sampled tokens (text and `</s>`; `<dream_start>` counts as a picture's position).
    pub text_tokens: usize,
    /// Positions that drawn pictures took (dream block and picture block).
    pub image_positions: usize,
    /// Pictures drawn.
    pub images: usize,
    /// Positions of the context now used.
    pub positions_used: usize,
    /// Positions of the context still free.
    pub positions_left: usize,
    /// How many more pictures would fit.
    pub images_left: usize,
}

/// Why the engine could not go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// A computation failed; logged with the request's id, not told to the client.
    #[error("model: {0}")]
    Model(String),
    /// The deadline passed.
    #[error("deadline exceeded")]
    Deadline,
    /// The daemon is going down.
    #[error("shutting down")]
    ShuttingDown,
}

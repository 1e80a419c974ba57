//! Who goes next. Knows numbers of positions, pictures and denoising steps; refuses to know token
//! ids, tensors, clocks, random numbers and threads.
//!
//! A sequence is its `context` (what the document consists of so far: tokens, picture blocks, dream
//! blocks) and `computed` (how many of those positions the decoder has seen). One engine step is
//! `schedule → execute → update`:
//!
//! - [`Scheduler::schedule`] only makes `computed` catch up: it plans pictures to embed, a chunk of
//!   decoder positions, one denoising step, or one decoding of finished latents.
//! - [`Scheduler::update`] only makes `context` grow, for one of three reasons: a sampled token (+1),
//!   a dream block (+queries + 2), a picture block (+patches + 2).
//!
//! So prompts, dream blocks and fed-back pictures are one code path: positions that are not computed
//! yet. What may come next in a document, and when it ends, is [`DocumentRules`], a state machine of
//! its own.
//!
//! ```text
//!           admit                dream block computed              last denoising step
//! Waiting ────────▶ Running ────────────────────────────▶ Denoising ───────────────────▶ Rendering
//!                    │  ▲                                                                    │
//!                    │  └───────────────────── picture rendered: + its block ────────────────┘
//!                    └── an end of the document ──▶ Finished(FinishReason)
//! ```
//!
//! Documents are served one after another, first come, first served; plans and outcomes are lists
//! over sequences, so that serving several at once changes this crate and nothing around it.

mod budget;
mod config;
pub mod dispatcher;
mod plan;
mod rules;
mod scheduler;
mod sequence;
mod usage;

pub use budget::Budget;
pub use config::SchedulerConfig;
pub use plan::{
    Branch, DecodeRow, DenoiseRow, DreamRole, EncodeRow, Piece, RenderRow, Sampled, SampledRow,
    SequenceEvent, StepOutcome, StepPlan, StepReport,
};
pub use rules::{DocumentLimits, DocumentRules, FinishReason, ImageChoice, LegalTokens, NextMove};
pub use scheduler::{QueueFull, Scheduler};
pub use sequence::{SequenceId, SequenceSpec, SequenceStatus, Span};
pub use usage::Usage;

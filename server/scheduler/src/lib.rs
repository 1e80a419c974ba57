//! Who goes next. Knows numbers of positions, pictures and denoising steps; refuses to know token
//! ids, tensors, clocks, random numbers and threads.
//!
//! A sequence is its `context` (what the document consists of so far: tokens, picture blocks, dream
//! blocks) and `computed` (how many of those positions the decoder has seen). One engine step is
//! `schedule → execute → update`:
//!
//! - [`Scheduler::schedule`] only makes `computed` catch up: it plans pictures to embed, decoder positions,
//!   a part of a denoiser pass, and a part of a decoding of finished latents.
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
//! Many sequences run at once. What they share has one owner each: places ([`SchedulerConfig`]), KV blocks
//! (`kv/`), the time of a step (`room.rs`, `work_turns.rs`, `pace.rs`), and the denoiser (`picture_work.rs`).

mod budget;
mod config;
mod content;
mod context;
mod cost;
pub mod dispatcher;
mod kv;
mod outcome;
mod pace;
mod picture_work;
mod plan;
mod planner;
mod planted;
mod refusal;
mod room;
mod rules;
mod scheduler;
mod sequence;
mod stats;
mod update;
mod usage;
mod waiting_queue;
mod work_turns;

pub use budget::Budget;
pub use config::{KvConfig, SchedulerConfig};
pub use content::{ContentHash, Span, TenantId, TokenId};
pub use cost::{CostModel, Nanos, SegmentCost};
pub use kv::BlockId;
pub use outcome::{
    FailedRow, RenderedRow, RowFailure, Sampled, SampledRow, SequenceEvent, StepOutcome, StepReport,
};
pub use plan::{
    Branch, DecodeRow, DenoiseGroup, DenoiseRow, DreamRole, EncodeRow, PassId, Piece, RenderRow,
    Segments, StepPlan,
};
#[cfg(feature = "planted-bugs")]
pub use planted::{Planted, plant};
pub use refusal::Refusal;
pub use rules::{
    DocumentLimits, DocumentRules, FinishReason, ImageChoice, LegalTokens, NextMove, WrittenCounts,
};
pub use scheduler::Scheduler;
pub use sequence::{
    DrawingSpec, LatentSize, PictureSpec, SequenceId, SequenceSpec, SequenceStatus, Written,
};
pub use stats::SchedulerStats;
pub use usage::Usage;

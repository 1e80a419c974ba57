//! The scheduler's limits, complete and without defaults. Knows no flags and no checkpoint.

use crate::Budget;
use crate::cost::{CostModel, Nanos};

/// The KV cache of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvConfig {
    /// Positions of a block. At least 1.
    pub block_size: usize,
    /// Blocks. Together they hold at least one full context.
    pub num_blocks: usize,
    /// Whether the content of a full block is found again by later requests of its tenant.
    pub enable_prefix_caching: bool,
}

/// Every limit that the scheduler keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Positions: how long a context may be, and what the blocks in it take.
    pub budget: Budget,
    /// Sequences that run at once. At least 1.
    pub max_num_seqs: usize,
    /// Decoder positions in one step at most; longer contexts are computed in chunks. At least
    /// `max_num_seqs`, so that every text goes on in every step.
    pub max_num_batched_tokens: usize,
    /// Pictures embedded in one step at most. At least 1.
    pub max_num_encodes: usize,
    /// Rows of one denoiser pass at most; a picture with guidance takes two. At least 2.
    pub max_num_denoise_rows: usize,
    /// Sequences that may wait besides those that run.
    pub max_num_waiting: usize,
    /// The KV cache.
    pub kv: KvConfig,
    /// What things cost.
    pub cost: CostModel,
    /// While a text goes on, the predicted time of a step stays under this.
    pub max_token_gap: Nanos,
    /// After so many steps in which the kind of work whose turn it is did not fit under `max_token_gap`,
    /// one unit of it is computed all the same: the promise yields to progress.
    pub max_num_deferred: usize,
}

impl KvConfig {
    /// Blocks that `positions` positions take.
    pub fn blocks_for(&self, positions: usize) -> usize {
        positions.div_ceil(self.block_size)
    }

    /// Positions of all blocks.
    pub fn num_positions(&self) -> usize {
        self.num_blocks.saturating_mul(self.block_size)
    }
}

impl SchedulerConfig {
    /// # Panics
    /// If something could never run under these limits.
    pub(crate) fn check(&self) {
        assert!(self.max_num_seqs > 0, "at least one sequence runs");
        assert!(
            self.max_num_batched_tokens >= self.max_num_seqs,
            "a step computes a position of every running sequence"
        );
        assert!(self.max_num_encodes > 0, "a step embeds at least one picture");
        assert!(self.max_num_denoise_rows >= 2, "a pass holds a picture with guidance");
        assert!(self.kv.block_size > 0, "a block holds at least one position");
        assert!(
            self.kv.num_positions() >= self.budget.max_model_len,
            "the KV cache holds at least one full context"
        );
        assert!(!self.cost.denoise.is_empty(), "a UNet pass has at least one segment");
        assert!(!self.cost.render.is_empty(), "decoding latents has at least one segment");
    }
}

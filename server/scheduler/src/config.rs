//! The scheduler's limits, complete and without defaults. Knows no flags and no checkpoint.

use crate::Budget;

/// Every limit that the scheduler keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Positions: how long a context may be, and what the blocks in it take.
    pub budget: Budget,
    /// Decoder positions in one step at most; longer contexts are computed in chunks. At least 1.
    pub max_num_batched_tokens: usize,
    /// Pictures embedded in one step at most. At least 1.
    pub max_num_encodes: usize,
    /// Sequences that may wait behind the running one.
    pub max_num_waiting: usize,
}

impl SchedulerConfig {
    /// # Panics
    /// If a limit is zero under which nothing could ever run.
    pub(crate) fn check(&self) {
        assert!(self.max_num_batched_tokens > 0, "a step computes at least one position");
        assert!(self.max_num_encodes > 0, "a step embeds at least one picture");
    }
}

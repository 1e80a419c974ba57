//! The scheduler's numbers for whoever watches it.

use std::iter::Sum;
use std::ops::Add;

/// Gauges as they are now, and counts since the scheduler was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SchedulerStats {
    /// Sequences with a place.
    pub num_running: usize,
    /// Sequences without one.
    pub num_waiting: usize,
    /// Sequences whose pictures are being denoised.
    pub num_denoising: usize,
    /// Sequences in the denoiser pass under way.
    pub num_denoiser_members: usize,
    /// KV blocks in all.
    pub kv_blocks: usize,
    /// KV blocks that running sequences own.
    pub kv_blocks_used: usize,
    /// KV blocks that nobody owns and that hold a prefix.
    pub kv_blocks_cached: usize,
    /// Positions of all contexts that began.
    pub prefix_cache_queries: u64,
    /// Those of them that were found computed.
    pub prefix_cache_hits: u64,
    /// How often a sequence lost its blocks to an older one.
    pub num_preemptions: u64,
    /// Rows of all denoiser passes.
    pub num_denoised_rows: u64,
    /// Denoiser passes that came to their end.
    pub num_denoiser_passes: u64,
}

/// Of two schedulers together.
impl Add for SchedulerStats {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            num_running: self.num_running + other.num_running,
            num_waiting: self.num_waiting + other.num_waiting,
            num_denoising: self.num_denoising + other.num_denoising,
            num_denoiser_members: self.num_denoiser_members + other.num_denoiser_members,
            kv_blocks: self.kv_blocks + other.kv_blocks,
            kv_blocks_used: self.kv_blocks_used + other.kv_blocks_used,
            kv_blocks_cached: self.kv_blocks_cached + other.kv_blocks_cached,
            prefix_cache_queries: self.prefix_cache_queries + other.prefix_cache_queries,
            prefix_cache_hits: self.prefix_cache_hits + other.prefix_cache_hits,
            num_preemptions: self.num_preemptions + other.num_preemptions,
            num_denoised_rows: self.num_denoised_rows + other.num_denoised_rows,
            num_denoiser_passes: self.num_denoiser_passes + other.num_denoiser_passes,
        }
    }
}

impl Sum for SchedulerStats {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

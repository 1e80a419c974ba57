//! The scheduler's numbers for whoever watches it.

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

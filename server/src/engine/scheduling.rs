//! The scheduler that an engine's limits and its runner ask for. Knows limits, no requests.

use reverie_scheduler::{Budget, CostModel, KvConfig, Nanos, SchedulerConfig};

use super::EngineConfig;

/// Positions of a KV block, as in vLLM.
const BLOCK_SIZE: usize = 16;

/// The widest beam search that a request may ask for; each of its beams may fill a context.
const MAX_BEAMS: usize = 8;

/// Rows of one denoiser pass at most: more of them save no time, for two fill a CPU and sixteen a GPU.
const MAX_NUM_DENOISE_ROWS: usize = 16;

/// Steps after which work that is too long for the token gap is done all the same.
const MAX_NUM_DEFERRED: usize = 4;

/// All limits of the scheduler. The runner's caches grow as they are written, so that there is a place
/// for everything that can run at once; it keeps no blocks of ended sequences, and its passes are not
/// measured and not split.
pub fn scheduler_config(config: &EngineConfig, budget: Budget) -> SchedulerConfig {
    // A document has a context and its negative prompt another.
    let num_contexts = (2 * config.max_num_seqs).max(MAX_BEAMS);
    SchedulerConfig {
        budget,
        max_num_seqs: config.max_num_seqs,
        max_num_batched_tokens: config.max_num_batched_tokens,
        max_num_encodes: config.max_num_encodes,
        max_num_denoise_rows: MAX_NUM_DENOISE_ROWS,
        max_num_waiting: config.max_num_waiting,
        kv: KvConfig {
            block_size: BLOCK_SIZE,
            num_blocks: num_contexts * budget.max_model_len.div_ceil(BLOCK_SIZE),
            enable_prefix_caching: false,
        },
        cost: CostModel::unmeasured(),
        max_token_gap: Nanos::MAX,
        max_num_deferred: MAX_NUM_DEFERRED,
    }
}

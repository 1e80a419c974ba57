//! The scheduler that an engine's limits and its runner ask for. Knows limits, no requests.

use reverie_model::decoder::KvPool;
use reverie_scheduler::{Budget, CostModel, KvConfig, Nanos, SchedulerConfig};

use super::EngineConfig;

/// Rows of one denoiser pass at most: more of them save no time, for two fill a CPU and sixteen a GPU.
const MAX_NUM_DENOISE_ROWS: usize = 16;

/// Steps after which work that is too long for the token gap is done all the same.
const MAX_NUM_DEFERRED: usize = 4;

/// All limits of the scheduler, for a worker of these costs.
pub fn scheduler_config(config: &EngineConfig, budget: Budget, cost: CostModel) -> SchedulerConfig {
    // A document has a context and its negative prompt another.
    let least_blocks = 2 * budget.max_model_len.div_ceil(KvPool::BLOCK_SIZE);
    SchedulerConfig {
        budget,
        max_num_seqs: config.max_num_seqs,
        max_num_batched_tokens: config.max_num_batched_tokens,
        max_num_encodes: config.max_num_encodes,
        max_num_denoise_rows: MAX_NUM_DENOISE_ROWS,
        max_num_waiting: config.max_num_waiting,
        kv: KvConfig {
            block_size: KvPool::BLOCK_SIZE,
            num_blocks: config.num_kv_blocks.max(least_blocks),
            enable_prefix_caching: true,
        },
        cost,
        max_token_gap: Nanos(u64::try_from(config.max_token_gap.as_nanos()).unwrap_or(u64::MAX)),
        max_num_deferred: MAX_NUM_DEFERRED,
    }
}

//! The KV cache in blocks: who owns them, which are free, and which hold a prefix that somebody may ask
//! for again. Knows block numbers and keys, no keys and values.

mod block_pool;
mod prefix;

pub use block_pool::BlockId;
pub(crate) use block_pool::BlockPool;
pub(crate) use prefix::{Parent, PrefixKey};

use crate::config::KvConfig;

/// The KV cache of one worker.
#[derive(Debug)]
pub(crate) struct Kv {
    pub(crate) pool: BlockPool,
    pub(crate) block_size: usize,
    pub(crate) caches_prefixes: bool,
    /// Positions of all contexts that have begun so far, and how many of them were found in the cache.
    pub(crate) num_queried: u64,
    pub(crate) num_hit: u64,
}

impl Kv {
    pub(crate) fn new(config: &KvConfig) -> Self {
        Self {
            pool: BlockPool::new(config.num_blocks),
            block_size: config.block_size,
            caches_prefixes: config.enable_prefix_caching,
            num_queried: 0,
            num_hit: 0,
        }
    }
}

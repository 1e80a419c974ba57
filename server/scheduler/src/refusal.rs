//! Why a document is not taken on: facts with numbers, no status codes.

use crate::config::SchedulerConfig;
use crate::sequence::{SequenceSpec, blocks_needed};

/// Why a document is not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many documents are here as may be. It may be taken on later.
    QueueFull {
        /// Sequences waiting.
        waiting: usize,
    },
    /// Its prompt, the pictures it insists on and one token are longer than a context can be.
    ContextTooLong {
        /// Positions it needs at least.
        needed: usize,
        /// Positions of a context.
        max_model_len: usize,
    },
    /// What it can come to (its negative prompt and all its beams included) is more than the KV cache
    /// holds.
    KvCacheTooSmall {
        /// Positions it can come to need, in whole blocks.
        needed: usize,
        /// Positions of the KV cache.
        available: usize,
    },
}

impl Refusal {
    /// # Errors
    /// If `spec` can never be served under `config`.
    pub(crate) fn check_fit(spec: &SequenceSpec, config: &SchedulerConfig) -> Result<(), Self> {
        let (budget, kv) = (&config.budget, &config.kv);
        let (needed, max_model_len) = (budget.least_positions(spec), budget.max_model_len);
        if needed > max_model_len {
            return Err(Self::ContextTooLong { needed, max_model_len });
        }
        let needed = blocks_needed(spec, budget, kv);
        if needed > kv.num_blocks {
            let needed = needed.saturating_mul(kv.block_size);
            return Err(Self::KvCacheTooSmall { needed, available: kv.num_positions() });
        }
        Ok(())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::QueueFull { waiting } => {
                write!(formatter, "{waiting} sequences are waiting already")
            }
            Self::ContextTooLong { needed, max_model_len } => {
                write!(formatter, "{needed} positions are needed and a context has {max_model_len}")
            }
            Self::KvCacheTooSmall { needed, available } => write!(
                formatter,
                "up to {needed} positions are needed at once and the KV cache has {available}"
            ),
        }
    }
}

impl std::error::Error for Refusal {}

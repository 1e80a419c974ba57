//! How many documents are written at once and how large the KV cache is, where nobody says. Knows sizes in
//! bytes and blocks, not what is in them.

use crate::config::EngineLimits;
use crate::engine::EngineConfig;

/// Documents at once: with so many a decoder pass reads the weights once for all, and more would wait for
/// each other longer than they save.
const MAX_NUM_SEQS: usize = 32;

/// Of contexts that run at once so few are long at the same time, that half of their blocks are enough;
/// when they are not, the youngest document waits.
const OVERCOMMIT: usize = 2;

/// Full contexts that the widest beam search and a negative prompt take.
const WIDEST_DOCUMENT: usize = 9;

/// Pictures embedded in one engine step: a few in one pass of the vision tower, and not so many that a
/// client that leaves is noticed late.
const MAX_NUM_ENCODES: usize = 4;

/// What a model's contexts take here.
#[derive(Debug, Clone, Copy)]
pub struct KvNeeds {
    /// Bytes of one block.
    pub block_bytes: usize,
    /// Blocks of a full context.
    pub context_blocks: usize,
    /// Bytes that are left beside the model; `None` if the system does not say.
    pub spare_bytes: Option<u64>,
}

/// What an engine gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Documents at once.
    pub max_num_seqs: usize,
    /// Blocks of the KV cache.
    pub num_kv_blocks: usize,
}

impl Capacity {
    /// What `limits` say, and where they do not: half a full context for each document, in at most half of
    /// the memory that is left; as many documents as have their half, at most 32.
    pub fn new(limits: &EngineLimits, needs: KvNeeds) -> Self {
        let context_bytes = needs.block_bytes.saturating_mul(needs.context_blocks).max(1);
        let contexts = |bytes: u64| usize::try_from(bytes / context_bytes as u64).unwrap_or(0);
        let affordable = needs.spare_bytes.map_or(usize::MAX, |bytes| contexts(bytes / 2)).max(1);
        let given = limits.kv_cache_bytes;
        let room = given.map_or(affordable, contexts).max(1);
        let documents = room.saturating_mul(OVERCOMMIT).min(MAX_NUM_SEQS);
        // A pass has a position of each.
        let documents = documents.min(limits.max_num_batched_tokens);
        let max_num_seqs = limits.max_num_seqs.unwrap_or(documents);
        let num_kv_blocks = match given {
            Some(bytes) => {
                let blocks = usize::try_from(bytes / needs.block_bytes.max(1) as u64);
                blocks.unwrap_or(usize::MAX).max(needs.context_blocks)
            }
            None => {
                let wanted = max_num_seqs.div_ceil(OVERCOMMIT).max(WIDEST_DOCUMENT);
                wanted.min(affordable) * needs.context_blocks
            }
        };
        // Blocks are counted by a u32.
        Self { max_num_seqs, num_kv_blocks: num_kv_blocks.min(u32::MAX as usize) }
    }

    /// All limits of an engine that has this much.
    pub fn engine_config(&self, limits: &EngineLimits) -> EngineConfig {
        EngineConfig {
            max_num_seqs: self.max_num_seqs,
            max_num_batched_tokens: limits.max_num_batched_tokens,
            max_num_encodes: MAX_NUM_ENCODES,
            max_num_waiting: limits.max_waiting,
            num_kv_blocks: self.num_kv_blocks,
            max_token_gap: limits.max_token_gap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: EngineLimits = EngineLimits {
        max_num_seqs: None,
        max_num_batched_tokens: 512,
        max_waiting: 128,
        max_wait: None,
        kv_cache_bytes: None,
        max_token_gap: std::time::Duration::from_millis(25),
        worker_timeout: std::time::Duration::from_secs(60),
    };

    /// A context of 12 MiB, as the embedded model's.
    fn small(spare_bytes: Option<u64>) -> KvNeeds {
        KvNeeds { block_bytes: 192 << 10, context_blocks: 64, spare_bytes }
    }

    fn of(limits: EngineLimits, needs: KvNeeds) -> (usize, usize) {
        let Capacity { max_num_seqs, num_kv_blocks } = Capacity::new(&limits, needs);
        (max_num_seqs, num_kv_blocks)
    }

    #[test]
    fn a_small_model_gets_32_documents_and_a_large_one_what_fits_into_half_of_the_spare_memory() {
        assert_eq!(of(LIMITS, small(None)), (32, 16 * 64));
        assert_eq!(of(LIMITS, small(Some(100 << 20))), (8, 4 * 64));
        assert_eq!(of(LIMITS, small(Some(0))), (2, 64));
        // DreamLLM-7B in bf16 with 20 GB to spare: a context is 1 GiB.
        let large =
            KvNeeds { block_bytes: 8 << 20, context_blocks: 128, spare_bytes: Some(20 << 30) };
        assert_eq!(of(LIMITS, large), (20, 10 * 128));
    }

    #[test]
    fn what_flags_say_holds_and_one_document_always_fits() {
        let one = EngineLimits { max_num_seqs: Some(1), ..LIMITS };
        assert_eq!(of(one, small(None)), (1, 9 * 64));
        let bytes = |bytes| EngineLimits { kv_cache_bytes: Some(bytes), ..LIMITS };
        assert_eq!(of(bytes(36 << 20), small(None)), (6, 3 * 64));
        assert_eq!(of(bytes(1), small(None)), (2, 64));
        let narrow = EngineLimits { max_num_batched_tokens: 3, ..LIMITS };
        assert_eq!(of(narrow, small(None)).0, 3);
    }
}

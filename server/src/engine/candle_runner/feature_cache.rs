//! What the vision tower made of pictures that may come back: bounded, by tenant and content. Knows whose
//! and which, not what for.

use std::collections::BTreeMap;

use candle_core::Tensor;
use reverie_scheduler::{ContentHash, TenantId};

/// Bytes of all blocks kept: thousands of pictures of the embedded model, eight of DreamLLM-7B, which is a
/// conversation's worth.
const MAX_BYTES: usize = 32 << 20;

/// Whose picture, and which.
pub(super) type PictureKey = (TenantId, ContentHash);

/// Blocks (P + 2, hidden) by their pictures; what was used longest ago makes room.
#[derive(Debug)]
pub(super) struct FeatureCache {
    blocks: BTreeMap<PictureKey, Known>,
    bytes: usize,
    max_bytes: usize,
    now: u64,
}

#[derive(Debug)]
struct Known {
    block: Tensor,
    last_use: u64,
}

impl FeatureCache {
    pub(super) fn new() -> Self {
        Self::with_room_for(MAX_BYTES)
    }

    fn with_room_for(max_bytes: usize) -> Self {
        Self { blocks: BTreeMap::new(), bytes: 0, max_bytes, now: 0 }
    }

    /// The block of a picture, if it is known.
    pub(super) fn find(&mut self, key: &PictureKey) -> Option<Tensor> {
        let known = self.blocks.get_mut(key)?;
        self.now += 1;
        known.last_use = self.now;
        Some(known.block.clone())
    }

    /// Keeps a block, unless it alone is too large.
    pub(super) fn insert(&mut self, key: PictureKey, block: Tensor) {
        self.now += 1;
        self.bytes += bytes_of(&block);
        let known = Known { block, last_use: self.now };
        if let Some(replaced) = self.blocks.insert(key, known) {
            self.bytes -= bytes_of(&replaced.block);
        }
        while self.bytes > self.max_bytes {
            let oldest = self.blocks.iter().min_by_key(|(_, known)| known.last_use);
            let Some(key) = oldest.map(|(key, _)| *key) else { break };
            if let Some(forgotten) = self.blocks.remove(&key) {
                self.bytes -= bytes_of(&forgotten.block);
            }
        }
    }
}

fn bytes_of(block: &Tensor) -> usize {
    block.elem_count() * block.dtype().size_in_bytes()
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn key(tenant: u128, picture: u8) -> PictureKey {
        (TenantId(tenant), ContentHash([picture; 32]))
    }

    fn block() -> Tensor {
        Tensor::zeros((2, 4), DType::F32, &Device::Cpu).expect("32 bytes")
    }

    #[test]
    fn a_picture_is_found_by_its_tenant_and_never_by_another() {
        let mut cache = FeatureCache::new();
        cache.insert(key(1, 7), block());
        assert!(cache.find(&key(1, 7)).is_some());
        assert!(cache.find(&key(2, 7)).is_none() && cache.find(&key(1, 8)).is_none());
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let mut cache = FeatureCache::with_room_for(64);
        cache.insert(key(1, 1), block());
        cache.insert(key(1, 2), block());
        cache.insert(key(1, 2), block());
        assert!(cache.find(&key(1, 1)).is_some());
        cache.insert(key(1, 3), block());
        let known = [1, 2, 3].map(|picture| cache.find(&key(1, picture)).is_some());
        assert_eq!((known, cache.bytes), ([true, false, true], 64));
        let mut small = FeatureCache::with_room_for(31);
        small.insert(key(1, 1), block());
        assert!(small.find(&key(1, 1)).is_none() && small.bytes == 0);
    }
}

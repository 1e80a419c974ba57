//! The KV cache that many contexts share: numbered blocks of sixteen positions, lent to a context for one
//! pass. Whose which block is, is decided elsewhere. Knows numbers and memory, no contexts.

use std::sync::Arc;

use candle_core::{DType, Device};
use reverie_kernels::KeyValueBlock;

use super::kv_cache::{KvCache, KvGeometry, KvStorage};
use super::kv_tensors::{KvTensors, LayerTensors};
use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::kernels::Kernels;

/// All blocks. A block takes memory once something is written into it.
#[derive(Debug)]
pub struct KvPool {
    storage: PoolStorage,
    geometry: KvGeometry,
}

#[derive(Debug)]
enum PoolStorage {
    /// Our layout; none where nothing was written yet, and of what is lent to be written.
    Blocks(Vec<Option<Arc<KeyValueBlock>>>),
    /// candle's: room for so many blocks.
    Tensors { layers: LayerTensors, num_blocks: usize },
}

impl KvPool {
    /// Positions of a block.
    pub const BLOCK_SIZE: usize = KeyValueBlock::POSITIONS;

    /// A pool without blocks for a decoder of this configuration and kernels.
    pub fn new(config: &LlamaConfig, dtype: DType, device: &Device, kernels: Kernels) -> Self {
        let geometry = KvGeometry::new(config, dtype, device, kernels);
        let storage = match geometry.kernels {
            Kernels::Reverie => PoolStorage::Blocks(Vec::new()),
            Kernels::Candle => PoolStorage::Tensors { layers: Arc::default(), num_blocks: 0 },
        };
        Self { storage, geometry }
    }

    /// Bytes of one block in such a decoder.
    pub fn block_bytes(config: &LlamaConfig, dtype: DType) -> usize {
        let numbers = 2 * config.num_hidden_layers * config.kv_heads() * config.head_width();
        numbers * dtype.size_in_bytes() * Self::BLOCK_SIZE
    }

    /// Makes sure that the blocks below `num_blocks` exist. Nothing may be lent meanwhile. What was
    /// computed stays.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn hold(&mut self, num_blocks: usize) -> Result<(), ModelError> {
        match &mut self.storage {
            PoolStorage::Blocks(blocks) => {
                if blocks.len() < num_blocks {
                    blocks.resize(num_blocks, None);
                }
            }
            PoolStorage::Tensors { layers, num_blocks: held } => {
                if *held < num_blocks {
                    let wanted = num_blocks.max(2 * *held);
                    let larger = KvTensors::zeros(&self.geometry, wanted)?;
                    for ((keys, values), (old_keys, old_values)) in larger.iter().zip(&**layers) {
                        keys.slice_set(old_keys, 1, 0)?;
                        values.slice_set(old_values, 1, 0)?;
                    }
                    (*layers, *held) = (larger, wanted);
                }
            }
        }
        Ok(())
    }

    /// The context in `blocks`, in order, of whose positions the first `len` are computed, so that
    /// `additional` more can be. Only one context at a time may be lent a block that it is going to write:
    /// one from position `len` on. What was computed comes [back](Self::take_back) afterwards.
    ///
    /// # Errors
    /// If the tensor library refuses.
    ///
    /// # Panics
    /// If there are too few blocks, one is not [held](Self::hold), or one with computed positions was
    /// never written.
    pub fn lend(
        &mut self,
        blocks: &[u32],
        len: usize,
        additional: usize,
    ) -> Result<KvCache, ModelError> {
        let blocks = &blocks[..(len + additional).div_ceil(Self::BLOCK_SIZE)];
        let storage = match &mut self.storage {
            PoolStorage::Blocks(held) => {
                let (known, written) = blocks.split_at(len / Self::BLOCK_SIZE);
                let known = known.iter().map(|block| held[*block as usize].clone());
                let mut lent: Vec<_> =
                    known.map(|block| block.expect("what is computed is held")).collect();
                for block in written {
                    let own = held[*block as usize].take();
                    lent.push(own.unwrap_or_else(|| Arc::new(self.geometry.new_block())));
                }
                KvStorage::Blocks(lent)
            }
            PoolStorage::Tensors { layers, num_blocks } => {
                assert!(blocks.iter().all(|block| (*block as usize) < *num_blocks), "held");
                let device = &self.geometry.device;
                let lent = KvTensors::lent(Arc::clone(layers), blocks.to_vec(), device)?;
                KvStorage::Tensors(lent)
            }
        };
        Ok(KvCache::lent(storage, self.geometry.clone(), len))
    }

    /// Takes back what was [lent](Self::lend) as `blocks` when `len` positions were computed.
    pub fn take_back(&mut self, blocks: &[u32], len: usize, cache: KvCache) {
        match (&mut self.storage, cache.into_storage()) {
            (PoolStorage::Blocks(held), KvStorage::Blocks(lent)) => {
                for (block, own) in blocks.iter().zip(lent).skip(len / Self::BLOCK_SIZE) {
                    held[*block as usize] = Some(own);
                }
            }
            // Written in place.
            (PoolStorage::Tensors { .. }, KvStorage::Tensors(_)) => {}
            (PoolStorage::Blocks(_), KvStorage::Tensors(_))
            | (PoolStorage::Tensors { .. }, KvStorage::Blocks(_)) => {
                unreachable!("a pool takes back what it lent")
            }
        }
    }

    /// Gives the memory of `blocks` away, whose content nobody wants any more, where blocks have their own.
    pub fn release(&mut self, blocks: &[u32]) {
        match &mut self.storage {
            PoolStorage::Blocks(held) => {
                for block in blocks {
                    if let Some(block) = held.get_mut(*block as usize) {
                        *block = None;
                    }
                }
            }
            PoolStorage::Tensors { .. } => {}
        }
    }
}

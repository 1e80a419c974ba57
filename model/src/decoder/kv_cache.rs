//! One context's keys and values: blocks of sixteen positions in order, its own or lent by a
//! [`KvPool`](super::KvPool). Knows shapes and ownership, not attention and not who runs next.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, bail};
use reverie_kernels::{KeyValueBlock, KeyValueShape};

use super::kv_tensors::KvTensors;
use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::kernels::Kernels;

/// The keys (after RoPE) and values of the positions a context has computed.
///
/// A cache of its own starts empty and takes memory as the context grows. A [fork](Self::fork) shares
/// what is there; whoever writes first into what is shared gets a copy of that.
#[derive(Debug)]
pub struct KvCache {
    storage: KvStorage,
    geometry: KvGeometry,
    len: usize,
}

/// Where keys and values are, for the kernels that read them.
#[derive(Debug)]
pub(super) enum KvStorage {
    /// Our layout.
    Blocks(Vec<Arc<KeyValueBlock>>),
    /// candle's.
    Tensors(KvTensors),
}

/// What keys and values of one decoder look like.
#[derive(Debug, Clone)]
pub(super) struct KvGeometry {
    pub(super) num_layers: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) max_positions: usize,
    pub(super) dtype: DType,
    pub(super) device: Device,
    pub(super) kernels: Kernels,
}

impl KvGeometry {
    pub(super) fn new(
        config: &LlamaConfig,
        dtype: DType,
        device: &Device,
        kernels: Kernels,
    ) -> Self {
        Self {
            num_layers: config.num_hidden_layers,
            kv_heads: config.kv_heads(),
            head_dim: config.head_width(),
            max_positions: config.max_position_embeddings,
            dtype,
            device: device.clone(),
            kernels: kernels.on(device, dtype),
        }
    }

    pub(super) fn new_block(&self) -> KeyValueBlock {
        let Self { num_layers: layers, kv_heads, head_dim, .. } = *self;
        KeyValueBlock::new(KeyValueShape { layers, kv_heads, head_dim })
    }
}

impl KvCache {
    /// An empty cache for a decoder of this configuration and kernels; allocates nothing yet.
    pub fn new(config: &LlamaConfig, dtype: DType, device: &Device, kernels: Kernels) -> Self {
        let geometry = KvGeometry::new(config, dtype, device, kernels);
        let storage = match geometry.kernels {
            Kernels::Reverie => KvStorage::Blocks(Vec::new()),
            Kernels::Candle => KvStorage::Tensors(KvTensors::empty()),
        };
        Self { storage, geometry, len: 0 }
    }

    /// A cache of what a pool lends, of whose positions the first `len` are computed.
    pub(super) fn lent(storage: KvStorage, geometry: KvGeometry, len: usize) -> Self {
        Self { storage, geometry, len }
    }

    /// What it was made of.
    pub(super) fn into_storage(self) -> KvStorage {
        self.storage
    }

    /// Positions computed so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been computed yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions for which memory is held.
    pub fn capacity(&self) -> usize {
        match &self.storage {
            KvStorage::Blocks(blocks) => blocks.len() * KeyValueBlock::POSITIONS,
            KvStorage::Tensors(tensors) => tensors.capacity(),
        }
    }

    /// Positions that still fit into the context (`max_position_embeddings` less `len`).
    pub fn remaining(&self) -> usize {
        self.geometry.max_positions - self.len
    }

    /// Forgets every position from `len` on; keeps the memory. Does nothing if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// A second context with the same past, as a beam search needs it. Costs nothing until one of the two
    /// grows while the other lives.
    #[must_use]
    pub fn fork(&self) -> Self {
        let storage = match &self.storage {
            KvStorage::Blocks(blocks) => KvStorage::Blocks(blocks.clone()),
            KvStorage::Tensors(tensors) => KvStorage::Tensors(tensors.fork()),
        };
        Self { storage, geometry: self.geometry.clone(), len: self.len }
    }

    /// A copy of the keys of `layer`, after RoPE, of shape (kv_heads, len, head_dim).
    ///
    /// # Errors
    /// If the tensor library refuses.
    ///
    /// # Panics
    /// If the cache is empty or has no such layer.
    pub fn key(&self, layer: usize) -> Result<Tensor, ModelError> {
        assert!(!self.is_empty(), "an empty cache has no keys");
        match &self.storage {
            KvStorage::Blocks(blocks) => {
                self.by_head(KeyValueBlock::keys_of(blocks, layer, self.len))
            }
            KvStorage::Tensors(tensors) => {
                Ok(tensors.view(layer, self.len)?.0.force_contiguous()?)
            }
        }
    }

    /// A copy of the values of `layer`, of shape (kv_heads, len, head_dim).
    ///
    /// # Errors
    /// If the tensor library refuses.
    ///
    /// # Panics
    /// If the cache is empty or has no such layer.
    pub fn value(&self, layer: usize) -> Result<Tensor, ModelError> {
        assert!(!self.is_empty(), "an empty cache has no values");
        match &self.storage {
            KvStorage::Blocks(blocks) => {
                self.by_head(KeyValueBlock::values_of(blocks, layer, self.len))
            }
            KvStorage::Tensors(tensors) => {
                Ok(tensors.view(layer, self.len)?.1.force_contiguous()?)
            }
        }
    }

    fn by_head(&self, values: Vec<f32>) -> Result<Tensor, ModelError> {
        let KvGeometry { kv_heads, head_dim, ref device, .. } = self.geometry;
        Ok(Tensor::from_vec(values, (kv_heads, self.len, head_dim), device)?)
    }

    /// Fails if `additional` positions do not fit into the context. Changes nothing.
    pub(super) fn check_room(&self, additional: usize) -> Result<(), ModelError> {
        let (wanted, limit) = (self.len + additional, self.geometry.max_positions);
        if wanted > limit {
            return Err(ModelError::ContextFull { wanted, limit });
        }
        Ok(())
    }

    /// Makes what `additional` more positions are written into this context's own, and large enough.
    pub(super) fn reserve(&mut self, additional: usize) -> candle_core::Result<()> {
        let end = self.len + additional;
        match &mut self.storage {
            KvStorage::Blocks(blocks) => {
                let first = self.len / KeyValueBlock::POSITIONS;
                for block in blocks.iter_mut().skip(first) {
                    Arc::make_mut(block);
                }
                while blocks.len() * KeyValueBlock::POSITIONS < end {
                    blocks.push(Arc::new(self.geometry.new_block()));
                }
                Ok(())
            }
            KvStorage::Tensors(tensors) => tensors.reserve((self.len, end), &self.geometry),
        }
    }

    /// Writes `key` and `value`, (kv_heads, n, head_dim), behind the computed positions. They count only
    /// once [`advance`](Self::advance) is called, so that a pass that fails half-way leaves no trace.
    pub(super) fn write(
        &mut self,
        layer: usize,
        key: &Tensor,
        value: &Tensor,
    ) -> candle_core::Result<()> {
        self.tensors()?.write((layer, self.len), key, value)
    }

    /// The first `end` keys and values of `layer`, written ones included, (kv_heads, end, head_dim).
    pub(super) fn view(&self, layer: usize, end: usize) -> candle_core::Result<(Tensor, Tensor)> {
        self.tensors()?.view(layer, end)
    }

    fn tensors(&self) -> candle_core::Result<&KvTensors> {
        match &self.storage {
            KvStorage::Tensors(tensors) => Ok(tensors),
            KvStorage::Blocks(_) => bail!("this cache belongs to a decoder of other kernels"),
        }
    }

    /// Whether it was made for a decoder of these kernels.
    pub(super) fn belongs_to(&self, kernels: Kernels) -> bool {
        self.geometry.kernels == kernels
    }

    /// The blocks, to be read at and before the positions written.
    ///
    /// # Panics
    /// Unless it [belongs to](Self::belongs_to) our kernels.
    pub(super) fn blocks(&self) -> &[Arc<KeyValueBlock>] {
        match &self.storage {
            KvStorage::Blocks(blocks) => blocks,
            KvStorage::Tensors(_) => unreachable!("checked before the pass"),
        }
    }

    /// Writes one position's `key` and `value`, (kv_heads, head_dim) each, behind the computed positions:
    /// they count only once [`advance`](Self::advance) is called.
    ///
    /// # Panics
    /// As [`blocks`](Self::blocks), and unless [`reserve`](Self::reserve) was called.
    pub(super) fn write_position(
        &mut self,
        (layer, position): (usize, usize),
        key: &[f32],
        value: &[f32],
    ) {
        let (index, slot) =
            (position / KeyValueBlock::POSITIONS, position % KeyValueBlock::POSITIONS);
        let block = match &mut self.storage {
            KvStorage::Blocks(blocks) => Arc::get_mut(&mut blocks[index]),
            KvStorage::Tensors(_) => unreachable!("checked before the pass"),
        };
        block.expect("reserve comes before write").write(layer, slot, key, value);
    }

    /// Counts `num_positions` written positions as computed.
    pub(super) fn advance(&mut self, num_positions: usize) {
        self.len += num_positions;
        assert!(self.len <= self.capacity(), "positions are written before they count");
    }
}

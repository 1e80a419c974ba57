//! One sequence's keys and values, layer by layer. Knows shapes and ownership, not attention and not
//! who runs next.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, bail};
use reverie_kernels::KeyValuePanels;

use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::kernels::Kernels;

/// Capacity grows in whole blocks of this many positions.
const BLOCK_POSITIONS: usize = 64;

/// The keys (after RoPE) and values of the positions a sequence has computed.
///
/// Buffers start empty and double as the sequence grows. A [fork](Self::fork) shares them until one
/// of the two sides writes; only then are they copied.
#[derive(Debug)]
pub struct KvCache {
    layers: Arc<Vec<LayerBuffers>>,
    geometry: Geometry,
    len: usize,
    capacity: usize,
    device: Device,
}

/// One layer's buffers, for the kernels that read them.
#[derive(Debug)]
enum LayerBuffers {
    /// Our layout.
    Panels(KeyValuePanels),
    /// Two tensors of shape (kv_heads, capacity, head_dim).
    Tensors { key: Tensor, value: Tensor },
}

#[derive(Debug, Clone, Copy)]
struct Geometry {
    num_layers: usize,
    kv_heads: usize,
    head_dim: usize,
    max_positions: usize,
    dtype: DType,
    kernels: Kernels,
}

impl KvCache {
    /// An empty cache for a decoder of this configuration and kernels; allocates nothing yet.
    pub fn new(config: &LlamaConfig, dtype: DType, device: &Device, kernels: Kernels) -> Self {
        let geometry = Geometry {
            num_layers: config.num_hidden_layers,
            kv_heads: config.kv_heads(),
            head_dim: config.head_width(),
            max_positions: config.max_position_embeddings,
            dtype,
            kernels: kernels.on(device, dtype),
        };
        Self { layers: Arc::default(), geometry, len: 0, capacity: 0, device: device.clone() }
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
        self.capacity
    }

    /// Positions that still fit into the context (`max_position_embeddings` less `len`).
    pub fn remaining(&self) -> usize {
        self.geometry.max_positions - self.len
    }

    /// Forgets every position from `len` on; keeps the memory. Does nothing if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// A second sequence with the same past, as a beam search needs it. Costs nothing until one of the two
    /// grows while the other lives.
    pub fn fork(&self) -> Self {
        Self {
            layers: Arc::clone(&self.layers),
            geometry: self.geometry,
            len: self.len,
            capacity: self.capacity,
            device: self.device.clone(),
        }
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
        match &self.layers[layer] {
            LayerBuffers::Panels(panels) => self.by_head(panels.keys(self.len)),
            LayerBuffers::Tensors { key, .. } => {
                Ok(key.narrow(1, 0, self.len)?.force_contiguous()?)
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
        match &self.layers[layer] {
            LayerBuffers::Panels(panels) => self.by_head(panels.values(self.len)),
            LayerBuffers::Tensors { value, .. } => {
                Ok(value.narrow(1, 0, self.len)?.force_contiguous()?)
            }
        }
    }

    fn by_head(&self, values: Vec<f32>) -> Result<Tensor, ModelError> {
        let Geometry { kv_heads, head_dim, .. } = self.geometry;
        Ok(Tensor::from_vec(values, (kv_heads, self.len, head_dim), &self.device)?)
    }

    /// Fails if `additional` positions do not fit into the context. Changes nothing.
    pub(super) fn check_room(&self, additional: usize) -> Result<(), ModelError> {
        let (wanted, limit) = (self.len + additional, self.geometry.max_positions);
        if wanted > limit {
            return Err(ModelError::ContextFull { wanted, limit });
        }
        Ok(())
    }

    /// Makes the buffers this sequence's own and large enough for `additional` more positions.
    pub(super) fn reserve(&mut self, additional: usize) -> candle_core::Result<()> {
        let wanted = self.len + additional;
        if wanted <= self.capacity && Arc::get_mut(&mut self.layers).is_some() {
            return Ok(());
        }
        let mut capacity = self.capacity;
        if wanted > capacity {
            capacity = wanted.max(2 * capacity).next_multiple_of(BLOCK_POSITIONS);
        }
        self.reallocate(capacity.min(self.geometry.max_positions))
    }

    fn reallocate(&mut self, capacity: usize) -> candle_core::Result<()> {
        let (geometry, device) = (self.geometry, self.device.clone());
        if self.layers.is_empty() {
            let zeros = |_| LayerBuffers::zeros(&geometry, capacity, &device);
            let layers = (0..geometry.num_layers).map(zeros);
            self.layers = Arc::new(layers.collect::<candle_core::Result<_>>()?);
            self.capacity = capacity;
            return Ok(());
        }
        let enlarge = |old: &LayerBuffers| old.enlarged(&geometry, capacity, &device);
        match Arc::get_mut(&mut self.layers) {
            // Layer by layer, so that a layer's old memory is free before the next one grows.
            Some(layers) => {
                for layer in layers {
                    *layer = enlarge(layer)?;
                }
            }
            None => {
                let copies = self.layers.iter().map(enlarge).collect::<candle_core::Result<_>>()?;
                self.layers = Arc::new(copies);
            }
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Writes `key` and `value`, (kv_heads, n, head_dim), behind the computed positions. They count only
    /// once [`advance`](Self::advance) is called, so that a pass that fails half-way leaves no trace.
    pub(super) fn write(
        &mut self,
        layer: usize,
        key: &Tensor,
        value: &Tensor,
    ) -> candle_core::Result<()> {
        debug_assert!(Arc::get_mut(&mut self.layers).is_some(), "reserve comes before write");
        let (keys, values) = self.tensors(layer)?;
        keys.slice_set(key, 1, self.len)?;
        values.slice_set(value, 1, self.len)
    }

    /// Views of the first `end` keys and values of `layer`, written ones included.
    pub(super) fn view(&self, layer: usize, end: usize) -> candle_core::Result<(Tensor, Tensor)> {
        let (keys, values) = self.tensors(layer)?;
        Ok((keys.narrow(1, 0, end)?, values.narrow(1, 0, end)?))
    }

    fn tensors(&self, layer: usize) -> candle_core::Result<(&Tensor, &Tensor)> {
        match &self.layers[layer] {
            LayerBuffers::Tensors { key, value } => Ok((key, value)),
            LayerBuffers::Panels(_) => bail!("this cache belongs to a decoder of other kernels"),
        }
    }

    /// Whether it was made for a decoder of these kernels.
    pub(super) fn belongs_to(&self, kernels: Kernels) -> bool {
        self.geometry.kernels == kernels
    }

    /// The keys and values of `layer`, to be read at and before the positions written.
    ///
    /// # Panics
    /// Unless it [belongs to](Self::belongs_to) our kernels.
    pub(super) fn panels(&self, layer: usize) -> &KeyValuePanels {
        match &self.layers[layer] {
            LayerBuffers::Panels(panels) => panels,
            LayerBuffers::Tensors { .. } => unreachable!("checked before the pass"),
        }
    }

    /// As [`panels`](Self::panels), to be written behind the computed positions: they count only once
    /// [`advance`](Self::advance) is called.
    ///
    /// # Panics
    /// As [`panels`](Self::panels), and unless [`reserve`](Self::reserve) was called.
    pub(super) fn panels_mut(&mut self, layer: usize) -> &mut KeyValuePanels {
        let layers = Arc::get_mut(&mut self.layers);
        match layers.map(|layers| &mut layers[layer]) {
            Some(LayerBuffers::Panels(panels)) => panels,
            Some(LayerBuffers::Tensors { .. }) | None => unreachable!("checked before the pass"),
        }
    }

    /// Counts `num_positions` written positions as computed.
    pub(super) fn advance(&mut self, num_positions: usize) {
        self.len += num_positions;
        assert!(self.len <= self.capacity, "positions are written before they count");
    }
}

impl LayerBuffers {
    fn zeros(geometry: &Geometry, capacity: usize, device: &Device) -> candle_core::Result<Self> {
        let Geometry { kv_heads, head_dim, dtype, .. } = *geometry;
        match geometry.kernels {
            Kernels::Reverie => Ok(Self::Panels(KeyValuePanels::new(kv_heads, head_dim, capacity))),
            Kernels::Candle => {
                let shape = (kv_heads, capacity, head_dim);
                let (key, value) =
                    (Tensor::zeros(shape, dtype, device)?, Tensor::zeros(shape, dtype, device)?);
                Ok(Self::Tensors { key, value })
            }
        }
    }

    fn enlarged(
        &self,
        geometry: &Geometry,
        capacity: usize,
        device: &Device,
    ) -> candle_core::Result<Self> {
        match self {
            Self::Panels(panels) => Ok(Self::Panels(panels.enlarged(capacity))),
            Self::Tensors { key, value } => {
                let larger = Self::zeros(geometry, capacity, device)?;
                if let Self::Tensors { key: larger_key, value: larger_value } = &larger {
                    larger_key.slice_set(key, 1, 0)?;
                    larger_value.slice_set(value, 1, 0)?;
                }
                Ok(larger)
            }
        }
    }
}

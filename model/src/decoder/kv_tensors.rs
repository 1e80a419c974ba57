//! Keys and values as candle's operations want them: two tensors a layer, in which a context's positions
//! lie in order, or block by block as a pool deals them out. Knows places, not whose they are.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use reverie_kernels::KeyValueBlock;

use super::kv_cache::KvGeometry;

/// Every layer's keys and values, each (kv_heads, places, head_dim).
pub(super) type LayerTensors = Arc<Vec<(Tensor, Tensor)>>;

/// One context's part of them.
#[derive(Debug)]
pub(super) struct KvTensors {
    layers: LayerTensors,
    places: Places,
}

/// Where the positions are.
#[derive(Debug)]
enum Places {
    /// Position p at place p; nobody else writes there unless the tensors are shared.
    InOrder { capacity: usize },
    /// In these blocks of a pool, which this context alone writes behind its computed positions.
    Lent { table: Vec<u32>, index: Tensor },
    /// In these blocks of a pool, to be read only.
    Forked { table: Vec<u32>, index: Tensor },
}

impl KvTensors {
    pub(super) fn empty() -> Self {
        Self { layers: Arc::default(), places: Places::InOrder { capacity: 0 } }
    }

    /// The context whose positions are in `table`, in blocks of a pool.
    pub(super) fn lent(layers: LayerTensors, table: Vec<u32>, device: &Device) -> Result<Self> {
        let places = |block: u32| (0..POSITIONS).map(move |slot| block * POSITIONS + slot);
        let index: Vec<u32> = table.iter().copied().flat_map(places).collect();
        let index = Tensor::from_vec(index, table.len() * KeyValueBlock::POSITIONS, device)?;
        Ok(Self { layers, places: Places::Lent { table, index } })
    }

    /// `num_blocks` blocks of zeros in every layer.
    pub(super) fn zeros(geometry: &KvGeometry, num_blocks: usize) -> Result<LayerTensors> {
        layers_of(geometry, num_blocks * KeyValueBlock::POSITIONS)
    }

    pub(super) fn fork(&self) -> Self {
        let places = match &self.places {
            Places::InOrder { capacity } => Places::InOrder { capacity: *capacity },
            Places::Lent { table, index } | Places::Forked { table, index } => {
                Places::Forked { table: table.clone(), index: index.clone() }
            }
        };
        Self { layers: Arc::clone(&self.layers), places }
    }

    /// Positions there is room for.
    pub(super) fn capacity(&self) -> usize {
        match &self.places {
            Places::InOrder { capacity } => *capacity,
            Places::Lent { table, .. } | Places::Forked { table, .. } => {
                table.len() * KeyValueBlock::POSITIONS
            }
        }
    }

    /// Makes positions `len .. end` this context's own to write.
    pub(super) fn reserve(
        &mut self,
        (len, end): (usize, usize),
        geometry: &KvGeometry,
    ) -> Result<()> {
        let capacity = self.capacity();
        let is_own = match &self.places {
            Places::InOrder { .. } => Arc::get_mut(&mut self.layers).is_some(),
            Places::Lent { .. } => true,
            Places::Forked { .. } => false,
        };
        if is_own && end <= capacity {
            return Ok(());
        }
        let mut wanted = capacity;
        if end > capacity {
            wanted = end.max(2 * capacity).next_multiple_of(GROWTH).min(geometry.max_positions);
        }
        let own = layers_of(geometry, wanted)?;
        if len > 0 {
            for (layer, (own_keys, own_values)) in own.iter().enumerate() {
                let (keys, values) = self.view(layer, len)?;
                own_keys.slice_set(&keys.contiguous()?, 1, 0)?;
                own_values.slice_set(&values.contiguous()?, 1, 0)?;
            }
        }
        *self = Self { layers: own, places: Places::InOrder { capacity: wanted } };
        Ok(())
    }

    /// Writes `key` and `value`, (kv_heads, n, head_dim), at the positions from `start` on, which are
    /// [reserved](Self::reserve).
    pub(super) fn write(
        &self,
        (layer, start): (usize, usize),
        key: &Tensor,
        value: &Tensor,
    ) -> Result<()> {
        let (keys, values) = &self.layers[layer];
        let len = key.dim(1)?;
        let mut done = 0;
        while done < len {
            let (place, run) = self.run(start + done, len - done);
            if run == len {
                keys.slice_set(key, 1, place)?;
                values.slice_set(value, 1, place)?;
            } else {
                keys.slice_set(&key.narrow(1, done, run)?.contiguous()?, 1, place)?;
                values.slice_set(&value.narrow(1, done, run)?.contiguous()?, 1, place)?;
            }
            done += run;
        }
        Ok(())
    }

    /// The first `end` keys and values of `layer`: views where they lie in order, else copies.
    pub(super) fn view(&self, layer: usize, end: usize) -> Result<(Tensor, Tensor)> {
        let (keys, values) = &self.layers[layer];
        let (place, run) = self.run(0, end);
        if run == end {
            return Ok((keys.narrow(1, place, end)?, values.narrow(1, place, end)?));
        }
        match &self.places {
            Places::InOrder { .. } => unreachable!("one run"),
            Places::Lent { index, .. } | Places::Forked { index, .. } => {
                let index = index.narrow(0, 0, end)?;
                Ok((keys.index_select(&index, 1)?, values.index_select(&index, 1)?))
            }
        }
    }

    /// Where position `start` is, and how many of the `len` positions from there on follow it in memory.
    fn run(&self, start: usize, len: usize) -> (usize, usize) {
        let table = match &self.places {
            Places::InOrder { .. } => return (start, len),
            Places::Lent { table, .. } | Places::Forked { table, .. } => table,
        };
        let (first, slot) = (start / KeyValueBlock::POSITIONS, start % KeyValueBlock::POSITIONS);
        let mut last = first;
        let mut run = KeyValueBlock::POSITIONS - slot;
        while run < len && table[last + 1] == table[last] + 1 {
            last += 1;
            run += KeyValueBlock::POSITIONS;
        }
        (table[first] as usize * KeyValueBlock::POSITIONS + slot, run.min(len))
    }
}

/// A context's own tensors grow by doubling, in whole multiples of so many positions.
const GROWTH: usize = 64;

/// Positions of a block, as block numbers count.
const POSITIONS: u32 = KeyValueBlock::POSITIONS as u32;

fn layers_of(geometry: &KvGeometry, places: usize) -> Result<LayerTensors> {
    let KvGeometry { num_layers, kv_heads, head_dim, dtype, ref device, .. } = *geometry;
    let zeros = || Tensor::zeros((kv_heads, places, head_dim), dtype, device);
    let layers = (0..num_layers).map(|_| Ok((zeros()?, zeros()?))).collect::<Result<_>>()?;
    Ok(Arc::new(layers))
}

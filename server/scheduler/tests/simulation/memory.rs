//! A KV cache that remembers which prefix was computed into each place, so that a read of anything else is
//! noticed: another tenant's, a stale one, one that was never written.

use reverie_scheduler::BlockId;

pub(crate) struct Memory {
    block_size: usize,
    places: Vec<u64>,
}

impl Memory {
    pub(crate) fn new(num_blocks: usize, block_size: usize) -> Self {
        Self { block_size, places: vec![0; num_blocks * block_size] }
    }

    pub(crate) fn block_size(&self) -> usize {
        self.block_size
    }

    /// The first positions of a context are expected to be `prefixes`.
    pub(crate) fn read(&self, blocks: &[BlockId], prefixes: &[u64]) {
        for (index, expected) in prefixes.chunks(self.block_size).enumerate() {
            let first = blocks[index].0 as usize * self.block_size;
            let found = &self.places[first..first + expected.len()];
            assert_eq!(found, expected, "a context reads what it would have computed");
        }
    }

    pub(crate) fn write(&mut self, blocks: &[BlockId], start: usize, prefixes: &[u64]) {
        for (position, prefix) in (start..).zip(prefixes) {
            let block = blocks[position / self.block_size].0 as usize;
            self.places[block * self.block_size + position % self.block_size] = *prefix;
        }
    }
}

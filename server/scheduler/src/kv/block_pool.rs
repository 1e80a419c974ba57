//! All blocks of a KV cache: reference counts, a free list, and cached blocks that nobody owns in the
//! order in which they were last used. Knows nothing of sequences.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::prefix::{Parent, PrefixId, PrefixKey};

/// One block of the KV cache, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockId(pub u32);

/// Every block is in exactly one of three states: free, owned (referenced at least once), or idle
/// (published, owned by nobody, to be evicted when no free one is left).
#[derive(Debug)]
pub(crate) struct BlockPool {
    blocks: Vec<Block>,
    free: Vec<BlockId>,
    /// By the time since which they are idle.
    idle: BTreeMap<u64, BlockId>,
    published: BTreeMap<Arc<PrefixKey>, BlockId>,
    next_idle: u64,
    next_prefix: u64,
}

#[derive(Debug, Default)]
struct Block {
    references: usize,
    published: Option<Published>,
    idle_since: u64,
}

#[derive(Debug)]
struct Published {
    prefix: PrefixId,
    key: Arc<PrefixKey>,
}

impl BlockPool {
    pub(crate) fn new(num_blocks: usize) -> Self {
        let ids = u32::try_from(num_blocks).expect("fewer blocks than a u32 counts");
        Self {
            blocks: std::iter::repeat_with(Block::default).take(num_blocks).collect(),
            free: (0..ids).rev().map(BlockId).collect(),
            idle: BTreeMap::new(),
            published: BTreeMap::new(),
            next_idle: 0,
            next_prefix: 0,
        }
    }

    /// Blocks that [`Self::allocate`] can hand out: free and idle ones.
    pub(crate) fn num_available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// Blocks that nobody owns but whose content is still known.
    pub(crate) fn num_idle(&self) -> usize {
        self.idle.len()
    }

    /// All blocks.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// How often `block` is owned.
    pub(crate) fn references(&self, block: BlockId) -> usize {
        self.block(block).references
    }

    /// A block with nothing in it, owned once: a free one, else the one that is idle longest.
    pub(crate) fn allocate(&mut self) -> Option<BlockId> {
        let block = self.free.pop().or_else(|| self.evict())?;
        self.block_mut(block).references = 1;
        Some(block)
    }

    /// The published block of this content. It is not owned by asking.
    pub(crate) fn find(&self, key: &PrefixKey) -> Option<BlockId> {
        self.published.get(key).copied()
    }

    /// What a block behind `block` names as its parent.
    ///
    /// # Panics
    /// If `block` is not published.
    pub(crate) fn as_parent(&self, block: BlockId) -> Parent {
        let published = self.block(block).published.as_ref();
        Parent::Prefix(published.expect("blocks are published in order").prefix)
    }

    /// One more owner.
    pub(crate) fn acquire(&mut self, block: BlockId) {
        let found = self.block_mut(block);
        found.references += 1;
        if found.references == 1 {
            let since = found.idle_since;
            let idle = self.idle.remove(&since);
            assert_eq!(idle, Some(block), "what nobody owns is idle if it can be found");
        }
    }

    /// One owner less. A context releases its last block first, so that a prefix outlives what follows it.
    pub(crate) fn release(&mut self, block: BlockId) {
        let now = self.next_idle;
        let found = self.block_mut(block);
        found.references = found.references.checked_sub(1).expect("only owners release");
        if found.references > 0 {
            return;
        }
        if found.published.is_none() {
            self.free.push(block);
            return;
        }
        found.idle_since = now;
        self.idle.insert(now, block);
        self.next_idle += 1;
    }

    /// The full block `block` has this content. If another block has it already, the owner gets that one
    /// instead: their contents are the same to the bit.
    pub(crate) fn publish(&mut self, block: BlockId, key: PrefixKey) -> BlockId {
        if let Some(known) = self.find(&key) {
            self.acquire(known);
            self.release(block);
            return known;
        }
        let (prefix, key) = (PrefixId(self.next_prefix), Arc::new(key));
        self.next_prefix += 1;
        self.published.insert(Arc::clone(&key), block);
        self.block_mut(block).published = Some(Published { prefix, key });
        block
    }

    fn evict(&mut self) -> Option<BlockId> {
        let (_, block) = self.idle.pop_first()?;
        let published = self.block_mut(block).published.take().expect("idle blocks are published");
        self.published.remove(&published.key);
        Some(block)
    }

    fn block(&self, block: BlockId) -> &Block {
        &self.blocks[block.0 as usize]
    }

    fn block_mut(&mut self, block: BlockId) -> &mut Block {
        &mut self.blocks[block.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{ContentRun, TenantId, TokenId};

    fn key(parent: Parent, token: u32) -> PrefixKey {
        PrefixKey { parent, content: vec![ContentRun::Tokens([TokenId(token)].into())] }
    }

    const ROOT: Parent = Parent::Tenant(TenantId(1));

    #[test]
    fn the_block_that_is_idle_longest_is_evicted_first_and_only_when_none_is_free() {
        let mut pool = BlockPool::new(3);
        let first = pool.allocate().unwrap();
        let second = pool.allocate().unwrap();
        pool.publish(first, key(ROOT, 1));
        let behind = pool.as_parent(first);
        pool.publish(second, key(behind, 2));
        pool.release(second);
        pool.release(first);
        assert_eq!((pool.num_available(), pool.num_idle()), (3, 2));
        pool.allocate().unwrap();
        assert_eq!(pool.num_idle(), 2);
        assert_eq!(pool.allocate(), Some(second));
        assert_eq!(pool.find(&key(behind, 2)), None);
        assert_eq!(pool.find(&key(ROOT, 1)), Some(first));
        assert_eq!(pool.allocate(), Some(first));
        assert_eq!(pool.allocate(), None);
    }

    #[test]
    fn an_idle_block_that_is_found_again_is_owned_and_not_evicted() {
        let mut pool = BlockPool::new(1);
        let block = pool.allocate().unwrap();
        pool.publish(block, key(ROOT, 1));
        pool.release(block);
        pool.acquire(block);
        assert_eq!(pool.allocate(), None);
        assert_eq!(pool.references(block), 1);
    }

    #[test]
    fn equal_content_is_held_once_and_another_tenants_is_not_equal() {
        let mut pool = BlockPool::new(3);
        let blocks: Vec<BlockId> = (0..3).map(|_| pool.allocate().unwrap()).collect();
        assert_eq!(pool.publish(blocks[0], key(ROOT, 1)), blocks[0]);
        assert_eq!(pool.publish(blocks[1], key(ROOT, 1)), blocks[0]);
        assert_eq!((pool.references(blocks[0]), pool.num_available()), (2, 1));
        let other = Parent::Tenant(TenantId(2));
        assert_eq!(pool.publish(blocks[2], key(other, 1)), blocks[2]);
    }
}

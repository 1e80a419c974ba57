//! One context: what it consists of, how much of it the KV cache holds, and in which blocks. Refuses to
//! know whose it is, beyond the tenant that roots its keys.

use crate::budget::Budget;
use crate::content::{ContentHash, ContentRun, Span, TenantId, TokenId};
use crate::kv::{BlockId, BlockPool, Kv, Parent, PrefixKey};
use crate::plan::{DecodeRow, DreamRole, Piece};
use crate::planted::{Planted, planted};
use crate::room::StepRoom;

/// A context and how much of it is computed.
#[derive(Debug)]
pub(crate) struct Context {
    spans: Vec<Span>,
    /// Positions behind the spans whose tokens differ from beam to beam.
    beam_positions: usize,
    len: usize,
    computed: usize,
    /// Every picture before this one is embedded, or its positions are computed.
    num_encoded: usize,
    /// Index of the dream block whose hidden states are wanted.
    condition: Option<usize>,
    tenant: TenantId,
    table: Vec<BlockId>,
}

/// The next positions to compute, and the pictures they need embedded first.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) pictures: Vec<usize>,
    pub(crate) pieces: Vec<Piece>,
}

impl Context {
    /// A context of which nothing is computed. Neighbouring runs of tokens become one.
    pub(crate) fn new(spans: Vec<Span>, tenant: TenantId, budget: &Budget) -> Self {
        let len = budget.positions(&spans);
        let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match (merged.last_mut(), span) {
                (_, Span::Tokens(ids)) if ids.is_empty() => {}
                (Some(Span::Tokens(known)), Span::Tokens(ids)) => known.extend(ids),
                (_, span) => merged.push(span),
            }
        }
        Self {
            spans: merged,
            beam_positions: 0,
            len,
            computed: 0,
            num_encoded: 0,
            condition: None,
            tenant,
            table: Vec::new(),
        }
    }

    /// Positions.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Positions that the KV cache holds.
    pub(crate) fn computed(&self) -> usize {
        self.computed
    }

    pub(crate) fn caught_up(&self) -> bool {
        self.computed == self.len
    }

    pub(crate) fn table(&self) -> &[BlockId] {
        &self.table
    }

    pub(crate) fn push_token(&mut self, token: TokenId) {
        self.len += 1;
        if let Some(Span::Tokens(ids)) = self.spans.last_mut() {
            ids.push(token);
            return;
        }
        self.spans.push(Span::Tokens(vec![token]));
    }

    /// Every beam has grown by a token.
    pub(crate) fn push_beams(&mut self) {
        self.len += 1;
        self.beam_positions += 1;
    }

    pub(crate) fn push_span(&mut self, span: Span, budget: &Budget) {
        self.condition = None;
        self.len += budget.positions_of(&span);
        self.spans.push(span);
    }

    /// A dream block whose hidden states are wanted.
    pub(crate) fn push_condition(&mut self, budget: &Budget) {
        self.push_span(Span::Dream, budget);
        self.condition = Some(self.spans.len() - 1);
    }

    /// Its features are there until the context is released.
    pub(crate) fn encoded(&mut self, picture: usize) {
        assert!(picture >= self.num_encoded, "pictures are embedded in order");
        self.num_encoded = picture + 1;
    }

    /// The positions of `row` are computed. Blocks that became full are published.
    pub(crate) fn advance(&mut self, row: &DecodeRow, budget: &Budget, kv: &mut Kv) {
        assert_eq!(row.start, self.computed, "a row starts where the cache ends");
        self.computed += row.num_positions();
        assert!(self.computed <= self.len, "only positions of the context are computed");
        if !kv.caches_prefixes {
            return;
        }
        let known = self.computed.min(self.len - self.beam_positions);
        for index in row.start / kv.block_size..known / kv.block_size {
            let key = self.key(index, self.parent(index, kv), budget, kv.block_size);
            self.table[index] = kv.pool.publish(self.table[index], key);
        }
    }

    /// Blocks that are still missing for `wanted` in all.
    pub(crate) fn num_missing(&self, wanted: usize) -> usize {
        wanted.saturating_sub(self.table.len())
    }

    /// Takes fresh blocks up to `wanted` in all.
    ///
    /// # Panics
    /// If the pool has not so many: it is asked before.
    pub(crate) fn allocate(&mut self, wanted: usize, pool: &mut BlockPool) {
        while self.table.len() < wanted {
            self.table.push(pool.allocate().expect("room is made before blocks are taken"));
        }
    }

    /// Published blocks that hold a beginning of this context, up to the first position whose hidden state
    /// is wanted.
    pub(crate) fn cached_prefix(&self, budget: &Budget, kv: &Kv) -> Vec<BlockId> {
        let mut found = Vec::new();
        if !kv.caches_prefixes {
            return found;
        }
        let mut parent = self.root();
        let known = match planted(Planted::WholeContextCached) {
            true => self.len - self.beam_positions,
            false => self.first_wanted(budget),
        };
        for index in 0..known / kv.block_size {
            let key = self.key(index, parent, budget, kv.block_size);
            let Some(block) = kv.pool.find(&key) else { break };
            parent = kv.pool.as_parent(block);
            found.push(block);
        }
        found
    }

    /// Begins with `blocks`, which [`Self::cached_prefix`] has found, as computed.
    pub(crate) fn begin_with(&mut self, blocks: Vec<BlockId>, kv: &mut Kv) {
        assert!(self.table.is_empty(), "a context begins once");
        for block in &blocks {
            kv.pool.acquire(*block);
        }
        self.computed = blocks.len() * kv.block_size;
        self.table = blocks;
        kv.num_queried += self.len as u64;
        kv.num_hit += self.computed as u64;
    }

    /// Gives all blocks back, the last one first. What was computed is to be computed again.
    pub(crate) fn release(&mut self, pool: &mut BlockPool) {
        for block in self.table.drain(..).rev() {
            pool.release(block);
        }
        self.computed = 0;
        self.num_encoded = 0;
    }

    /// The next positions within `room`, and the pictures they need embedded first.
    pub(crate) fn chunk(&self, budget: &Budget, room: &mut StepRoom<'_>) -> Chunk {
        let mut chunk = Chunk::default();
        let (mut offset, mut tokens, mut picture) = (0, 0, 0);
        for (index, span) in self.spans.iter().enumerate() {
            let positions = budget.positions_of(span);
            let start = self.computed.saturating_sub(offset).min(positions);
            if start < positions {
                if matches!(span, Span::Picture(_)) && picture >= self.num_encoded {
                    if !room.take_encode() {
                        return chunk;
                    }
                    chunk.pictures.push(picture);
                }
                let len = room.take_positions(positions - start);
                if len > 0 {
                    chunk.pieces.push(match span {
                        Span::Tokens(_) => Piece::Tokens { start: tokens + start, len },
                        Span::Dream => Piece::Dream { role: self.dream_role(index), start, len },
                        Span::Picture(_) => Piece::Picture { picture, start, len },
                    });
                }
                if start + len < positions {
                    return chunk;
                }
            }
            offset += positions;
            match span {
                Span::Tokens(ids) => tokens += ids.len(),
                Span::Picture(_) => picture += 1,
                Span::Dream => {}
            }
        }
        let start = self.computed.saturating_sub(offset);
        let len = room.take_positions(self.beam_positions - start.min(self.beam_positions));
        if len > 0 {
            chunk.pieces.push(Piece::Tokens { start: tokens + start, len });
        }
        chunk
    }

    /// The one position that is not computed yet, a token.
    pub(crate) fn last_token(&self) -> Piece {
        let tokens = self.spans.iter().map(|span| match span {
            Span::Tokens(ids) => ids.len(),
            Span::Picture(_) | Span::Dream => 0,
        });
        Piece::Tokens { start: tokens.sum::<usize>() + self.beam_positions - 1, len: 1 }
    }

    /// Whether exactly one token is not computed yet.
    pub(crate) fn lacks_one_token(&self) -> bool {
        self.computed + 1 == self.len
            && (self.beam_positions > 0 || matches!(self.spans.last(), Some(Span::Tokens(_))))
    }

    fn dream_role(&self, index: usize) -> DreamRole {
        if self.condition == Some(index) { DreamRole::Condition } else { DreamRole::History }
    }

    /// The first position whose hidden state is wanted, and not only its keys and values: that of the
    /// dream block to be drawn, else the last one.
    fn first_wanted(&self, budget: &Budget) -> usize {
        match self.condition {
            Some(index) => budget.positions(&self.spans[..index]),
            None => (self.len - self.beam_positions).saturating_sub(1),
        }
    }

    fn root(&self) -> Parent {
        let everybody = TenantId(0);
        Parent::Tenant(if planted(Planted::PrefixesShared) { everybody } else { self.tenant })
    }

    fn parent(&self, index: usize, kv: &Kv) -> Parent {
        match index.checked_sub(1) {
            None => self.root(),
            Some(before) => kv.pool.as_parent(self.table[before]),
        }
    }

    fn key(&self, index: usize, parent: Parent, budget: &Budget, block_size: usize) -> PrefixKey {
        let (first, end) = (index * block_size, (index + 1) * block_size);
        let mut content: Vec<ContentRun> = Vec::new();
        let mut offset = 0;
        for span in &self.spans {
            let positions = budget.positions_of(span);
            let start = first.max(offset);
            let stop = end.min(offset + positions);
            if start < stop {
                let alike = Span::Picture(ContentHash([0; 32]));
                let is_alike = planted(Planted::PicturesAlike) && matches!(span, Span::Picture(_));
                let span = if is_alike { &alike } else { span };
                content.push(span.run(start - offset, stop - start));
            }
            offset += positions;
            if offset >= end {
                break;
            }
        }
        PrefixKey { parent, content }
    }
}

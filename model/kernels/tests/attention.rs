//! Attention: close to f64, and the same bits for a query however its prompt is cut, whoever is computed
//! beside it, by any set and threads.

mod kit;

use std::sync::Arc;

use kit::{Random, assert_close, bits, machines};
use reverie_kernels::{
    CausalRow, Cpu, HeadShape, KeyValueBlock, KeyValueShape, causal_attention, full_attention,
};

/// One head's softmax(q·k/√d)·v in f64.
fn one_query(query: &[f32], keys: &[Vec<f32>], values: &[Vec<f32>]) -> Vec<f64> {
    let scale = 1.0 / (query.len() as f64).sqrt();
    let dot = |key: &Vec<f32>| {
        query.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>() * scale
    };
    let scores: Vec<f64> = keys.iter().map(dot).collect();
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = weights.iter().sum();
    (0..query.len())
        .map(|dim| {
            let terms = weights.iter().zip(values).map(|(w, v)| w * f64::from(v[dim]));
            terms.sum::<f64>() / sum
        })
        .collect()
}

const LAYER: usize = 1;

struct Sequence {
    shape: HeadShape,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    len: usize,
}

impl Sequence {
    fn new(random: &mut Random, shape: HeadShape, len: usize) -> Self {
        let kv = shape.kv_heads * shape.head_dim;
        let queries = random.values(len * shape.heads * shape.head_dim);
        let queries = queries.iter().map(|query| query * 3.0).collect();
        Self { shape, queries, keys: random.values(len * kv), values: random.values(len * kv), len }
    }

    /// The first `len` positions in the second of three layers.
    fn blocks(&self, len: usize) -> Vec<Arc<KeyValueBlock>> {
        let HeadShape { kv_heads, head_dim, .. } = self.shape;
        let width = kv_heads * head_dim;
        let mut blocks = Vec::new();
        for first in (0..len).step_by(KeyValueBlock::POSITIONS) {
            let mut block = KeyValueBlock::new(KeyValueShape { layers: 3, kv_heads, head_dim });
            for position in first..len.min(first + KeyValueBlock::POSITIONS) {
                let own = position * width..(position + 1) * width;
                let (key, value) = (&self.keys[own.clone()], &self.values[own]);
                block.write(LAYER, position - first, key, value);
            }
            blocks.push(Arc::new(block));
        }
        blocks
    }

    fn width(&self) -> usize {
        self.shape.heads * self.shape.head_dim
    }

    /// All positions, in chunks of `chunk`.
    fn attend(&self, cpu: Cpu, chunk: usize) -> Vec<f32> {
        let width = self.width();
        let mut out = vec![f32::NAN; self.len * width];
        for past in (0..self.len).step_by(chunk) {
            let end = self.len.min(past + chunk);
            let blocks = self.blocks(end);
            let queries = &self.queries[past * width..end * width];
            let row = CausalRow { queries, past, blocks: &blocks };
            let out = &mut out[past * width..end * width];
            causal_attention(cpu, (self.shape, LAYER), &[row], out);
        }
        out
    }

    fn reference(&self) -> Vec<f64> {
        let HeadShape { heads, kv_heads, head_dim } = self.shape;
        let part = |xs: &[f32], position: usize, heads: usize, head: usize| {
            xs[(position * heads + head) * head_dim..][..head_dim].to_vec()
        };
        let mut wanted = Vec::new();
        for position in 0..self.len {
            for head in 0..heads {
                let kv = head / (heads / kv_heads);
                let gather = |xs: &[f32]| -> Vec<_> {
                    (0..=position).map(|key| part(xs, key, kv_heads, kv)).collect()
                };
                let query = part(&self.queries, position, heads, head);
                wanted.extend(one_query(&query, &gather(&self.keys), &gather(&self.values)));
            }
        }
        wanted
    }
}

fn shapes(random: &mut Random) -> HeadShape {
    let kv_heads = random.between(1, 3);
    let heads = kv_heads * [1, 2, 5, 13][random.between(0, 3)];
    HeadShape { heads, kv_heads, head_dim: [8, 20, 32, 64, 272][random.between(0, 4)] }
}

#[test]
fn a_prompt_in_chunks_is_the_prompt_at_once_is_token_by_token_to_the_bit() {
    let mut random = Random(5);
    for _ in 0..16 {
        let shape = shapes(&mut random);
        let len = random.between(1, 70);
        let sequence = Sequence::new(&mut random, shape, len);
        let whole = sequence.attend(Cpu::detect(), len);
        assert_close(&whole, &sequence.reference(), 3e-6);
        for chunk in [1, 2, 3, 16, 17] {
            let chunked = sequence.attend(Cpu::detect(), chunk);
            assert!(bits(&chunked) == bits(&whole), "chunks of {chunk}, {shape:?}, {len}");
        }
        for cpu in machines() {
            assert!(bits(&sequence.attend(cpu, len)) == bits(&whole), "{cpu:?}, {shape:?}, {len}");
        }
    }
}

#[test]
fn blocks_of_the_reduction_lie_alike_for_short_and_long_pasts() {
    let shape = HeadShape { heads: 2, kv_heads: 1, head_dim: 32 };
    let sequence = Sequence::new(&mut Random(6), shape, 530); // beyond two blocks
    let whole = sequence.attend(Cpu::detect(), 530);
    for chunk in [1, 100, 256, 257] {
        assert!(bits(&sequence.attend(Cpu::detect(), chunk)) == bits(&whole), "chunks of {chunk}");
    }
    let width = sequence.width();
    assert_close(&whole[529 * width..], &sequence.reference()[529 * width..], 3e-6);
}

#[test]
fn rows_of_different_pasts_and_lengths_equal_the_same_rows_alone() {
    let mut random = Random(7);
    let shape = HeadShape { heads: 4, kv_heads: 2, head_dim: 48 };
    let sequences: Vec<_> =
        [5, 300, 1, 64, 33].map(|len| Sequence::new(&mut random, shape, len)).into();
    let caches: Vec<_> = sequences.iter().map(|sequence| sequence.blocks(sequence.len)).collect();
    let width = sequences[0].width();
    let pasts = [0, 299, 0, 40, 32];
    let rows: Vec<_> = sequences
        .iter()
        .zip(&caches)
        .zip(pasts)
        .map(|((sequence, blocks), past)| CausalRow {
            queries: &sequence.queries[past * width..],
            past,
            blocks,
        })
        .collect();
    let wanted: Vec<f32> = sequences
        .iter()
        .zip(pasts)
        .flat_map(|(sequence, past)| {
            sequence.attend(Cpu::detect(), sequence.len).split_off(past * width)
        })
        .collect();
    for cpu in machines() {
        let mut together = vec![f32::NAN; wanted.len()];
        causal_attention(cpu, (shape, LAYER), &rows, &mut together);
        assert!(bits(&together) == bits(&wanted), "{cpu:?}");
    }
}

#[test]
fn positions_do_not_see_what_follows_them() {
    let shape = HeadShape { heads: 2, kv_heads: 2, head_dim: 16 };
    let mut sequence = Sequence::new(&mut Random(8), shape, 40);
    let before = sequence.attend(Cpu::detect(), 40);
    let width = sequence.width();
    sequence.values[30 * width] = f32::NAN;
    sequence.keys[31 * width] = f32::INFINITY;
    let after = sequence.attend(Cpu::detect(), 40);
    assert!(bits(&after[..30 * width]) == bits(&before[..30 * width]));
    assert!(after[30 * width].is_nan() && after[39 * width].is_nan());
}

#[test]
fn blocks_give_back_what_was_written() {
    let shape = HeadShape { heads: 3, kv_heads: 3, head_dim: 20 };
    let sequence = Sequence::new(&mut Random(9), shape, 37);
    let blocks = sequence.blocks(37);
    let by_head = |xs: &[f32]| -> Vec<f32> {
        let position = |head: usize| (0..37).map(move |position| (position * 3 + head) * 20);
        (0..3).flat_map(position).flat_map(|start| xs[start..start + 20].to_vec()).collect()
    };
    assert_eq!(KeyValueBlock::keys_of(&blocks, LAYER, 37), by_head(&sequence.keys));
    assert_eq!(KeyValueBlock::values_of(&blocks, LAYER, 37), by_head(&sequence.values));
}

#[test]
fn pictures_attend_as_in_f64_and_each_as_if_alone() {
    let mut random = Random(10);
    for _ in 0..12 {
        let heads = random.between(1, 4);
        let head_dim = [8, 12, 32, 64, 300][random.between(0, 4)];
        let shape = HeadShape { heads, kv_heads: heads, head_dim };
        let (batch, queries, keys) =
            (random.between(1, 3), random.between(1, 50), random.between(1, 300));
        let width = heads * head_dim;
        let query = random.values(batch * queries * width);
        let (key, value) =
            (random.values(batch * keys * width), random.values(batch * keys * width));
        let attend = |cpu, batch, query: &[f32], key: &[f32], value: &[f32]| {
            let mut out = vec![f32::NAN; query.len()];
            full_attention(cpu, shape, batch, (query, key, value), &mut out);
            out
        };
        let together = attend(Cpu::detect(), batch, &query, &key, &value);
        for cpu in machines() {
            assert!(bits(&attend(cpu, batch, &query, &key, &value)) == bits(&together), "{cpu:?}");
        }
        for row in 0..batch {
            let (key, value) = (
                &key[row * keys * width..][..keys * width],
                &value[row * keys * width..][..keys * width],
            );
            let query = &query[row * queries * width..][..queries * width];
            let alone = attend(Cpu::detect(), 1, query, key, value);
            let own = &together[row * queries * width..][..queries * width];
            assert!(bits(&alone) == bits(own), "row {row}");
            let gather = |xs: &[f32], head: usize| -> Vec<Vec<f32>> {
                xs.chunks_exact(width).map(|x| x[head * head_dim..][..head_dim].to_vec()).collect()
            };
            for (query, found) in query.chunks_exact(width).zip(alone.chunks_exact(width)) {
                for head in 0..heads {
                    let own = head * head_dim..(head + 1) * head_dim;
                    let wanted =
                        one_query(&query[own.clone()], &gather(key, head), &gather(value, head));
                    assert_close(&found[own], &wanted, 3e-6);
                }
            }
        }
    }
}

//! Shapes beyond the published ones, and the promise that rows, chunks and forks do not notice each other.

use candle_core::{DType, Device, Tensor};
use reverie_model::config::{LlamaConfig, RopeScaling};
use reverie_model::decoder::{Decoder, DecoderRow, KvCache};
use reverie_model::{Kernels, ModelError, Weights};

use crate::golden::{assert_close, largest_difference, run_single};
use crate::naive::{self, RandomWeights};

/// More than one tile of queries, and no multiple of anything.
const LONG: usize = 301;

fn plain() -> LlamaConfig {
    LlamaConfig {
        hidden_size: 24,
        intermediate_size: 40,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: None,
        head_dim: None,
        rms_norm_eps: 1e-6,
        max_position_embeddings: 320,
        rope_theta: 10_000.0,
        rope_scaling: None,
        attention_bias: false,
        tie_word_embeddings: false,
        vocab_size: 50,
    }
}

/// Grouped heads wider than the stream's share, biases, tied embeddings, scaled positions.
fn unusual() -> LlamaConfig {
    LlamaConfig {
        num_attention_heads: 6,
        num_key_value_heads: Some(2),
        head_dim: Some(10),
        rms_norm_eps: 1e-5,
        rope_theta: 5_000.0,
        rope_scaling: Some(RopeScaling::Linear { factor: 2.5 }),
        attention_bias: true,
        tie_word_embeddings: true,
        ..plain()
    }
}

fn multi_query() -> LlamaConfig {
    LlamaConfig { num_key_value_heads: Some(1), head_dim: Some(16), ..plain() }
}

fn load(config: &LlamaConfig) -> Decoder {
    load_for(config, Kernels::Reverie)
}

fn load_for(config: &LlamaConfig, kernels: Kernels) -> Decoder {
    let weights = RandomWeights::new(config).var_builder(DType::F32);
    Decoder::load(config, Weights::new(weights, kernels)).unwrap()
}

fn every_shape_and_kernels() -> impl Iterator<Item = (LlamaConfig, Kernels)> {
    let shapes = [plain(), unusual(), multi_query()].into_iter();
    shapes.flat_map(|shape| Kernels::ALL.map(|kernels| (shape.clone(), kernels)))
}

fn ids(len: usize, salt: usize) -> Vec<u32> {
    (0..len).map(|i| ((i * i + 7 * i + 13 * salt) % 50) as u32).collect()
}

fn prefill(decoder: &Decoder, ids: &[u32], cache: &mut KvCache) -> Tensor {
    run_single(decoder, &decoder.embed(ids).unwrap(), cache)
}

fn values(tensor: &Tensor) -> Vec<Vec<f32>> {
    tensor.to_vec2().unwrap()
}

#[test]
fn every_shape_matches_plain_loops() {
    for (name, config) in
        [("plain", plain()), ("unusual", unusual()), ("multi-query", multi_query())]
    {
        let weights = RandomWeights::new(&config);
        let ids = ids(LONG, 1);
        let (wanted_hidden, wanted_logits) = naive::forward(&config, &weights, &ids);
        for kernels in Kernels::ALL {
            let decoder = load_for(&config, kernels);
            let hidden = prefill(&decoder, &ids, &mut decoder.new_cache());
            assert_close(&format!("{name} hidden by {kernels}"), &hidden, &wanted_hidden);
            let logits = decoder.logits(&hidden).unwrap();
            assert_close(&format!("{name} logits by {kernels}"), &logits, &wanted_logits);
        }
    }
}

#[test]
fn dynamic_scaling_changes_nothing_within_the_context() {
    let scaled =
        LlamaConfig { rope_scaling: Some(RopeScaling::Dynamic { factor: 4.0 }), ..plain() };
    let (decoder, scaled) = (load(&plain()), load(&scaled));
    let hidden = prefill(&decoder, &ids(LONG, 1), &mut decoder.new_cache());
    let same = prefill(&scaled, &ids(LONG, 1), &mut scaled.new_cache());
    assert_eq!(values(&hidden), values(&same));
}

#[test]
fn rows_of_a_batch_equal_the_same_rows_alone() {
    for (config, kernels) in every_shape_and_kernels() {
        let decoder = load_for(&config, kernels);
        // One decodes, one continues a prompt, one starts a long prompt, one starts with a single token.
        let rows = [(37, 1), (64, 20), (0, LONG), (0, 1)];
        let mut alone = Vec::new();
        let (mut caches, mut embeds) = (Vec::new(), Vec::new());
        for (salt, (past, len)) in rows.into_iter().enumerate() {
            let ids = ids(past + len, salt);
            let mut cache = decoder.new_cache();
            if past > 0 {
                prefill(&decoder, &ids[..past], &mut cache);
            }
            caches.push(cache.fork());
            let next = decoder.embed(&ids[past..]).unwrap();
            alone.push((run_single(&decoder, &next, &mut cache), cache));
            embeds.push(next);
        }
        let mut batch: Vec<_> = embeds
            .iter()
            .zip(&mut caches)
            .map(|(embeds, cache)| DecoderRow { embeds, cache })
            .collect();
        let together = decoder.forward(&mut batch).unwrap();
        for (i, (together, (alone, cache))) in together.iter().zip(&alone).enumerate() {
            assert_close(&format!("row {i}"), together, alone);
            assert_eq!(caches[i].len(), cache.len());
            let (key, wanted) = (caches[i].key(1).unwrap(), cache.key(1).unwrap());
            assert_close(&format!("keys of row {i}"), &key, &wanted);
        }
    }
}

#[test]
fn a_prompt_in_chunks_equals_the_prompt_at_once() {
    for (config, kernels) in every_shape_and_kernels() {
        let decoder = load_for(&config, kernels);
        let ids = ids(LONG, 5);
        let mut whole_cache = decoder.new_cache();
        let whole = prefill(&decoder, &ids, &mut whole_cache);
        for chunk in [1, 7, 64, 256, 300] {
            let mut cache = decoder.new_cache();
            let parts: Vec<_> =
                ids.chunks(chunk).map(|ids| prefill(&decoder, ids, &mut cache)).collect();
            let joined = Tensor::cat(&parts, 0).unwrap();
            assert_close(&format!("chunks of {chunk}"), &joined, &whole);
            let (value, wanted) = (cache.value(1).unwrap(), whole_cache.value(1).unwrap());
            assert_close(&format!("values by chunks of {chunk}"), &value, &wanted);
        }
    }
}

#[test]
fn a_row_that_does_not_fit_is_refused_and_no_cache_changes() {
    let decoder = load(&plain());
    let (mut fits, mut full) = (decoder.new_cache(), decoder.new_cache());
    prefill(&decoder, &ids(10, 0), &mut fits);
    prefill(&decoder, &ids(319, 0), &mut full);
    assert_eq!(full.remaining(), 1);
    let embeds = decoder.embed(&[1, 2]).unwrap();
    let refused = decoder.forward(&mut [
        DecoderRow { embeds: &embeds, cache: &mut fits },
        DecoderRow { embeds: &embeds, cache: &mut full },
    ]);
    assert!(matches!(refused, Err(ModelError::ContextFull { wanted: 321, limit: 320 })));
    assert_eq!((fits.len(), full.len()), (10, 319));
    prefill(&decoder, &[1], &mut full);
    assert_eq!((full.len(), full.remaining(), full.capacity()), (320, 0, 320));
}

#[test]
fn memory_grows_block_by_block_and_is_kept_when_positions_are_forgotten() {
    let decoder = load(&plain());
    let mut cache = decoder.new_cache();
    assert_eq!((cache.is_empty(), cache.capacity()), (true, 0));
    prefill(&decoder, &ids(65, 0), &mut cache);
    assert_eq!((cache.len(), cache.capacity()), (65, 80));
    prefill(&decoder, &ids(64, 0), &mut cache);
    assert_eq!((cache.len(), cache.capacity()), (129, 144));
    cache.truncate(5);
    cache.truncate(9);
    assert_eq!((cache.len(), cache.capacity()), (5, 144));
}

#[test]
fn a_truncated_cache_continues_as_if_the_rest_had_never_been() {
    let decoder = load(&unusual());
    let (past, lost, next) = (ids(70, 1), ids(30, 2), ids(9, 3));
    let (mut straight, mut detour) = (decoder.new_cache(), decoder.new_cache());
    prefill(&decoder, &past, &mut straight);
    prefill(&decoder, &past, &mut detour);
    prefill(&decoder, &lost, &mut detour);
    detour.truncate(past.len());
    let wanted = prefill(&decoder, &next, &mut straight);
    assert_eq!(values(&prefill(&decoder, &next, &mut detour)), values(&wanted));
}

#[test]
fn forks_share_a_past_and_nothing_else() {
    let decoder = load(&unusual());
    let past = ids(70, 1);
    let mut first = decoder.new_cache();
    prefill(&decoder, &past, &mut first);
    let mut second = first.fork();
    let mut third = second.fork();
    third.truncate(40);
    for (salt, cache) in [&mut first, &mut second, &mut third].into_iter().enumerate() {
        prefill(&decoder, &ids(3, 100 + salt), cache);
    }
    for (salt, (cache, shared)) in [(&first, 70), (&second, 70), (&third, 40)].iter().enumerate() {
        let history = [&past[..*shared], &ids(3, 100 + salt)].concat();
        let mut alone = decoder.new_cache();
        prefill(&decoder, &history, &mut alone);
        let (key, wanted) = (cache.key(1).unwrap(), alone.key(1).unwrap());
        assert_close(&format!("fork {salt}"), &key, &wanted);
    }
    assert!(largest_difference(&first.key(0).unwrap(), &second.key(0).unwrap()) > 0.1);
}

#[test]
fn a_fork_of_an_empty_cache_is_an_empty_cache() {
    let decoder = load(&plain());
    let first = decoder.new_cache();
    let mut second = first.fork();
    let wanted = prefill(&decoder, &ids(5, 1), &mut decoder.new_cache());
    assert_eq!(values(&prefill(&decoder, &ids(5, 1), &mut second)), values(&wanted));
    assert_eq!((first.len(), first.capacity(), second.len()), (0, 0, 5));
}

/// Two forks in one pass: whoever writes first must not write into the other's memory.
#[test]
fn forks_grow_apart_within_one_batch() {
    let decoder = load(&plain());
    let mut first = decoder.new_cache();
    prefill(&decoder, &ids(20, 1), &mut first);
    let mut second = first.fork();
    let (a, b) = (decoder.embed(&[3]).unwrap(), decoder.embed(&[4]).unwrap());
    let hidden = decoder
        .forward(&mut [
            DecoderRow { embeds: &a, cache: &mut first },
            DecoderRow { embeds: &b, cache: &mut second },
        ])
        .unwrap();
    for (token, hidden) in [3, 4].into_iter().zip(&hidden) {
        let mut alone = decoder.new_cache();
        prefill(&decoder, &ids(20, 1), &mut alone);
        assert_close("fork", hidden, &prefill(&decoder, &[token], &mut alone));
    }
}

#[test]
fn half_precision_stays_close_to_single_precision() {
    let config = unusual();
    let weights = RandomWeights::new(&config);
    let decoder = load(&config);
    let half = Decoder::load(&config, weights.var_builder(DType::F16)).unwrap();
    assert_eq!((half.dtype(), half.new_cache().len()), (DType::F16, 0));
    let ids = ids(40, 1);
    let wanted = prefill(&decoder, &ids, &mut decoder.new_cache());
    let hidden = prefill(&half, &ids, &mut half.new_cache());
    assert_eq!(hidden.dtype(), DType::F16);
    let difference = largest_difference(&hidden.to_dtype(DType::F32).unwrap(), &wanted);
    assert!(difference > 0.0 && difference < 0.05, "{difference}");
    assert_eq!(half.logits(&hidden).unwrap().dtype(), DType::F32);
}

#[test]
fn no_rows_are_no_work_and_bad_rows_are_refused() {
    let decoder = load(&plain());
    assert!(decoder.forward(&mut []).unwrap().is_empty());
    assert!(decoder.forward_traced(&mut []).unwrap().is_empty());
    for shape in [(0, 24), (2, 23)] {
        let embeds = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let cache = &mut decoder.new_cache();
        let refused = decoder.forward(&mut [DecoderRow { embeds: &embeds, cache }]);
        assert!(matches!(refused, Err(ModelError::Parameter { parameter: "embeds", .. })));
    }
    let refused = decoder.embed(&[1, 50]);
    assert!(matches!(refused, Err(ModelError::Parameter { found, .. }) if found == "50"));
}

#[test]
fn heads_that_cannot_be_grouped_or_turned_are_refused() {
    for (config, wanted) in [
        (LlamaConfig { num_key_value_heads: Some(3), ..plain() }, "num_key_value_heads"),
        (LlamaConfig { head_dim: Some(5), ..plain() }, "head_dim"),
    ] {
        let weights = RandomWeights::new(&config).var_builder(DType::F32);
        let refused = Decoder::load(&config, &weights).unwrap_err();
        assert!(matches!(refused, ModelError::Parameter { parameter, .. } if parameter == wanted));
    }
}

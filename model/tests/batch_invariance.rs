//! What our kernels promise of whole networks: a row's result is the same bits whoever is computed beside
//! it, however its prompt is cut, and on however many threads.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use reverie_model::checkpoint::Checkpoint;
use reverie_model::decoder::{Decoder, DecoderRow, KvCache};
use reverie_model::diffusion::unet::Unet;
use reverie_model::diffusion::vae::Vae;
use reverie_model::vision::VisionEncoder;
use reverie_model::{Kernels, Weights};

fn checkpoint() -> Checkpoint {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/checkpoint");
    Checkpoint::open(Path::new(folder)).unwrap()
}

fn weights(kernels: Kernels) -> Weights<'static> {
    Weights::new(checkpoint().weights(DType::F32, &Device::Cpu), kernels)
}

fn decoder() -> Decoder {
    let decoder = Decoder::load(&checkpoint().config().llama, weights(Kernels::Reverie)).unwrap();
    assert_eq!(decoder.kernels(), Kernels::Reverie);
    decoder
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(values.iter().all(|value| value.is_finite()) && !values.is_empty());
    values.iter().map(|value| value.to_bits()).collect()
}

/// Reproducible values within ±1.
fn wave(shape: &[usize], step: f32) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|at| (at as f32 * step).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn ids(len: usize, salt: u32) -> Vec<u32> {
    (0..len as u32).map(|at| 3 + (at * at * 7 + at * 5 + salt * 11) % 90).collect()
}

fn forward(decoder: &Decoder, ids: &[u32], cache: &mut KvCache) -> Tensor {
    let embeds = decoder.embed(ids).unwrap();
    decoder.forward(&mut [DecoderRow { embeds: &embeds, cache }]).unwrap().remove(0)
}

/// As [`bits`] of one tensor after the other along the first dimension.
fn bits_of_all(tensors: &[Tensor]) -> Vec<u32> {
    tensors.iter().flat_map(bits).collect()
}

#[test]
fn rows_of_other_lengths_and_pasts_do_not_change_a_bit_of_a_row() {
    let decoder = decoder();
    // Decoding, a chunk in the middle of a prompt, a prompt at its start, a first token.
    let shapes = [(37, 1), (20, 16), (0, 40), (0, 1), (5, 1), (64, 3)];
    let (mut caches, mut embeds, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for (salt, (past, len)) in (0..).zip(shapes) {
        let ids = ids(past + len, salt);
        let mut cache = decoder.new_cache();
        if past > 0 {
            forward(&decoder, &ids[..past], &mut cache);
        }
        caches.push(cache.fork());
        let hidden = forward(&decoder, &ids[past..], &mut cache);
        let logits = decoder.logits(&hidden).unwrap();
        alone.push((bits(&hidden), bits(&logits), cache));
        embeds.push(decoder.embed(&ids[past..]).unwrap());
    }
    let mut rows: Vec<_> = embeds
        .iter()
        .zip(&mut caches)
        .map(|(embeds, cache)| DecoderRow { embeds, cache })
        .collect();
    let together = decoder.forward(&mut rows).unwrap();
    let logits = decoder.logits(&Tensor::cat(&together, 0).unwrap()).unwrap();
    let wanted: Vec<u32> = alone.iter().flat_map(|(_, logits, _)| logits.clone()).collect();
    assert!(bits(&logits) == wanted, "logits of all rows in one product");
    for (row, (hidden, (wanted, _, cache))) in together.iter().zip(&alone).enumerate() {
        assert!(bits(hidden) == *wanted, "row {row}");
        for layer in 0..decoder.config().num_hidden_layers {
            let (found, wanted) = (&caches[row], cache);
            assert!(bits(&found.key(layer).unwrap()) == bits(&wanted.key(layer).unwrap()));
            assert!(bits(&found.value(layer).unwrap()) == bits(&wanted.value(layer).unwrap()));
        }
    }
}

#[test]
fn a_prompt_in_chunks_is_the_prompt_at_once_is_token_by_token() {
    let decoder = decoder();
    let ids = ids(75, 4);
    let whole = bits(&forward(&decoder, &ids, &mut decoder.new_cache()));
    for chunk in [1, 3, 16, 64] {
        let mut cache = decoder.new_cache();
        let parts: Vec<_> =
            ids.chunks(chunk).map(|ids| forward(&decoder, ids, &mut cache)).collect();
        assert!(bits_of_all(&parts) == whole, "chunks of {chunk}");
    }
}

/// Rows of two contexts with one beginning, whose blocks lie in any order and were used before.
#[test]
fn blocks_of_a_pool_hold_to_the_bit_what_a_cache_of_its_own_holds() {
    let decoder = decoder();
    let mut pool = decoder.new_pool();
    pool.hold(12).unwrap();
    let mut compute = |decoder: &Decoder, blocks: &[u32], past: usize, ids: &[u32]| {
        let mut cache = pool.lend(blocks, past, ids.len()).unwrap();
        let hidden = forward(decoder, ids, &mut cache);
        pool.take_back(blocks, past, cache);
        bits(&hidden)
    };
    compute(&decoder, &[7, 2, 9, 4, 11], 0, &ids(80, 9));
    let prefix = ids(32, 1);
    compute(&decoder, &[9, 4], 0, &prefix);
    let tables = [[9, 4, 7, 0], [9, 4, 2, 3]];
    for (table, salt) in tables.iter().zip([3, 4]) {
        let whole = [&prefix[..], &ids(20, salt)].concat();
        let wanted = bits(&forward(&decoder, &whole, &mut decoder.new_cache()));
        // The first of the two was not touched by the second.
        let mut found = compute(&decoder, table, 32, &whole[32..45]);
        found.extend(compute(&decoder, table, 45, &whole[45..]));
        assert!(found == wanted[wanted.len() - found.len()..], "blocks {table:?}");
    }
    let mut rows: Vec<_> =
        tables.iter().map(|table| pool.lend(table, 52, 1).unwrap()).collect::<Vec<_>>();
    let next = decoder.embed(&[77]).unwrap();
    let mut batch: Vec<_> =
        rows.iter_mut().map(|cache| DecoderRow { embeds: &next, cache }).collect();
    let together = bits_of_all(&decoder.forward(&mut batch).unwrap());
    let mut alone = Vec::new();
    for salt in [3, 4] {
        let whole = [&prefix[..], &ids(20, salt)].concat();
        let mut cache = decoder.new_cache();
        forward(&decoder, &whole, &mut cache);
        alone.extend(bits(&forward(&decoder, &[77], &mut cache)));
    }
    assert!(together == alone, "rows that share blocks");
}

/// By candle's operations the blocks are gathered, which moves numbers and computes none.
#[test]
fn candles_contexts_are_the_same_bits_from_blocks_and_from_one_piece() {
    let decoder = Decoder::load(&checkpoint().config().llama, weights(Kernels::Candle)).unwrap();
    let (mut pool, mut own) = (decoder.new_pool(), decoder.new_cache());
    pool.hold(3).unwrap();
    let tokens = ids(50, 2);
    let table = [5, 1, 2, 0];
    for (past, end) in [(0, 20), (20, 21), (21, 50)] {
        // It grows while something is computed in it.
        pool.hold(if past == 0 { 6 } else { 9 }).unwrap();
        let mut lent = pool.lend(&table, past, end - past).unwrap();
        let found = bits(&forward(&decoder, &tokens[past..end], &mut lent));
        let forked = lent.fork();
        pool.take_back(&table, past, lent);
        assert!(found == bits(&forward(&decoder, &tokens[past..end], &mut own)), "{past}");
        // A fork of what was lent grows in memory of its own.
        let (mut one, mut other) = (forked, own.fork());
        let (found, wanted) =
            (forward(&decoder, &[8, 9], &mut one), forward(&decoder, &[8, 9], &mut other));
        assert!(bits(&found) == bits(&wanted), "a fork at {end}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let decoder = decoder();
    let unet = unet();
    let (sample, condition) = (wave(&[2, 4, 16, 16], 0.7), condition(2));
    let compute = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let hidden = forward(&decoder, &ids(90, 1), &mut decoder.new_cache());
            let prediction = unet.forward(&sample, &[7.0, 900.0], &condition).unwrap();
            (bits(&hidden), bits(&prediction))
        })
    };
    let serial = compute(1);
    for threads in [2, 4] {
        assert!(compute(threads) == serial, "{threads} threads");
    }
}

fn unet() -> Unet {
    let weights = weights(Kernels::Reverie).pp("stable_diffusion_head.unet");
    Unet::load(&checkpoint().config().head.unet, weights).unwrap()
}

fn condition(rows: usize) -> Tensor {
    wave(&[rows, 8, checkpoint().config().head.unet.cross_attention_dim], 0.37)
}

fn vae() -> Vae {
    let weights = weights(Kernels::Reverie).pp("stable_diffusion_head.vae");
    Vae::load(&checkpoint().config().head.vae, weights).unwrap()
}

/// Whether `compute` of all rows of `input` is what it is of each row alone.
fn assert_rows_independent(what: &str, input: &Tensor, compute: impl Fn(&Tensor, usize) -> Tensor) {
    let rows = input.dim(0).unwrap();
    let together = compute(input, 0);
    let alone: Vec<_> =
        (0..rows).map(|row| compute(&input.narrow(0, row, 1).unwrap(), row)).collect();
    assert!(bits(&together) == bits_of_all(&alone), "{what}");
}

#[test]
fn denoiser_rows_in_one_pass_are_the_rows_alone() {
    let unet = unet();
    let timesteps = [981.0, 1.0, 500.0, 21.0, 740.0];
    for (height, width) in [(4, 4), (6, 5)] {
        let (sample, condition) = (wave(&[5, 4, height, width], 0.7), condition(5));
        assert_rows_independent("unet", &sample, |sample, first| {
            let rows = sample.dim(0).unwrap();
            let condition = condition.narrow(0, first, rows).unwrap();
            unet.forward(sample, &timesteps[first..first + rows], &condition).unwrap()
        });
    }
}

#[test]
fn pictures_in_one_pass_of_the_autoencoder_are_the_pictures_alone() {
    let vae = vae();
    let latents = wave(&[3, vae.latent_channels(), 4, 4], 0.9);
    assert_rows_independent("vae, decoding", &latents, |latents, _| vae.decode(latents).unwrap());
    let pixels = wave(&[3, 3, 32, 32], 0.3);
    assert_rows_independent("vae, encoding", &pixels, |pixels, _| vae.encode(pixels).unwrap().mean);
}

#[test]
fn pictures_in_one_pass_of_clip_are_the_pictures_alone() {
    let config = checkpoint().config().clone();
    let encoder =
        VisionEncoder::load(&config.vision, config.llama.hidden_size, weights(Kernels::Reverie))
            .unwrap();
    let side = config.vision.clip.image_size;
    let pixels = wave(&[4, 3, side, side], 0.11);
    assert_rows_independent("clip", &pixels, |pixels, _| encoder.encode_pixels(pixels).unwrap());
}

#[test]
fn a_cache_of_other_kernels_is_refused() {
    let ours = decoder();
    let candles = Decoder::load(&checkpoint().config().llama, weights(Kernels::Candle)).unwrap();
    let embeds = ours.embed(&[5]).unwrap();
    for (decoder, other) in [(&ours, &candles), (&candles, &ours)] {
        let mut cache = other.new_cache();
        let refused = decoder.forward(&mut [DecoderRow { embeds: &embeds, cache: &mut cache }]);
        assert!(refused.unwrap_err().to_string().starts_with("cache is"));
        assert!(cache.is_empty());
    }
}

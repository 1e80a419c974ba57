//! The golden checkpoint and vectors, as tensors, and the measure of distance from them.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor, pickle};
use candle_nn::VarBuilder;
use reverie_model::config::LlamaConfig;
use reverie_model::decoder::{Decoder, DecoderRow, KvCache};

/// What a single module may differ from the reference by, absolute.
pub(crate) const TOLERANCE: f32 = 5e-5;

fn path(relative: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens")).join(relative)
}

/// The decoder's and the queries' weights under their canonical names, in f32.
pub(crate) fn golden_weights() -> VarBuilder<'static> {
    let mut tensors = HashMap::new();
    for (file, prefix) in
        [("pytorch_model.bin", ""), ("dream_embedding.bin", "model.dream_embedding.")]
    {
        for (name, tensor) in pickle::read_all(path("checkpoint").join(file)).unwrap() {
            tensors.insert(format!("{prefix}{name}"), tensor.to_dtype(DType::F32).unwrap());
        }
    }
    VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
}

pub(crate) fn golden_decoder() -> Decoder {
    let config = std::fs::read(path("checkpoint/config.json")).unwrap();
    let config: LlamaConfig = serde_json::from_slice(&config).unwrap();
    Decoder::load(&config, golden_weights()).unwrap()
}

/// All tensors of `tests/goldens/vectors/{name}.safetensors`.
pub(crate) struct Vectors {
    tensors: HashMap<String, Tensor>,
}

impl Vectors {
    pub(crate) fn read(name: &str) -> Self {
        let file = path("vectors").join(format!("{name}.safetensors"));
        Self { tensors: candle_core::safetensors::load(file, &Device::Cpu).unwrap() }
    }

    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.tensors.get(name).unwrap_or_else(|| panic!("no vector {name}"))
    }

    /// The only element of a batch of one.
    pub(crate) fn single(&self, name: &str) -> Tensor {
        self.get(name).squeeze(0).unwrap()
    }

    /// Token ids, of whatever shape, flattened.
    pub(crate) fn ids(&self, name: &str) -> Vec<u32> {
        let ids = self.get(name).flatten_all().unwrap().to_vec1::<i64>().unwrap();
        ids.into_iter().map(|id| u32::try_from(id).unwrap()).collect()
    }

    /// The unpadded rows of a padded batch: (where the row's first token is, its ids).
    pub(crate) fn unpadded(&self, batch: &str) -> Vec<(usize, Vec<u32>)> {
        let ids = self.get(&format!("{batch}.input_ids")).to_vec2::<i64>().unwrap();
        let mask = self.get(&format!("{batch}.attention_mask")).to_vec2::<i64>().unwrap();
        ids.iter()
            .zip(&mask)
            .map(|(ids, mask)| {
                let first = mask.iter().position(|seen| *seen == 1).unwrap();
                (first, ids[first..].iter().map(|id| *id as u32).collect())
            })
            .collect()
    }
}

/// Runs one row alone and gives its states, (positions, hidden).
pub(crate) fn run_single(decoder: &Decoder, embeds: &Tensor, cache: &mut KvCache) -> Tensor {
    decoder.forward(&mut [DecoderRow { embeds, cache }]).unwrap().remove(0)
}

/// The scores after the last of the given states.
pub(crate) fn last_logits(decoder: &Decoder, hidden: &Tensor) -> Vec<f32> {
    let last = hidden.narrow(0, hidden.dims()[0] - 1, 1).unwrap();
    decoder.logits(&last).unwrap().squeeze(0).unwrap().to_vec1().unwrap()
}

pub(crate) fn largest_difference(found: &Tensor, wanted: &Tensor) -> f32 {
    assert_eq!(found.dims(), wanted.dims());
    let difference = (found - wanted).unwrap().abs().unwrap().flatten_all().unwrap();
    // A NaN would be lost in `max`.
    difference.to_vec1::<f32>().unwrap().into_iter().fold(0.0, |max, x| {
        assert!(x.is_finite());
        x.max(max)
    })
}

/// Fails if the tensors differ by more than the tolerance; prints what was measured.
#[expect(clippy::print_stdout, reason = "a test prints what it measured")]
pub(crate) fn assert_close(what: &str, found: &Tensor, wanted: &Tensor) {
    let difference = largest_difference(found, wanted);
    println!("{what}: {difference:.2e}");
    assert!(difference <= TOLERANCE, "{what} differs by {difference:.2e}");
}

//! What the reference computed, as far as whole documents need it: vectors by name, its noise played
//! back. Knows files; computes nothing.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use reverie_model::noise::{NoiseDraw, NoiseKey, NoiseSource};
use serde_json::Value;

use crate::folders::golden_vectors;

/// A recorded JSON file.
///
/// # Panics
/// If there is none of that name.
pub fn json(name: &str) -> Value {
    let text = std::fs::read(golden_vectors().join(name)).expect("a recorded file");
    serde_json::from_slice(&text).expect("JSON")
}

/// All tensors of one recorded file.
#[derive(Debug)]
pub struct Vectors(HashMap<String, Tensor>);

impl Vectors {
    /// Reads `NAME.safetensors`.
    ///
    /// # Panics
    /// If there is none of that name.
    pub fn read(name: &str) -> Self {
        let file = golden_vectors().join(format!("{name}.safetensors"));
        Self(candle_core::safetensors::load(file, &Device::Cpu).expect("recorded vectors"))
    }

    /// The tensors' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no vector {name}"))
    }

    /// How many elements a tensor has.
    pub fn len(&self, name: &str) -> usize {
        self.get(name).elem_count()
    }

    /// The elements of an f32 tensor, in order.
    ///
    /// # Panics
    /// If it is none.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.get(name).flatten_all().and_then(|flat| flat.to_vec1()).expect("floats")
    }

    /// The elements of a u8 tensor, in order.
    ///
    /// # Panics
    /// If it is none.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.get(name).flatten_all().and_then(|flat| flat.to_vec1()).expect("bytes")
    }

    /// One (steps, …) tensor, step by step.
    ///
    /// # Panics
    /// If it holds no floats.
    pub fn steps(&self, name: &str) -> Vec<Vec<f32>> {
        let tensor = self.get(name);
        let step = |index| tensor.get(index).and_then(|step| step.flatten_all()?.to_vec1());
        (0..tensor.dims()[0]).map(|index| step(index).expect("floats")).collect()
    }
}

/// Plays the reference's noise of the interleaved documents back: a request's seed is the document's
/// number.
#[derive(Debug)]
pub struct GoldenNoise(HashMap<(u64, u32), (Vec<f32>, Vec<Vec<f32>>)>);

impl GoldenNoise {
    /// The noise of all pictures of all recorded documents.
    pub fn of_interleaved(vectors: &Vectors) -> Self {
        let mut noise = HashMap::new();
        for document in 0..2 {
            for picture in 0..2 {
                let name = format!("doc{document}.image{picture}");
                let first = vectors.floats(&format!("{name}.latents"));
                let steps = vectors.steps(&format!("{name}.noises"));
                noise.insert((document, picture), (first, steps));
            }
        }
        Self(noise)
    }
}

impl NoiseSource for GoldenNoise {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        // The warm-up pass draws under keys of its own; nobody sees its picture.
        let Some((first, steps)) = self.0.get(&(key.seed, key.picture)) else {
            return vec![0.0; len];
        };
        let recorded = match key.draw {
            NoiseDraw::Initial => first,
            NoiseDraw::Step(step) => &steps[step as usize],
        };
        assert_eq!(recorded.len(), len, "noise of the size of the latents");
        recorded.clone()
    }
}

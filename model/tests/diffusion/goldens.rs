//! The golden checkpoint and vectors as tensors, and how far two tensors are apart.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use reverie_model::checkpoint::Checkpoint;
use reverie_model::config::HeadConfig;

/// Single modules in f32, absolute.
pub(crate) const MODULE_TOLERANCE: f32 = 5e-5;
/// Trajectories, relative to the largest value.
pub(crate) const TRAJECTORY_TOLERANCE: f32 = 1e-3;

pub(crate) fn golden_path(relative: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens")).join(relative)
}

fn golden_checkpoint() -> Checkpoint {
    Checkpoint::open(&golden_path("checkpoint")).unwrap()
}

/// The golden checkpoint's weights in f32 on the CPU, under canonical names.
pub(crate) fn golden_weights() -> VarBuilder<'static> {
    golden_checkpoint().weights(DType::F32, &Device::Cpu)
}

/// The golden checkpoint's head, as its component files describe it.
pub(crate) fn golden_head() -> HeadConfig {
    golden_checkpoint().config().head.clone()
}

/// One file of golden vectors.
pub(crate) struct Vectors(HashMap<String, Tensor>);

impl Vectors {
    pub(crate) fn load(name: &str) -> Self {
        let path = golden_path("vectors").join(format!("{name}.safetensors"));
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Tensor> {
        self.0.get(key)
    }

    pub(crate) fn get(&self, key: &str) -> &Tensor {
        self.find(key).unwrap_or_else(|| panic!("no golden vector {key}"))
    }

    /// All keys that start with `prefix`, without it, sorted.
    pub(crate) fn under(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> =
            self.0.keys().filter_map(|key| key.strip_prefix(prefix)).map(str::to_owned).collect();
        keys.sort();
        keys
    }

    /// The values of a tensor as `f32`, flat.
    pub(crate) fn values(&self, key: &str) -> Vec<f32> {
        values(self.get(key))
    }

    /// One vector of values for each entry of the first dimension.
    pub(crate) fn rows(&self, key: &str) -> Vec<Vec<f32>> {
        let tensor = self.get(key);
        (0..tensor.dim(0).unwrap()).map(|row| values(&tensor.get(row).unwrap())).collect()
    }
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest absolute difference.
pub(crate) fn distance(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    found.iter().zip(wanted).fold(0.0, |most, (found, wanted)| {
        let difference = (found - wanted).abs();
        // A NaN must not hide behind `max`.
        if difference <= most { most } else { difference }
    })
}

/// The largest absolute difference over the largest wanted value.
pub(crate) fn relative_distance(found: &[f32], wanted: &[f32]) -> f32 {
    let largest = wanted.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    distance(found, wanted) / largest
}

/// The largest absolute difference of two tensors of one shape.
pub(crate) fn tensor_distance(found: &Tensor, wanted: &Tensor) -> f32 {
    assert_eq!(found.dims(), wanted.dims());
    distance(&values(found), &values(wanted))
}

/// Fails unless `found` is at most `limit`; NaN fails too. Prints what was measured.
pub(crate) fn assert_within(what: &str, found: f32, limit: f32) {
    println!("{what}: {found:.2e} (at most {limit:.0e})");
    assert!(found <= limit, "{what}: {found:e} exceeds {limit:e}");
}

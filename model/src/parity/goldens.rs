//! The recorded vectors of one folder: safetensors and JSON files, and how to compare with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::{Check, Measure, tolerance};
use crate::error::{CheckpointError, ModelError};

/// Why a comparison could not even be made.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// A vectors file cannot be read.
    #[error("{path}: {reason}", path = path.display())]
    Vectors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model could not compute.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl From<candle_core::Error> for ParityError {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}

/// A folder of recorded vectors.
#[derive(Debug, Clone)]
pub struct Goldens {
    folder: PathBuf,
}

impl Goldens {
    /// `folder` holds `llm.safetensors`, `meta.json` and the rest.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The path of one of the folder's files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// All tensors of `{name}.safetensors`, on the CPU.
    pub(super) fn tensors(&self, name: &str) -> Result<Tensors, ParityError> {
        let path = self.path(&format!("{name}.safetensors"));
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).map_err(|error| {
            ParityError::Vectors { path: path.clone(), reason: error.to_string() }
        })?;
        Ok(Tensors { path, tensors })
    }

    /// `{name}.json`.
    pub(super) fn json(&self, name: &str) -> Result<Value, ParityError> {
        let path = self.path(&format!("{name}.json"));
        let text = std::fs::read_to_string(&path).map_err(|error| ParityError::Vectors {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        // Python writes these, which are not JSON; nothing that is compared has such a value.
        let json = ["-Infinity", "Infinity", "NaN"]
            .iter()
            .fold(text, |text, unreal| text.replace(&format!(": {unreal}"), ": null"));
        serde_json::from_str(&json)
            .map_err(|error| ParityError::Vectors { path, reason: error.to_string() })
    }
}

/// The tensors of one file.
pub(super) struct Tensors {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl Tensors {
    pub(super) fn get(&self, key: &str) -> Result<&Tensor, ParityError> {
        self.tensors.get(key).ok_or_else(|| ParityError::Vectors {
            path: self.path.clone(),
            reason: format!("no tensor {key}"),
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// Keys in a fixed order.
    pub(super) fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<_> = self.tensors.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    /// What stands between `prefix` and `suffix` in the keys that have both.
    pub(super) fn between(&self, prefix: &str, suffix: &str) -> Vec<&str> {
        self.keys()
            .into_iter()
            .filter_map(|key| key.strip_prefix(prefix)?.strip_suffix(suffix))
            .collect()
    }

    /// Token ids, flattened.
    pub(super) fn ids(&self, key: &str) -> Result<Vec<u32>, ParityError> {
        let ids: Vec<i64> = self.get(key)?.flatten_all()?.to_vec1()?;
        ids.into_iter()
            .map(|id| {
                u32::try_from(id).map_err(|_| ParityError::Vectors {
                    path: self.path.clone(),
                    reason: format!("{key} holds {id}, which is no token id"),
                })
            })
            .collect()
    }

    /// f32 values, flattened.
    pub(super) fn floats(&self, key: &str) -> Result<Vec<f32>, ParityError> {
        Ok(floats(self.get(key)?)?)
    }

    /// Bytes, flattened.
    pub(super) fn bytes(&self, key: &str) -> Result<Vec<u8>, ParityError> {
        Ok(self.get(key)?.flatten_all()?.to_vec1()?)
    }
}

/// Any float tensor as flat f32 on the host.
pub(super) fn floats(tensor: &Tensor) -> Result<Vec<f32>, candle_core::Error> {
    tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// Counts values that differ; a different length counts as every value differing.
pub(super) fn exact<T: PartialEq>(
    stage: &'static str,
    name: String,
    found: &[T],
    wanted: &[T],
) -> Check {
    let differing = if found.len() == wanted.len() {
        found.iter().zip(wanted).filter(|(found, wanted)| found != wanted).count()
    } else {
        found.len().max(wanted.len())
    };
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let error = differing as f64;
    Check { stage, name, error, tolerance: tolerance::EXACT, measure: Measure::Mismatches }
}

/// Largest absolute difference, against the tolerance of a single module.
pub(super) fn module(stage: &'static str, name: String, found: &[f32], wanted: &[f32]) -> Check {
    let error = largest_difference(found, wanted);
    Check { stage, name, error, tolerance: tolerance::MODULE, measure: Measure::Absolute }
}

/// [`module`] for a tensor.
pub(super) fn module_tensor(
    stage: &'static str,
    name: String,
    found: &Tensor,
    wanted: &Tensor,
) -> Result<Check, candle_core::Error> {
    Ok(module(stage, name, &floats(found)?, &floats(wanted)?))
}

/// Largest difference relative to the largest recorded magnitude, for trajectories.
pub(super) fn trajectory(
    stage: &'static str,
    name: String,
    found: &[f32],
    wanted: &[f32],
) -> Check {
    let scale =
        wanted.iter().fold(f64::MIN_POSITIVE, |scale, value| scale.max(f64::from(value.abs())));
    let error = largest_difference(found, wanted) / scale;
    Check { stage, name, error, tolerance: tolerance::TRAJECTORY, measure: Measure::Relative }
}

/// Largest difference of 8-bit levels.
pub(super) fn levels(stage: &'static str, name: String, found: &[u8], wanted: &[u8]) -> Check {
    let error = if found.len() == wanted.len() {
        found
            .iter()
            .zip(wanted)
            .map(|(found, wanted)| f64::from(found.abs_diff(*wanted)))
            .fold(0.0, f64::max)
    } else {
        f64::INFINITY
    };
    Check { stage, name, error, tolerance: tolerance::LEVELS, measure: Measure::Levels }
}

/// Infinite where lengths differ or a value is not finite: no tolerance admits that.
fn largest_difference(found: &[f32], wanted: &[f32]) -> f64 {
    if found.len() != wanted.len() {
        return f64::INFINITY;
    }
    found.iter().zip(wanted).fold(0.0, |largest, (found, wanted)| {
        let difference = f64::from((found - wanted).abs());
        if difference.is_nan() { f64::INFINITY } else { largest.max(difference) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_nan_can_never_pass() {
        assert!(!module("t", String::new(), &[0.0], &[0.0, 0.0]).passed());
        assert!(!module("t", String::new(), &[f32::NAN], &[0.0]).passed());
        assert!(!trajectory("t", String::new(), &[f32::NAN], &[1.0]).passed());
        assert!(!levels("t", String::new(), &[0], &[]).passed());
        assert!(!exact("t", String::new(), &[1], &[2]).passed());
        assert!(module("t", String::new(), &[1.0], &[1.0]).passed());
    }
}

//! The readers of single files as functions: for fuzzing them without a checkpoint around. In no build that serves.

use std::path::Path;

use super::pickle::read_pickle;
use super::shards::{read_first, read_tensor_file};
use crate::CheckpointError;

/// Bytes of each tensor of a safetensors or torch file.
///
/// # Errors
/// As opening a checkpoint with it.
pub fn tensor_file(path: &Path) -> Result<Vec<u64>, CheckpointError> {
    Ok(read_tensor_file(path)?.iter().map(|tensor| tensor.num_bytes() as u64).collect())
}

/// Tensors of a pickled state dict.
///
/// # Errors
/// As opening a checkpoint with it.
pub fn pickle(stream: &[u8]) -> Result<usize, CheckpointError> {
    Ok(read_pickle(Path::new("data.pkl"), stream)?.len())
}

/// Tensors of a folder whose file or index is named `model`.
///
/// # Errors
/// As opening a checkpoint with it.
pub fn folder(path: &Path) -> Result<usize, CheckpointError> {
    Ok(read_first(path, "model", "pytorch_model")?.map_or(0, |tensors| tensors.len()))
}

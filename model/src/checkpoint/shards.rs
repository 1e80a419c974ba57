//! A set of tensors in one file, or in several that an index lists. Knows file names and that each
//! tensor must be in exactly the file the index says; not what tensors mean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::json::{UniqueEntries, read};
use super::malformed;
use super::safetensors::read_safetensors;
use super::stored_tensor::StoredTensor;
use super::torch_zip::read_torch_archive;
use crate::CheckpointError;

/// Reads `stem.safetensors`, `stem.safetensors.index.json`, `bin_stem.bin` or
/// `bin_stem.bin.index.json`, whichever is there first in this order (transformers' and diffusers').
pub(super) fn read_first(
    folder: &Path,
    stem: &str,
    bin_stem: &str,
) -> Result<Option<Vec<StoredTensor>>, CheckpointError> {
    for single in [format!("{stem}.safetensors"), format!("{bin_stem}.bin")] {
        let path = folder.join(&single);
        if path.exists() {
            return read_tensor_file(&path).map(Some);
        }
        let index = folder.join(format!("{single}.index.json"));
        if index.exists() {
            return read_sharded(folder, &index).map(Some);
        }
    }
    Ok(None)
}

/// Reads one file by its extension: `.safetensors`, or torch's `.bin` and `.pt`.
pub(super) fn read_tensor_file(path: &Path) -> Result<Vec<StoredTensor>, CheckpointError> {
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return read_safetensors(path);
    }
    read_torch_archive(path)
}

/// Joins a file name found inside a checkpoint to its folder, unless the name leads out of it.
/// Symbolic links are followed: the folder's owner made them, not a file's author (the Hugging Face
/// cache consists of them).
pub(super) fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let relative = Path::new(name);
    let mut parts = relative.components().peekable();
    parts.peek()?;
    parts.all(|part| matches!(part, Component::Normal(_))).then(|| folder.join(relative))
}

#[derive(Deserialize)]
struct Index {
    weight_map: UniqueEntries<String>,
}

fn read_sharded(folder: &Path, index_path: &Path) -> Result<Vec<StoredTensor>, CheckpointError> {
    let index: Index = read(index_path)?;
    let mut listed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (tensor, shard) in &index.weight_map.0 {
        listed.entry(shard).or_default().insert(tensor);
    }
    let mut problems = Vec::new();
    let mut tensors = Vec::new();
    for (shard, wanted) in listed {
        let Some(path) = inside(folder, shard) else {
            problems.push(format!("shard {shard:?} lies outside the folder"));
            continue;
        };
        if !path.is_file() {
            problems.push(format!("shard {shard:?} is missing"));
            continue;
        }
        let found = read_tensor_file(&path)?;
        let names: BTreeSet<&str> = found.iter().map(|tensor| tensor.name.as_str()).collect();
        for name in wanted.difference(&names) {
            problems.push(format!("{name:?} should be in {shard:?} but is not"));
        }
        for name in names.difference(&wanted) {
            problems.push(format!("{name:?} is in {shard:?}, against the index"));
        }
        tensors.extend(found);
    }
    if !problems.is_empty() {
        return Err(malformed(index_path, 0, problems.join("; ")));
    }
    Ok(tensors)
}

//! Converts a checkpoint of any layout into one self-contained folder that loads fastest: mappable
//! safetensors with canonical names, every configuration, the tokenizer, and a manifest. Knows files;
//! changes no value of any tensor.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::convert_configs::config_files;
use super::manifest::{MANIFEST_FILE, MANIFEST_FORMAT, Manifest, ManifestFile};
use super::safetensors_writer::{HashedFile, write_tensors};
use super::stored_tensor::StoredTensor;
use super::{Checkpoint, expected_tensors, io_error};
use crate::{CheckpointError, DreamConfig};

/// Files copied as they are, where the source has them.
const COPIED: [&str; 6] = [
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "reverie_template.json",
];

/// How far a conversion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvertProgress<'a> {
    /// The file being written.
    pub file: &'a str,
    /// Bytes of tensors written so far.
    pub bytes_done: u64,
    /// Bytes of tensors in all.
    pub bytes_total: u64,
}

/// How to convert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converter {
    /// Tensors beyond this many bytes go into another file, with an index. A single larger tensor
    /// still gets one file.
    pub shard_bytes: u64,
}

impl Default for Converter {
    /// Files of 4 GiB: what every file system and object store takes.
    fn default() -> Self {
        Self { shard_bytes: 4 << 30 }
    }
}

/// Converts with the default sizes; see [`Converter::convert`].
///
/// # Errors
/// Those of [`Converter::convert`].
pub fn convert(
    source: &Path,
    destination: &Path,
    tokenizer_json: &str,
    progress: &mut dyn FnMut(ConvertProgress<'_>),
) -> Result<Manifest, CheckpointError> {
    Converter::default().convert(source, destination, tokenizer_json, progress)
}

impl Converter {
    /// Writes the checkpoint in `source` to `destination`, which must not exist or be empty, and
    /// returns the manifest. `tokenizer_json` becomes `tokenizer.json`. Data types are kept. Memory
    /// stays at one piece of 1 MiB (one tensor, where a tensor's elements are not in order). The folder
    /// is written beside `destination` and renamed when complete; a failed conversion leaves nothing.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`] on the source, and [`CheckpointError::Io`] where the destination
    /// is not empty or cannot be written.
    pub fn convert(
        &self,
        source: &Path,
        destination: &Path,
        tokenizer_json: &str,
        progress: &mut dyn FnMut(ConvertProgress<'_>),
    ) -> Result<Manifest, CheckpointError> {
        let checkpoint = Checkpoint::open(source)?;
        refuse_occupied(destination)?;
        let partial = PartialFolder::create(destination)?;
        let mut files = self.write_weights(&checkpoint, &partial.path, progress)?;
        for (name, text) in config_files(source, checkpoint.config())? {
            files.push(write_text(&partial.path, &name, &text)?);
        }
        files.push(write_text(&partial.path, "tokenizer.json", tokenizer_json)?);
        for name in COPIED {
            if source.join(name).is_file() {
                files.push(copy(source, &partial.path, name)?);
            }
        }
        files.sort_by(|first, second| first.path.cmp(&second.path));
        let manifest = Manifest {
            format: MANIFEST_FORMAT.to_owned(),
            num_tensors: checkpoint.tensors().len(),
            num_parameters: expected_tensors(checkpoint.config())
                .iter()
                .map(|tensor| tensor.num_elements())
                .sum(),
            weights_sha256: Some(checkpoint.weights_content().digest()),
            files,
        };
        write_text(&partial.path, MANIFEST_FILE, &pretty(&json!(manifest)))?;
        check_result(&partial.path, checkpoint.config())?;
        partial.rename_to(destination)?;
        Ok(manifest)
    }

    fn write_weights(
        &self,
        checkpoint: &Checkpoint,
        folder: &Path,
        progress: &mut dyn FnMut(ConvertProgress<'_>),
    ) -> Result<Vec<ManifestFile>, CheckpointError> {
        let shards = self.plan_shards(checkpoint);
        let bytes_total = checkpoint.tensors().map(|tensor| tensor.bytes).sum();
        let mut bytes_done = 0;
        let mut files = Vec::new();
        let mut weight_map = BTreeMap::new();
        for (number, tensors) in shards.iter().enumerate() {
            let name = match shards.len() {
                1 => "model.safetensors".to_owned(),
                count => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
            };
            let written = write_tensors(folder, &name, tensors, &mut |bytes| {
                bytes_done += bytes;
                progress(ConvertProgress { file: &name, bytes_done, bytes_total });
            })?;
            files.push(written);
            weight_map.extend(tensors.iter().map(|tensor| (tensor.name.as_str(), name.clone())));
        }
        if shards.len() > 1 {
            let index = json!({
                "metadata": { "total_size": bytes_total },
                "weight_map": weight_map,
            });
            files.push(write_text(folder, "model.safetensors.index.json", &pretty(&index))?);
        }
        Ok(files)
    }

    /// Tensors in the order of a forward pass, cut where a file would become too large.
    fn plan_shards<'a>(&self, checkpoint: &'a Checkpoint) -> Vec<Vec<&'a StoredTensor>> {
        let mut shards: Vec<Vec<&StoredTensor>> = vec![Vec::new()];
        let mut shard_bytes = 0;
        for expected in expected_tensors(checkpoint.config()) {
            let Some(tensor) = checkpoint.tensors.get(&expected.name) else { continue };
            let bytes = tensor.num_bytes() as u64;
            if shard_bytes + bytes > self.shard_bytes && shard_bytes > 0 {
                shards.push(Vec::new());
                shard_bytes = 0;
            }
            shard_bytes += bytes;
            if let Some(shard) = shards.last_mut() {
                shard.push(tensor);
            }
        }
        shards
    }
}

/// Opens the result as any reader would, and compares its configuration with the source's.
fn check_result(folder: &Path, config: &DreamConfig) -> Result<(), CheckpointError> {
    let written = Checkpoint::open(folder)?;
    if written.config() == config {
        return Ok(());
    }
    Err(CheckpointError::Config {
        path: folder.join("config.json"),
        field: "the configuration as written".to_owned(),
        found: format!("{:?}", written.config()),
        wanted: format!("{config:?}"),
    })
}

fn refuse_occupied(destination: &Path) -> Result<(), CheckpointError> {
    let occupied = match std::fs::read_dir(destination) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(io_error(destination, error)),
    };
    if !occupied {
        return Ok(());
    }
    let reason = "not empty; a conversion never overwrites";
    Err(io_error(destination, io::Error::new(io::ErrorKind::DirectoryNotEmpty, reason)))
}

/// The folder being written; removed unless it is renamed.
struct PartialFolder {
    path: PathBuf,
    complete: bool,
}

impl PartialFolder {
    fn create(destination: &Path) -> Result<Self, CheckpointError> {
        let Some(name) = destination.file_name() else {
            let reason = "not a name for a new folder";
            let error = io::Error::new(io::ErrorKind::InvalidInput, reason);
            return Err(io_error(destination, error));
        };
        if let Some(parent) = destination.parent() {
            std::fs::create_dir_all(parent).map_err(|source| io_error(parent, source))?;
        }
        let mut partial = name.to_owned();
        partial.push(".partial");
        let path = destination.with_file_name(partial);
        std::fs::create_dir(&path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                let reason = "left by an interrupted conversion, or one is running; remove it";
                io_error(&path, io::Error::new(io::ErrorKind::AlreadyExists, reason))
            }
            _ => io_error(&path, source),
        })?;
        Ok(Self { path, complete: false })
    }

    fn rename_to(mut self, destination: &Path) -> Result<(), CheckpointError> {
        std::fs::rename(&self.path, destination).map_err(|source| io_error(destination, source))?;
        self.complete = true;
        Ok(())
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        if !self.complete
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "unfinished folder not removed");
        }
    }
}

fn write_text(folder: &Path, name: &str, text: &str) -> Result<ManifestFile, CheckpointError> {
    let mut file = HashedFile::create(folder, name)?;
    file.write(text.as_bytes())?;
    file.finish()
}

fn copy(source: &Path, folder: &Path, name: &str) -> Result<ManifestFile, CheckpointError> {
    let path = source.join(name);
    let mut from = File::open(&path).map_err(|source| io_error(&path, source))?;
    let mut to = HashedFile::create(folder, name)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut buffer).map_err(|source| io_error(&path, source))?;
        if length == 0 {
            return to.finish();
        }
        to.write(&buffer[..length])?;
    }
}

/// Indented JSON with a final newline.
pub(super) fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

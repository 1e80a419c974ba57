//! A checkpoint folder, whichever program wrote it: its configuration, its tensors under canonical
//! names, and the proof that the two agree. Reads files; knows no networks, no tokenizer.
//!
//! Nothing in a checkpoint is executed, imported or trusted: pickles are parsed by a reader that
//! refuses all but tensor rebuilding, every length is checked before it is used, and names found
//! inside files cannot lead out of the folder.

mod component;
mod content;
mod convert;
mod convert_configs;
mod inspect;
mod inventory;
mod inventory_diffusion;
mod json;
mod layout;
mod manifest;
mod mmap;
mod pickle;
mod pickle_opcode;
mod pickle_value;
mod safetensors;
mod safetensors_writer;
mod shards;
mod stored_tensor;
mod torch_zip;
mod weights;
mod zip_directory;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;

pub use component::Component;
pub use content::WeightsContent;
pub use convert::{ConvertProgress, Converter, convert};
pub use inspect::{ComponentSummary, ContextBudget, Inspection, MemoryEstimate, memory_estimate};
pub use inventory::{ExpectedTensor, expected_tensors};
pub use manifest::{MANIFEST_FILE, Manifest, ManifestFile};

/// Single files without a checkpoint around them, for those who bend them.
#[cfg(feature = "fuzzing")]
pub mod readers;

use crate::{CheckpointError, DreamConfig};
use stored_tensor::StoredTensor;

/// An opened checkpoint: configuration read, tensors found and compared, nothing loaded yet.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    config: DreamConfig,
    tensors: Arc<BTreeMap<String, StoredTensor>>,
    manifest: Option<Manifest>,
}

/// One tensor of a checkpoint, as its file holds it.
#[derive(Debug, Clone, Copy)]
pub struct TensorRecord<'a> {
    /// Canonical name.
    pub name: &'a str,
    /// Element type in the file.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: &'a [usize],
    /// The part of the model it belongs to.
    pub component: Component,
    /// Size in the file.
    pub bytes: u64,
    /// The file that holds it.
    pub path: &'a Path,
}

impl Checkpoint {
    /// Opens a folder of any known layout: reads the configuration, finds every tensor, and checks
    /// that they are exactly those the configuration describes. Loads no tensor data.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], [`CheckpointError::Config`], [`CheckpointError::Format`],
    /// [`CheckpointError::Pickle`] or [`CheckpointError::Io`] for unusable files;
    /// [`CheckpointError::Tensors`] with all differences between configuration and tensors.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        let config = DreamConfig::read(folder)?;
        let manifest = Manifest::open(folder)?;
        let mut found = layout::find_tensors(folder)?;
        found.keep_parts_of(config.abilities);
        if config.llama.tie_word_embeddings {
            // Some programs save the shared matrix under both names; the embedding's is used.
            found.tensors.remove("lm_head.weight");
        }
        let expected = expected_tensors(&config);
        if let Some(report) = inventory::differences(&expected, &found.tensors, &found.given_twice)
        {
            return Err(CheckpointError::Tensors { folder: folder.to_owned(), report });
        }
        let tensors = Arc::new(found.tensors);
        Ok(Self { folder: folder.to_owned(), config, tensors, manifest })
    }

    /// The folder it was opened from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the checkpoint says of itself.
    pub fn config(&self) -> &DreamConfig {
        &self.config
    }

    /// The manifest of a converted folder.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Every tensor, by canonical name in alphabetical order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorRecord<'_>> {
        self.tensors.values().map(|tensor| TensorRecord {
            name: &tensor.name,
            dtype: tensor.dtype,
            shape: &tensor.shape,
            component: Component::of(&tensor.name),
            bytes: tensor.num_bytes() as u64,
            path: tensor.file().path(),
        })
    }

    /// The weights under canonical names, in `dtype` on `device`. Each tensor is read, converted and
    /// moved when it is asked for, and no copy is kept here, so loading a network needs the memory of
    /// that network and of one tensor more.
    pub fn weights(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        let backend = weights::Weights { tensors: Arc::clone(&self.tensors) };
        VarBuilder::from_backend(Box::new(backend), dtype, device.clone())
    }

    /// The weights, for whoever wants their digest.
    pub fn weights_content(&self) -> WeightsContent {
        let stated = self.manifest.as_ref().and_then(|manifest| manifest.weights_sha256.clone());
        WeightsContent { tensors: Arc::clone(&self.tensors), stated }
    }

    /// Compares every file of a converted folder with its manifest and returns the bytes verified;
    /// 0 for a folder without a manifest. Reads everything, so it takes as long as the disk needs.
    ///
    /// # Errors
    /// [`CheckpointError::Checksum`] for the first file that differs; [`CheckpointError::Io`].
    pub fn verify_checksums(&self) -> Result<u64, CheckpointError> {
        self.manifest.as_ref().map_or(Ok(0), |manifest| manifest.verify(&self.folder))
    }
}

fn malformed(path: &Path, offset: u64, reason: impl Into<String>) -> CheckpointError {
    CheckpointError::Format { path: path.to_owned(), offset, reason: reason.into() }
}

fn io_error(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Io { path: path.to_owned(), source }
}

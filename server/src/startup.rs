//! From flags to a model: which folder, on which device, whether it fits. Everything that can be refused
//! is refused here, before weights are read and before any port opens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use reverie_model::checkpoint::{Checkpoint, memory_estimate};
use reverie_model::decoder::KvPool;
use reverie_model::kernels::device_family;
use reverie_model::tokenizer::Tokenizer;
use reverie_model::{CheckpointError, DreamModel, Kernels, ModelError, WeightArena, Weights};
use reverie_scheduler::Budget;
use reverie_scheduler::dispatcher::NumericsClass;
use sha2::{Digest as _, Sha256};

use crate::args::{DeviceChoice, DtypeChoice};
use crate::assets;
use crate::capacity::KvNeeds;
use crate::device::{self, DeviceError};
use crate::engine::candle_runner;
use crate::model_hash::ModelHash;
use crate::provenance::ModelProvenance;
use crate::template::{PromptTemplate, TemplateError};

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The checkpoint's fault.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The prompt template's fault.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The machine's fault.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The built-in files could not be unpacked.
    #[error("cannot unpack the built-in files below {folder}: {source}", folder = folder.display())]
    Assets {
        /// The cache folder.
        folder: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl StartupError {
    /// The process exit code, as in `sysexits.h`: 78 configuration, 71 system, 65 data.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Checkpoint(error) => error.exit_code(),
            Self::Template(_) => 78,
            Self::Device(_) | Self::Assets { .. } => 71,
        }
    }
}

/// A checkpoint that can be served here: read and checked, its weights not yet loaded.
pub struct PreparedModel {
    /// The files.
    pub checkpoint: Checkpoint,
    /// Text ⇄ ids.
    pub tokenizer: Arc<Tokenizer>,
    /// How conversations are written down.
    pub template: PromptTemplate,
    /// Where it will be computed.
    pub device: Device,
    /// In which precision.
    pub dtype: DType,
    /// By whose kernels.
    pub kernels: Kernels,
    /// Bytes it is expected to need.
    pub memory_estimate: u64,
    /// What it is called where nobody gives it a name.
    pub name: String,
    /// The family of that device: `cpu` or `cuda`.
    pub family: &'static str,
    /// The digest of its weights.
    pub hash: Arc<ModelHash>,
    /// Where its files are.
    pub folder: PathBuf,
    /// Where workers of this machine share what they have packed.
    weight_arena: Option<Arc<WeightArena>>,
}

impl PreparedModel {
    /// Reads and checks the checkpoint in `folder`, or the built-in one unpacked below `cache`.
    ///
    /// # Errors
    /// [`StartupError`]; nothing was loaded.
    pub fn open(
        folder: Option<&Path>,
        cache: &Path,
        device: DeviceChoice,
        dtype: DtypeChoice,
    ) -> Result<Self, StartupError> {
        let (device, dtype) = device::open(device, dtype)?;
        let prepared = Self::on(folder, cache, device, dtype)?;
        device::check_memory(prepared.memory_estimate, &prepared.device, dtype)?;
        Ok(prepared)
    }

    /// The same for whoever computes nothing, because GPUs do it elsewhere: no device is opened, no memory
    /// asked for.
    ///
    /// # Errors
    /// [`StartupError`].
    pub fn describe(
        folder: Option<&Path>,
        cache: &Path,
        dtype: DtypeChoice,
    ) -> Result<Self, StartupError> {
        let described = Self::on(folder, cache, Device::Cpu, device::cuda_dtype(dtype))?;
        Ok(Self { family: "cuda", ..described })
    }

    fn on(
        folder: Option<&Path>,
        cache: &Path,
        device: Device,
        dtype: DType,
    ) -> Result<Self, StartupError> {
        let (folder, name) = match folder {
            Some(folder) => (folder.to_owned(), folder_name(folder)),
            None => (
                assets::default_checkpoint(cache)
                    .map_err(|source| StartupError::Assets { folder: cache.to_owned(), source })?,
                assets::DEFAULT_MODEL_NAME.to_owned(),
            ),
        };
        let checkpoint = Checkpoint::open(&folder)?;
        let tokenizer = Tokenizer::load(&folder, checkpoint.config().llama.vocab_size)?;
        let template = PromptTemplate::of_checkpoint(&folder)?;
        let memory_estimate = memory_estimate(checkpoint.config(), dtype);
        let tokenizer = Arc::new(tokenizer);
        let (kernels, family) = (Kernels::Reverie.on(&device, dtype), device_family(&device));
        let hash = Arc::new(ModelHash::of(checkpoint.weights_content(), cache));
        Ok(Self {
            checkpoint,
            tokenizer,
            template,
            device,
            dtype,
            kernels,
            memory_estimate,
            name,
            family,
            hash,
            folder,
            weight_arena: None,
        })
    }

    /// To be computed by `kernels` where these can.
    #[must_use]
    pub fn with_kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels.on(&self.device, self.dtype);
        self
    }

    /// To share packed weights with whoever has `arena`.
    #[must_use]
    pub fn sharing(mut self, arena: WeightArena) -> Self {
        self.weight_arena = Some(Arc::new(arena));
        self
    }

    /// Where its answers come from.
    pub fn provenance(&self) -> ModelProvenance {
        ModelProvenance {
            hash: Arc::clone(&self.hash),
            numerics_class: self.kernels.numerics_class(self.family, self.dtype),
            device: self.family,
        }
    }

    /// Whose numbers its answers agree with: the digest of the class that provenance names.
    pub fn numerics_class(&self) -> NumericsClass {
        let class = self.kernels.numerics_class(self.family, self.dtype);
        let digest = Sha256::digest(class.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        NumericsClass(u64::from_le_bytes(bytes))
    }

    /// What its contexts take, and what the machine has left for each of `num_sharing` workers. A machine that
    /// does not compute it has nothing to say about that.
    pub fn kv_needs(&self, max_model_len: usize, num_sharing: usize) -> KvNeeds {
        let llama = &self.checkpoint.config().llama;
        let is_here = self.family == device_family(&self.device);
        let available = device::available_memory(&self.device).filter(|_| is_here);
        let spare = available.map(|bytes| bytes.saturating_sub(self.memory_estimate));
        KvNeeds {
            block_bytes: KvPool::block_bytes(llama, self.dtype),
            context_blocks: max_model_len.div_ceil(KvPool::BLOCK_SIZE),
            spare_bytes: spare.map(|bytes| bytes / num_sharing.max(1) as u64),
        }
    }

    /// What fits into its contexts of at most `max_model_len` positions.
    pub fn budget(&self, max_model_len: usize) -> Budget {
        candle_runner::budget(self.checkpoint.config(), max_model_len)
    }

    /// Loads the weights.
    ///
    /// # Errors
    /// If a tensor cannot be read or does not fit.
    pub fn load(&self) -> Result<DreamModel, ModelError> {
        let weights = self.checkpoint.weights(self.dtype, &self.device);
        let config = self.checkpoint.config().clone();
        let weights = Weights::new(weights, self.kernels).kept_in(self.weight_arena.clone());
        DreamModel::load(config, Arc::clone(&self.tokenizer), weights)
    }
}

fn folder_name(folder: &Path) -> String {
    let canonical = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    canonical
        .file_name()
        .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

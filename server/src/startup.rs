//! From flags to a model: which folder, on which device, whether it fits. Everything that can be refused
//! is refused here, before weights are read and before any port opens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use reverie_model::checkpoint::{Checkpoint, memory_estimate};
use reverie_model::tokenizer::Tokenizer;
use reverie_model::{CheckpointError, DreamModel, Kernels, ModelError, Weights};
use reverie_scheduler::Budget;
use reverie_scheduler::dispatcher::NumericsClass;
use sha2::{Digest as _, Sha256};

use crate::args::{DeviceChoice, DtypeChoice};
use crate::assets;
use crate::device::{self, DeviceError};
use crate::engine::candle_runner;
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
    /// Where its files are.
    pub folder: PathBuf,
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

    /// The same for whoever computes nothing: no device is opened, no memory asked for.
    ///
    /// # Errors
    /// [`StartupError`].
    pub fn describe(folder: Option<&Path>, cache: &Path) -> Result<Self, StartupError> {
        Self::on(folder, cache, Device::Cpu, DType::F32)
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
        let kernels = Kernels::Reverie.on(&device, dtype);
        Ok(Self {
            checkpoint,
            tokenizer,
            template,
            device,
            dtype,
            kernels,
            memory_estimate,
            name,
            folder,
        })
    }

    /// To be computed by `kernels` where these can.
    #[must_use]
    pub fn with_kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels.on(&self.device, self.dtype);
        self
    }

    /// Whose numbers its answers agree with: kernel set, dtype and kind of device.
    pub fn numerics_class(&self) -> NumericsClass {
        let kind = if self.device.is_cpu() { "cpu" } else { "cuda" };
        let class = format!("{kind} {} {}", self.dtype.as_str(), self.kernels);
        let digest = Sha256::digest(class.as_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        NumericsClass(u64::from_le_bytes(bytes))
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
        let weights = Weights::new(weights, self.kernels);
        DreamModel::load(config, Arc::clone(&self.tokenizer), weights)
    }
}

fn folder_name(folder: &Path) -> String {
    let canonical = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    canonical
        .file_name()
        .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

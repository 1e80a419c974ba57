//! Folders to try things in, the repository's checkpoints, and tensors as plain bytes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device};
use reverie_model::checkpoint::Checkpoint;
use reverie_model::{CheckpointError, DreamConfig};

use crate::zip_writer::write_archive;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/checkpoint");
const MINI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/mini");

/// The reference's own saving of a tiny model, in the published layout.
pub(crate) fn golden_folder() -> PathBuf {
    PathBuf::from(GOLDEN)
}

/// The embedded checkpoint: flat configuration, diffusers-like folders.
pub(crate) fn mini_folder() -> PathBuf {
    PathBuf::from(MINI)
}

pub(crate) fn golden() -> Checkpoint {
    Checkpoint::open(&golden_folder()).expect("the golden checkpoint opens")
}

/// A folder that is removed at the end of the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("reverie-checkpoint-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// A folder with the golden checkpoint's configuration and nothing else.
    pub(crate) fn with_golden_configs() -> Self {
        let scratch = Self::new();
        scratch.copy_golden("config.json");
        for name in [
            "clip-vit-tiny/config.json",
            "clip-vit-tiny/preprocessor_config.json",
            "stable-diffusion-tiny/unet/config.json",
            "stable-diffusion-tiny/vae/config.json",
            "stable-diffusion-tiny/scheduler/scheduler_config.json",
        ] {
            scratch.copy_golden(&format!("components/{name}"));
        }
        scratch
    }

    /// A copy of the golden checkpoint without component weights, which it does not need.
    pub(crate) fn with_golden_files() -> Self {
        let scratch = Self::with_golden_configs();
        for name in [
            "pytorch_model.bin",
            "clip_vision_embedding.bin",
            "dream_embedding.bin",
            "stable_diffusion_head.bin",
            "tokenizer.model",
            "tokenizer_config.json",
            "added_tokens.json",
        ] {
            scratch.copy_golden(name);
        }
        scratch
    }

    pub(crate) fn copy_golden(&self, name: &str) {
        self.write(name, &std::fs::read(golden_folder().join(name)).expect("a golden file"));
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }

    /// Changes one JSON file in place.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
        let text = std::fs::read(self.0.join(name)).expect("a JSON file");
        let mut value = serde_json::from_slice(&text).expect("JSON");
        change(&mut value);
        self.write(name, value.to_string().as_bytes());
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.join(name)).expect("a file to remove");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn open(&self) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::open(&self.0)
    }

    pub(crate) fn config(&self) -> Result<DreamConfig, CheckpointError> {
        DreamConfig::read(&self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A tensor as bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawTensor {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl RawTensor {
    pub(crate) fn zeros(name: &str, shape: &[usize]) -> Self {
        let bytes = vec![0; 4 * shape.iter().product::<usize>()];
        Self { name: name.to_owned(), dtype: DType::F32, shape: shape.to_vec(), bytes }
    }

    pub(crate) fn renamed(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }
}

/// Every tensor of a checkpoint, read through the public `VarBuilder` in its own type.
pub(crate) fn raw_tensors(checkpoint: &Checkpoint) -> Vec<RawTensor> {
    let read = |record: reverie_model::checkpoint::TensorRecord<'_>| {
        let weights = checkpoint.weights(record.dtype, &Device::Cpu);
        let tensor = weights.get(record.shape, record.name).expect("a tensor");
        let flat = tensor.flatten_all().expect("flat");
        let bytes = match record.dtype {
            DType::BF16 => {
                let values = flat.to_vec1::<half::bf16>().expect("bf16");
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
            DType::F32 => {
                let values = flat.to_vec1::<f32>().expect("f32");
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
            other => panic!("no test writes {other:?}"),
        };
        RawTensor {
            name: record.name.to_owned(),
            dtype: record.dtype,
            shape: record.shape.to_vec(),
            bytes,
        }
    };
    checkpoint.tensors().map(read).collect()
}

/// The tensors under a prefix, which is cut off.
pub(crate) fn part(tensors: &[RawTensor], prefix: &str) -> Vec<RawTensor> {
    let under = |tensor: &RawTensor| Some(tensor.renamed(tensor.name.strip_prefix(prefix)?));
    tensors.iter().filter_map(under).collect()
}

/// The decoder's own tensors.
pub(crate) fn decoder_part(tensors: &[RawTensor]) -> Vec<RawTensor> {
    let plugins =
        ["model.clip_vision_embedding.", "model.dream_embedding.", "stable_diffusion_head."];
    let own = |tensor: &&RawTensor| !plugins.iter().any(|prefix| tensor.name.starts_with(prefix));
    tensors.iter().filter(own).cloned().collect()
}

/// The bytes of a safetensors file.
pub(crate) fn safetensors_bytes(tensors: &[RawTensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for tensor in tensors {
        let start = data.len();
        data.extend_from_slice(&tensor.bytes);
        let dtype = match tensor.dtype {
            DType::BF16 => "BF16",
            DType::F32 => "F32",
            other => panic!("no test writes {other:?}"),
        };
        let entry = serde_json::json!({
            "dtype": dtype, "shape": tensor.shape, "data_offsets": [start, data.len()],
        });
        header.insert(tensor.name.clone(), entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

impl Scratch {
    pub(crate) fn write_safetensors(&self, name: &str, tensors: &[RawTensor]) {
        self.write(name, &safetensors_bytes(tensors));
    }

    /// A torch archive whose inner folder is named after the file, as torch does.
    pub(crate) fn write_torch(&self, name: &str, tensors: &[RawTensor]) {
        let stem = Path::new(name).file_stem().expect("a stem").to_str().expect("UTF-8");
        self.write(name, &write_archive(stem, tensors));
    }
}

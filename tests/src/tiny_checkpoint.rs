//! Small random checkpoints of shapes that the goldens do not have, in the published layout with
//! safetensors files. Knows file names and the golden checkpoint's configuration, which it changes;
//! computes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use reverie_model::DreamConfig;
use reverie_model::checkpoint::expected_tensors;
use reverie_model::noise::{CounterNoise, NoiseDraw, NoiseKey, NoiseSource as _};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;

use crate::folders::golden_checkpoint;

const COPIED: [&str; 5] = [
    "tokenizer.model",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "generation_config.json",
];
const CLIP: &str = "components/clip-vit-tiny/config.json";
const PREPROCESSOR: &str = "components/clip-vit-tiny/preprocessor_config.json";
const UNET: &str = "components/stable-diffusion-tiny/unet/config.json";
const VAE: &str = "components/stable-diffusion-tiny/vae/config.json";
const SCHEDULE: &str = "components/stable-diffusion-tiny/scheduler/scheduler_config.json";

/// Its row in the golden vocabulary.
const DREAM_START: usize = 483;
/// Far above what other tokens reach, whatever the state.
const LOUD: f32 = 100.0;

/// The files of the published layout, and what is cut off their tensors' names.
const FILES: [(&str, &str); 4] = [
    ("clip_vision_embedding.safetensors", "model.clip_vision_embedding."),
    ("dream_embedding.safetensors", "model.dream_embedding."),
    ("stable_diffusion_head.safetensors", "stable_diffusion_head."),
    ("model.safetensors", ""),
];

/// What is different from the golden checkpoint's configuration; objects are merged, all else replaced.
#[derive(Debug, Clone, Default)]
pub struct TinyCheckpoint {
    /// In `config.json`.
    pub main: Value,
    /// In the CLIP tower's.
    pub clip: Value,
    /// In the preprocessor's.
    pub preprocessor: Value,
    /// In the UNet's.
    pub unet: Value,
    /// In the VAE's.
    pub vae: Value,
    /// In the noise schedule's.
    pub schedule: Value,
    /// Keys the weights.
    pub seed: u64,
    /// Makes `<dream_start>` so loud that it is chosen, or so faint that it is not, at every step.
    pub loud_dream_start: bool,
}

impl TinyCheckpoint {
    /// Writes the checkpoint to `folder` and returns its configuration as the product reads it.
    ///
    /// # Panics
    /// If a file cannot be read or written, or the configuration is refused.
    pub fn write(&self, folder: &Path) -> DreamConfig {
        for name in COPIED {
            std::fs::copy(golden_checkpoint().join(name), folder.join(name))
                .expect("a copied file");
        }
        for (name, changes) in [
            ("config.json", &self.main),
            (CLIP, &self.clip),
            (PREPROCESSOR, &self.preprocessor),
            (UNET, &self.unet),
            (VAE, &self.vae),
            (SCHEDULE, &self.schedule),
        ] {
            let text = std::fs::read(golden_checkpoint().join(name)).expect("a configuration");
            let mut config = serde_json::from_slice(&text).expect("JSON");
            merge(&mut config, changes);
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, config.to_string()).expect("a written configuration");
        }
        let config = DreamConfig::read(folder).expect("a configuration that can be served");
        self.write_weights(&config, folder);
        config
    }

    fn write_weights(&self, config: &DreamConfig, folder: &Path) {
        let mut files: BTreeMap<&str, Vec<(String, Vec<usize>, Vec<u8>)>> = BTreeMap::new();
        for (number, tensor) in expected_tensors(config).into_iter().enumerate() {
            let values = self.values(number as u32, &tensor.name, &tensor.shape);
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let (file, prefix) = FILES
                .into_iter()
                .find(|(_, prefix)| tensor.name.starts_with(prefix))
                .expect("the last prefix is empty");
            let name = tensor.name[prefix.len()..].to_owned();
            files.entry(file).or_default().push((name, tensor.shape, bytes));
        }
        for (file, tensors) in files {
            let views = tensors.iter().map(|(name, shape, bytes)| {
                let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
                (name.as_str(), view.expect("as many bytes as the shape needs"))
            });
            safetensors::serialize_to_file(views, None, &folder.join(file))
                .expect("a written file");
        }
    }

    /// Weights that keep activations of order one: norms around 1, matrices over √fan-in, small biases.
    fn values(&self, number: u32, name: &str, shape: &[usize]) -> Vec<f32> {
        let key =
            NoiseKey { seed: self.seed, choice: 0, picture: number, draw: NoiseDraw::Initial };
        let noise = CounterNoise.normal(&key, shape.iter().product());
        let is_norm = shape.len() == 1 && name.ends_with(".weight");
        let fan_in: usize = shape.iter().skip(1).product();
        let scale = if shape.len() == 1 { 0.1 } else { 1.0 / (fan_in as f32).sqrt() };
        let center = if is_norm { 1.0 } else { 0.0 };
        let mut values: Vec<f32> = noise.into_iter().map(|value| center + scale * value).collect();
        if self.loud_dream_start && name == "lm_head.weight" {
            let row = values.chunks_exact_mut(shape[1]).nth(DREAM_START).expect("a row");
            row.iter_mut().for_each(|value| *value *= LOUD);
        }
        values
    }
}

fn merge(config: &mut Value, changes: &Value) {
    match (config, changes) {
        (_, Value::Null) => {}
        (Value::Object(config), Value::Object(changes)) => {
            for (name, change) in changes {
                match config.get_mut(name).filter(|old| old.is_object()) {
                    Some(old) => merge(old, change),
                    None => {
                        config.insert(name.clone(), change.clone());
                    }
                }
            }
        }
        (config, changes) => *config = changes.clone(),
    }
}

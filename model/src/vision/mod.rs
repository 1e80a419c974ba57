//! Pictures in: pixels → CLIP → projector → patch embeddings in the decoder's width
//! (`CLIPVisionEmbedding` of the reference). Knows nothing of where they are spliced.

mod clip;
mod preprocess;
mod resize;

pub use clip::ClipVisionTower;
pub use preprocess::{as_seen, center_crop, normalize, preprocess};
pub use resize::{resize, resize_shortest_edge};

use candle_core::{DType, Device, Tensor};

use crate::config::{PreprocessConfig, VisionConfig};
use crate::error::ModelError;
use crate::kernels::Kernels;
use crate::layers::{LayerNorm, layer_norm};
use crate::picture::Picture;
use crate::projector::Projector;
use crate::weights::Weights;

/// Everything between a picture and the decoder.
#[derive(Debug, Clone)]
pub struct VisionEncoder {
    tower: ClipVisionTower,
    projector: Projector,
    post_layernorm: Option<LayerNorm>,
    preprocess: PreprocessConfig,
    device: Device,
    dtype: DType,
    kernels: Kernels,
}

impl VisionEncoder {
    /// Loads `model.clip_vision_embedding.*` from the root of `weights`; `hidden_size` is the decoder's width.
    ///
    /// # Errors
    /// `Parameter` for a configuration that no tower can have; `Tensor` for missing or misshapen weights.
    pub fn load<'a>(
        config: &VisionConfig,
        hidden_size: usize,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let weights = weights.into();
        let vb = weights.pp("model.clip_vision_embedding");
        let crop = (config.preprocess.crop_height, config.preprocess.crop_width);
        if crop != (config.clip.image_size, config.clip.image_size) {
            return Err(ModelError::Parameter {
                parameter: "crop_size",
                found: format!("{}x{}", crop.1, crop.0),
                wanted: format!("the tower's image_size, {}", config.clip.image_size),
            });
        }
        let tower = vb.pp("clip_vision_model.vision_model");
        let tower = ClipVisionTower::load(&config.clip, config.select_layer, tower)?;
        let projector = Projector::load(
            &config.projector,
            config.clip.hidden_size,
            hidden_size,
            true,
            vb.pp("projector"),
        )?;
        let post_layernorm = config
            .post_layernorm
            .then(|| layer_norm(hidden_size, config.clip.layer_norm_eps, &vb.pp("post_layernorm")))
            .transpose()?;
        Ok(Self {
            tower,
            projector,
            post_layernorm,
            preprocess: config.preprocess.clone(),
            device: weights.device().clone(),
            dtype: weights.dtype(),
            kernels: weights.kernels(),
        })
    }

    /// Patch embeddings of each picture, (P, hidden). No picture's numbers depend on its neighbours: our
    /// kernels take all in one pass, candle's, which promise nothing of that kind, one at a time.
    ///
    /// # Errors
    /// `Tensor` when the device refuses.
    pub fn encode(&self, pictures: &[&Picture]) -> Result<Vec<Tensor>, ModelError> {
        let pixels = pictures
            .iter()
            .map(|picture| preprocess(picture, &self.preprocess, &self.device))
            .collect::<Result<Vec<_>, _>>()?;
        let together = match self.kernels {
            Kernels::Reverie => pixels.len().max(1),
            Kernels::Candle => 1,
        };
        let mut features = Vec::with_capacity(pixels.len());
        for pixels in pixels.chunks(together) {
            let encoded = self.encode_pixels(&Tensor::stack(pixels, 0)?)?;
            for row in 0..pixels.len() {
                features.push(encoded.get(row)?);
            }
        }
        Ok(features)
    }

    /// Preprocessed pixels (B, 3, H, W) → patch embeddings (B, P, hidden).
    ///
    /// # Errors
    /// `Tensor` for pixels of another shape.
    pub fn encode_pixels(&self, pixel_values: &Tensor) -> Result<Tensor, ModelError> {
        let selected = self.tower.forward(&pixel_values.to_dtype(self.dtype)?)?;
        let projected = self.projector.forward(&selected)?;
        match &self.post_layernorm {
            Some(norm) => Ok(norm.forward(&projected)?),
            None => Ok(projected),
        }
    }

    /// The tower, for looking inside.
    pub fn tower(&self) -> &ClipVisionTower {
        &self.tower
    }

    /// CLIP width → decoder width, before the optional LayerNorm.
    pub fn projector(&self) -> &Projector {
        &self.projector
    }
}

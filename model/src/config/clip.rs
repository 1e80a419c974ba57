//! The CLIP tower's `config.json` and `preprocessor_config.json`; the defaults are
//! `openai/clip-vit-large-patch14`.

use serde::Deserialize;

/// `CLIPVisionConfig`. Only `quick_gelu` and exact `gelu` activations exist in published towers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct ClipVisionConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Heads.
    pub num_attention_heads: usize,
    /// Colour channels in.
    pub num_channels: usize,
    /// Side of the square input, pixels.
    pub image_size: usize,
    /// Side of a patch, pixels.
    pub patch_size: usize,
    /// `quick_gelu` or `gelu`.
    pub hidden_act: String,
    /// LayerNorm's epsilon.
    pub layer_norm_eps: f64,
}

impl Default for ClipVisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            num_channels: 3,
            image_size: 224,
            patch_size: 14,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

impl ClipVisionConfig {
    /// Patches of one picture (P), 256 in the published 7B.
    pub fn num_patches(&self) -> usize {
        let side = self.image_size / self.patch_size;
        side * side
    }
}

/// `CLIPImageProcessor`: shortest edge, centre crop, mean and deviation. Resampling is PIL's bicubic.
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessConfig {
    /// The shorter side after resizing, pixels.
    pub shortest_edge: usize,
    /// Height of the centre crop, pixels.
    pub crop_height: usize,
    /// Width of the centre crop, pixels.
    pub crop_width: usize,
    /// Multiplies bytes first.
    pub rescale_factor: f64,
    /// Subtracted per channel, RGB.
    pub mean: [f32; 3],
    /// Divided by per channel, RGB.
    pub std: [f32; 3],
}

impl PreprocessConfig {
    /// The published values for a tower of this input side, pixels.
    pub fn for_side(side: usize) -> Self {
        Self {
            shortest_edge: side,
            crop_height: side,
            crop_width: side,
            rescale_factor: 1.0 / 255.0,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        }
    }
}

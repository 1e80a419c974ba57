//! The denoiser's `unet/config.json` (diffusers `UNet2DConditionModel`); the defaults are
//! `stabilityai/stable-diffusion-2-1-base`.

use serde::Deserialize;

/// One number for all levels, or one for each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum PerLevel {
    /// The same everywhere.
    Same(usize),
    /// Outermost level first.
    Each(Vec<usize>),
}

/// `UNet2DConditionModel`, the fields that Stable Diffusion 1.x and 2.x vary.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct UnetConfig {
    /// Side of the latents it was trained at.
    pub sample_size: usize,
    /// Latent channels in.
    pub in_channels: usize,
    /// Latent channels out.
    pub out_channels: usize,
    /// Channels of each level.
    pub block_out_channels: Vec<usize>,
    /// Resnets of a down level (an up level has one more).
    pub layers_per_block: usize,
    /// `CrossAttnDownBlock2D` or `DownBlock2D`, outermost first.
    pub down_block_types: Vec<String>,
    /// `UpBlock2D` or `CrossAttnUpBlock2D`, innermost first.
    pub up_block_types: Vec<String>,
    /// The NUMBER of heads, outermost level first (diffusers' naming), unless `num_attention_heads` is set.
    pub attention_head_dim: PerLevel,
    /// The number of heads, where a file says so under this name.
    pub num_attention_heads: Option<PerLevel>,
    /// Width of the condition.
    pub cross_attention_dim: usize,
    /// Linear (2.x) or 1×1 convolution (1.x) around the transformer blocks.
    pub use_linear_projection: bool,
    /// GroupNorm's groups.
    pub norm_num_groups: usize,
    /// GroupNorm's epsilon in resnets and at the end.
    pub norm_eps: f64,
    /// Cosines before sines in the timestep embedding.
    pub flip_sin_to_cos: bool,
    /// Subtracted from the half width in the timestep embedding's exponent.
    pub freq_shift: f64,
    /// Padding of the stride-2 convolutions.
    pub downsample_padding: usize,
    /// Transformer blocks of each attention module.
    pub transformer_layers_per_block: usize,
}

impl Default for UnetConfig {
    fn default() -> Self {
        let cross = |n: usize, name: &str| vec![name.to_owned(); n];
        let mut down = cross(3, "CrossAttnDownBlock2D");
        down.push("DownBlock2D".to_owned());
        let mut up = vec!["UpBlock2D".to_owned()];
        up.extend(cross(3, "CrossAttnUpBlock2D"));
        Self {
            sample_size: 64,
            in_channels: 4,
            out_channels: 4,
            block_out_channels: vec![320, 640, 1280, 1280],
            layers_per_block: 2,
            down_block_types: down,
            up_block_types: up,
            attention_head_dim: PerLevel::Each(vec![5, 10, 20, 20]),
            num_attention_heads: None,
            cross_attention_dim: 1024,
            use_linear_projection: true,
            norm_num_groups: 32,
            norm_eps: 1e-5,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            downsample_padding: 1,
            transformer_layers_per_block: 1,
        }
    }
}

impl UnetConfig {
    /// Heads of a level, 0 outermost.
    pub fn heads(&self, level: usize) -> usize {
        match self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim) {
            PerLevel::Same(heads) => *heads,
            PerLevel::Each(heads) => heads[level],
        }
    }
}

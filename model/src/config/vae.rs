//! The VAE's `vae/config.json` (diffusers `AutoencoderKL`); the defaults are Stable Diffusion's.

use serde::Deserialize;

/// `AutoencoderKL`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VaeConfig {
    /// Colour channels in.
    pub in_channels: usize,
    /// Colour channels out.
    pub out_channels: usize,
    /// Channels of each level, outermost first.
    pub block_out_channels: Vec<usize>,
    /// Resnets of an encoder level (a decoder level has one more).
    pub layers_per_block: usize,
    /// Latent channels.
    pub latent_channels: usize,
    /// GroupNorm's groups.
    pub norm_num_groups: usize,
    /// Latents are multiplied by this after encoding and divided by it before decoding.
    pub scaling_factor: f64,
    /// Whether the mid block has its attention.
    pub mid_block_add_attention: bool,
    /// Whether a 1×1 convolution follows the encoder.
    pub use_quant_conv: bool,
    /// Whether a 1×1 convolution precedes the decoder.
    pub use_post_quant_conv: bool,
}

impl Default for VaeConfig {
    fn default() -> Self {
        Self {
            in_channels: 3,
            out_channels: 3,
            block_out_channels: vec![128, 256, 512, 512],
            layers_per_block: 2,
            latent_channels: 4,
            norm_num_groups: 32,
            scaling_factor: 0.18215,
            mid_block_add_attention: true,
            use_quant_conv: true,
            use_post_quant_conv: true,
        }
    }
}

impl VaeConfig {
    /// Pixels of a side per latent, `2^(levels - 1)`.
    pub fn scale_factor(&self) -> usize {
        1 << (self.block_out_channels.len() - 1)
    }
}

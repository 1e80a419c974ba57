//! What a checkpoint says of itself: the configuration of every part, field for field.
//! Knows JSON, not tensors.

mod abilities;
mod clip;
mod llama;
mod noise_schedule;
mod projector;
mod read;
mod unet;
mod vae;

pub use abilities::{Abilities, Ability};
pub use clip::{ClipVisionConfig, PreprocessConfig};
pub use llama::{LlamaConfig, RopeScaling};
pub use noise_schedule::{BetaSchedule, NoiseScheduleConfig, PredictionType, TimestepSpacing};
pub use projector::{ProjectorConfig, ProjectorKind};
pub(crate) use read::ComponentFolders;
pub use unet::{PerLevel, UnetConfig};
pub use vae::VaeConfig;

/// The whole model, as its checkpoint describes it. Lengths are in positions, sizes in channels.
#[derive(Debug, Clone, PartialEq)]
pub struct DreamConfig {
    /// What it was trained for. The parts of a missing ability are described with the published values
    /// below; their files are neither needed nor read.
    pub abilities: Abilities,
    /// The decoder.
    pub llama: LlamaConfig,
    /// Pictures in.
    pub vision: VisionConfig,
    /// Number of learned dream queries (Q), 64 in the published 7B.
    pub num_dream_queries: usize,
    /// Pictures out.
    pub head: HeadConfig,
}

/// Pictures in: the CLIP tower, what is read from it, and the way into the decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionConfig {
    /// The tower.
    pub clip: ClipVisionConfig,
    /// What happens to pixels before it.
    pub preprocess: PreprocessConfig,
    /// Which of the tower's `num_hidden_layers + 1` hidden states is projected; negative counts from the end.
    pub select_layer: i32,
    /// CLIP width → decoder width.
    pub projector: ProjectorConfig,
    /// Whether a LayerNorm (decoder width, the tower's eps) follows the projector.
    pub post_layernorm: bool,
}

impl Default for VisionConfig {
    fn default() -> Self {
        let clip = ClipVisionConfig::default();
        Self {
            preprocess: PreprocessConfig::for_side(clip.image_size),
            clip,
            select_layer: -2,
            projector: ProjectorConfig::default(),
            post_layernorm: false,
        }
    }
}

/// Pictures out: decoder width → cross-attention width, the denoiser and the VAE.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HeadConfig {
    /// Decoder width → `unet.cross_attention_dim`, without bias.
    pub projector: ProjectorConfig,
    /// The denoiser.
    pub unet: UnetConfig,
    /// Latents ⇄ pixels.
    pub vae: VaeConfig,
    /// Betas and timesteps.
    pub noise_schedule: NoiseScheduleConfig,
}

impl DreamConfig {
    /// Positions of one dream block: `<dream_start>`, Q queries, `<dream_end>`; 0 without creation.
    pub fn dream_positions(&self) -> usize {
        if self.abilities.has(Ability::Creation) { self.num_dream_queries + 2 } else { 0 }
    }

    /// Positions of one picture block: `<im_start>`, P patches, `<im_end>`; 0 without comprehension.
    pub fn image_positions(&self) -> usize {
        let block = self.vision.clip.num_patches() + 2;
        if self.abilities.has(Ability::Comprehension) { block } else { 0 }
    }

    /// Width and height are multiples of this many pixels: the VAE's factor, `2^(levels - 1)`.
    pub fn picture_multiple(&self) -> usize {
        self.head.vae.scale_factor()
    }

    /// The picture side that the UNet was trained at, pixels.
    pub fn default_picture_side(&self) -> usize {
        self.head.unet.sample_size * self.head.vae.scale_factor()
    }
}

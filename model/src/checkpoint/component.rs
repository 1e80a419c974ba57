//! The parts of the model as tensors are grouped by them, and the canonical prefix of each.
//! Knows names, not files.

use std::fmt;

use crate::config::{Abilities, Ability};

/// Canonical prefix of all picture-in tensors.
pub(super) const CLIP_PREFIX: &str = "model.clip_vision_embedding.";
/// Canonical prefix of the CLIP tower.
pub(super) const TOWER_PREFIX: &str = "model.clip_vision_embedding.clip_vision_model.";
/// Canonical prefix of the dream queries.
pub(super) const DREAM_PREFIX: &str = "model.dream_embedding.";
/// Canonical prefix of all picture-out tensors.
pub(super) const HEAD_PREFIX: &str = "stable_diffusion_head.";
/// Canonical prefix of the denoiser.
pub(super) const UNET_PREFIX: &str = "stable_diffusion_head.unet.";
/// Canonical prefix of the autoencoder.
pub(super) const VAE_PREFIX: &str = "stable_diffusion_head.vae.";

/// A part of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// LLaMA.
    Decoder,
    /// The CLIP tower.
    VisionTower,
    /// CLIP width → decoder width, and the optional LayerNorm.
    VisionProjector,
    /// The learned queries.
    DreamQueries,
    /// Decoder width → cross-attention width.
    ConditionProjector,
    /// The denoiser.
    Unet,
    /// Latents ⇄ pixels.
    Vae,
}

impl Component {
    /// All of them, in the order of a forward pass.
    pub const ALL: [Self; 7] = [
        Self::Decoder,
        Self::VisionTower,
        Self::VisionProjector,
        Self::DreamQueries,
        Self::ConditionProjector,
        Self::Unet,
        Self::Vae,
    ];

    /// The component that a canonical tensor name belongs to.
    pub fn of(name: &str) -> Self {
        let prefixes = [
            (TOWER_PREFIX, Self::VisionTower),
            (CLIP_PREFIX, Self::VisionProjector),
            (DREAM_PREFIX, Self::DreamQueries),
            (UNET_PREFIX, Self::Unet),
            (VAE_PREFIX, Self::Vae),
            (HEAD_PREFIX, Self::ConditionProjector),
        ];
        let found = prefixes.iter().find(|(prefix, _)| name.starts_with(prefix));
        found.map_or(Self::Decoder, |(_, component)| *component)
    }

    /// Whether a model of these abilities has it.
    pub(super) fn belongs_to(self, abilities: Abilities) -> bool {
        match self {
            Self::Decoder => true,
            Self::VisionTower | Self::VisionProjector => abilities.has(Ability::Comprehension),
            Self::DreamQueries | Self::ConditionProjector | Self::Unet | Self::Vae => {
                abilities.has(Ability::Creation)
            }
        }
    }

    /// Which files may hold it, for messages.
    pub(super) fn where_to_look(self) -> &'static str {
        match self {
            Self::Decoder => "model.safetensors or pytorch_model.bin, whole or sharded",
            Self::VisionTower => "clip_vision_embedding.bin, the main file or clip/",
            Self::VisionProjector => {
                "clip_vision_embedding.bin, clip_vision_model_projector.pt or the main file"
            }
            Self::DreamQueries => "dream_embedding.bin, dream_queries.pt or the main file",
            Self::ConditionProjector => {
                "stable_diffusion_head.bin, unet_projector.pt or the main file"
            }
            Self::Unet => "stable_diffusion_head.bin, the main file or unet/",
            Self::Vae => "stable_diffusion_head.bin, the main file or vae/",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Decoder => "decoder",
            Self::VisionTower => "vision tower",
            Self::VisionProjector => "vision projector",
            Self::DreamQueries => "dream queries",
            Self::ConditionProjector => "condition projector",
            Self::Unet => "UNet",
            Self::Vae => "VAE",
        })
    }
}

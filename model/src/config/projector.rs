//! The bridges between towers: `omni/models/projector/builder.py`.

use serde::Deserialize;

/// Which bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectorKind {
    /// One linear layer.
    Linear,
    /// Linear, then (depth − 1) × [exact GELU, linear].
    Mlp,
}

/// A bridge's kind and depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectorConfig {
    /// Which bridge.
    pub kind: ProjectorKind,
    /// Linear layers in it; 1 for `linear`.
    pub depth: usize,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self { kind: ProjectorKind::Linear, depth: 1 }
    }
}

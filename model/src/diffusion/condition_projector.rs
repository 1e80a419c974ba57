//! The bridge from the decoder's width to the denoiser's condition: the reference's
//! `build_projector` without biases. Knows only its own weights.

use candle_core::{Module, Tensor};
use candle_nn::{Linear, VarBuilder, linear_b};

use crate::config::{ProjectorConfig, ProjectorKind};
use crate::error::ModelError;

/// Linear layers with the exact GELU between them.
#[derive(Debug, Clone)]
pub(crate) struct Projector {
    layers: Vec<Linear>,
}

impl Projector {
    /// Expects `vb` where the tensors `projector.weight` (linear) or `projector.{0,2,…}.weight`
    /// (mlp) are.
    pub(crate) fn load(
        config: &ProjectorConfig,
        input: usize,
        output: usize,
        bias: bool,
        vb: &VarBuilder<'_>,
    ) -> Result<Self, ModelError> {
        let vb = vb.pp("projector");
        let layers = match config.kind {
            ProjectorKind::Linear => vec![linear_b(input, output, bias, vb)?],
            ProjectorKind::Mlp => (0..config.depth)
                .map(|index| {
                    let input = if index == 0 { input } else { output };
                    linear_b(input, output, bias, vb.pp(2 * index))
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Self { layers })
    }

    /// (…, input) → (…, output).
    pub(crate) fn forward(&self, states: &Tensor) -> Result<Tensor, ModelError> {
        let mut states = states.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                states = states.gelu_erf()?;
            }
            states = layer.forward(&states)?;
        }
        Ok(states)
    }
}

//! The bridges between towers (`omni/models/projector/builder.py`): CLIP → decoder with biases, decoder →
//! diffusion without. Knows neither side.

use candle_core::Tensor;
use reverie_kernels::Activation;

use crate::config::{ProjectorConfig, ProjectorKind};
use crate::error::ModelError;
use crate::kernels::Kernels;
use crate::layers::{Linear, activate, linear_b};
use crate::weights::Weights;

/// `Linear(in → out)`, then for an MLP (depth − 1) × [exact GELU, `Linear(out → out)`].
#[derive(Debug, Clone)]
pub struct Projector {
    layers: Vec<Linear>,
    kernels: Kernels,
}

impl Projector {
    /// Loads from `vb` at `….projector`: `projector.weight` there for one layer, `projector.{0,2,…}.weight`
    /// for an MLP, and the biases beside them if `bias`.
    ///
    /// # Errors
    /// `Parameter` for a depth that the kind cannot have; `Tensor` for missing or misshapen weights.
    pub fn load<'a>(
        config: &ProjectorConfig,
        in_dim: usize,
        out_dim: usize,
        bias: bool,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let vb = weights.into().pp("projector");
        let layers = match (config.kind, config.depth) {
            (ProjectorKind::Linear, 1) => vec![linear_b(in_dim, out_dim, bias, &vb)?],
            (ProjectorKind::Mlp, 2..) => (0..config.depth)
                .map(|layer| {
                    let in_dim = if layer == 0 { in_dim } else { out_dim };
                    linear_b(in_dim, out_dim, bias, &vb.pp(2 * layer)) // odd places are the GELUs
                })
                .collect::<Result<_, _>>()?,
            (kind, depth) => {
                return Err(ModelError::Parameter {
                    parameter: "projector_depth",
                    found: format!("{depth} for {kind:?}"),
                    wanted: "1 for a linear projector, 2 or more for an MLP".to_owned(),
                });
            }
        };
        Ok(Self { layers, kernels: vb.kernels() })
    }

    /// (…, in) → (…, out).
    ///
    /// # Errors
    /// `Tensor` for another input width.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor, ModelError> {
        let mut xs = xs.clone();
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                xs = activate(self.kernels, Activation::Gelu, &xs)?;
            }
            xs = layer.forward(&xs)?;
        }
        Ok(xs)
    }
}

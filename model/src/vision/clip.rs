//! The CLIP vision transformer (Radford et al. 2021; `CLIPVisionModel` of transformers), up to the hidden
//! state that is read from it: the layers above it and the pooled output are never computed. Knows no
//! projector.

use candle_core::{IndexOp, Tensor};
use reverie_kernels::Activation;

use crate::config::ClipVisionConfig;
use crate::error::ModelError;
use crate::kernels::Kernels;
use crate::layers::{LayerNorm, Linear, activate, layer_norm, linear, multi_head_attention};
use crate::weights::Weights;

/// The tower. C is its width, P the number of patches.
#[derive(Debug, Clone)]
pub struct ClipVisionTower {
    embeddings: Embeddings,
    pre_layernorm: LayerNorm,
    layers: Vec<EncoderLayer>,
    selected: usize,
}

impl ClipVisionTower {
    /// Loads from `weights` at `….vision_model`. `select_layer` is an index into the layers + 1 hidden states,
    /// negative from the end.
    ///
    /// # Errors
    /// `Parameter` for a configuration that no tower can have; `Tensor` for missing or misshapen weights.
    pub fn load<'a>(
        config: &ClipVisionConfig,
        select_layer: i32,
        weights: impl Into<Weights<'a>>,
    ) -> Result<Self, ModelError> {
        let vb = weights.into();
        check(config)?;
        let states = config.num_hidden_layers as i64 + 1;
        let index = i64::from(select_layer);
        let selected = if index < 0 { index + states } else { index };
        if !(0..states).contains(&selected) {
            return Err(parameter(
                "select_layer",
                &index,
                format!("{} to {}", -states, states - 1),
            ));
        }
        let activation = activation_named(&config.hidden_act)?;
        let layers = (0..config.num_hidden_layers)
            .map(|layer| EncoderLayer::load(config, activation, &vb.pp("encoder.layers").pp(layer)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            embeddings: Embeddings::load(config, &vb.pp("embeddings"))?,
            // The name is misspelt in every checkpoint.
            pre_layernorm: layer_norm(
                config.hidden_size,
                config.layer_norm_eps,
                &vb.pp("pre_layrnorm"),
            )?,
            layers,
            selected: selected as usize,
        })
    }

    /// Pixels (B, 3, H, W) → the selected hidden state without the class token, (B, P, C).
    ///
    /// # Errors
    /// `Tensor` for pixels of another shape.
    pub fn forward(&self, pixel_values: &Tensor) -> Result<Tensor, ModelError> {
        let mut xs = self.pre_layernorm.forward(&self.embeddings.forward(pixel_values)?)?;
        for layer in &self.layers[..self.selected] {
            xs = layer.forward(&xs)?;
        }
        Ok(xs.i((.., 1.., ..))?.contiguous()?)
    }

    /// Every hidden state (B, 1 + P, C), those above the selected one included: the first is the output of
    /// `pre_layrnorm`, the others those of the layers.
    ///
    /// # Errors
    /// `Tensor` for pixels of another shape.
    pub fn hidden_states(&self, pixel_values: &Tensor) -> Result<Vec<Tensor>, ModelError> {
        let mut xs = self.pre_layernorm.forward(&self.embeddings.forward(pixel_values)?)?;
        let mut states = vec![xs.clone()];
        for layer in &self.layers {
            xs = layer.forward(&xs)?;
            states.push(xs.clone());
        }
        Ok(states)
    }

    /// Index of the hidden state that `forward` returns, 0 for the output of `pre_layrnorm`.
    pub fn selected(&self) -> usize {
        self.selected
    }
}

fn parameter(name: &'static str, found: &dyn ToString, wanted: impl Into<String>) -> ModelError {
    ModelError::Parameter { parameter: name, found: found.to_string(), wanted: wanted.into() }
}

fn check(config: &ClipVisionConfig) -> Result<(), ModelError> {
    if config.num_channels != 3 {
        return Err(parameter("num_channels", &config.num_channels, "3"));
    }
    if config.patch_size == 0 || config.patch_size > config.image_size {
        let wanted = format!("1 to image_size, {}", config.image_size);
        return Err(parameter("patch_size", &config.patch_size, wanted));
    }
    let heads = config.num_attention_heads;
    if heads == 0 || !config.hidden_size.is_multiple_of(heads) {
        let wanted = format!("a divisor of hidden_size, {}", config.hidden_size);
        return Err(parameter("num_attention_heads", &heads, wanted));
    }
    Ok(())
}

/// Patches, the class token and learned positions.
#[derive(Debug, Clone)]
struct Embeddings {
    class_embedding: Tensor,
    /// The patch convolution as a matrix, (C, 3 · patch · patch): its stride is its size.
    patch_embedding: Linear,
    position_embedding: Tensor,
    patch_size: usize,
}

impl Embeddings {
    fn load(config: &ClipVisionConfig, vb: &Weights<'_>) -> Result<Self, ModelError> {
        let (width, patch) = (config.hidden_size, config.patch_size);
        let kernel = vb.get((width, 3, patch, patch), "patch_embedding.weight")?;
        Ok(Self {
            class_embedding: vb.get(width, "class_embedding")?,
            patch_embedding: Linear::new(&kernel.flatten_from(1)?, None, vb)?,
            position_embedding: vb
                .get((1 + config.num_patches(), width), "position_embedding.weight")?,
            patch_size: patch,
        })
    }

    /// (B, 3, H, W) → (B, 1 + P, C). Pixels beyond the last whole patch are left out, as a convolution
    /// without padding leaves them out.
    fn forward(&self, pixel_values: &Tensor) -> Result<Tensor, ModelError> {
        let (batch, channels, height, width) = pixel_values.dims4()?;
        let patch = self.patch_size;
        let (rows, columns) = (height / patch, width / patch);
        let patches = pixel_values
            .narrow(2, 0, rows * patch)?
            .narrow(3, 0, columns * patch)?
            .reshape(&[batch, channels, rows, patch, columns, patch][..])?
            .permute([0, 2, 4, 1, 3, 5])?
            .reshape((batch, rows * columns, channels * patch * patch))?;
        let patches = self.patch_embedding.forward(&patches)?;
        let class = self.class_embedding.broadcast_left((batch, 1))?;
        let embedded = Tensor::cat(&[class, patches], 1)?;
        Ok(embedded.broadcast_add(&self.position_embedding)?)
    }
}

/// What stands between the two linear layers of an MLP.
fn activation_named(name: &str) -> Result<Activation, ModelError> {
    match name {
        "quick_gelu" => Ok(Activation::QuickGelu),
        "gelu" => Ok(Activation::Gelu),
        other => Err(parameter("hidden_act", &other, "quick_gelu or gelu")),
    }
}

/// `x += attention(norm1(x)); x += mlp(norm2(x))`.
#[derive(Debug, Clone)]
struct EncoderLayer {
    layer_norm1: LayerNorm,
    attention: Attention,
    layer_norm2: LayerNorm,
    fc1: Linear,
    activation: Activation,
    fc2: Linear,
    kernels: Kernels,
}

impl EncoderLayer {
    fn load(
        config: &ClipVisionConfig,
        activation: Activation,
        vb: &Weights<'_>,
    ) -> Result<Self, ModelError> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            layer_norm1: layer_norm(width, config.layer_norm_eps, &vb.pp("layer_norm1"))?,
            attention: Attention::load(config, &vb.pp("self_attn"))?,
            layer_norm2: layer_norm(width, config.layer_norm_eps, &vb.pp("layer_norm2"))?,
            fc1: linear(width, inner, &vb.pp("mlp.fc1"))?,
            activation,
            fc2: linear(inner, width, &vb.pp("mlp.fc2"))?,
            kernels: vb.kernels(),
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor, ModelError> {
        let xs = (xs + self.attention.forward(&self.layer_norm1.forward(xs)?)?)?;
        let inner = self.fc1.forward(&self.layer_norm2.forward(&xs)?)?;
        let inner = activate(self.kernels, self.activation, &inner)?;
        Ok(self.fc2.forward_added(&inner, &xs)?)
    }
}

/// Multi-head attention without a mask.
#[derive(Debug, Clone)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: usize,
    kernels: Kernels,
}

impl Attention {
    fn load(config: &ClipVisionConfig, vb: &Weights<'_>) -> Result<Self, ModelError> {
        let width = config.hidden_size;
        let projection = |name: &str| linear(width, width, &vb.pp(name));
        Ok(Self {
            q_proj: projection("q_proj")?,
            k_proj: projection("k_proj")?,
            v_proj: projection("v_proj")?,
            out_proj: projection("out_proj")?,
            heads: config.num_attention_heads,
            kernels: vb.kernels(),
        })
    }

    /// (B, T, C) → (B, T, C).
    fn forward(&self, xs: &Tensor) -> Result<Tensor, ModelError> {
        let (query, key, value) =
            (self.q_proj.forward(xs)?, self.k_proj.forward(xs)?, self.v_proj.forward(xs)?);
        let mixed = multi_head_attention(self.kernels, self.heads, &query, &key, &value)?;
        Ok(self.out_proj.forward(&mixed)?)
    }
}

//! The CLIP vision transformer (Radford et al. 2021; `CLIPVisionModel` of transformers), up to the hidden
//! state that is read from it: the layers above it and the pooled output are never computed. Knows no
//! projector.

use candle_core::{D, IndexOp, Tensor};
use candle_nn::{LayerNorm, Linear, Module, VarBuilder, layer_norm, linear, ops};

use crate::config::ClipVisionConfig;
use crate::error::ModelError;

/// The tower. C is its width, P the number of patches.
#[derive(Debug, Clone)]
pub struct ClipVisionTower {
    embeddings: Embeddings,
    pre_layernorm: LayerNorm,
    layers: Vec<EncoderLayer>,
    selected: usize,
}

impl ClipVisionTower {
    /// Loads from `vb` at `….vision_model`. `select_layer` is an index into the layers + 1 hidden states,
    /// negative from the end.
    ///
    /// # Errors
    /// `Parameter` for a configuration that no tower can have; `Tensor` for missing or misshapen weights.
    #[expect(clippy::needless_pass_by_value, reason = "every network takes its weights by value")]
    pub fn load(
        config: &ClipVisionConfig,
        select_layer: i32,
        vb: VarBuilder<'_>,
    ) -> Result<Self, ModelError> {
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
        let activation = Activation::named(&config.hidden_act)?;
        let layers = (0..config.num_hidden_layers)
            .map(|layer| EncoderLayer::load(config, activation, &vb.pp("encoder.layers").pp(layer)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            embeddings: Embeddings::load(config, &vb.pp("embeddings"))?,
            // The name is misspelt in every checkpoint.
            pre_layernorm: layer_norm(
                config.hidden_size,
                config.layer_norm_eps,
                vb.pp("pre_layrnorm"),
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
    fn load(config: &ClipVisionConfig, vb: &VarBuilder<'_>) -> Result<Self, ModelError> {
        let (width, patch) = (config.hidden_size, config.patch_size);
        let kernel = vb.get((width, 3, patch, patch), "patch_embedding.weight")?;
        Ok(Self {
            class_embedding: vb.get(width, "class_embedding")?,
            patch_embedding: Linear::new(kernel.flatten_from(1)?, None),
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
#[derive(Debug, Clone, Copy)]
enum Activation {
    /// `x * sigmoid(1.702 x)`, OpenAI's.
    QuickGelu,
    /// The exact GELU.
    Gelu,
}

impl Activation {
    fn named(name: &str) -> Result<Self, ModelError> {
        match name {
            "quick_gelu" => Ok(Self::QuickGelu),
            "gelu" => Ok(Self::Gelu),
            other => Err(parameter("hidden_act", &other, "quick_gelu or gelu")),
        }
    }

    fn forward(self, xs: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::QuickGelu => xs * ops::sigmoid(&(xs * 1.702)?)?,
            Self::Gelu => xs.gelu_erf(),
        }
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
}

impl EncoderLayer {
    fn load(
        config: &ClipVisionConfig,
        activation: Activation,
        vb: &VarBuilder<'_>,
    ) -> Result<Self, ModelError> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            layer_norm1: layer_norm(width, config.layer_norm_eps, vb.pp("layer_norm1"))?,
            attention: Attention::load(config, &vb.pp("self_attn"))?,
            layer_norm2: layer_norm(width, config.layer_norm_eps, vb.pp("layer_norm2"))?,
            fc1: linear(width, inner, vb.pp("mlp.fc1"))?,
            activation,
            fc2: linear(inner, width, vb.pp("mlp.fc2"))?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor, ModelError> {
        let xs = (xs + self.attention.forward(&self.layer_norm1.forward(xs)?)?)?;
        let inner = self.fc1.forward(&self.layer_norm2.forward(&xs)?)?;
        let inner = self.activation.forward(&inner)?;
        Ok((&xs + self.fc2.forward(&inner)?)?)
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
}

impl Attention {
    fn load(config: &ClipVisionConfig, vb: &VarBuilder<'_>) -> Result<Self, ModelError> {
        let width = config.hidden_size;
        let projection = |name: &str| linear(width, width, vb.pp(name));
        Ok(Self {
            q_proj: projection("q_proj")?,
            k_proj: projection("k_proj")?,
            v_proj: projection("v_proj")?,
            out_proj: projection("out_proj")?,
            heads: config.num_attention_heads,
        })
    }

    /// (B, T, C) → (B, T, C).
    fn forward(&self, xs: &Tensor) -> Result<Tensor, ModelError> {
        let (batch, tokens, width) = xs.dims3()?;
        let head_width = width / self.heads;
        let split = |xs: Tensor| {
            xs.reshape((batch, tokens, self.heads, head_width))?.transpose(1, 2)?.contiguous()
        };
        let scale = (head_width as f64).powf(-0.5);
        let q = split((self.q_proj.forward(xs)? * scale)?)?;
        let k = split(self.k_proj.forward(xs)?)?;
        let v = split(self.v_proj.forward(xs)?)?;
        let scores = q.matmul(&k.transpose(D::Minus2, D::Minus1)?)?;
        let mixed = ops::softmax_last_dim(&scores)?.matmul(&v)?;
        let mixed = mixed.transpose(1, 2)?.reshape((batch, tokens, width))?;
        Ok(self.out_proj.forward(&mixed)?)
    }
}

//! The decoder's configuration: LLaMA's fields of `config.json`.

use serde::Deserialize;

/// LLaMA, as in Hugging Face's `LlamaConfig`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LlamaConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key/value heads; absent or null means as many as query heads.
    #[serde(default)]
    pub num_key_value_heads: Option<usize>,
    /// Width of one head; absent means `hidden_size / num_attention_heads`.
    #[serde(default)]
    pub head_dim: Option<usize>,
    /// RMSNorm's epsilon.
    #[serde(default = "default_rms_norm_eps")]
    pub rms_norm_eps: f64,
    /// Positions the model was trained for.
    pub max_position_embeddings: usize,
    /// RoPE's base; newer files keep it in `rope_parameters` (the reader moves it here).
    #[serde(default = "default_rope_theta")]
    pub rope_theta: f64,
    /// RoPE scaling, if any.
    #[serde(default)]
    pub rope_scaling: Option<RopeScaling>,
    /// Whether q, k, v and o projections have biases.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether `lm_head` is the embedding matrix.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Rows of the embedding matrix.
    pub vocab_size: usize,
}

/// `rope_scaling` of transformers 4.35: linear or dynamic-NTK, factor > 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum RopeScaling {
    /// Positions divided by the factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Base grown once the context exceeds `max_position_embeddings`.
    Dynamic {
        /// How far the context may grow.
        factor: f64,
    },
}

impl LlamaConfig {
    /// Key/value heads, resolved.
    pub fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of one head, resolved.
    pub fn head_width(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads)
    }
}

fn default_rms_norm_eps() -> f64 {
    1e-6
}

fn default_rope_theta() -> f64 {
    10_000.0
}

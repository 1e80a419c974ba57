//! What `GET /v1/models` says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The served models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// One card for each name a request may use.
    pub data: Vec<ModelCard>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelCard {
    /// What requests call it.
    pub id: String,
    /// Always `model`.
    pub object: String,
    /// When it was loaded, seconds since 1970.
    pub created: u64,
    /// Always `reverie`.
    pub owned_by: String,
    /// Positions a document may have, text and pictures together.
    pub max_model_len: usize,
    /// What the model was trained for.
    pub abilities: Vec<ModelAbility>,
    /// Whether it is the small model inside the binary, whatever it is called here.
    pub built_in: bool,
}

/// One thing a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelAbility {
    /// Reads pictures and answers in text.
    Comprehension,
    /// Draws pictures.
    Creation,
}

//! What `GET /v1/models` says.

use serde::{Deserialize, Serialize};

/// The served models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelList {
    /// Always `list`.
    pub object: String,
    /// One card for each name a request may use.
    pub data: Vec<ModelCard>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

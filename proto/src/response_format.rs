//! `response_format`: what shape the text must have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What shape the text must have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseFormat {
    /// Which kind of shape.
    pub r#type: ResponseFormatType,
    /// The schema, of the kind that has one.
    pub json_schema: Option<NamedSchema>,
}

/// A kind of shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormatType {
    /// Free text.
    Text,
    /// One JSON object.
    JsonObject,
    /// JSON as a schema has it.
    JsonSchema,
}

/// A JSON schema and its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSchema {
    /// For the client alone.
    pub name: String,
    /// For the client alone: the model does not read it.
    pub description: Option<String>,
    /// The schema itself, an object.
    pub schema: Value,
    /// Accepted and ignored: a schema is always followed to the letter, or refused.
    pub strict: Option<bool>,
}

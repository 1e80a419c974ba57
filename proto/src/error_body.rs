//! OpenAI's error body. Knows its shape; the codes and statuses are chosen at the HTTP edge.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `{"error": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDetail {
    /// For a person.
    pub message: String,
    /// The family, such as `invalid_request_error`.
    pub r#type: String,
    /// The parameter's path, such as `messages[0].content[1].image_url.url`.
    pub param: Option<String>,
    /// For a program, such as `context_length_exceeded`.
    pub code: Option<String>,
}

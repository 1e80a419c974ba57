//! What the client is asked to do, where, and how it says what a person using it got.

use std::env;
use std::error::Error;
use std::fs;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// What all cases share.
pub struct Suite {
    base: String,
    client: String,
    pub model: String,
    pub scenario: Value,
}

impl Suite {
    pub fn from_environment() -> Outcome<Self> {
        let scenario = fs::read_to_string(env::var("SCENARIO")?)?;
        Ok(Self {
            base: env::var("BASE")?,
            client: env::var("CLIENT")?,
            model: env::var("MODEL")?,
            scenario: serde_json::from_str(&scenario)?,
        })
    }

    /// Whether bodies are free-form JSON, by the crate's feature `byot`.
    pub fn is_free_form(&self) -> bool {
        self.client.ends_with("byot")
    }

    pub fn text(&self, name: &str) -> &str {
        self.scenario[name].as_str().unwrap_or_default()
    }

    pub fn pictures(&self) -> [&str; 2] {
        [0, 1].map(|index| self.scenario["pictures"][index].as_str().unwrap_or_default())
    }

    /// The client, sending a case's requests to where they are told from other cases'.
    pub fn client(&self, case: &str) -> Client<OpenAIConfig> {
        let base = format!("{}/{}/{case}/v1", self.base, self.client);
        Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key("none"))
    }

    /// Says what a case gave; what the client returns as an error is seen, too.
    pub fn say(&self, case: &str, saw: Outcome<Value>) {
        let saw = saw.unwrap_or_else(|error| match error.downcast_ref() {
            Some(OpenAIError::ApiError(answer)) => json!({
                "raised": "OpenAIError::ApiError",
                "status": answer.status_code.as_u16(),
                "code": answer.api_error.code,
                "param": answer.api_error.param,
                "message": answer.api_error.message,
            }),
            Some(OpenAIError::JSONDeserialize(fault, _content)) => {
                json!({"raised": "OpenAIError::JSONDeserialize", "message": fault.to_string()})
            }
            Some(_) | None => json!({"raised": "error", "message": error.to_string()}),
        });
        println!("{}", json!({"client": self.client, "case": case, "saw": saw}));
    }
}

/// The bytes of base64 with or without a data URL's prefix.
pub fn file(encoded: &str) -> Outcome<Vec<u8>> {
    let data = encoded.rsplit_once(',').map_or(encoded, |(_, data)| data);
    Ok(BASE64_STANDARD.decode(data)?)
}

/// A picture's file: `["image", its SHA-256]`.
pub fn picture(encoded: &str) -> Outcome<Value> {
    let digest = Sha256::digest(file(encoded)?);
    let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!(["image", hexadecimal]))
}

/// What a picture will be like: `index` is the client's.
pub fn preview(index: u64, encoded: &str) -> Outcome<Value> {
    Ok(json!([format!("preview {index}"), picture(encoded)?[1]]))
}

/// Adds a text, joined with the one before it.
pub fn push_text(elements: &mut Vec<Value>, text: &str) {
    match elements.last_mut() {
        Some(last) if last[0] == "text" => {
            last[1] = format!("{}{text}", last[1].as_str().unwrap_or_default()).into();
        }
        Some(_) | None if text.is_empty() => {}
        Some(_) | None => elements.push(json!(["text", text])),
    }
}

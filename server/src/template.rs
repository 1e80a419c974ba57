//! How a conversation is written down for this checkpoint. Knows strings, not tokens or pictures.
//!
//! The template belongs to the checkpoint: `reverie_template.json` beside the weights, else the
//! reference's `vicuna_v1.1` (`omni/conversation/conversation.py`).

use std::path::{Path, PathBuf};

use reverie_proto::Sampler;
use serde::{Deserialize, Serialize};

/// The file beside the weights.
pub const TEMPLATE_FILE: &str = "reverie_template.json";

/// How a conversation is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTemplate {
    /// For logs and `inspect`.
    pub name: String,
    /// System text where the client gives none; may be empty.
    pub system: String,
    /// Follows the system text unless that is empty.
    pub system_separator: String,
    /// Around what the user says.
    pub user: Wrapper,
    /// Around what the assistant says; `prefix` also opens the answer.
    pub assistant: AssistantWrapper,
    /// Between two pieces of text of one speaker that no picture separates.
    pub text_separator: String,
    /// Where white space is taken off.
    pub trim: Trim,
    /// How a bare image request becomes a prompt.
    pub text_to_image: TextToImage,
    /// What requests that do not say get.
    #[serde(default)]
    pub defaults: CheckpointDefaults,
}

/// Text around what someone says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapper {
    /// Before.
    pub prefix: String,
    /// After.
    pub suffix: String,
}

/// Text around what the assistant says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssistantWrapper {
    /// Before; also the end of every prompt.
    pub prefix: String,
    /// Between `prefix` and text; left out before a picture.
    pub text_separator: String,
    /// After. `</s>` is not text: see `end`.
    pub suffix: String,
    /// Which control token follows `suffix`.
    pub end: AssistantEnd,
}

/// Which control token ends the assistant's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AssistantEnd {
    /// The end-of-sequence token.
    #[serde(rename = "</s>")]
    EndOfSequence,
    /// None.
    #[serde(rename = "none")]
    Nothing,
}

/// Where white space is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trim {
    /// Around the assistant's chunks only, as the reference trains: the space of `USER: ` stays before
    /// a picture.
    AssistantChunks,
    /// Around everything that stands between pictures and control tokens.
    EveryRun,
}

/// How a bare image request becomes a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextToImage {
    /// The caption alone, as the reference's `get_prompt_embeds`.
    Raw,
    /// As a user's message.
    Chat,
}

/// What requests that do not say get, where the checkpoint has an opinion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointDefaults {
    /// The update rule.
    pub sampler: Option<Sampler>,
    /// Denoising steps.
    pub num_inference_steps: Option<usize>,
    /// Strength of guidance.
    pub guidance_scale: Option<f64>,
    /// How adventurous text is.
    pub temperature: Option<f64>,
}

/// A template file that cannot be used. Exit code 78 at the command line.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Not such a file, or a field too many or too few.
    #[error("{path}: {source}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
    /// A default that no request could ask for either.
    #[error("{path}: defaults.{field} is {found}, wanted {wanted}", path = path.display())]
    Default {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        wanted: &'static str,
    },
}

impl PromptTemplate {
    /// The template of the checkpoint in `folder`, or the built-in one if it brings none.
    ///
    /// # Errors
    /// [`TemplateError`] if there is a file and it is not such a template.
    pub fn of_checkpoint(folder: &Path) -> Result<Self, TemplateError> {
        let path = folder.join(TEMPLATE_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::vicuna_v1_1());
            }
            Err(source) => return Err(TemplateError::Io { path, source }),
        };
        let template: Self = serde_json::from_slice(&text)
            .map_err(|source| TemplateError::Format { path: path.clone(), source })?;
        template.check(&path)
    }

    /// The reference's default: `omni/conversation/conversation.py`, `conv_vicuna_v1_1`, and the
    /// raw captions of `DreamLLMForCausalMLM.get_prompt_embeds`.
    pub fn vicuna_v1_1() -> Self {
        Self {
            name: "vicuna_v1.1".to_owned(),
            system: "A chat between a curious user and an artificial intelligence assistant. The \
                     assistant gives helpful, detailed, and polite answers to the user's questions."
                .to_owned(),
            system_separator: " ".to_owned(),
            user: Wrapper { prefix: "USER: ".to_owned(), suffix: " ".to_owned() },
            assistant: AssistantWrapper {
                prefix: "ASSISTANT:".to_owned(),
                text_separator: " ".to_owned(),
                suffix: String::new(),
                end: AssistantEnd::EndOfSequence,
            },
            text_separator: "\n".to_owned(),
            trim: Trim::AssistantChunks,
            text_to_image: TextToImage::Raw,
            defaults: CheckpointDefaults::default(),
        }
    }

    fn check(self, path: &Path) -> Result<Self, TemplateError> {
        let refuse = |field, found: String, wanted| {
            Err(TemplateError::Default { path: path.to_owned(), field, found, wanted })
        };
        let CheckpointDefaults { sampler: _, num_inference_steps, guidance_scale, temperature } =
            self.defaults;
        if let Some(steps) = num_inference_steps
            && !(1..=1000).contains(&steps)
        {
            return refuse("num_inference_steps", steps.to_string(), "1 to 1000");
        }
        if let Some(scale) = guidance_scale
            && !(0.0..=50.0).contains(&scale)
        {
            return refuse("guidance_scale", scale.to_string(), "0 to 50");
        }
        if let Some(temperature) = temperature
            && !(0.0..=2.0).contains(&temperature)
        {
            return refuse("temperature", temperature.to_string(), "0 to 2");
        }
        Ok(self)
    }
}

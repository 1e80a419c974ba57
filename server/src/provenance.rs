//! What an answer and its pictures say of where they come from. By itself a picture holds its recipe and
//! nothing that follows from what the client wrote, for pictures travel further than conversations: even a
//! digest of a short question lets anybody try guesses. A client that asks for provenance gets digests, and
//! one that asks for all of it the request. Knows neither HTTP nor how files are written.

use std::sync::Arc;

use reverie_model::Picture;
use reverie_model::digest::hexadecimal;
use reverie_model::picture_codec::{Metadata, TRAINED_ALGORITHMIC_MEDIA};
use reverie_proto::provenance::PICTURE_NOTE;
use reverie_proto::{EffectiveParameters, PictureDigest, PictureProvenance, Provenance, Recipe};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::engine::request::{EngineRequest, PromptSegment};
use crate::model_hash::ModelHash;
use crate::request::{Disclosure, ValidRequest};

const SOFTWARE: &str = concat!("Reverie ", env!("CARGO_PKG_VERSION"));

/// What is the same for all answers of a served model.
#[derive(Debug, Clone)]
pub struct ModelProvenance {
    /// Its weights.
    pub hash: Arc<ModelHash>,
    /// Where this is equal, bits are.
    pub numerics_class: String,
    /// `cpu` or `cuda`.
    pub device: &'static str,
}

/// What one answer will say of where it comes from.
#[derive(Debug, Clone)]
pub struct AnswerProvenance {
    model: ModelProvenance,
    name: String,
    parameters: EffectiveParameters,
    negative_prompt: bool,
    /// Only where the client asks for it.
    question: Option<Question>,
}

/// What was asked.
#[derive(Debug, Clone)]
struct Question {
    context_sha256: String,
    request: Option<Value>,
}

impl AnswerProvenance {
    /// Of the answer to `request`, which `valid` became.
    pub fn new(model: &ModelProvenance, valid: &ValidRequest, request: &EngineRequest) -> Self {
        let asked = |kept: Option<&Value>| {
            Some(Question {
                context_sha256: context_sha256(&request.prompt),
                request: kept.cloned(),
            })
        };
        let question = match &valid.disclosure {
            Disclosure::Recipe => None,
            Disclosure::Digests => asked(None),
            Disclosure::Full(kept) => asked(Some(kept)),
        };
        Self {
            model: model.clone(),
            name: valid.model.clone(),
            parameters: valid.effective.clone(),
            negative_prompt: valid.negative_prompt.is_some(),
            question,
        }
    }

    /// Whether the answer itself says it.
    pub fn is_asked_for(&self) -> bool {
        self.question.is_some()
    }

    /// May take long, as [`ModelHash::get`].
    fn recipe(&self) -> Recipe {
        Recipe {
            software: SOFTWARE.to_owned(),
            model: self.name.clone(),
            model_sha256: self.model.hash.get().to_owned(),
            numerics_class: self.model.numerics_class.clone(),
            device: self.model.device.to_owned(),
            parameters: self.parameters.clone(),
            negative_prompt: self.negative_prompt,
        }
    }

    /// What the answer says, if it was asked to. May take long, as [`ModelHash::get`].
    pub fn of_answer(&self, pictures: Vec<PictureDigest>) -> Option<Provenance> {
        let Question { context_sha256, request } = self.question.clone()?;
        Some(Provenance { recipe: self.recipe(), context_sha256, pictures, request })
    }

    /// What the file of a picture says; nothing in it depends on when or to whom it is sent. May take long,
    /// as [`ModelHash::get`].
    pub fn of_picture(&self, picture: PictureDigest) -> Metadata {
        let (context_sha256, request) = match self.question.clone() {
            Some(Question { context_sha256, request }) => (Some(context_sha256), request),
            None => (None, None),
        };
        let recipe = self.recipe();
        let provenance = PictureProvenance { recipe, picture, context_sha256, request };
        let provenance =
            serde_json::to_string(&provenance).expect("our own types always serialise");
        Metadata {
            notes: vec![
                ("Software".to_owned(), SOFTWARE.to_owned()),
                (PICTURE_NOTE.to_owned(), provenance),
            ],
            digital_source_type: Some(TRAINED_ALGORITHMIC_MEDIA),
        }
    }
}

/// What the file of a preview says: that a machine made it, and nothing that would let it pass for the picture.
pub fn of_preview() -> Metadata {
    Metadata {
        notes: vec![("Software".to_owned(), SOFTWARE.to_owned())],
        digital_source_type: Some(TRAINED_ALGORITHMIC_MEDIA),
    }
}

/// `picture`, as it is delivered, told from every other one.
pub fn picture_digest(picture: &Picture, index: usize) -> PictureDigest {
    PictureDigest {
        index: index as u64,
        width: picture.width(),
        height: picture.height(),
        pixels_sha256: hexadecimal(&picture.sha256()),
    }
}

/// SHA-256 of a context: for each token `t` and its id (four bytes, little-endian), for each picture `p` and
/// [`Picture::sha256`] of what the vision tower is given, for each dream block `d`.
fn context_sha256(prompt: &[PromptSegment]) -> String {
    let mut digest = Sha256::new();
    for segment in prompt {
        match segment {
            PromptSegment::Tokens(ids) => {
                for id in ids {
                    digest.update(b"t");
                    digest.update(id.to_le_bytes());
                }
            }
            PromptSegment::Picture(picture) => {
                digest.update(b"p");
                digest.update(picture.sha256());
            }
            PromptSegment::Dream => digest.update(b"d"),
        }
    }
    hexadecimal(&digest.finalize())
}

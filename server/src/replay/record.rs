//! What a file recorded of an answer: the file of a whole answer, or of one picture. The same form is made of
//! what a server answers anew. Whatever the file holds, reading it ends in a record or in a reason.

use reverie_model::Picture;
use reverie_model::picture_codec::{PictureLimits, decode, read_png_notes};
use reverie_proto::provenance::PICTURE_NOTE;
use reverie_proto::{
    ChatCompletion, ImageItem, OrderedPart, PictureDigest, PictureProvenance, Recipe,
};
use serde_json::{Map, Value, json};

use crate::provenance::picture_digest;
use crate::request::picture_file;

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// What a file's picture may unpack to: no server draws more.
const LIMITS: PictureLimits =
    PictureLimits { max_pixels: 1 << 26, max_side: 1 << 16, max_aspect_ratio: u32::MAX };
const MAX_PICTURE_BYTES: usize = 256 << 20;

/// Why a file cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Some other file.
    #[error("neither an answer (JSON) nor a PNG")]
    Unknown,
    /// An answer of another shape than ours.
    #[error("no answer of a chat: {reason}")]
    NoAnswer {
        /// The reader's words.
        reason: String,
    },
    /// An answer that says nothing of where it comes from.
    #[error("the answer has no provenance: ask for it with `\"provenance\": true`, or \"full\"")]
    NoProvenance,
    /// A picture that says nothing of where it comes from.
    #[error(
        "the picture says nothing of where it comes from: not drawn by Reverie, or its metadata was removed"
    )]
    NoNote,
    /// A note of another shape than ours.
    #[error("the picture's note `{PICTURE_NOTE}` cannot be read: {reason}")]
    BadNote {
        /// The reader's words.
        reason: String,
    },
    /// A picture that cannot be decoded.
    #[error("picture {index} cannot be read: {reason}")]
    BadPicture {
        /// Which one, from 0.
        index: u64,
        /// The reader's words.
        reason: String,
    },
    /// Nothing says what was asked.
    #[error(
        "the file does not hold the request: give it with --request, or ask with `\"provenance\": \"full\"`"
    )]
    NoRequest,
    /// The request is none.
    #[error("the request is not a JSON object")]
    BadRequest,
}

/// What is known of an answer, or of one picture of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// How it came to be.
    pub recipe: Recipe,
    /// Digest of the question, where it was asked for.
    pub context_sha256: Option<String>,
    /// The request, where it was kept.
    pub request: Option<Value>,
    /// What came to be.
    pub subject: Subject,
}

/// What came to be.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A whole answer.
    Answer(RecordedAnswer),
    /// One of its pictures.
    Picture(RecordedPicture),
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct RecordedAnswer {
    /// Text and pictures in order.
    pub parts: Vec<OrderedPart>,
    /// Positions it took.
    pub completion_tokens: usize,
    /// Its pictures, in order.
    pub pictures: Vec<RecordedPicture>,
}

/// A picture, and what was said of it when it was drawn.
#[derive(Debug, Clone)]
pub struct RecordedPicture {
    /// As it was drawn.
    pub said: PictureDigest,
    /// As the file holds it.
    pub held: Picture,
}

impl RecordedPicture {
    /// Whether it is still as it was drawn.
    pub fn is_as_drawn(&self) -> bool {
        picture_digest(&self.held, 0).pixels_sha256 == self.said.pixels_sha256
    }
}

impl Record {
    /// Reads an answer or a PNG.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(file: &[u8]) -> Result<Self, RecordError> {
        let first = file.iter().find(|byte| !byte.is_ascii_whitespace());
        if file.starts_with(PNG_SIGNATURE) {
            Self::of_picture(file)
        } else if first == Some(&b'{') {
            Self::of_answer(file)
        } else {
            Err(RecordError::Unknown)
        }
    }

    fn of_picture(file: &[u8]) -> Result<Self, RecordError> {
        let unreadable = |reason: String| RecordError::BadPicture { index: 0, reason };
        let notes = read_png_notes(file).map_err(|error| unreadable(error.to_string()))?;
        let note = notes.into_iter().find(|(key, _)| key == PICTURE_NOTE);
        let (_, note) = note.ok_or(RecordError::NoNote)?;
        let said: PictureProvenance = serde_json::from_str(&note)
            .map_err(|error| RecordError::BadNote { reason: error.to_string() })?;
        let held = decode(file, &LIMITS).map_err(|error| unreadable(error.to_string()))?;
        let PictureProvenance { recipe, picture, context_sha256, request } = said;
        let subject = Subject::Picture(RecordedPicture { said: picture, held });
        Ok(Self { recipe, context_sha256, request, subject })
    }

    /// # Errors
    /// Those of [`Self::read`] about answers.
    fn of_answer(file: &[u8]) -> Result<Self, RecordError> {
        let no_answer = |reason: String| RecordError::NoAnswer { reason };
        let answer: ChatCompletion =
            serde_json::from_slice(file).map_err(|error| no_answer(error.to_string()))?;
        let provenance = answer.provenance.ok_or(RecordError::NoProvenance)?;
        let choice = answer.choices.into_iter().next();
        let message = choice.ok_or_else(|| no_answer("it has no choice".to_owned()))?.message;
        if message.images.len() != provenance.pictures.len() {
            return Err(no_answer("its provenance tells of other pictures".to_owned()));
        }
        let pictures = message.images.iter().zip(provenance.pictures);
        let pictures =
            pictures.map(|(item, said)| recorded(item, said)).collect::<Result<_, _>>()?;
        let subject = Subject::Answer(RecordedAnswer {
            parts: message.content_parts.ok_or_else(|| {
                no_answer("it was sent as parts, without `content_parts`".to_owned())
            })?,
            completion_tokens: answer.usage.completion_tokens,
            pictures,
        });
        let context_sha256 = Some(provenance.context_sha256);
        Ok(Self { recipe: provenance.recipe, context_sha256, request: provenance.request, subject })
    }

    /// The request that asks for the same again: the kept one, or `given` with the seed that was drawn for
    /// it. `model` is what the asked server calls its model.
    ///
    /// # Errors
    /// [`RecordError::NoRequest`] without any, [`RecordError::BadRequest`] if it is no object.
    pub fn question(&self, given: Option<Value>, model: &str) -> Result<Value, RecordError> {
        let request = given.or_else(|| self.request.clone()).ok_or(RecordError::NoRequest)?;
        let Value::Object(mut fields) = request else { return Err(RecordError::BadRequest) };
        for how_it_is_sent in ["stream", "stream_options", "image_delivery", "image_content"] {
            fields.remove(how_it_is_sent);
        }
        if is_absent(&fields, "seed") {
            fields.insert("seed".to_owned(), self.recipe.parameters.seed.into());
        }
        fields.insert("model".to_owned(), model.into());
        fields.insert("provenance".to_owned(), json!(true));
        Ok(Value::Object(fields))
    }
}

fn is_absent(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name).is_none_or(Value::is_null)
}

fn recorded(item: &ImageItem, said: PictureDigest) -> Result<RecordedPicture, RecordError> {
    let bad = |reason: String| RecordError::BadPicture { index: said.index, reason };
    let file = picture_file(&item.image_url.url, MAX_PICTURE_BYTES);
    let file = file.map_err(|fault| bad(fault.to_string()))?;
    let held = decode(&file, &LIMITS).map_err(|error| bad(error.to_string()))?;
    Ok(RecordedPicture { said, held })
}

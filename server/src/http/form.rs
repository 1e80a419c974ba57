//! A `multipart/form-data` body, already read within its bounds, as text fields and pictures. Knows which fields
//! hold files; not what the others mean.

use std::convert::Infallible;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use sha2::{Digest as _, Sha256};

use super::body::says_form;
use super::error::ApiError;
use super::preparation::Fingerprint;
use crate::request::EncodedPicture;

/// Parts of a form at most: no request has so many fields and pictures.
const MAX_PARTS: usize = 1024;

/// What a form holds.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// Names and values, in order.
    pub(super) fields: Vec<(String, String)>,
    /// The files of `image` and `image[]`, in order.
    pub(super) pictures: Vec<EncodedPicture>,
    /// Whether there is a `mask`.
    pub(super) has_mask: bool,
}

/// What separates the form's parts; `None` if the body does not say that it is a form.
pub(super) fn boundary(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    if !says_form(headers) {
        return Ok(None);
    }
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = said.and_then(|said| multer::parse_boundary(said).ok());
    boundary.map(Some).ok_or_else(ApiError::bad_form)
}

/// Takes `bytes` apart.
pub(super) async fn read(bytes: Vec<u8>, boundary: String) -> Result<Form, ApiError> {
    let mut parts = Multipart::new(tokio_stream::once(Ok::<_, Infallible>(bytes)), boundary);
    let mut form = Form::default();
    for _ in 0..MAX_PARTS {
        match parts.next_field().await {
            Ok(Some(part)) => form.take(part).await?,
            Ok(None) => return Ok(form.numbered()),
            Err(_) => return Err(ApiError::bad_form()),
        }
    }
    Err(ApiError::too_many_parts(MAX_PARTS))
}

/// Clients choose a new boundary each time they ask: it is no part of what they say.
impl Fingerprint for Form {
    fn write_to(&self, digest: &mut Sha256) {
        let Self { fields, pictures, has_mask } = self;
        let fields = fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let files = pictures.iter().map(|picture| picture.bytes.as_slice());
        for bytes in fields.chain([&[u8::from(*has_mask)][..]]).chain(files) {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
    }
}

impl Form {
    async fn take(&mut self, part: Field<'_>) -> Result<(), ApiError> {
        let name = part.name().ok_or_else(ApiError::bad_form)?.to_owned();
        let bytes = part.bytes().await.map_err(|_| ApiError::bad_form())?;
        match name.as_str() {
            "image" | "image[]" => {
                let param = "image".to_owned();
                self.pictures.push(EncodedPicture { param, bytes: bytes.to_vec() });
            }
            "mask" => self.has_mask = true,
            _ => {
                let value = std::str::from_utf8(&bytes).map_err(|_| ApiError::no_text(&name))?;
                self.fields.push((name, value.to_owned()));
            }
        }
        Ok(())
    }

    /// Where there are several pictures, an error says which one it is about.
    fn numbered(mut self) -> Self {
        if self.pictures.len() > 1 {
            for (index, picture) in self.pictures.iter_mut().enumerate() {
                picture.param = format!("image[{index}]");
            }
        }
        self
    }
}

//! From a drawn picture to what carries it: base64, or the address of a file that is kept. The only place where answers'
//! pictures are encoded, and where the number of such jobs at a time is bounded.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_model::Picture;
use reverie_model::picture_codec::as_delivered;
use reverie_proto::message::ImageItemType;
use reverie_proto::{ContentPart, ImageData, ImageItem, ImageUrl, PictureDigest};
use tokio::sync::Semaphore;

use super::AppState;
use super::error::ApiError;
use super::shelf::{AddressBase, Shelf};
use crate::picture_codec::{PictureCodec, PictureFormat};
use crate::provenance::{AnswerProvenance, of_preview, picture_digest};
use crate::request::{PicturePlace, ValidRequest, Whereabouts};

/// Pixels of a preview's shorter side, at least: fewer can be seen on no page.
const LEAST_PREVIEW_SIDE: u32 = 64;
/// Small, for it is looked at for a moment.
const PREVIEW_FORMAT: PictureFormat = PictureFormat::Jpeg { quality: 80 };

/// How one answer's pictures are sent.
#[derive(Debug, Clone)]
pub(super) struct PictureDelivery {
    codec: PictureCodec,
    work: Arc<Semaphore>,
    pub(super) format: PictureFormat,
    /// Pixels across and down.
    size: (u32, u32),
    pub(super) place: PicturePlace,
    keeper: Option<Keeper>,
    pub(super) provenance: Arc<AnswerProvenance>,
}

/// Who keeps pictures that are sent by their address.
#[derive(Debug, Clone)]
struct Keeper {
    shelf: Shelf,
    base: Arc<str>,
}

/// A picture as it is sent in a chat, and what tells it from others.
#[derive(Debug)]
pub(super) struct DeliveredPicture {
    url: String,
    index: usize,
    pub(super) digest: PictureDigest,
}

/// A picture's file, and what tells it from others.
#[derive(Debug)]
pub(super) struct DeliveredFile {
    pub(super) file: SentFile,
    pub(super) digest: PictureDigest,
}

/// A picture's file as it is sent.
#[derive(Debug)]
pub(super) enum SentFile {
    /// In base64.
    Base64(String),
    /// By its address.
    Address(String),
}

impl From<SentFile> for ImageData {
    fn from(file: SentFile) -> Self {
        match file {
            SentFile::Base64(base64) => Self::B64Json(base64),
            SentFile::Address(url) => Self::Url(url),
        }
    }
}

impl DeliveredPicture {
    /// As an item of `images`.
    pub(super) fn item(&self) -> ImageItem {
        ImageItem {
            r#type: ImageItemType::ImageUrl,
            index: Some(self.index as u64),
            image_url: self.image_url(),
        }
    }

    /// As a part of `content`.
    pub(super) fn part(&self) -> ContentPart {
        ContentPart::ImageUrl { image_url: self.image_url() }
    }

    /// As a paragraph of Markdown. The white space is none of the model's: it is taken off when the text comes back.
    pub(super) fn markdown(&self) -> String {
        format!("\n\n![picture {}]({})\n\n", self.index + 1, self.url)
    }

    fn image_url(&self) -> ImageUrl {
        ImageUrl { url: self.url.clone(), detail: None }
    }
}

impl PictureDelivery {
    /// For the pictures of the answer to `valid`; those that are sent by their address are kept on `shelf`.
    ///
    /// # Errors
    /// If there is nothing for addresses to begin with.
    pub(super) fn new(
        state: &AppState,
        valid: &ValidRequest,
        provenance: AnswerProvenance,
        (shelf, base): (Shelf, &AddressBase),
    ) -> Result<Self, ApiError> {
        let (delivery, pictures) = (valid.delivery, &valid.pictures);
        let keeper = match delivery.whereabouts {
            Whereabouts::Inline => None,
            Whereabouts::Address => Some(Keeper { shelf, base: base.get()?.into() }),
        };
        Ok(Self {
            codec: state.codec,
            work: Arc::clone(&state.picture_writing),
            format: delivery.picture_format,
            size: (pictures.width as u32, pictures.height as u32),
            place: delivery.place,
            keeper,
            provenance: Arc::new(provenance),
        })
    }

    /// `picture` as the one with `index` of a chat's answer.
    pub(super) async fn picture(
        &self,
        picture: Arc<Picture>,
        index: usize,
    ) -> Result<DeliveredPicture, ApiError> {
        let DeliveredFile { file, digest } = self.file(picture, index).await?;
        let url = match file {
            SentFile::Base64(base64) => {
                format!("data:{};base64,{base64}", self.format.media_type())
            }
            SentFile::Address(url) => url,
        };
        Ok(DeliveredPicture { url, index, digest })
    }

    /// A preview, one pixel for each cell of latents, as a data URL of a small file: large enough to be seen, and no
    /// larger than the picture.
    pub(super) async fn preview_url(&self, preview: Arc<Picture>) -> Result<String, ApiError> {
        let factor = LEAST_PREVIEW_SIDE.div_ceil(preview.width().min(preview.height()));
        let side = |cells: u32, whole: u32| cells.saturating_mul(factor).min(whole);
        let size = (side(preview.width(), self.size.0), side(preview.height(), self.size.1));
        let base64 = self.preview_file(preview, size, PREVIEW_FORMAT).await?;
        Ok(format!("data:{};base64,{base64}", PREVIEW_FORMAT.media_type()))
    }

    /// A preview as a file of the answer's own format, as large as the picture will be, in base64.
    pub(super) async fn partial_image(&self, preview: Arc<Picture>) -> Result<String, ApiError> {
        self.preview_file(preview, self.size, self.format).await
    }

    async fn preview_file(
        &self,
        preview: Arc<Picture>,
        (width, height): (u32, u32),
        format: PictureFormat,
    ) -> Result<String, ApiError> {
        let codec = self.codec;
        let encode = move || {
            let file = (codec.encode)(&preview.scaled(width, height), format, &of_preview());
            Ok(STANDARD.encode(file.map_err(|error| refused(&error))?))
        };
        self.writing(encode).await
    }

    /// The file of `picture`, which is the answer's picture with `index`.
    pub(super) async fn file(
        &self,
        picture: Arc<Picture>,
        index: usize,
    ) -> Result<DeliveredFile, ApiError> {
        let delivery = self.clone();
        self.writing(move || delivery.write(&picture, index)).await
    }

    /// Does `encode` where it may take long, once it is its turn.
    async fn writing<T: Send + 'static>(
        &self,
        encode: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Ok(permit) = Arc::clone(&self.work).acquire_owned().await else {
            return Err(ApiError::internal());
        };
        let encoding = tokio::task::spawn_blocking(move || {
            let encoded = encode();
            drop(permit);
            encoded
        });
        encoding.await.map_err(|error| refused(&error))?
    }

    /// Takes long, and may wait for a disk.
    fn write(&self, picture: &Arc<Picture>, index: usize) -> Result<DeliveredFile, ApiError> {
        let delivered = as_delivered(picture, self.format).map_err(|error| refused(&error))?;
        let digest = picture_digest(delivered.as_ref(), index);
        let metadata = self.provenance.of_picture(digest.clone());
        let file = (self.codec.encode)(picture, self.format, &metadata);
        let file = file.map_err(|error| refused(&error))?;
        let file = match &self.keeper {
            None => SentFile::Base64(STANDARD.encode(file)),
            Some(Keeper { shelf, base }) => {
                let kept = shelf.keep_picture(file, base);
                SentFile::Address(kept.map_err(|error| ApiError::store_failed(&error))?)
            }
        };
        Ok(DeliveredFile { file, digest })
    }
}

fn refused(error: &dyn std::error::Error) -> ApiError {
    tracing::error!(%error, "encoding a picture failed");
    ApiError::internal()
}

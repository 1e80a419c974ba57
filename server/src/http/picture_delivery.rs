//! From a drawn picture to the base64 that carries it. The only place where answers' pictures are
//! encoded, and where the number of such jobs at a time is bounded.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_model::picture_codec::as_delivered;
use reverie_model::{Picture, PictureError};
use reverie_proto::message::ImageItemType;
use reverie_proto::{ImageItem, ImageUrl, PictureDigest};
use tokio::sync::Semaphore;

use super::AppState;
use super::error::ApiError;
use crate::engine::request::PictureParams;
use crate::picture_codec::{PictureCodec, PictureFormat};
use crate::provenance::{AnswerProvenance, of_preview, picture_digest};

/// Pixels of a preview's shorter side, at least: fewer can be seen on no page.
const LEAST_PREVIEW_SIDE: u32 = 64;
/// Small, for it is looked at for a moment.
const PREVIEW_FORMAT: PictureFormat = PictureFormat::Jpeg { quality: 80 };

/// How one answer's pictures are sent.
#[derive(Debug, Clone)]
pub(super) struct PictureDelivery {
    pub(super) codec: PictureCodec,
    pub(super) work: Arc<Semaphore>,
    pub(super) format: PictureFormat,
    /// Pixels across and down.
    size: (u32, u32),
    pub(super) provenance: Arc<AnswerProvenance>,
}

/// A picture as it is sent, and what tells it from others.
#[derive(Debug)]
pub(super) struct DeliveredPicture {
    pub(super) item: ImageItem,
    pub(super) digest: PictureDigest,
}

/// A picture's file, and what tells it from others.
#[derive(Debug)]
pub(super) struct DeliveredFile {
    pub(super) base64: String,
    pub(super) digest: PictureDigest,
}

impl PictureDelivery {
    /// For the pictures of one answer.
    pub(super) fn new(
        state: &AppState,
        pictures: &PictureParams,
        provenance: AnswerProvenance,
    ) -> Self {
        Self {
            codec: state.codec,
            work: Arc::clone(&state.picture_writing),
            format: pictures.format,
            size: (pictures.width as u32, pictures.height as u32),
            provenance: Arc::new(provenance),
        }
    }

    /// `picture` as the item of `images` with `index`.
    pub(super) async fn item(
        &self,
        picture: Arc<Picture>,
        index: usize,
    ) -> Result<DeliveredPicture, ApiError> {
        let DeliveredFile { base64, digest } = self.file(picture, index).await?;
        let url = format!("data:{};base64,{base64}", self.format.media_type());
        let item = ImageItem {
            r#type: ImageItemType::ImageUrl,
            index: Some(index as u64),
            image_url: ImageUrl { url, detail: None },
        };
        Ok(DeliveredPicture { item, digest })
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
            let file = (codec.encode)(&preview.scaled(width, height), format, &of_preview())?;
            Ok(STANDARD.encode(file))
        };
        self.writing(encode).await
    }

    /// The file of `picture`, which is the answer's picture with `index`.
    pub(super) async fn file(
        &self,
        picture: Arc<Picture>,
        index: usize,
    ) -> Result<DeliveredFile, ApiError> {
        let Self { codec, work: _, format, size: _, provenance } = self.clone();
        let encode = move || {
            let digest = picture_digest(as_delivered(&picture, format)?.as_ref(), index);
            let file = (codec.encode)(&picture, format, &provenance.of_picture(digest.clone()))?;
            Ok(DeliveredFile { base64: STANDARD.encode(file), digest })
        };
        self.writing(encode).await
    }

    /// Does `encode` where it may take long, once it is its turn.
    async fn writing<T: Send + 'static>(
        &self,
        encode: impl FnOnce() -> Result<T, PictureError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Ok(permit) = Arc::clone(&self.work).acquire_owned().await else {
            return Err(ApiError::internal());
        };
        let encoding = tokio::task::spawn_blocking(move || {
            let encoded = encode();
            drop(permit);
            encoded
        });
        let refused = |error: &dyn std::error::Error| {
            tracing::error!(%error, "encoding a picture failed");
            ApiError::internal()
        };
        let encoded = encoding.await.map_err(|error| refused(&error))?;
        encoded.map_err(|error| refused(&error))
    }
}

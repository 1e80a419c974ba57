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
use crate::picture_codec::{PictureCodec, PictureFormat};
use crate::provenance::{AnswerProvenance, picture_digest};

/// How one answer's pictures are sent.
#[derive(Debug, Clone)]
pub(super) struct PictureDelivery {
    pub(super) codec: PictureCodec,
    pub(super) work: Arc<Semaphore>,
    pub(super) format: PictureFormat,
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
        format: PictureFormat,
        provenance: AnswerProvenance,
    ) -> Self {
        let work = Arc::clone(&state.picture_writing);
        Self { codec: state.codec, work, format, provenance: Arc::new(provenance) }
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

    /// The file of `picture`, which is the answer's picture with `index`.
    pub(super) async fn file(
        &self,
        picture: Arc<Picture>,
        index: usize,
    ) -> Result<DeliveredFile, ApiError> {
        let Ok(permit) = Arc::clone(&self.work).acquire_owned().await else {
            return Err(ApiError::internal());
        };
        let Self { codec, work: _, format, provenance } = self.clone();
        let encoding = tokio::task::spawn_blocking(move || -> Result<_, PictureError> {
            let digest = picture_digest(as_delivered(&picture, format)?.as_ref(), index);
            let file = (codec.encode)(&picture, format, &provenance.of_picture(digest.clone()))?;
            drop(permit);
            Ok(DeliveredFile { base64: STANDARD.encode(file), digest })
        });
        let refused = |error: &dyn std::error::Error| {
            tracing::error!(%error, "encoding a picture failed");
            ApiError::internal()
        };
        let encoded = encoding.await.map_err(|error| refused(&error))?;
        encoded.map_err(|error| refused(&error))
    }
}

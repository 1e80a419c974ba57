//! From a drawn picture to the data URL that carries it. The only place where answers' pictures are
//! encoded, and where the number of such jobs at a time is bounded.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_model::{Picture, PictureError};
use reverie_proto::message::ImageItemType;
use reverie_proto::{ImageItem, ImageUrl};
use tokio::sync::Semaphore;

use super::error::ApiError;
use crate::picture_codec::{PictureCodec, PictureFormat};

/// How one answer's pictures are sent.
#[derive(Debug, Clone)]
pub(super) struct PictureDelivery {
    pub(super) codec: PictureCodec,
    pub(super) work: Arc<Semaphore>,
    pub(super) format: PictureFormat,
    pub(super) notes: Vec<(String, String)>,
}

impl PictureDelivery {
    /// `picture` as the item of `images` with `index`.
    pub(super) async fn item(
        &self,
        picture: Arc<Picture>,
        index: usize,
    ) -> Result<ImageItem, ApiError> {
        let Ok(permit) = Arc::clone(&self.work).acquire_owned().await else {
            return Err(ApiError::internal());
        };
        let Self { codec, work: _, format, notes } = self.clone();
        let encoding = tokio::task::spawn_blocking(move || {
            let file = (codec.encode)(&picture, format, &notes)?;
            drop(permit);
            Ok(format!("data:{};base64,{}", format.media_type(), STANDARD.encode(file)))
        });
        let refused = |error: &dyn std::error::Error| {
            tracing::error!(%error, "encoding a picture failed");
            ApiError::internal()
        };
        let url: Result<String, PictureError> = encoding.await.map_err(|error| refused(&error))?;
        let url = url.map_err(|error| refused(&error))?;
        Ok(ImageItem {
            r#type: ImageItemType::ImageUrl,
            index: Some(index as u64),
            image_url: ImageUrl { url, detail: None },
        })
    }
}

//! How an answer is sent: at once or as it is written, and where its pictures are.

use reverie_proto::{ChatCompletionRequest, ImageContent, ImageDelivery, StreamOptions};

use super::RequestError;
use super::pictures::picture_format;
use crate::picture_codec::PictureFormat;

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// At once or as it is written.
    pub mode: DeliveryMode,
    /// How pictures are encoded.
    pub picture_format: PictureFormat,
    /// Where a picture's file is.
    pub whereabouts: Whereabouts,
    /// Where a picture stands.
    pub place: PicturePlace,
}

impl Delivery {
    /// Pictures in the answer, beside its text.
    pub(super) fn inline(mode: DeliveryMode, picture_format: PictureFormat) -> Self {
        let (whereabouts, place) = (Whereabouts::Inline, PicturePlace::Images);
        Self { mode, picture_format, whereabouts, place }
    }
}

/// Where the file of a delivered picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// In the answer.
    Inline,
    /// At a signed address, kept for a while.
    Address,
}

/// Where a delivered picture stands in a chat's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PicturePlace {
    /// In `images`, with its place in the order of deltas or in `content_parts`.
    Images,
    /// In `content`, which then is a list of parts.
    Parts,
    /// In the text, as Markdown.
    Markdown,
}

/// At once or as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// At once.
    Whole,
    /// As it is written.
    Streamed {
        /// A last chunk says what the answer took.
        include_usage: bool,
    },
}

pub(super) fn delivery(request: &ChatCompletionRequest) -> Result<Delivery, RequestError> {
    let mode = delivery_mode(request.stream, request.stream_options)?;
    let picture_format = picture_format(request)?;
    let (whereabouts, place) = match (request.image_delivery, request.image_content) {
        (None | Some(ImageDelivery::Inline), None | Some(ImageContent::Images)) => {
            (Whereabouts::Inline, PicturePlace::Images)
        }
        (None | Some(ImageDelivery::Inline), Some(ImageContent::Parts)) => {
            (Whereabouts::Inline, PicturePlace::Parts)
        }
        (Some(ImageDelivery::Url), None | Some(ImageContent::Images)) => {
            (Whereabouts::Address, PicturePlace::Images)
        }
        (Some(ImageDelivery::Url), Some(ImageContent::Parts)) => {
            (Whereabouts::Address, PicturePlace::Parts)
        }
        (Some(ImageDelivery::Markdown), None) => (Whereabouts::Address, PicturePlace::Markdown),
        (Some(ImageDelivery::Markdown), Some(_)) => {
            let reason =
                "has no say with `image_delivery: \"markdown\"`: pictures stand in the text";
            return Err(RequestError::conflict("image_content", reason));
        }
    };
    Ok(Delivery { mode, picture_format, whereabouts, place })
}

pub(super) fn delivery_mode(
    stream: Option<bool>,
    options: Option<StreamOptions>,
) -> Result<DeliveryMode, RequestError> {
    match (stream.unwrap_or(false), options) {
        (true, options) => Ok(DeliveryMode::Streamed {
            include_usage: options.and_then(|options| options.include_usage).unwrap_or(false),
        }),
        (false, None) => Ok(DeliveryMode::Whole),
        (false, Some(_)) => Err(RequestError::conflict("stream_options", "needs `stream: true`")),
    }
}

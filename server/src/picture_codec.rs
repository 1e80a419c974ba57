//! How picture files become pixels and back, as values the edge is given. Knows no file format itself.

use std::sync::Arc;

use reverie_model::picture_codec;
use reverie_model::{Picture, PictureError};

pub use reverie_model::picture_codec::{Metadata, PictureFormat, PictureLimits};

/// A file's bytes to pixels, its header checked first.
pub type DecodePicture = fn(&[u8], &PictureLimits) -> Result<Picture, PictureError>;

/// Pixels to no more of them than the model will look at: what is held while a request waits.
pub type ShrinkPicture = Arc<dyn Fn(&Picture) -> Picture + Send + Sync>;

/// Pixels to a file's bytes, with what the file says besides.
pub type EncodePicture = fn(&Picture, PictureFormat, &Metadata) -> Result<Vec<u8>, PictureError>;

/// Reads and writes picture files. Both take long: call them where blocking is allowed.
#[derive(Debug, Clone, Copy)]
pub struct PictureCodec {
    /// Reads.
    pub decode: DecodePicture,
    /// Writes.
    pub encode: EncodePicture,
}

impl PictureCodec {
    /// The model's own: PIL's rules behind a header gate.
    pub fn standard() -> Self {
        Self { decode: picture_codec::decode, encode: picture_codec::encode }
    }
}

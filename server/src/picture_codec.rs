//! How picture files become pixels and back, as values the edge is given. Knows no file format itself.

use reverie_model::{Picture, PictureError};

/// What a picture file may promise before anything of it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureLimits {
    /// Limit on width × height.
    pub max_pixels: u64,
    /// Limit on either side, pixels.
    pub max_side: u32,
    /// Limit on the longer side over the shorter.
    pub max_aspect_ratio: u32,
}

/// A picture file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Lossless.
    Png,
    /// Lossy.
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
    /// Lossless.
    Webp,
}

impl PictureFormat {
    /// The media type of its files.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg { .. } => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

/// A file's bytes to pixels, its header checked first.
pub type DecodePicture = fn(&[u8], &PictureLimits) -> Result<Picture, PictureError>;

/// Pixels to a file's bytes, with (keyword, text) pairs where the format has a place for them.
pub type EncodePicture =
    fn(&Picture, PictureFormat, &[(String, String)]) -> Result<Vec<u8>, PictureError>;

/// Reads and writes picture files. Both take long: call them where blocking is allowed.
#[derive(Debug, Clone, Copy)]
pub struct PictureCodec {
    /// Reads.
    pub decode: DecodePicture,
    /// Writes.
    pub encode: EncodePicture,
}

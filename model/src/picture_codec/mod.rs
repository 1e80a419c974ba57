//! Picture files ⇄ `Picture`: the header is judged by us before any decoder runs, and every file becomes
//! the RGB that the reference's `load_image` (Pillow) makes of it. Of a file that is read as a picture
//! nothing but pixels survives. Knows nothing of URLs, base64 or the model.

mod decode_gif;
mod decode_jpeg;
mod decode_png;
mod decode_webp;
mod encode;
mod header;
mod metadata;
mod orientation;
mod pillow;

pub use encode::{PictureFormat, as_delivered, encode};
pub use header::{Header, PictureFileFormat, read_header};
pub use metadata::{Metadata, TRAINED_ALGORITHMIC_MEDIA, read_png_notes};

use crate::error::PictureError;
use crate::picture::Picture;

/// What a picture file may ask for, judged from its header alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureLimits {
    /// Largest width × height.
    pub max_pixels: u64,
    /// Largest width or height, pixels.
    pub max_side: u32,
    /// Largest ratio of the longer side to the shorter.
    pub max_aspect_ratio: u32,
}

impl PictureLimits {
    /// For files of our own.
    pub fn none() -> Self {
        Self { max_pixels: u64::MAX, max_side: u32::MAX, max_aspect_ratio: u32::MAX }
    }

    /// Refuses sizes outside the limits.
    ///
    /// # Errors
    /// `Empty`, `TooLarge` or `TooElongated`.
    pub fn check(&self, width: u32, height: u32) -> Result<(), PictureError> {
        let (long, short) = (width.max(height), width.min(height));
        if short == 0 {
            return Err(PictureError::Empty);
        }
        if long > self.max_side || u64::from(width) * u64::from(height) > self.max_pixels {
            let (max_pixels, max_side) = (self.max_pixels, self.max_side);
            return Err(PictureError::TooLarge { width, height, max_pixels, max_side });
        }
        if u64::from(long) > u64::from(short) * u64::from(self.max_aspect_ratio) {
            return Err(PictureError::TooElongated {
                width,
                height,
                max_ratio: self.max_aspect_ratio,
            });
        }
        Ok(())
    }
}

/// Decodes a PNG, JPEG, WebP or GIF file as the reference's `load_image` does: EXIF orientation applied,
/// RGBA composited on white, all else converted as Pillow's `.convert("RGB")`. Of animations, the first
/// frame. The format is told by the bytes; bytes after the picture are ignored.
///
/// # Errors
/// `UnsupportedFormat` for other files; what `PictureLimits::check` says of the header, before anything is
/// decoded; `Corrupt` for torn or broken data: never half a picture.
pub fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Picture, PictureError> {
    let header = read_header(bytes)?;
    limits.check(header.width, header.height)?;
    let (picture, exif) = match header.format {
        PictureFileFormat::Png => decode_png::decode(bytes)?,
        PictureFileFormat::Jpeg => decode_jpeg::decode(bytes, &header)?,
        PictureFileFormat::Webp => decode_webp::decode(bytes, &header)?,
        PictureFileFormat::Gif => (decode_gif::decode(bytes, &header)?, None),
    };
    let orientation = exif.and_then(orientation::read_exif).unwrap_or(1);
    Ok(orientation::apply(picture, orientation))
}

/// The rows of a decoder's output as a picture.
fn picture_of(header: &Header, rgb: Vec<u8>) -> Result<Picture, PictureError> {
    if rgb.len() as u64 != u64::from(header.width) * u64::from(header.height) * 3 {
        return Err(PictureError::Corrupt);
    }
    Ok(Picture::new(header.width, header.height, rgb))
}

/// The decoder's limits: the two copies of a picture that a decoder may hold, at four bytes a pixel and
/// two a sample, and a little for its tables.
fn decoder_limits(header: &Header) -> image::Limits {
    let pixels = u64::from(header.width) * u64::from(header.height);
    let mut limits = image::Limits::no_limits();
    limits.max_image_width = Some(header.width);
    limits.max_image_height = Some(header.height);
    limits.max_alloc = Some(pixels * 8 + (1 << 20));
    limits
}

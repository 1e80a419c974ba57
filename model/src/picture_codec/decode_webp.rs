//! WebP files, by way of the `image` crate. Of animations the first frame, on a transparent canvas.

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;
use image::{ColorType, ImageDecoder, Rgba};

use super::header::{Header, webp_chunks, webp_file};
use super::{decoder_limits, picture_of, pillow};
use crate::error::PictureError;
use crate::picture::Picture;

/// A picture and its EXIF data, if any. The header was judged already, and every chunk is whole.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    header: &Header,
) -> Result<(Picture, Option<&'a [u8]>), PictureError> {
    let corrupt = |_| PictureError::Corrupt;
    let bytes = webp_file(bytes).ok_or(PictureError::Corrupt)?; // the decoder looks a little further
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(corrupt)?;
    decoder.set_limits(decoder_limits(header)).map_err(corrupt)?;
    if decoder.dimensions() != (header.width, header.height) {
        return Err(PictureError::Corrupt);
    }
    if decoder.has_animation() {
        decoder.set_background_color(Rgba([0; 4])).map_err(corrupt)?;
    }
    let color = decoder.color_type();
    let mut samples =
        vec![0; usize::try_from(decoder.total_bytes()).map_err(|_| PictureError::Corrupt)?];
    decoder.read_image(&mut samples).map_err(corrupt)?;
    let rgb = match color {
        ColorType::Rgb8 => samples,
        ColorType::Rgba8 => pillow::composite_on_white(&samples),
        _ => return Err(PictureError::Corrupt),
    };
    let exif = webp_chunks(bytes)
        .and_then(|mut chunks| chunks.find(|(name, _)| name == b"EXIF"))
        .map(|(_, data)| data);
    Ok((picture_of(header, rgb)?, exif))
}

//! JPEG files, by way of the `image` crate. Our own walk over the markers comes first: the decoder fills
//! what a torn file lacks with gray, and takes any number of scans.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::{ColorType, ImageDecoder};

use super::header::{Header, JpegSegments, is_start_of_frame};
use super::{decoder_limits, picture_of, pillow};
use crate::error::PictureError;
use crate::picture::Picture;

/// Progressive encoders write about ten scans; each costs a pass over the picture.
const MAX_SCANS: usize = 100;

/// A picture and its EXIF data, if any. The header was judged already.
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    header: &Header,
) -> Result<(Picture, Option<&'a [u8]>), PictureError> {
    let whole = whole_picture(bytes).ok_or(PictureError::Corrupt)?;
    let corrupt = |_| PictureError::Corrupt;
    let mut decoder = JpegDecoder::new(Cursor::new(whole)).map_err(corrupt)?;
    decoder.set_limits(decoder_limits(header)).map_err(corrupt)?;
    let color = decoder.color_type();
    if decoder.dimensions() != (header.width, header.height) {
        return Err(PictureError::Corrupt);
    }
    let mut samples =
        vec![0; usize::try_from(decoder.total_bytes()).map_err(|_| PictureError::Corrupt)?];
    decoder.read_image(&mut samples).map_err(corrupt)?;
    let rgb = match color {
        ColorType::L8 => pillow::gray_to_rgb(samples.into_iter()),
        ColorType::Rgb8 => samples,
        _ => return Err(PictureError::Corrupt),
    };
    Ok((picture_of(header, rgb)?, exif(bytes)))
}

/// The bytes up to the end marker, or `None` without one, with too many scans, with a second frame (its planes would not be those
/// that room was made for), or with planes that no encoder writes.
fn whole_picture(bytes: &[u8]) -> Option<&[u8]> {
    let mut segments = JpegSegments::new(bytes);
    let (mut frames, mut scans) = (0, 0);
    while let Some((marker, segment)) = segments.next() {
        match marker {
            0xd9 => return bytes.get(..segments.offset()).filter(|_| scans > 0),
            0xda => {
                scans += 1;
                (scans <= MAX_SCANS).then_some(())?;
                segments = segments.after_scan()?;
            }
            _ if is_start_of_frame(marker) => {
                frames += 1;
                (frames == 1 && has_usual_planes(segment)).then_some(())?;
            }
            _ => {}
        }
    }
    None
}

/// Whether a frame header (ITU-T T.81, B.2.2) is of one plane, or of more of which the first is the finest. On others the decoder
/// panics.
fn has_usual_planes(frame: &[u8]) -> bool {
    let mut planes = frame.get(6..).unwrap_or_default().chunks_exact(3);
    let Some(&[_, first, _]) = planes.next() else { return false };
    let is_finer = |plane: &[u8]| plane[1] >> 4 > first >> 4 || plane[1] & 15 > first & 15;
    !planes.any(is_finer)
}

/// The data of the first EXIF segment.
fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let before_scans = JpegSegments::new(bytes).take_while(|(marker, _)| *marker != 0xda);
    before_scans
        .filter(|(marker, _)| *marker == 0xe1)
        .find_map(|(_, segment)| segment.strip_prefix(b"Exif\0\0"))
}

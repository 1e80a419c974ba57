//! `Picture` → PNG, JPEG or WebP file: the same bytes for the same pixels, and no metadata but what the
//! caller states. Knows nothing of where a picture came from.

use std::io::Cursor;
use std::sync::Arc;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::metadata::{Metadata, PNG_XMP_KEYWORD};
use super::{PictureLimits, decode};
use crate::error::PictureError;
use crate::picture::Picture;

/// How to write a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Lossless, and quick rather than small.
    Png,
    /// Lossy.
    Jpeg {
        /// 1 to 100.
        quality: u8,
    },
    /// Lossless.
    Webp,
    /// Lossy, by libwebp.
    LossyWebp {
        /// 0 to 100.
        quality: u8,
    },
}

impl PictureFormat {
    /// The media type, as in `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg { .. } => "image/jpeg",
            Self::Webp | Self::LossyWebp { .. } => "image/webp",
        }
    }

    /// The longest side that the format can state, pixels.
    fn max_side(self) -> u32 {
        match self {
            Self::Png => i32::MAX as u32,
            Self::Jpeg { .. } => u16::MAX.into(),
            Self::Webp => 16_384,
            Self::LossyWebp { .. } => 16_383,
        }
    }
}

/// Most bytes of a JPEG segment: its length counts itself.
const MAX_SEGMENT_BYTES: usize = u16::MAX as usize - 2;
/// What the segment of a JPEG that holds an XMP packet begins with (XMP, part 3).
const JPEG_XMP_NAME: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
const APP0: [u8; 2] = [0xff, 0xe0];
const APP1: [u8; 2] = [0xff, 0xe1];
const COMMENT: [u8; 2] = [0xff, 0xfe];

/// Writes a picture with `metadata`. Its notes are iTXt chunks in PNG, `key: text` comments in JPEG (a long
/// one goes on in the next) and in the XMP packet in WebP; its source type is in XMP everywhere.
///
/// # Errors
/// `TooLarge` for a side that the format cannot state.
///
/// # Panics
/// For keys of another form than [`Metadata::notes`] says: a defect of the caller.
pub fn encode(
    picture: &Picture,
    format: PictureFormat,
    metadata: &Metadata,
) -> Result<Vec<u8>, PictureError> {
    for (key, _) in &metadata.notes {
        assert!((1..=79).contains(&key.len()) && key.is_ascii(), "keys are short ASCII: {key:?}");
    }
    let (width, height) = (picture.width(), picture.height());
    let max_side = format.max_side();
    let too_large = PictureError::TooLarge { width, height, max_pixels: u64::MAX, max_side };
    if width.max(height) > max_side {
        return Err(too_large);
    }
    let written = match format {
        PictureFormat::Png => encode_png(picture, metadata).ok(),
        PictureFormat::Jpeg { quality } => encode_jpeg(picture, quality, metadata),
        PictureFormat::Webp => {
            lossless_webp(picture).and_then(|file| describe_webp(file, picture, metadata))
        }
        PictureFormat::LossyWebp { quality } => {
            lossy_webp(picture, quality).and_then(|file| describe_webp(file, picture, metadata))
        }
    };
    written.ok_or(too_large)
}

/// The picture as whoever opens the file that [`encode`] writes sees it: itself, unless the format is lossy.
///
/// # Errors
/// Those of [`encode`].
pub fn as_delivered(
    picture: &Arc<Picture>,
    format: PictureFormat,
) -> Result<Arc<Picture>, PictureError> {
    match format {
        PictureFormat::Png | PictureFormat::Webp => Ok(Arc::clone(picture)),
        PictureFormat::Jpeg { .. } | PictureFormat::LossyWebp { .. } => {
            let file = encode(picture, format, &Metadata::default())?;
            decode(&file, &PictureLimits::none()).map(Arc::new)
        }
    }
}

fn encode_png(picture: &Picture, metadata: &Metadata) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    for (key, text) in &metadata.notes {
        encoder.add_itxt_chunk(key.clone(), text.clone())?;
    }
    if let Some(packet) = metadata.xmp(&[]) {
        encoder.add_itxt_chunk(PNG_XMP_KEYWORD.to_owned(), packet)?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.rgb())?;
    writer.finish()?;
    Ok(file)
}

fn encode_jpeg(picture: &Picture, quality: u8, metadata: &Metadata) -> Option<Vec<u8>> {
    let mut coded = Vec::new();
    JpegEncoder::new_with_quality(&mut coded, quality.clamp(1, 100))
        .write_image(picture.rgb(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .ok()?;
    // JFIF's own segment stays first.
    let after_start = coded.strip_prefix(&START_OF_IMAGE)?;
    let jfif = match after_start.strip_prefix(&APP0) {
        Some(segment) => 2 + usize::from(u16::from_be_bytes([*segment.first()?, *segment.get(1)?])),
        None => 0,
    };
    let (start, rest) = coded.split_at_checked(START_OF_IMAGE.len() + jfif)?;
    let mut file = start.to_vec();
    if let Some(packet) = metadata.xmp(&[]) {
        push_segment(&mut file, APP1, &[JPEG_XMP_NAME, packet.as_bytes()].concat());
    }
    for (key, text) in &metadata.notes {
        for comment in format!("{key}: {text}").into_bytes().chunks(MAX_SEGMENT_BYTES) {
            push_segment(&mut file, COMMENT, comment);
        }
    }
    file.extend(rest);
    Some(file)
}

/// `data` is at most [`MAX_SEGMENT_BYTES`] long.
fn push_segment(file: &mut Vec<u8>, marker: [u8; 2], data: &[u8]) {
    file.extend(marker);
    file.extend((data.len() as u16 + 2).to_be_bytes());
    file.extend(data);
}

fn lossless_webp(picture: &Picture) -> Option<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    WebPEncoder::new_lossless(&mut file)
        .write_image(picture.rgb(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .ok()?;
    Some(file.into_inner())
}

fn lossy_webp(picture: &Picture, quality: u8) -> Option<Vec<u8>> {
    let (width, height) = (picture.width(), picture.height());
    let encoder = webp::Encoder::from_rgb(picture.rgb(), width, height);
    let file = encoder.encode_simple(false, f32::from(quality.min(100))).ok()?;
    Some(file.to_vec())
}

/// A simple WebP file with metadata, if there is any.
fn describe_webp(simple: Vec<u8>, picture: &Picture, metadata: &Metadata) -> Option<Vec<u8>> {
    let Some(packet) = metadata.xmp(&metadata.notes) else {
        return Some(simple);
    };
    // The extended form: what the file has (XMP only), the canvas, the bitstream as it is, the XMP.
    const HAS_XMP: u8 = 0x04;
    let mut extended = vec![HAS_XMP, 0, 0, 0];
    extended.extend(&(picture.width() - 1).to_le_bytes()[..3]);
    extended.extend(&(picture.height() - 1).to_le_bytes()[..3]);
    let mut body = b"WEBP".to_vec();
    push_chunk(&mut body, b"VP8X", &extended);
    body.extend(simple.get(12..)?);
    push_chunk(&mut body, b"XMP ", packet.as_bytes());
    let mut file = b"RIFF".to_vec();
    file.extend((body.len() as u32).to_le_bytes());
    file.extend(body);
    Some(file)
}

fn push_chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    file.extend(name);
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file.extend(&[0][..data.len() % 2]);
}

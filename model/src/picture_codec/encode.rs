//! `Picture` → PNG, JPEG or WebP file: the same bytes for the same pixels, and no metadata but what the
//! caller states. Knows nothing of where a picture came from.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder};

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
}

impl PictureFormat {
    /// The media type, as in `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg { .. } => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }

    /// The longest side that the format can state, pixels.
    fn max_side(self) -> u32 {
        match self {
            Self::Png => i32::MAX as u32,
            Self::Jpeg { .. } => u16::MAX.into(),
            Self::Webp => 16_384,
        }
    }
}

/// Most bytes of a JPEG comment: its length counts itself.
const MAX_COMMENT_BYTES: usize = u16::MAX as usize - 2;

/// Writes a picture with `metadata`, pairs of a key and a text: iTXt chunks in PNG, `key: text` comments in
/// JPEG (a long one goes on in the next), one XMP chunk in WebP. Keys are 1 to 79 bytes of ASCII.
///
/// # Errors
/// `TooLarge` for a side that the format cannot state.
///
/// # Panics
/// For keys of another form: a defect of the caller.
pub fn encode(
    picture: &Picture,
    format: PictureFormat,
    metadata: &[(String, String)],
) -> Result<Vec<u8>, PictureError> {
    for (key, _) in metadata {
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
        PictureFormat::Webp => encode_webp(picture, metadata),
    };
    written.ok_or(too_large)
}

fn encode_png(
    picture: &Picture,
    metadata: &[(String, String)],
) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    for (key, text) in metadata {
        encoder.add_itxt_chunk(key.clone(), text.clone())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.rgb())?;
    writer.finish()?;
    Ok(file)
}

fn encode_jpeg(picture: &Picture, quality: u8, metadata: &[(String, String)]) -> Option<Vec<u8>> {
    let mut coded = Vec::new();
    JpegEncoder::new_with_quality(&mut coded, quality.clamp(1, 100))
        .write_image(picture.rgb(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .ok()?;
    let (start, rest) = coded.split_at_checked(2)?;
    let mut file = start.to_vec();
    for (key, text) in metadata {
        for comment in format!("{key}: {text}").into_bytes().chunks(MAX_COMMENT_BYTES) {
            file.extend([0xff, 0xfe]);
            file.extend((comment.len() as u16 + 2).to_be_bytes());
            file.extend(comment);
        }
    }
    file.extend(rest);
    Some(file)
}

fn encode_webp(picture: &Picture, metadata: &[(String, String)]) -> Option<Vec<u8>> {
    let mut simple = Cursor::new(Vec::new());
    WebPEncoder::new_lossless(&mut simple)
        .write_image(picture.rgb(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .ok()?;
    let simple = simple.into_inner();
    if metadata.is_empty() {
        return Some(simple);
    }
    // The extended form: what the file has (XMP only), the canvas, the bitstream as it is, the XMP.
    const HAS_XMP: u8 = 0x04;
    let mut extended = vec![HAS_XMP, 0, 0, 0];
    extended.extend(&(picture.width() - 1).to_le_bytes()[..3]);
    extended.extend(&(picture.height() - 1).to_le_bytes()[..3]);
    let mut body = b"WEBP".to_vec();
    push_chunk(&mut body, b"VP8X", &extended);
    body.extend(simple.get(12..)?);
    push_chunk(&mut body, b"XMP ", xmp(metadata).as_bytes());
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

/// An XMP packet that lists `key: text` as the picture's description.
fn xmp(metadata: &[(String, String)]) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let items: String = metadata
        .iter()
        .map(|(key, text)| format!("<rdf:li>{}: {}</rdf:li>", escape(key), escape(text)))
        .collect();
    format!(
        "<?xpacket begin=\"\u{feff}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\
         <x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:relation><rdf:Bag>{items}</rdf:Bag>\
         </dc:relation></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>"
    )
}

//! PNG files, by way of the `png` crate and Pillow's rules for each colour type. Only the chunks that make
//! pixels reach the decoder, so text and colour profiles cost nothing, however large they unpack.

use std::io::Cursor;

use super::header::array;
use super::pillow;
use crate::error::PictureError;
use crate::picture::Picture;

const SIGNATURE_BYTES: usize = 8;

/// A picture and its EXIF data, if any. The header was judged already.
pub(super) fn decode(bytes: &[u8]) -> Result<(Picture, Option<&[u8]>), PictureError> {
    let (pixels_only, exif) = strip(bytes).ok_or(PictureError::Corrupt)?;
    let corrupt = |_| PictureError::Corrupt;
    let mut decoder = png::Decoder::new(Cursor::new(pixels_only));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(corrupt)?;
    let length = reader.output_buffer_size().ok_or(PictureError::Corrupt)?;
    let mut rows = vec![0; length];
    let frame = reader.next_frame(&mut rows).map_err(corrupt)?;
    let palette = reader.info().palette.as_deref().unwrap_or_default();
    let samples = Samples { rows: &rows, frame: &frame };
    let rgb = samples.to_rgb(palette);
    Ok((Picture::new(frame.width, frame.height, rgb), exif))
}

/// The file without what makes no pixels, and the EXIF data. `None` if it ends before its end chunk.
fn strip(bytes: &[u8]) -> Option<(Vec<u8>, Option<&[u8]>)> {
    let mut kept = bytes.get(..SIGNATURE_BYTES)?.to_vec();
    let mut exif = None;
    let mut rest = &bytes[SIGNATURE_BYTES..];
    loop {
        let length = usize::try_from(u32::from_be_bytes(array(rest, 0)?)).ok()?;
        let chunk = rest.get(..length.checked_add(12)?)?; // length, name, data, checksum
        rest = &rest[chunk.len()..];
        match &chunk[4..8] {
            b"eXIf" => exif = exif.or(Some(&chunk[8..8 + length])),
            b"IHDR" | b"PLTE" | b"IDAT" => kept.extend_from_slice(chunk),
            b"IEND" => {
                kept.extend_from_slice(chunk);
                return Some((kept, exif));
            }
            _ => {}
        }
    }
}

/// Unfiltered rows as the file packs them.
struct Samples<'a> {
    rows: &'a [u8],
    frame: &'a png::OutputInfo,
}

impl Samples<'_> {
    fn to_rgb(&self, palette: &[u8]) -> Vec<u8> {
        use png::{BitDepth, ColorType};
        let depth = self.frame.bit_depth;
        match (self.frame.color_type, depth) {
            // Pillow opens these as "I;16", whose way to RGB clips rather than scales.
            (ColorType::Grayscale, BitDepth::Sixteen) => pillow::gray_to_rgb(
                self.rows.chunks_exact(2).map(|v| if v[0] > 0 { 255 } else { v[1] }),
            ),
            (ColorType::Grayscale, _) => {
                let scale = 255 / ((1u16 << self.bits()) - 1) as u8;
                pillow::gray_to_rgb(self.unpacked().map(|value| value * scale))
            }
            (ColorType::Indexed, _) => {
                self.unpacked().flat_map(|index| color(palette, index)).collect()
            }
            (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => {
                // Pillow opens these as RGBA, so unlike 8-bit ones they are composited.
                let rgba = self.rows.chunks_exact(4).flat_map(|v| [v[0], v[0], v[0], v[2]]);
                pillow::composite_on_white(&rgba.collect::<Vec<_>>())
            }
            (ColorType::GrayscaleAlpha, _) => {
                pillow::gray_to_rgb(self.rows.chunks_exact(2).map(|pixel| pixel[0]))
            }
            (ColorType::Rgb, BitDepth::Sixteen) => pillow::keep_first(self.rows, 2, 1),
            (ColorType::Rgb, _) => self.rows.to_vec(),
            (ColorType::Rgba, BitDepth::Sixteen) => {
                pillow::composite_on_white(&pillow::keep_first(self.rows, 2, 1))
            }
            (ColorType::Rgba, _) => pillow::composite_on_white(self.rows),
        }
    }

    fn bits(&self) -> u32 {
        self.frame.bit_depth as u32
    }

    /// Samples of 1, 2, 4 or 8 bits, one sample a pixel; rows begin at whole bytes.
    fn unpacked(&self) -> impl Iterator<Item = u8> {
        let bits = self.bits();
        let mask = ((1u16 << bits) - 1) as u8;
        let width = self.frame.width;
        self.rows.chunks_exact(self.frame.line_size).flat_map(move |row| {
            (0..width).map(move |x| {
                let bit = x * bits;
                let byte = row[(bit / 8) as usize];
                byte >> (8 - bits - bit % 8) & mask
            })
        })
    }
}

/// A palette entry; Pillow has black where the file has none.
fn color(palette: &[u8], index: u8) -> [u8; 3] {
    array(palette, usize::from(index) * 3).unwrap_or([0; 3])
}

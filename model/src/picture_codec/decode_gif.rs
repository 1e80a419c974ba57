//! GIF files, by way of the `image` crate. The first frame, with palette colours for transparent pixels
//! too (Pillow's `.convert("RGB")` of a palette picture knows no transparency).

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::gif::GifDecoder;

use super::header::{Header, array};
use super::{decoder_limits, picture_of, pillow};
use crate::error::PictureError;
use crate::picture::Picture;

/// The first frame's place on the canvas, and the colour around it.
struct FirstFrame {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    surround: [u8; 3],
}

/// The picture of the first frame. The canvas was judged already; a frame that leaves it is refused.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Picture, PictureError> {
    let frame = first_frame(bytes).ok_or(PictureError::Corrupt)?;
    if frame.width == 0 || frame.height == 0 {
        return Err(PictureError::Empty);
    }
    if frame.left + frame.width > header.width || frame.top + frame.height > header.height {
        return Err(PictureError::Corrupt);
    }
    let corrupt = |_| PictureError::Corrupt;
    let mut decoder = GifDecoder::new(Cursor::new(bytes)).map_err(corrupt)?;
    decoder.set_limits(decoder_limits(header)).map_err(corrupt)?;
    let mut rgba =
        vec![0; usize::try_from(decoder.total_bytes()).map_err(|_| PictureError::Corrupt)?];
    decoder.read_image(&mut rgba).map_err(corrupt)?;
    let mut rgb = pillow::keep_first(&rgba, 4, 3);
    for (index, pixel) in (0u32..).zip(rgb.chunks_exact_mut(3)) {
        let (x, y) = (index % header.width, index / header.width);
        let inside = (frame.left..frame.left + frame.width).contains(&x)
            && (frame.top..frame.top + frame.height).contains(&y);
        if !inside {
            pixel.copy_from_slice(&frame.surround);
        }
    }
    picture_of(header, rgb)
}

/// Walks to the first image descriptor. Pillow fills the canvas with the transparent colour of the frame's
/// palette if there is one, else with its first.
fn first_frame(bytes: &[u8]) -> Option<FirstFrame> {
    let (global, mut offset) = palette(bytes, 10, 13)?;
    let mut transparent = None;
    loop {
        match *bytes.get(offset)? {
            b'!' => {
                let label = *bytes.get(offset + 1)?;
                let block = bytes.get(offset + 2..)?;
                if label == 0xf9 && block.len() >= 5 {
                    transparent = (block[1] & 1 == 1).then_some(block[4]);
                }
                offset = skip_blocks(bytes, offset + 2)?;
            }
            b',' => {
                let side = |at| array(bytes, at).map(|side| u32::from(u16::from_le_bytes(side)));
                let (local, _) = palette(bytes, offset + 9, offset + 10)?;
                let palette = if local.is_empty() { global } else { local };
                let index = usize::from(transparent.unwrap_or(0));
                return Some(FirstFrame {
                    left: side(offset + 1)?,
                    top: side(offset + 3)?,
                    width: side(offset + 5)?,
                    height: side(offset + 7)?,
                    surround: array(palette, index * 3).unwrap_or([0; 3]),
                });
            }
            _ => return None,
        }
    }
}

/// The palette that the flags at `flags` announce, and where the bytes after it begin.
fn palette(bytes: &[u8], flags: usize, start: usize) -> Option<(&[u8], usize)> {
    let flags = *bytes.get(flags)?;
    let length = if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    Some((bytes.get(start..start + length)?, start + length))
}

/// Where the bytes after a run of data blocks begin.
fn skip_blocks(bytes: &[u8], mut offset: usize) -> Option<usize> {
    loop {
        let length = usize::from(*bytes.get(offset)?);
        offset += 1 + length;
        if length == 0 {
            return Some(offset);
        }
    }
}

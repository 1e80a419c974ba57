//! EXIF orientation: finding the number, and turning the picture upright as Pillow's
//! `ImageOps.exif_transpose` does. Knows one tag of EXIF.

use super::header::array;
use crate::picture::Picture;

const ORIENTATION_TAG: u16 = 0x0112;

/// The orientation in EXIF data, if there is one.
pub(super) fn read_exif(exif: &[u8]) -> Option<u32> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let big_endian = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let short = |offset: usize| {
        array(tiff, offset).map(if big_endian { u16::from_be_bytes } else { u16::from_le_bytes })
    };
    let long = |offset: usize| {
        array(tiff, offset).map(if big_endian { u32::from_be_bytes } else { u32::from_le_bytes })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entries = usize::from(short(directory)?);
    // An entry has 12 bytes: tag, type, count, and a value that stands at the entry's ninth byte.
    let entry = (0..entries)
        .map(|index| directory + 2 + index * 12)
        .take_while(|entry| *entry < tiff.len())
        .find(|entry| short(*entry) == Some(ORIENTATION_TAG))?;
    match short(entry + 2)? {
        1 => tiff.get(entry + 8).map(|value| u32::from(*value)),
        3 => short(entry + 8).map(u32::from),
        4 => long(entry + 8),
        _ => None,
    }
}

/// The picture upright. Numbers outside 2–8 change nothing.
pub(super) fn apply(picture: Picture, orientation: u32) -> Picture {
    // For each orientation: whether the sides change places, and which of the source's axes run backwards.
    let (transposed, flip_x, flip_y) = match orientation {
        2 => (false, true, false),
        3 => (false, true, true),
        4 => (false, false, true),
        5 => (true, false, false),
        6 => (true, false, true),
        7 => (true, true, true),
        8 => (true, true, false),
        _ => return picture,
    };
    let (width, height) = (picture.width(), picture.height());
    let (new_width, new_height) = if transposed { (height, width) } else { (width, height) };
    let mut rgb = Vec::with_capacity(picture.rgb().len());
    for y in 0..new_height {
        for x in 0..new_width {
            let (from_x, from_y) = if transposed { (y, x) } else { (x, y) };
            let from_x = if flip_x { width - 1 - from_x } else { from_x };
            let from_y = if flip_y { height - 1 - from_y } else { from_y };
            let from = (from_y as usize * width as usize + from_x as usize) * 3;
            rgb.extend_from_slice(&picture.rgb()[from..from + 3]);
        }
    }
    Picture::new(new_width, new_height, rgb)
}

//! What a picture file promises, read from its first bytes without a decoder and without allocating.
//! Knows where four formats keep their size, and nothing of pixels.

use crate::error::PictureError;

/// The file formats read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFileFormat {
    /// Portable Network Graphics, animated ones included.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP: lossy, lossless or animated.
    Webp,
    /// GIF.
    Gif,
}

/// A file's format and size, before its orientation is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Told by its first bytes.
    pub format: PictureFileFormat,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Reads format and size. Where a file states its size twice, both must agree: else a small canvas could
/// hide a large frame.
///
/// # Errors
/// `UnsupportedFormat` for other files, `Corrupt` where the size is not where it belongs.
pub fn read_header(bytes: &[u8]) -> Result<Header, PictureError> {
    let (format, size) = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        (PictureFileFormat::Png, png_size(bytes))
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        (PictureFileFormat::Jpeg, jpeg_size(bytes))
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        (PictureFileFormat::Webp, webp_size(bytes))
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        (PictureFileFormat::Gif, gif_size(bytes))
    } else {
        return Err(PictureError::UnsupportedFormat);
    };
    let (width, height) = size.ok_or(PictureError::Corrupt)?;
    Ok(Header { format, width, height })
}

/// The `N` bytes at `offset`.
pub(super) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    (bytes.get(8..16)? == b"\0\0\0\x0dIHDR").then_some(())?;
    Some((u32::from_be_bytes(array(bytes, 16)?), u32::from_be_bytes(array(bytes, 20)?)))
}

fn gif_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let side = |offset| array(bytes, offset).map(|side| u32::from(u16::from_le_bytes(side)));
    Some((side(6)?, side(8)?))
}

/// One marker segment of a JPEG before its scans: the marker and its bytes without the length.
pub(super) struct JpegSegments<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> JpegSegments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 2 }
    }

    /// Where the bytes after the segment just returned begin.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Skips the coded data after a start of scan: on to the next marker that is no restart.
    pub(super) fn after_scan(self) -> Option<Self> {
        let mut offset = self.offset;
        loop {
            offset += self.bytes.get(offset..)?.iter().position(|byte| *byte == 0xff)?;
            match *self.bytes.get(offset + 1)? {
                0x00 | 0xd0..=0xd7 => offset += 2,
                0xff => offset += 1,
                _ => return Some(Self { bytes: self.bytes, offset }),
            }
        }
    }
}

impl<'a> Iterator for JpegSegments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if *self.bytes.get(self.offset)? != 0xff {
            return None;
        }
        while *self.bytes.get(self.offset)? == 0xff {
            self.offset += 1; // any number of fill bytes
        }
        let marker = self.bytes[self.offset];
        self.offset += 1;
        if marker == 0xd9 {
            return Some((marker, &[]));
        }
        // Nothing else without a length belongs here (ITU-T T.81, B.1.1.3), and readers differ in what they make of it: behind
        // it the decoder would find other segments than these.
        if marker <= 0x01 || (0xd0..=0xd8).contains(&marker) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(array(self.bytes, self.offset)?));
        let segment = self.bytes.get(self.offset + 2..self.offset + length)?;
        self.offset += length;
        Some((marker, segment))
    }
}

/// Whether a segment of this marker is a frame header; 0xc4, 0xc8 and 0xcc mean other things.
pub(super) fn is_start_of_frame(marker: u8) -> bool {
    (0xc0..=0xcf).contains(&marker) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut size = None;
    for (marker, segment) in JpegSegments::new(bytes) {
        match marker {
            0xda => return size,
            0xd9 => return None,
            _ if is_start_of_frame(marker) => {
                let height = u16::from_be_bytes(array(segment, 1)?);
                let width = u16::from_be_bytes(array(segment, 3)?);
                let previous = size.replace((u32::from(width), u32::from(height)));
                previous.is_none().then_some(())?; // a second frame header may state another size
            }
            _ => {}
        }
    }
    None
}

/// One chunk of a RIFF file: its name and its bytes.
pub(super) struct RiffChunks<'a> {
    rest: &'a [u8],
}

impl<'a> RiffChunks<'a> {
    /// The chunks in `bytes`, which begin at the first chunk's name.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for RiffChunks<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let name = array(self.rest, 0)?;
        let length = usize::try_from(u32::from_le_bytes(array(self.rest, 4)?)).ok()?;
        let chunk = self.rest.get(8..8usize.checked_add(length)?)?;
        self.rest = self.rest.get(8 + length + length % 2..).unwrap_or_default();
        Some((name, chunk))
    }
}

/// A WebP file without what follows its end, or `None` if it is shorter than it says.
pub(super) fn webp_file(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::try_from(u32::from_le_bytes(array(bytes, 4)?)).ok()?;
    bytes.get(..length.checked_add(8)?)
}

/// The chunks of a WebP file, or `None` if the file is shorter than it says.
pub(super) fn webp_chunks(bytes: &[u8]) -> Option<RiffChunks<'_>> {
    Some(RiffChunks::new(webp_file(bytes)?.get(12..)?))
}

fn webp_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut chunks = webp_chunks(bytes)?;
    let (name, chunk) = chunks.next()?;
    if &name != b"VP8X" {
        return webp_frame_size(name, chunk);
    }
    let canvas = (size_24(chunk, 4)?, size_24(chunk, 7)?);
    // A decoder picks one of them, by a flag and by their names: so each has to fit.
    let (mut still, mut animated) = (false, false);
    for (name, chunk) in chunks {
        if &name == b"ANMF" && !animated {
            animated = true;
            let frame = (size_24(chunk, 6)?, size_24(chunk, 9)?);
            (frame.0 <= canvas.0 && frame.1 <= canvas.1).then_some(())?;
            let mut inner = RiffChunks::new(chunk.get(16..)?);
            let stated = inner.find_map(|(name, chunk)| webp_frame_size(name, chunk))?;
            (stated == frame).then_some(())?;
        } else if matches!(&name, b"VP8 " | b"VP8L") {
            still = true;
            (webp_frame_size(name, chunk)? == canvas).then_some(())?;
        }
    }
    (still || animated).then_some(canvas)
}

/// The size that a bitstream states for itself; `None` for chunks that are no bitstream.
fn webp_frame_size(name: [u8; 4], chunk: &[u8]) -> Option<(u32, u32)> {
    match &name {
        b"VP8 " => {
            (chunk.get(3..6)? == b"\x9d\x01\x2a").then_some(())?;
            let side = |offset| {
                array(chunk, offset).map(|side| u32::from(u16::from_le_bytes(side) & 0x3fff))
            };
            Some((side(6)?, side(8)?))
        }
        b"VP8L" => {
            (*chunk.first()? == 0x2f).then_some(())?;
            let bits = u32::from_le_bytes(array(chunk, 1)?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        _ => None,
    }
}

/// A side stored as three bytes of itself minus one.
fn size_24(bytes: &[u8], offset: usize) -> Option<u32> {
    let [a, b, c] = array(bytes, offset)?;
    Some(u32::from_le_bytes([a, b, c, 0]) + 1)
}

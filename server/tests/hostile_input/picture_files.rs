//! Picture files that nobody should have to open, made by their names; any other name is a file of
//! `tests/pictures/inputs`.

use std::fs;
use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::{Frame, ImageFormat, Rgb, RgbImage, RgbaImage};

use crate::CANARY;
use crate::catalogue::root;
use crate::picture_headers::{
    gif_header, jpeg_frame_header, jpeg_header, png_header, riff, vp8l, vp8x,
};

/// What a name's ending says.
pub(crate) fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "jpg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        _ => "image/png",
    }
}

/// The bytes of a picture, or of what says it is one.
pub(crate) fn file(name: &str) -> Vec<u8> {
    if let Some(file) = bomb(name).or_else(|| foreign(name)).or_else(|| odd(name)) {
        return file;
    }
    if let Some((width, height)) = size_of(name) {
        return flat(width, height);
    }
    let path = root().join("tests/pictures/inputs").join(name);
    fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `WIDTHxHEIGHT.png`, drawn.
fn size_of(name: &str) -> Option<(u32, u32)> {
    let (width, height) = name.strip_suffix(".png")?.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

/// A small file of a format.
pub(crate) fn small(format: ImageFormat) -> Vec<u8> {
    let pixel = |x, y| Rgb([x as u8 * 30, y as u8 * 30, 128]);
    encoded(&RgbImage::from_fn(8, 8, pixel), format)
}

fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).expect("memory is enough");
    file.into_inner()
}

/// A PNG of one colour.
pub(crate) fn flat(width: u32, height: u32) -> Vec<u8> {
    encoded(&RgbImage::from_pixel(width, height, Rgb([200, 30, 30])), ImageFormat::Png)
}

/// Files whose header promises far more than anybody should hold.
fn bomb(name: &str) -> Option<Vec<u8>> {
    Some(match name {
        "bomb-38-bytes.webp" => {
            let mut file = riff(&[(b"VP8L", vp8l(13_000, 13_000))]);
            file.resize(38, 0);
            file[4..8].copy_from_slice(&30_u32.to_le_bytes());
            file
        }
        "bomb-extended.webp" => {
            riff(&[(b"VP8X", vp8x(16_000, 16_000)), (b"VP8L", vp8l(16_000, 16_000))])
        }
        // Which of both is decoded, a flag says.
        "bomb-behind-a-frame.webp" => {
            let frame = riff(&[(b"VP8L", vp8l(16, 16))]);
            let frame = [&[0; 6], &vp8x(16, 16)[4..], &[0; 4], &frame[12..]].concat();
            let side = 12_000_u16.to_le_bytes();
            let still = [&b"\0\0\0\x9d\x01\x2a"[..], &side, &side, &[0; 300_000]].concat();
            riff(&[(b"VP8X", vp8x(16, 16)), (b"ANMF", frame), (b"VP8 ", still)])
        }
        "bomb-20000.png" => png_header(20_000, 20_000),
        "bomb-max.png" => png_header(u32::MAX, u32::MAX),
        "bomb-65535.jpg" => jpeg_header(65_535, 65_535),
        "bomb-65535.gif" => gif_header(65_535, 65_535),
        "flat-12000.png" => {
            // Whole, but for its header: a stream of zeros packed a thousand times smaller.
            let mut file = flat(1000, 1000);
            file[16..20].copy_from_slice(&12_000_u32.to_be_bytes());
            file[20..24].copy_from_slice(&12_000_u32.to_be_bytes());
            file
        }
        "0x5.png" => png_header(0, 5),
        "5x0.png" => png_header(5, 0),
        "0x5.jpg" => jpeg_header(0, 5),
        "5x0.gif" => gif_header(5, 0),
        _ => return None,
    })
}

/// Files of other kinds.
fn foreign(name: &str) -> Option<Vec<u8>> {
    let text: &[u8] = match name {
        "page.html" => b"<!doctype html><img src=x onerror=alert(1)>",
        "drawing.svg" => b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "entities.svg" => {
            b"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><svg>&b;</svg>"
        }
        "paper.pdf" => b"%PDF-1.7\n1 0 obj\n",
        "bitmap.bmp" => b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0",
        "scan.tiff" => b"II*\0\x08\0\0\0\0\0",
        "photo.avif" => b"\0\0\0\x20ftypavif\0\0\0\0avifmif1",
        "photo.jxl" => b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a",
        "icon.ico" => b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0",
        "light.exr" => b"\x76\x2f\x31\x01\x02\0\0\0",
        "archive.zip" => b"PK\x03\x04\x14\0\0\0",
        "sound.wav" => b"RIFF\x04\0\0\0WAVEfmt ",
        _ => return None,
    };
    Some(text.to_vec())
}

/// On which the decoder panics.
const CHROMA_FINER: &[u8] =
    include_bytes!("../../../tests/fuzz/seeds/picture_decode/jpeg-chroma-finer-than-luma.jpg");

/// Pictures that are, and something else besides.
fn odd(name: &str) -> Option<Vec<u8>> {
    Some(match name {
        "small.png" => small(ImageFormat::Png),
        "torn.png" => small(ImageFormat::Png)[..40].to_vec(),
        "iccp-bomb.png" => with_chunk(b"iCCP", &[&b"p\0\0"[..], &zeros(200 << 20)].concat()),
        "ztxt-bomb.png" => with_chunk(b"zTXt", &[&b"p\0\0"[..], &zeros(200 << 20)].concat()),
        "itxt-bomb.png" => {
            with_chunk(b"iTXt", &[&b"p\0\x01\0\0\0"[..], &zeros(200 << 20)].concat())
        }
        "exif-bomb.png" => with_chunk(b"eXIf", &vec![0x49; 1 << 20]),
        "png-and-zip.png" => [small(ImageFormat::Png), b"PK\x03\x04payload".to_vec()].concat(),
        "trailing-10-mb.png" => [small(ImageFormat::Png), vec![0x5a; 10 << 20]].concat(),
        "21-mb.png" => [small(ImageFormat::Png), vec![0; 21 << 20]].concat(),
        "12-bit.jpg" => jpeg_frame_header(16, 16, 0xc1, 12),
        "arithmetic.jpg" => jpeg_frame_header(16, 16, 0xc9, 8),
        "chroma-finer.jpg" => CHROMA_FINER.to_vec(),
        "300-frames.gif" => frames(300),
        "10000-scans.jpg" => endless_scans(10_000),
        "one-byte-blocks.gif" => one_byte_blocks(),
        "canary.png" => with_chunk(b"tEXt", format!("Comment\0{CANARY}").as_bytes()),
        "canary-exif.png" => with_chunk(b"eXIf", format!("II*\0\x08\0\0\0\0\0{CANARY}").as_bytes()),
        "canary.jpg" => {
            let text = [CANARY.as_bytes(), b"."].concat();
            let mut file = small(ImageFormat::Jpeg);
            let length = (text.len() as u16 + 2).to_be_bytes();
            file.splice(2..2, [&b"\xff\xfe"[..], &length, &text].concat());
            file
        }
        _ => return None,
    })
}

/// 64 x 64 pixels with one chunk more behind the header.
fn with_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut file = flat(64, 64);
    let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
    chunk.extend(name);
    chunk.extend(data);
    chunk.extend(crc32(&chunk[4..]).to_be_bytes());
    file.splice(33..33, chunk);
    file
}

/// So many zeros, packed by zlib's rules.
fn zeros(count: usize) -> Vec<u8> {
    // One picture of one row holds them: its IDAT is a zlib stream.
    let side = 10_000;
    let picture = image::GrayImage::new(side, (count / side as usize) as u32);
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).expect("memory is enough");
    let file = file.into_inner();
    let mut packed = Vec::new();
    let mut at = 8;
    while at + 12 <= file.len() {
        let length = u32::from_be_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize;
        if &file[at + 4..at + 8] == b"IDAT" {
            packed.extend(&file[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    packed
}

/// PNG's checksum.
fn crc32(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    };
    !bytes.iter().fold(u32::MAX, byte)
}

fn frames(count: usize) -> Vec<u8> {
    let mut file = Vec::new();
    {
        let mut encoder = GifEncoder::new_with_speed(&mut file, 30);
        for shade in 0..count {
            let color = image::Rgba([shade as u8, 0, 0, 255]);
            encoder
                .encode_frame(Frame::new(RgbaImage::from_pixel(8, 8, color)))
                .expect("memory is enough");
        }
    }
    file
}

/// A progressive JPEG that says its last scan again and again.
fn endless_scans(count: usize) -> Vec<u8> {
    let file = file("progressive.jpg");
    let scan = file.windows(2).rposition(|marker| marker == [0xff, 0xda]).expect("a scan");
    let end = file.len() - 2;
    let mut endless = file[..end].to_vec();
    for _ in 0..count {
        endless.extend(&file[scan..end]);
    }
    endless.extend([0xff, 0xd9]);
    endless
}

/// A GIF whose pixels come in blocks of one byte each.
fn one_byte_blocks() -> Vec<u8> {
    let mut whole = Vec::new();
    {
        let mut encoder = GifEncoder::new_with_speed(&mut whole, 30);
        let pixel = |x: u32, y: u32| image::Rgba([(x * 7 + y * 13) as u8, (x ^ y) as u8, 0, 255]);
        encoder
            .encode_frame(Frame::new(RgbaImage::from_fn(512, 512, pixel)))
            .expect("memory is enough");
    }
    // From the image descriptor on: ten bytes, perhaps a palette, the code size, then blocks.
    let descriptor = whole
        .windows(10)
        .position(|at| at[0] == b',' && at[1..5] == [0; 4] && at[5..9] == [0, 2, 0, 2]);
    let mut at = descriptor.expect("a frame") + 9;
    at += if whole[at] & 0x80 == 0 { 1 } else { 1 + (3 << ((whole[at] & 7) + 1)) };
    let mut cut = whole[..=at].to_vec();
    at += 1;
    while whole[at] != 0 {
        let length = usize::from(whole[at]);
        cut.extend(whole[at + 1..=at + length].iter().flat_map(|byte| [1, *byte]));
        at += 1 + length;
    }
    cut.extend(&whole[at..]);
    cut
}

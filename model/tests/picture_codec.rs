//! Picture files against what Pillow makes of them, and hostile ones against the limits. Knows no model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tests/pictures/picture_headers.rs"]
mod picture_headers;

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::{ImageDecoder as _, ImageReader};
use picture_headers::{gif_header, jpeg_header, png_header, riff, vp8l, vp8x};
use reverie_model::picture_codec::{
    Metadata, PictureFormat, PictureLimits, TRAINED_ALGORITHMIC_MEDIA, as_delivered, decode,
    encode, read_header, read_png_notes,
};
use reverie_model::{Picture, PictureError};
use serde_json::Value;

const LIMITS: PictureLimits =
    PictureLimits { max_pixels: 1 << 20, max_side: 4096, max_aspect_ratio: 200 };

fn pictures() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/pictures")).to_owned()
}

fn input(name: &str) -> Vec<u8> {
    std::fs::read(pictures().join("inputs").join(name)).unwrap()
}

fn names(ending: &str) -> Vec<String> {
    let index: Value =
        serde_json::from_slice(&std::fs::read(pictures().join("index.json")).unwrap()).unwrap();
    let names = index.as_object().unwrap().keys();
    names.filter(|name| name.ends_with(ending)).cloned().collect()
}

/// Largest difference to Pillow, and the difference allowed.
fn difference(name: &str) -> (u8, u8) {
    let index: Value =
        serde_json::from_slice(&std::fs::read(pictures().join("index.json")).unwrap()).unwrap();
    let expected = std::fs::read(pictures().join("expected").join(format!("{name}.rgb"))).unwrap();
    let picture = decode(&input(name), &LIMITS).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(index[name]["width"], picture.width(), "{name}");
    assert_eq!(index[name]["height"], picture.height(), "{name}");
    let differences = picture.rgb().iter().zip(&expected).map(|(a, b)| a.abs_diff(*b));
    let over_two = differences.clone().filter(|difference| *difference > 2).count();
    assert!(over_two * 200 <= expected.len(), "{name}: {over_two} samples differ by more than 2");
    let largest = differences.max().unwrap();
    (largest, index[name]["tolerance"].as_u64().unwrap() as u8)
}

fn check_against_pillow(ending: &str, wanted: usize) {
    let names = names(ending);
    assert_eq!(names.len(), wanted, "{names:?}");
    let mut far = Vec::new();
    for name in names {
        let (largest, allowed) = difference(&name);
        if largest > allowed {
            far.push((name, largest));
        }
    }
    assert!(far.is_empty(), "not as Pillow: {far:?}");
}

#[test]
fn png_files_are_read_exactly_as_pillow_reads_them() {
    check_against_pillow(".png", 47);
}

#[test]
fn jpeg_files_are_within_two_levels_of_pillow_and_four_at_isolated_halved_chroma() {
    check_against_pillow(".jpg", 21);
}

#[test]
fn webp_files_are_read_as_pillow_reads_them() {
    check_against_pillow(".webp", 7);
}

#[test]
fn gif_files_are_read_exactly_as_pillow_reads_them() {
    check_against_pillow(".gif", 9);
}

#[test]
fn half_a_picture_is_never_accepted() {
    for name in [
        "rgb8.png",
        "gray16i.png",
        "palette4-trns.png",
        "444.jpg",
        "progressive.jpg",
        "gray.jpg",
        "plain.gif",
        "inside.gif",
        "lossless.webp",
        "lossy.webp",
        "lossy-alpha.webp",
        "animated.webp",
    ] {
        let whole = input(name);
        let picture = decode(&whole, &LIMITS).unwrap();
        for length in 0..whole.len() {
            if let Ok(cut) = decode(&whole[..length], &LIMITS) {
                assert!(
                    cut == picture,
                    "{name} cut to {length} of {} bytes is accepted",
                    whole.len()
                );
                assert!(name.ends_with(".gif"), "{name} needs all of its {} bytes", whole.len());
            }
        }
    }
}

#[test]
fn no_bent_byte_makes_a_decoder_panic() {
    for name in [
        "rgb8.png",
        "palette2i.png",
        "420.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "plain.gif",
        "animated.gif",
        "lossless-alpha.webp",
        "lossy-alpha.webp",
        "orientation6.png",
    ] {
        let mut bytes = input(name);
        let step = 1 + bytes.len() / 400;
        for offset in (0..bytes.len()).step_by(step) {
            for flip in [0x01, 0x10, 0xff] {
                bytes[offset] ^= flip;
                if let Ok(picture) = decode(&bytes, &LIMITS) {
                    assert!(
                        u64::from(picture.width()) * u64::from(picture.height())
                            <= LIMITS.max_pixels
                    );
                }
                bytes[offset] ^= flip;
            }
        }
    }
}

#[test]
fn bombs_are_refused_by_their_header_alone() {
    for (bytes, size) in [
        (riff(&[(b"VP8L", vp8l(13_000, 13_000))]), 13_000),
        (riff(&[(b"VP8X", vp8x(13_000, 13_000)), (b"VP8L", vp8l(13_000, 13_000))]), 13_000),
        (png_header(20_000, 20_000), 20_000),
        (png_header(u32::MAX, u32::MAX), u32::MAX),
        (jpeg_header(65_535, 65_535), 65_535),
        (gif_header(65_535, 65_535), 65_535),
    ] {
        let header = read_header(&bytes).unwrap();
        assert_eq!((header.width, header.height), (size, size));
        assert!(matches!(decode(&bytes, &LIMITS), Err(PictureError::TooLarge { .. })));
    }
}

#[test]
fn a_small_canvas_cannot_hide_a_large_frame() {
    let hidden = riff(&[(b"VP8X", vp8x(10, 10)), (b"VP8L", vp8l(13_000, 13_000))]);
    assert_eq!(read_header(&hidden), Err(PictureError::Corrupt));
    let mut frame = vec![0; 6];
    frame.extend(&vp8x(10, 10)[4..]);
    frame.extend([0; 4]);
    frame.extend(&riff(&[(b"VP8L", vp8l(9000, 9000))])[12..]);
    let animated = riff(&[(b"VP8X", vp8x(10, 10)), (b"ANIM", vec![0; 6]), (b"ANMF", frame)]);
    assert_eq!(read_header(&animated), Err(PictureError::Corrupt));
    let mut fitting = vec![0; 6];
    fitting.extend(&vp8x(10, 10)[4..]);
    fitting.extend([0; 4]);
    fitting.extend(&riff(&[(b"VP8L", vp8l(10, 10))])[12..]);
    let vp8 = |side: u16| {
        let side = side.to_le_bytes();
        [&b"\0\0\0\x9d\x01\x2a"[..], &side, &side].concat()
    };
    let beside =
        |still| riff(&[(b"VP8X", vp8x(10, 10)), (b"ANMF", fitting.clone()), (b"VP8 ", still)]);
    assert!(read_header(&beside(vp8(10))).is_ok());
    assert_eq!(read_header(&beside(vp8(9000))), Err(PictureError::Corrupt));
    let two_frames = [&jpeg_header(8, 8)[..13], &jpeg_header(60_000, 60_000)[2..]].concat();
    assert_eq!(read_header(&two_frames), Err(PictureError::Corrupt));
}

#[test]
fn elongated_and_empty_pictures_are_refused() {
    for (width, height) in [(1, 4000), (4000, 1), (4096, 20)] {
        let refused = decode(&png_header(width, height), &LIMITS);
        assert_eq!(refused, Err(PictureError::TooElongated { width, height, max_ratio: 200 }));
    }
    for bytes in [png_header(0, 5), png_header(5, 0), jpeg_header(0, 5), gif_header(5, 0)] {
        assert_eq!(decode(&bytes, &LIMITS), Err(PictureError::Empty));
    }
}

#[test]
fn other_formats_are_told_by_their_bytes() {
    for bytes in [
        &b""[..],
        b"BM\x36\0\0\0",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"II*\0\x08\0\0\0",
        b"RIFF\x04\0\0\0WAVE",
        b"\0\0\0\x20ftypavif",
    ] {
        assert_eq!(decode(bytes, &LIMITS), Err(PictureError::UnsupportedFormat));
    }
}

#[test]
fn a_jpeg_of_endless_scans_is_refused() {
    let file = input("progressive.jpg");
    let scan = file.windows(2).rposition(|marker| marker == [0xff, 0xda]).unwrap();
    let mut endless = file[..file.len() - 2].to_vec();
    for _ in 0..200 {
        endless.extend(&file[scan..file.len() - 2]);
    }
    endless.extend([0xff, 0xd9]);
    assert_eq!(decode(&endless, &LIMITS), Err(PictureError::Corrupt));
}

#[test]
fn text_and_profiles_in_a_png_are_never_unpacked() {
    // Neither chunk could be unpacked: the decoder would refuse them if it ever saw them.
    let file = input("rgb8.png");
    let mut with_junk = file[..33].to_vec();
    for name in [b"iCCP", b"zTXt", b"iTXt", b"acTL", b"fcTL"] {
        with_junk.extend(5u32.to_be_bytes());
        with_junk.extend(name);
        with_junk.extend(b"\0junkCRC!");
    }
    with_junk.extend(&file[33..]);
    assert_eq!(decode(&with_junk, &LIMITS), decode(&file, &LIMITS));
}

/// One of each format.
const FORMATS: [PictureFormat; 4] = [
    PictureFormat::Png,
    PictureFormat::Jpeg { quality: 80 },
    PictureFormat::Webp,
    PictureFormat::LossyWebp { quality: 80 },
];

fn gradient() -> Picture {
    let rgb = (0..37 * 23).flat_map(|i| [(i % 256) as u8, (i / 4) as u8, (i * 7 % 251) as u8]);
    Picture::new(37, 23, rgb.collect())
}

#[test]
fn lossless_formats_give_the_same_pixels_back_and_the_same_bytes_again() {
    let notes = vec![("prompt".to_owned(), "a <fox> & é".to_owned())];
    for format in [PictureFormat::Png, PictureFormat::Webp] {
        for metadata in [made_by_a_model(notes.clone()), Metadata::default()] {
            let file = encode(&gradient(), format, &metadata).unwrap();
            assert_eq!(decode(&file, &LIMITS).unwrap(), gradient());
            assert_eq!(encode(&gradient(), format, &metadata).unwrap(), file);
        }
        let picture = Arc::new(gradient());
        assert_eq!(as_delivered(&picture, format).unwrap(), picture);
    }
}

#[test]
fn lossy_formats_come_back_close_and_closer_at_higher_quality() {
    let smooth = decode(&input("444.jpg"), &LIMITS).unwrap();
    let error = |format| {
        let file = encode(&smooth, format, &made_by_a_model(Vec::new())).unwrap();
        let back = decode(&file, &LIMITS).unwrap();
        let delivered = as_delivered(&Arc::new(smooth.clone()), format).unwrap();
        assert_eq!(*delivered, back, "metadata changes no pixel");
        let pairs = back.rgb().iter().zip(smooth.rgb());
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>() / smooth.rgb().len() as u64
    };
    let formats: [fn(u8) -> PictureFormat; 2] =
        [|quality| PictureFormat::Jpeg { quality }, |quality| PictureFormat::LossyWebp { quality }];
    for format in formats {
        let (best, worst) = (error(format(95)), error(format(10)));
        assert!(best <= 3 && worst > best, "{:?}: {best}, {worst}", format(95));
    }
}

#[test]
fn webp_is_smaller_the_lower_its_quality() {
    let picture = decode(&input("444.jpg"), &LIMITS).unwrap();
    let size = |format| encode(&picture, format, &Metadata::default()).unwrap().len();
    let lossy = |quality| size(PictureFormat::LossyWebp { quality });
    assert!(
        lossy(0) < lossy(50) && lossy(50) < lossy(100),
        "{} {} {}",
        lossy(0),
        lossy(50),
        lossy(100)
    );
    assert!(lossy(50) < size(PictureFormat::Webp));
}

#[test]
fn stated_metadata_is_in_the_file() {
    let long = "x".repeat(100_000);
    let notes = vec![("seed".to_owned(), "42é".to_owned()), ("prompt".to_owned(), long)];
    for format in FORMATS {
        let file = encode(&gradient(), format, &made_by_a_model(notes.clone())).unwrap();
        let has = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(has("seed") && has("42é") && has("xxxxxxxx"), "{format:?}");
        assert_eq!(decode(&file, &LIMITS).unwrap().width(), 37);
    }
}

fn made_by_a_model(notes: Vec<(String, String)>) -> Metadata {
    Metadata { notes, digital_source_type: Some(TRAINED_ALGORITHMIC_MEDIA) }
}

#[test]
fn every_reader_finds_iptcs_mark_of_pictures_made_by_a_model() {
    let notes = vec![("note".to_owned(), "a <fox> & \u{1}".to_owned())];
    for format in FORMATS {
        for metadata in [made_by_a_model(Vec::new()), made_by_a_model(notes.clone())] {
            let file = encode(&gradient(), format, &metadata).unwrap();
            let packet = xmp_of(&file);
            let source = "<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/\
                          digitalsourcetype/trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>";
            assert!(packet.contains(source), "{format:?}: {packet}");
            assert!(packet.contains("http://iptc.org/std/Iptc4xmpExt/2008-02-29/"));
            assert!(!packet.contains("<fox>") && !packet.contains('\u{1}'), "{packet}");
        }
    }
    let file = encode(&gradient(), PictureFormat::Jpeg { quality: 80 }, &made_by_a_model(notes));
    assert_eq!(file.unwrap()[2..11], *b"\xff\xe0\x00\x10JFIF\0", "JFIF's segment is the first");
}

/// The XMP packet as the image crate finds it.
fn xmp_of(file: &[u8]) -> String {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format().unwrap();
    let packet = reader.into_decoder().unwrap().xmp_metadata().unwrap();
    String::from_utf8(packet.expect("a packet")).unwrap()
}

#[test]
fn notes_of_a_png_are_read_back_and_broken_or_swollen_ones_are_refused() {
    let notes = vec![("a".to_owned(), "é".to_owned()), ("b".to_owned(), "x".repeat(600_000))];
    let file = encode(&gradient(), PictureFormat::Png, &made_by_a_model(notes.clone())).unwrap();
    let read = read_png_notes(&file).unwrap();
    assert_eq!(read[..2], notes);
    assert_eq!(read[2].0, "XML:com.adobe.xmp");
    assert_eq!(read_png_notes(&file[..file.len() / 2]), Err(PictureError::Corrupt));
    assert_eq!(read_png_notes(b"GIF89a"), Err(PictureError::Corrupt));

    // Compressed, as other programs write them: within reason they are read, and no bomb is.
    let with_note = |length: usize| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 1, 1);
        encoder.set_color(png::ColorType::Rgb);
        let mut chunk = png::text_metadata::ITXtChunk::new("note", "x".repeat(length));
        chunk.compress_text().unwrap();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[1, 2, 3]).unwrap();
        writer.write_text_chunk(&chunk).unwrap();
        writer.finish().unwrap();
        file
    };
    assert_eq!(read_png_notes(&with_note(1000)).unwrap()[0].1.len(), 1000);
    assert_eq!(read_png_notes(&with_note(64 << 20)), Err(PictureError::Corrupt));
}

#[test]
fn nothing_but_pixels_passes_from_an_input_to_an_output() {
    let file = input("trailer.jpg");
    let has = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|part| part == text);
    assert!(has(&file, b"canary") && has(&file, b"garbage"));
    let picture = decode(&file, &LIMITS).unwrap();
    for format in FORMATS {
        let written = encode(&picture, format, &Metadata::default()).unwrap();
        assert!(!has(&written, b"canary") && !has(&written, b"garbage"));
    }
}

#[test]
fn a_jpeg_that_its_decoder_would_read_otherwise_is_refused() {
    let file = input("progressive.jpg");
    let marker = |wanted| file.windows(2).position(|pair| pair == [0xff, wanted]).unwrap();
    let (frame, scan) = (marker(0xc2), marker(0xda));
    let length = 2 + usize::from(u16::from_be_bytes([file[frame + 2], file[frame + 3]]));
    let second_scan =
        scan + 2 + file[scan + 2..].windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let with = |place: usize, inserted: &[u8]| [&file[..place], inserted, &file[place..]].concat();
    let refused = |file: Vec<u8>| matches!(decode(&file, &LIMITS), Err(PictureError::Corrupt));
    assert!(!refused(with(frame, b"\xff\xfe\0\x04ab")), "a comment is passed over");
    for marker in [0x00, 0x01, 0xd0, 0xd7, 0xd8] {
        assert!(refused(with(frame, &[0xff, marker, 0, 4, b'a', b'b'])), "{marker:#x}");
    }
    for place in [frame, second_scan] {
        assert!(refused(with(place, &file[frame..frame + length])), "a second frame header");
    }
}

#[test]
fn a_side_that_a_format_cannot_state_is_refused() {
    let long = Picture::new(70_000, 1, vec![0; 210_000]);
    for format in &FORMATS[1..] {
        let refused = encode(&long, *format, &Metadata::default());
        assert!(matches!(refused, Err(PictureError::TooLarge { .. })));
    }
}

//! Pictures to send, and pictures received. Knows files and pixels.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

/// A file of `side` x `side` pixels: a square of `color` on gray.
///
/// # Panics
/// If the format cannot be written.
pub fn square(side: u32, color: [u8; 3], format: ImageFormat) -> Vec<u8> {
    let inside = |x: u32| (side / 4..3 * side / 4).contains(&x);
    let picture = RgbImage::from_fn(side, side, |x, y| {
        Rgb(if inside(x) && inside(y) { color } else { [128; 3] })
    });
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).expect("a format that can be written");
    file.into_inner()
}

/// `file` as a data URL of a media type.
pub fn data_url(file: &[u8], media_type: &str) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(file))
}

/// A part of a message's content that is a PNG.
pub fn part(file: &[u8]) -> Value {
    url_part(&data_url(file, "image/png"))
}

/// A part of a message's content that is a picture.
pub fn url_part(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}

/// The media type and the file of a data URL.
///
/// # Panics
/// If it is no base64 data URL.
pub fn file_of(url: &str) -> (&str, Vec<u8>) {
    let (head, data) = url.split_once(";base64,").expect("a base64 data URL");
    let media_type = head.strip_prefix("data:").expect("a data URL");
    (media_type, STANDARD.decode(data).expect("base64"))
}

/// The pixels of a data URL.
///
/// # Panics
/// If it holds no picture.
pub fn pixels(url: &str) -> RgbImage {
    image::load_from_memory(&file_of(url).1).expect("a picture").into_rgb8()
}

//! Pictures to send, and pictures received. Knows files and pixels.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

/// A file of 64 x 64 pixels as the embedded model knows them: a large square of `color` at the top left, on
/// white.
///
/// # Panics
/// If the format cannot be written.
pub fn scene(color: [u8; 3], format: ImageFormat) -> Vec<u8> {
    let inside = 5..27;
    let picture = RgbImage::from_fn(64, 64, |x, y| {
        Rgb(if inside.contains(&x) && inside.contains(&y) { color } else { [246; 3] })
    });
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).expect("a format that can be written");
    file.into_inner()
}

/// The embedded model's red.
pub const RED: [u8; 3] = [215, 35, 40];
/// The embedded model's blue.
pub const BLUE: [u8; 3] = [45, 85, 230];

/// How many pixels are closer to `color` than a quarter of the way to anywhere.
pub fn count_near(picture: &RgbImage, color: [u8; 3]) -> usize {
    let near = |pixel: &&Rgb<u8>| pixel.0.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 64);
    picture.pixels().filter(near).count()
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

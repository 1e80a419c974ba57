//! An 8-bit RGB picture: the only form in which pictures cross module borders.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Rgb};
use sha2::{Digest, Sha256};

/// An RGB picture, 8 bits a channel, rows top to bottom, no padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// Wraps `rgb`, of shape (height, width, 3) in row-major order.
    ///
    /// # Panics
    /// If the length is not `width * height * 3`, or a side is zero: a defect of the caller.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert!(width > 0 && height > 0, "a picture has pixels");
        assert_eq!(
            rgb.len(),
            width as usize * height as usize * 3,
            "rgb holds width x height x 3 bytes"
        );
        Self { width, height, rgb }
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes of shape (height, width, 3).
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The same picture in another size, colours in between interpolated linearly.
    ///
    /// # Panics
    /// If a side is to be zero: a defect of the caller.
    #[must_use]
    pub fn scaled(&self, width: u32, height: u32) -> Self {
        assert!(width > 0 && height > 0, "a picture has pixels");
        let pixels = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(self.width, self.height, &self.rgb);
        let pixels = pixels.expect("as many bytes as pixels");
        let scaled = imageops::resize(&pixels, width, height, FilterType::Triangle);
        Self { width, height, rgb: scaled.into_raw() }
    }

    /// What tells it from every other picture: SHA-256 of its width and height, four bytes each, little-endian,
    /// and of its [`Self::rgb`].
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.width.to_le_bytes());
        hash.update(self.height.to_le_bytes());
        hash.update(&self.rgb);
        hash.finalize().into()
    }
}

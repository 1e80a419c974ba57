//! How picture files become pixels and back, as values the edge is given. Knows no file format itself.

use std::panic::catch_unwind;
use std::sync::Arc;

use reverie_model::picture_codec;
use reverie_model::{Picture, PictureError};

pub use reverie_model::picture_codec::{Metadata, PictureFormat, PictureLimits};

/// A file's bytes to pixels, its header checked first.
pub type DecodePicture = fn(&[u8], &PictureLimits) -> Result<Picture, PictureError>;

/// Pixels to no more of them than the model will look at: what is held while a request waits.
pub type ShrinkPicture = Arc<dyn Fn(&Picture) -> Picture + Send + Sync>;

/// Pixels to a file's bytes, with what the file says besides.
pub type EncodePicture = fn(&Picture, PictureFormat, &Metadata) -> Result<Vec<u8>, PictureError>;

/// Reads and writes picture files. Both take long: call them where blocking is allowed.
#[derive(Debug, Clone, Copy)]
pub struct PictureCodec {
    /// Reads.
    pub decode: DecodePicture,
    /// Writes.
    pub encode: EncodePicture,
}

impl PictureCodec {
    /// The model's own: PIL's rules behind a header gate.
    pub fn standard() -> Self {
        let decode: DecodePicture =
            |bytes, limits| unless_it_panics(picture_codec::decode, bytes, limits);
        Self { decode, encode: picture_codec::encode }
    }
}

/// What `decode` says. Where it panics (a library below it has met what it does not expect) the file is not one that can be
/// read: its sender is told so.
fn unless_it_panics(
    decode: DecodePicture,
    bytes: &[u8],
    limits: &PictureLimits,
) -> Result<Picture, PictureError> {
    catch_unwind(|| decode(bytes, limits)).unwrap_or_else(|_| {
        tracing::error!(num_bytes = bytes.len(), "the decoder of a picture file panicked");
        Err(PictureError::Corrupt)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_has_met_a_file_that_cannot_be_read() {
        let decode: DecodePicture = |bytes, _| match bytes {
            [] => panic!("no picture is so small"),
            _ => Err(PictureError::Empty),
        };
        let limits = PictureLimits::none();
        assert_eq!(unless_it_panics(decode, &[], &limits), Err(PictureError::Corrupt));
        assert_eq!(unless_it_panics(decode, &[1], &limits), Err(PictureError::Empty));
    }
}

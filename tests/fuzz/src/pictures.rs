//! Picture files: what their headers promise, and what becomes of them.

use reverie_model::PictureError;
use reverie_model::picture_codec::{PictureLimits, decode, read_header, read_png_notes};

const LIMITS: PictureLimits =
    PictureLimits { max_pixels: 1 << 18, max_side: 4096, max_aspect_ratio: 200 };

/// What is larger than it may be is refused by its header, whatever follows.
pub(crate) fn header(input: &[u8]) {
    let header = read_header(input);
    let _any_notes = read_png_notes(input);
    let refusal = match header {
        Err(error) => Some(error),
        Ok(header) => LIMITS.check(header.width, header.height).err(),
    };
    if let Some(refusal) = refusal {
        assert_eq!(decode(input, &LIMITS), Err(refusal), "the header decides");
    }
}

/// A picture is as large as its header says, on whichever side it lies; or there is none.
pub(crate) fn decoded(input: &[u8]) {
    match decode(input, &LIMITS) {
        Ok(picture) => {
            let header = read_header(input).expect("it was decoded");
            let (width, height) = (picture.width(), picture.height());
            assert!(
                (width, height) == (header.width, header.height)
                    || (height, width) == (header.width, header.height)
            );
            assert_eq!(picture.rgb().len() as u64, u64::from(width) * u64::from(height) * 3);
            assert!(u64::from(width) * u64::from(height) <= LIMITS.max_pixels);
        }
        Err(
            PictureError::UnsupportedFormat
            | PictureError::Corrupt
            | PictureError::Empty
            | PictureError::TooLarge { .. }
            | PictureError::TooElongated { .. },
        ) => {}
    }
}

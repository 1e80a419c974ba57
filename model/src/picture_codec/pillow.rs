//! Pillow's arithmetic from decoded samples to 8-bit RGB, to the bit. Knows no file formats.

/// `Image.alpha_composite` of RGBA samples over opaque white, alpha dropped.
pub(super) fn composite_on_white(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4)
        .flat_map(|pixel| {
            let alpha = u32::from(pixel[3]);
            [0, 1, 2].map(|channel| over_white(u32::from(pixel[channel]), alpha))
        })
        .collect()
}

/// One channel over white. Pillow works with 7 more bits than a byte: with an opaque background the
/// weights are `alpha / 255` and the rest, and the sum is divided by 255 by shifts.
fn over_white(value: u32, alpha: u32) -> u8 {
    const PRECISION_BITS: u32 = 7;
    if alpha == 0 {
        return 255;
    }
    let weight = alpha << PRECISION_BITS;
    let rest = (255 << PRECISION_BITS) - weight;
    let sum = value * weight + 255 * rest + (0x80 << PRECISION_BITS);
    ((((sum >> 8) + sum) >> 8) >> PRECISION_BITS) as u8
}

/// Gray samples as RGB.
pub(super) fn gray_to_rgb(gray: impl Iterator<Item = u8>) -> Vec<u8> {
    gray.flat_map(|value| [value; 3]).collect()
}

/// Every `n`th sample's neighbours dropped: LA as L, RGBA as RGB and the like.
pub(super) fn keep_first(samples: &[u8], of: usize, keep: usize) -> Vec<u8> {
    samples.chunks_exact(of).flat_map(|pixel| &pixel[..keep]).copied().collect()
}

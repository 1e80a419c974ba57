//! `CLIPImageProcessor`: shortest edge, centre crop, scale and normalise, every byte and float as
//! transformers 4.35 and Pillow compute it. Knows no files: pictures are RGB already.

use candle_core::{Device, Tensor};

use super::resize::resize_shortest_edge;
use crate::config::PreprocessConfig;
use crate::error::ModelError;
use crate::picture::Picture;

/// A picture as the tower wants it, (3, crop height, crop width) in f32 on `device`.
///
/// # Errors
/// `Tensor` when the device refuses.
pub fn preprocess(
    picture: &Picture,
    config: &PreprocessConfig,
    device: &Device,
) -> Result<Tensor, ModelError> {
    let resized = resize_shortest_edge(picture, config.shortest_edge);
    let cropped = center_crop(&resized, config.crop_height, config.crop_width);
    normalize(&cropped, config, device)
}

/// What the tower will look at, and little more: a picture that is as good as `picture` to [`preprocess`],
/// to the bit, however large `picture` is. For holding pictures until their turn comes.
///
/// Both steps leave a picture alone that has their size already. The crop is taken early only where it is
/// as large as the shortest edge: otherwise a second resize would undo it.
pub fn as_seen(picture: &Picture, config: &PreprocessConfig) -> Picture {
    let edge = config.shortest_edge;
    let resized = resize_shortest_edge(picture, edge);
    if (config.crop_height, config.crop_width) == (edge, edge) {
        center_crop(&resized, edge, edge)
    } else {
        resized
    }
}

/// The middle `height` × `width` pixels. Where the crop is larger than the picture it is black around it;
/// where what is cut off is odd, one more goes at the bottom and the right.
///
/// # Panics
/// If a side is zero: a defect of the caller.
pub fn center_crop(picture: &Picture, height: usize, width: usize) -> Picture {
    let (old_width, old_height) = (picture.width() as isize, picture.height() as isize);
    let top = (old_height - height as isize).div_euclid(2);
    let left = (old_width - width as isize).div_euclid(2);
    let mut rgb = vec![0; height * width * 3];
    for (y, row) in (top..).zip(rgb.chunks_exact_mut(width * 3)) {
        for (x, pixel) in (left..).zip(row.chunks_exact_mut(3)) {
            if (0..old_height).contains(&y) && (0..old_width).contains(&x) {
                let from = (y * old_width + x) as usize * 3;
                pixel.copy_from_slice(&picture.rgb()[from..from + 3]);
            }
        }
    }
    Picture::new(width as u32, height as u32, rgb)
}

/// Bytes → `(byte * rescale_factor - mean) / std` per channel, (3, height, width) in f32. The product is
/// rounded from f64, the rest is f32, as numpy does it.
///
/// # Errors
/// `Tensor` when the device refuses.
pub fn normalize(
    picture: &Picture,
    config: &PreprocessConfig,
    device: &Device,
) -> Result<Tensor, ModelError> {
    let channel = |channel: usize| {
        let (mean, std) = (config.mean[channel], config.std[channel]);
        picture.rgb().iter().skip(channel).step_by(3).map(move |byte| {
            let scaled = (f64::from(*byte) * config.rescale_factor) as f32;
            (scaled - mean) / std
        })
    };
    let values: Vec<f32> = channel(0).chain(channel(1)).chain(channel(2)).collect();
    let shape = (3, picture.height() as usize, picture.width() as usize);
    Ok(Tensor::from_vec(values, shape, device)?)
}

//! Pillow's bicubic resampling in 8-bit fixed point, to the bit (`Resample.c`). Knows no crops and no
//! floats beyond the filter's weights.

use crate::picture::Picture;

/// Pillow keeps weights as integers of this many fractional bits: 32 − 8 for a sample − 2 for overshoot.
const PRECISION_BITS: u32 = 22;
/// Bicubic reaches this far, in source pixels (scaled up when shrinking).
const SUPPORT: f64 = 2.0;

/// Resizes so that the shorter side has `shortest_edge` pixels and the longer
/// `shortest_edge * longer / shorter`, rounded down (`get_resize_output_image_size`).
pub fn resize_shortest_edge(picture: &Picture, shortest_edge: usize) -> Picture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let longer = shortest_edge * width.max(height) / width.min(height);
    if width <= height {
        resize(picture, shortest_edge, longer)
    } else {
        resize(picture, longer, shortest_edge)
    }
}

/// `Image.resize((width, height), BICUBIC)`: across first, rounded to bytes, then down. A pass that would
/// change no size is left out.
///
/// # Panics
/// If a side is zero: a defect of the caller.
pub fn resize(picture: &Picture, width: usize, height: usize) -> Picture {
    let (old_width, old_height) = (picture.width() as usize, picture.height() as usize);
    let mut rgb = picture.rgb().to_vec();
    if width != old_width {
        rgb = across(&rgb, old_width, &Weights::new(old_width, width));
    }
    if height != old_height {
        rgb = down(&rgb, width * 3, &Weights::new(old_height, height));
    }
    Picture::new(width as u32, height as u32, rgb)
}

/// For each output pixel of one axis: the first source pixel, and the weights from there on.
struct Weights {
    windows: Vec<(usize, Vec<i32>)>,
}

impl Weights {
    fn new(old: usize, new: usize) -> Self {
        let scale = old as f64 / new as f64;
        let filter_scale = scale.max(1.0);
        let support = SUPPORT * filter_scale;
        let windows = (0..new).map(|i| {
            let center = (i as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(old);
            let weights: Vec<f64> = (first..end)
                .map(|x| cubic((x as f64 - center + 0.5) * (1.0 / filter_scale)))
                .collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.into_iter().map(|weight| fixed_point(weight / sum)).collect())
        });
        Self { windows: windows.collect() }
    }
}

/// Keys' cubic convolution with a = −1/2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Rounds half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1u32 << PRECISION_BITS);
    (scaled + if weight < 0.0 { -0.5 } else { 0.5 }) as i32
}

/// The weighted sum as a byte.
fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Each row of `width` RGB pixels to one of as many as there are windows.
fn across(rgb: &[u8], width: usize, weights: &Weights) -> Vec<u8> {
    let rows = rgb.len() / (width * 3);
    let mut out = Vec::with_capacity(rows * weights.windows.len() * 3);
    for row in rgb.chunks_exact(width * 3) {
        for (first, window) in &weights.windows {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(window) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(*value);
                }
            }
            out.extend(sums.map(to_byte));
        }
    }
    out
}

/// Rows of `stride` bytes to as many rows as there are windows.
fn down(rgb: &[u8], stride: usize, weights: &Weights) -> Vec<u8> {
    let mut out = Vec::with_capacity(weights.windows.len() * stride);
    let mut sums = vec![HALF; stride];
    for (first, window) in &weights.windows {
        sums.fill(HALF);
        for (row, weight) in rgb[first * stride..].chunks_exact(stride).zip(window) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(*value);
            }
        }
        out.extend(sums.iter().map(|sum| to_byte(*sum)));
    }
    out
}

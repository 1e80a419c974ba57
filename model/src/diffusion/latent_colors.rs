//! Latents to colours without the VAE: the linear map that comes nearest to its decoder, found by least squares
//! when a model is loaded. For previews: as coarse as the latents are, and nearly free.

use candle_core::{DType, Tensor};
use rand_chacha::rand_core::RngCore as _;

use super::vae::Vae;
use crate::error::ModelError;
use crate::noise::draw_stream;
use crate::picture::Picture;

/// Sides of the pictures that the map is learnt from, in cells of latents.
const CELLS: usize = 8;
/// Each of them is made of so many by so many patches of one colour: large ones as backgrounds are, small ones.
const PATCHES: [usize; 8] = [1, 1, 2, 2, 2, 4, 4, 4];
/// Added to the squares of each channel, for a share of them: a channel that says nothing of colour stays out.
const RIDGE: f64 = 1e-3;
/// Red, green, blue.
const COLORS: usize = 3;

/// An affine map from the latents of one cell, scaled as a denoiser leaves them, to a colour in about ±1.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentColors {
    /// For each latent channel, and last for 1: red, green, blue.
    weights: Vec<[f64; COLORS]>,
}

impl LatentColors {
    /// Learns the map of `vae`: encodes pictures of coloured patches, always the same ones, decodes what that
    /// comes to, and fits the mean colour of each cell.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if a pass fails, [`ModelError::NotFinite`] if what it comes to is no number.
    pub fn fit(vae: &Vae, picture_multiple: usize) -> Result<Self, ModelError> {
        let side = CELLS * picture_multiple;
        let values: Vec<f32> = (0..)
            .zip(PATCHES)
            .flat_map(|(number, patches)| patchwork(number, patches, side))
            .collect();
        let shape = (PATCHES.len(), COLORS, side, side);
        let shown = Tensor::from_vec(values, shape, vae.device())?;
        let latents = vae.scale_latents(&vae.encode(&shown)?.mean)?;
        let decoded = vae.decode_latents(&latents)?.to_dtype(DType::F32)?;
        let colors = decoded.contiguous()?.avg_pool2d(picture_multiple)?;
        Self::least_squares(&cells(&latents)?, &cells(&colors)?)
    }

    /// Minimises the squared error over cells, the normal equations solved in f64.
    fn least_squares(latents: &[Vec<f32>], colors: &[Vec<f32>]) -> Result<Self, ModelError> {
        let count = latents.first().map_or(0, Vec::len) + 1;
        let mut matrix = vec![vec![0.0; count + COLORS]; count];
        for (latents, colors) in latents.iter().zip(colors) {
            let inputs: Vec<f64> = latents.iter().map(|x| f64::from(*x)).chain([1.0]).collect();
            let right = colors.iter().map(|color| f64::from(*color));
            let row: Vec<f64> = inputs.iter().copied().chain(right).collect();
            for (sums, input) in matrix.iter_mut().zip(&inputs) {
                sums.iter_mut().zip(&row).for_each(|(sum, value)| *sum += input * value);
            }
        }
        for channel in 0..count - 1 {
            matrix[channel][channel] += RIDGE * latents.len() as f64;
        }
        let solved = solve(matrix);
        let flat: Vec<f32> = solved.iter().flatten().map(|weight| *weight as f32).collect();
        ModelError::unless_finite("VAE", &flat)?;
        Ok(Self { weights: solved })
    }

    /// Latents of shape (C, height, width), scaled, as a picture with one pixel for each cell. Black where a colour
    /// is no number.
    ///
    /// # Panics
    /// If there are not as many latents as the shape says, or they have other channels: a defect of the caller.
    pub fn picture(
        &self,
        latents: &[f32],
        (channels, height, width): (usize, usize, usize),
    ) -> Picture {
        let area = height * width;
        assert_eq!(channels + 1, self.weights.len(), "as many channels as the VAE has");
        assert_eq!(latents.len(), channels * area, "latents of that shape");
        let offset = self.weights[channels];
        let mut rgb = Vec::with_capacity(area * COLORS);
        for cell in 0..area {
            let mut color = offset;
            for (channel, weights) in self.weights[..channels].iter().enumerate() {
                let latent = f64::from(latents[channel * area + cell]);
                color.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += latent * weight);
            }
            rgb.extend(
                color.map(|value| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8),
            );
        }
        Picture::new(width as u32, height as u32, rgb)
    }
}

/// Picture `number`, (3, side, side) in ±1: `patches` by `patches` squares, each of one colour.
fn patchwork(number: u32, patches: usize, side: usize) -> Vec<f32> {
    let mut stream = draw_stream(b"RVcolors", 0, [number, 0, 0, 0]);
    let level = |word: u32| f64::from(word >> 24) / 127.5 - 1.0;
    let colors: Vec<f32> =
        (0..COLORS * patches * patches).map(|_| level(stream.next_u32()) as f32).collect();
    let patch = |place: usize| place * patches / side;
    let rows = (0..COLORS).flat_map(|color| (0..side).map(move |row| (color, row)));
    rows.flat_map(|(color, row)| {
        let first = (color * patches + patch(row)) * patches;
        (0..side).map(move |column| first + patch(column))
    })
    .map(|index| colors[index])
    .collect()
}

/// (B, C, h, w) as the channels of each cell.
fn cells(tensor: &Tensor) -> Result<Vec<Vec<f32>>, ModelError> {
    let channels = tensor.dim(1)?;
    let by_cell = tensor.to_dtype(DType::F32)?.permute((0, 2, 3, 1))?.reshape(((), channels))?;
    Ok(by_cell.to_vec2()?)
}

/// Solves `matrix · x = right` for each right side, which stand behind the square in its rows; by elimination
/// with the largest pivot.
fn solve(mut matrix: Vec<Vec<f64>>) -> Vec<[f64; COLORS]> {
    let count = matrix.len();
    for column in 0..count {
        let size = |row: &usize| matrix[*row][column].abs();
        let pivot = (column..count).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(column);
        matrix.swap(column, pivot);
        let scale = matrix[column][column];
        matrix[column].iter_mut().for_each(|value| *value /= scale);
        let pivot_row = matrix[column].clone();
        for (_, row) in matrix.iter_mut().enumerate().filter(|(row, _)| *row != column) {
            let factor = row[column];
            row.iter_mut().zip(&pivot_row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    matrix.iter().map(|row| [row[count], row[count + 1], row[count + 2]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_is_linear_is_found() {
        let colors = |x: f32, y: f32| vec![0.5 * x - 0.2, -0.3 * y, 0.1 * x + 0.4 * y + 0.3];
        let points: Vec<(f32, f32)> =
            (0..400).map(|at| ((at as f32).sin() * 2.0, (at as f32 * 0.7).cos() * 2.0)).collect();
        let latents: Vec<Vec<f32>> = points.iter().map(|(x, y)| vec![*x, *y]).collect();
        let shown: Vec<Vec<f32>> = points.iter().map(|(x, y)| colors(*x, *y)).collect();
        let found = LatentColors::least_squares(&latents, &shown).unwrap();
        let wanted = [[0.5, 0.0, 0.1], [0.0, -0.3, 0.4], [-0.2, 0.0, 0.3]];
        for (found, wanted) in found.weights.iter().flatten().zip(wanted.iter().flatten()) {
            assert!((found - wanted).abs() < 1e-3, "{found} {wanted}");
        }
        // Channels first, as latents lie.
        let picture = found.picture(&[2.0, 0.0, 0.0, 0.0], (2, 1, 2));
        assert_eq!((picture.width(), picture.height()), (2, 1));
        assert_eq!(picture.rgb(), [229, 127, 191, 102, 127, 166]);
    }

    #[test]
    fn a_channel_that_never_changes_does_no_harm() {
        let latents: Vec<Vec<f32>> = (0..64).map(|at| vec![0.0, (at as f32).sin()]).collect();
        let colors: Vec<Vec<f32>> = latents.iter().map(|cell| vec![cell[1]; 3]).collect();
        let found = LatentColors::least_squares(&latents, &colors).unwrap();
        assert!(found.weights[0].iter().all(|weight| weight.abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn patches_have_one_colour_each() {
        let picture = patchwork(3, 2, 8);
        assert_eq!(picture.len(), 3 * 64);
        assert_eq!(picture[0], picture[3 * 8 + 3]);
        assert_ne!(picture[0], picture[4]);
        assert_ne!(picture[0], picture[64], "colours differ in each of the three");
    }
}

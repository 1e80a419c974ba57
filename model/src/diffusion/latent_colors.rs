//! Latents to colours without the VAE: the linear map that comes nearest to its decoder, found by least squares
//! when a model is loaded. For previews: as coarse as the latents are, and nearly free.

use candle_core::{DType, Tensor};

use super::vae::Vae;
use crate::error::ModelError;
use crate::noise::{CounterNoise, NoiseDraw, NoiseKey, NoiseSource as _};
use crate::picture::Picture;

/// Latents that the map is learnt from. Each is the same in all its cells, so that what it decodes to is the colour of
/// one cell among its like; standard normal, as scaled latents are about.
const EXAMPLES: usize = 64;
/// Cells on a side of each.
const CELLS: usize = 4;
/// Examples decoded at once.
const BATCH: usize = 16;
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
    /// Learns the map of `vae` from latents that are always the same ones.
    ///
    /// # Errors
    /// [`ModelError::Tensor`] if a pass fails, [`ModelError::NotFinite`] if what it comes to is no number.
    pub fn fit(vae: &Vae) -> Result<Self, ModelError> {
        let channels = vae.latent_channels();
        let key = NoiseKey { seed: 0, choice: 0, picture: 0, draw: NoiseDraw::Initial };
        let drawn = CounterNoise.normal(&key, EXAMPLES * channels);
        let latents: Vec<Vec<f32>> = drawn.chunks(channels).map(<[f32]>::to_vec).collect();
        let mut colors = Vec::with_capacity(EXAMPLES);
        for batch in drawn.chunks(BATCH * channels) {
            let cell = Tensor::from_slice(batch, ((), channels, 1, 1), vae.device())?;
            let flat = cell.repeat((1, 1, CELLS, CELLS))?;
            let decoded = vae.decode_latents(&flat)?.to_dtype(DType::F32)?;
            colors.extend(decoded.flatten_from(2)?.mean(2)?.to_vec2::<f32>()?);
        }
        Self::least_squares(&latents, &colors)
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
        for (channel, row) in matrix.iter_mut().enumerate().take(count - 1) {
            row[channel] += RIDGE * latents.len() as f64;
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
}

//! Work on pictures that rests between blocks of a network: one denoising step of several of them, and
//! the decoding of one. Knows what is left to do, not how it is done.

use super::unet::UnetPass;
use super::vae::DecodePass;
use crate::picture::Picture;

/// A denoising step of several pictures under way.
#[derive(Debug, Clone)]
pub struct StepPass {
    pub(super) unet: UnetPass,
    /// Predicted values of each picture, in the order in which they joined.
    pub(super) lens: Vec<usize>,
}

/// What a step has come to after one more segment.
#[derive(Debug, Clone)]
pub enum StepProgress {
    /// There are segments left.
    More(StepPass),
    /// What each picture is to take.
    Done(Predictions),
}

/// The UNet's predictions for several pictures.
#[derive(Debug, Clone)]
pub struct Predictions {
    pub(super) values: Vec<f32>,
    pub(super) lens: Vec<usize>,
}

impl Predictions {
    /// That of the picture that joined as number `index`.
    ///
    /// # Panics
    /// If fewer joined.
    pub fn of(&self, index: usize) -> &[f32] {
        let start: usize = self.lens[..index].iter().sum();
        &self.values[start..start + self.lens[index]]
    }
}

/// What a decoding has come to after one more segment.
#[derive(Debug, Clone)]
pub enum FinishProgress {
    /// There are segments left.
    More(DecodePass),
    /// The picture.
    Done(Picture),
}

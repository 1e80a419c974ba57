//! Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598) and its rescaling (Lin et al.
//! 2023, arXiv 2305.08891, section 3.4), on one picture's predictions. Knows no tensors.

/// How strongly predictions are pushed away from the negative branch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guidance {
    /// Above 1, predictions are extrapolated; 1 and below mean no guidance, and no negative branch.
    pub scale: f32,
    /// Share of the prediction rescaled to the standard deviation of the conditional one; 0 is off.
    pub rescale: f32,
}

impl Guidance {
    /// Whether a negative branch is computed at all: strictly above 1, as in the reference.
    pub fn is_active(&self) -> bool {
        self.scale > 1.0
    }

    /// The guided prediction of one picture; both slices hold all its latents.
    pub fn combine(&self, negative: &[f32], positive: &[f32]) -> Vec<f32> {
        let mut guided: Vec<f32> = negative
            .iter()
            .zip(positive)
            .map(|(negative, positive)| negative + self.scale * (positive - negative))
            .collect();
        if self.rescale > 0.0 {
            let ratio = standard_deviation(positive) / standard_deviation(&guided);
            for value in &mut guided {
                *value = self.rescale * (*value * ratio) + (1.0 - self.rescale) * *value;
            }
        }
        guided
    }
}

/// Unbiased (n - 1), accumulated in f64.
fn standard_deviation(values: &[f32]) -> f32 {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum();
    (squares / (count - 1.0)).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_extrapolates_from_the_negative_through_the_positive_prediction() {
        let guidance = Guidance { scale: 3.0, rescale: 0.0 };
        assert_eq!(guidance.combine(&[1.0, -1.0], &[2.0, -1.0]), [4.0, -1.0]);
    }

    #[test]
    fn full_rescaling_restores_the_standard_deviation_of_the_positive_prediction() {
        let guidance = Guidance { scale: 7.5, rescale: 1.0 };
        let (negative, positive) = ([0.1, -0.4, 0.3, 0.9], [0.2, -0.8, 1.1, 0.4]);
        let guided = guidance.combine(&negative, &positive);
        let difference = standard_deviation(&guided) - standard_deviation(&positive);
        assert!(difference.abs() < 1e-6);
    }

    #[test]
    fn the_standard_deviation_is_the_unbiased_one() {
        assert_eq!(standard_deviation(&[1.0, 2.0, 3.0, 4.0, 5.0]), 2.5_f32.sqrt());
    }

    #[test]
    fn a_scale_of_one_needs_no_negative_branch() {
        assert!(!Guidance { scale: 1.0, rescale: 0.0 }.is_active());
        assert!(Guidance { scale: 1.01, rescale: 0.0 }.is_active());
    }
}

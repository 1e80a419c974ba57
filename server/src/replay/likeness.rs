//! How alike two pictures are that different numerics drew.

use reverie_model::Picture;

/// From here on two pictures pass for alike, decibels: where lossy files of good quality lie.
pub const LEAST_PSNR: f64 = 30.0;

/// How alike two pictures of one size are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likeness {
    /// The largest difference of a channel, in levels of 0 to 255.
    pub worst_levels: u8,
    /// Peak signal-to-noise ratio, decibels; infinite for equal pictures.
    pub psnr: f64,
}

impl Likeness {
    /// Of two pictures; `None` if their sizes differ.
    pub fn of(one: &Picture, other: &Picture) -> Option<Self> {
        if (one.width(), one.height()) != (other.width(), other.height()) {
            return None;
        }
        let differences = || one.rgb().iter().zip(other.rgb()).map(|(a, b)| a.abs_diff(*b));
        let worst_levels = differences().max().unwrap_or(0);
        let squares: u64 = differences().map(|levels| u64::from(levels) * u64::from(levels)).sum();
        let mean = squares as f64 / one.rgb().len() as f64;
        Some(Self { worst_levels, psnr: 10.0 * (255.0 * 255.0 / mean).log10() })
    }

    /// Whether they pass for the same picture.
    pub fn is_close(self) -> bool {
        self.psnr >= LEAST_PSNR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_is_that_of_the_definition() {
        let black = Picture::new(2, 1, vec![0; 6]);
        let equal = Likeness::of(&black, &black).unwrap();
        assert!(equal.worst_levels == 0 && equal.psnr.is_infinite() && equal.is_close());

        let nearly = Picture::new(2, 1, vec![0, 0, 0, 0, 0, 6]);
        let likeness = Likeness::of(&black, &nearly).unwrap();
        assert_eq!(likeness.worst_levels, 6);
        assert!((likeness.psnr - 40.349).abs() < 1e-3, "{}", likeness.psnr); // mean square 6

        let white = Picture::new(2, 1, vec![255; 6]);
        let opposite = Likeness::of(&black, &white).unwrap();
        assert!(opposite.psnr.abs() < 1e-9 && !opposite.is_close());
        assert_eq!(Likeness::of(&black, &Picture::new(1, 2, vec![0; 6])), None);
    }
}

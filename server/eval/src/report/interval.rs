//! Wilson's score interval of a share (1927). Pure.

use serde::Serialize;

/// The normal distribution's two-sided 95 % quantile.
const Z: f64 = 1.959_963_984_540_054;

/// Where the true share lies, with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end, 0 to 1.
    pub low: f64,
    /// Upper end, 0 to 1.
    pub high: f64,
}

impl Interval {
    /// Of `share` among `n` cases. Soft scores between 0 and 1 are taken as if they were hits and misses, which
    /// makes the interval a little too wide. Everything is possible where n is 0.
    pub fn wilson(share: f64, n: usize) -> Self {
        if n == 0 {
            return Self { low: 0.0, high: 1.0 };
        }
        let n = n as f64;
        let middle = share + Z * Z / (2.0 * n);
        let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        let bounded = |value: f64| (value / scale).clamp(0.0, 1.0);
        Self { low: bounded(middle - reach), high: bounded(middle + reach) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_interval(share: f64, n: usize, low: f64, high: f64) {
        let found = Interval::wilson(share, n);
        assert!((found.low - low).abs() < 5e-5, "{found:?}");
        assert!((found.high - high).abs() < 5e-5, "{found:?}");
    }

    #[test]
    fn it_is_the_published_interval() {
        // statsmodels 0.14, proportion_confint(method="wilson")
        assert_interval(0.5, 10, 0.2366, 0.7634);
        assert_interval(1.0, 500, 0.9924, 1.0);
        assert_interval(0.0, 20, 0.0, 0.1611);
        assert_interval(0.95, 500, 0.9272, 0.9659);
        assert_interval(0.0, 0, 0.0, 1.0);
    }
}

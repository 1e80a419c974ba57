//! Waiting times of many requests. All of them are kept, so every quantile is one that was measured. Knows no
//! request.

use serde::{Deserialize, Serialize};

use crate::micros::Micros;

/// Times, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    sorted: Vec<Micros>,
}

/// What is said of a distribution; nothing where it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many times there are.
    pub count: usize,
    /// Milliseconds.
    pub mean_ms: f64,
    /// Half took no longer.
    pub p50_ms: f64,
    /// Nine in ten took no longer.
    pub p90_ms: f64,
    /// 99 in a hundred took no longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl FromIterator<Micros> for Distribution {
    fn from_iter<I: IntoIterator<Item = Micros>>(times: I) -> Self {
        let mut sorted: Vec<_> = times.into_iter().collect();
        sorted.sort_unstable();
        Self { sorted }
    }
}

impl Distribution {
    /// The smallest of the times that a share of them, 0 to 1, does not exceed.
    pub fn quantile(&self, share: f64) -> Option<Micros> {
        let rank = (share * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.max(1) - 1).copied()
    }

    /// The usual ones; nothing where there is no time.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let millis = |share| self.quantile(share).map(Micros::millis);
        let count = self.sorted.len();
        let total: f64 = self.sorted.iter().map(|time| time.millis()).sum();
        Some(Quantiles {
            count,
            p50_ms: millis(0.5)?,
            p90_ms: millis(0.9)?,
            p99_ms: millis(0.99)?,
            max_ms: millis(1.0)?,
            mean_ms: total / count as f64,
        })
    }

    /// The curve of shares: (milliseconds, share that took no longer), at most 200 points.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let points = self.sorted.len().min(200);
        let share = |point: usize| (point + 1) as f64 / points as f64;
        (0..points)
            .filter_map(|point| Some((self.quantile(share(point))?.millis(), share(point))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let thousand: Distribution = (1..=1000).rev().map(Micros).collect();
        let quantiles = thousand.quantiles().unwrap();
        assert_eq!((quantiles.count, quantiles.p50_ms, quantiles.p90_ms), (1000, 0.5, 0.9));
        assert_eq!((quantiles.p99_ms, quantiles.max_ms, quantiles.mean_ms), (0.99, 1.0, 0.5005));
        let two: Distribution = [Micros(9000), Micros(1000)].into_iter().collect();
        assert_eq!(two.quantile(0.5), Some(Micros(1000)));
        assert_eq!(two.quantile(0.51), Some(Micros(9000)));
        assert_eq!(two.quantile(0.0), Some(Micros(1000)));
        assert_eq!(two.curve(), [(1.0, 0.5), (9.0, 1.0)]);
        assert_eq!(Distribution::default().quantiles(), None);
        assert!(Distribution::default().curve().is_empty());
        assert_eq!(thousand.curve().len(), 200);
    }
}

//! When requests are sent, whatever becomes of the earlier ones: Poisson arrivals from a seed. Knows no request
//! and no clock.

use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::micros::Micros;

/// Requests a second, on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// So many, above 0.
    PerSecond(f64),
    /// All at once.
    Infinite,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(f64::INFINITY) => Ok(Self::Infinite),
            Ok(rate) if rate > 0.0 => Ok(Self::PerSecond(rate)),
            Ok(_) | Err(_) => Err("wanted requests a second, above 0, or inf".to_owned()),
        }
    }
}

/// How long requests go on arriving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Until there are so many.
    Requests(usize),
    /// So long.
    Time(Micros),
}

/// The arrivals of a run, in order: gaps between them are drawn from an exponential distribution. An infinite
/// rate has an end only if the number of requests is given; by time it has no arrival at all.
pub fn poisson(seed: u64, rate: Rate, extent: Extent) -> Vec<Micros> {
    let rate = match (rate, extent) {
        (Rate::PerSecond(rate), _) => rate,
        (Rate::Infinite, Extent::Requests(count)) => return vec![Micros::default(); count],
        (Rate::Infinite, Extent::Time(_)) => return Vec::new(),
    };
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let mut seconds = 0.0;
    let moments = std::iter::repeat_with(|| {
        // In (0, 1], of 53 bits; libm's logarithm is the same on every machine.
        let draw = ((draws.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        seconds -= libm::log(draw) / rate;
        Micros::from_seconds(seconds)
    });
    match extent {
        Extent::Requests(count) => moments.take(count).collect(),
        Extent::Time(end) => moments.take_while(|moment| *moment < end).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_the_seeds_and_as_dense_as_the_rate() {
        let by_count = poisson(7, Rate::PerSecond(50.0), Extent::Requests(5_000));
        assert_eq!(by_count, poisson(7, Rate::PerSecond(50.0), Extent::Requests(5_000)));
        assert_ne!(by_count, poisson(8, Rate::PerSecond(50.0), Extent::Requests(5_000)));
        assert!(by_count.is_sorted());
        let seconds = by_count.last().unwrap().seconds();
        assert!((95.0..105.0).contains(&seconds), "{seconds}");
        let within = poisson(7, Rate::PerSecond(50.0), Extent::Time(Micros(1_000_000)));
        assert_eq!(within, by_count[..within.len()], "the same arrivals, cut off");
        assert!(by_count[within.len()] >= Micros(1_000_000));
    }

    #[test]
    fn arrivals_do_not_keep_an_even_distance() {
        let arrivals = poisson(1, Rate::PerSecond(100.0), Extent::Requests(4_000));
        let gaps = arrivals.windows(2).map(|pair| pair[1].since(pair[0]).seconds());
        let long = gaps.filter(|gap| *gap > 0.02).count() as f64 / 4_000.0;
        assert!((0.11..0.16).contains(&long), "exp(-2) of the gaps are twice the mean: {long}");
    }

    #[test]
    fn a_rate_is_a_number_above_nothing() {
        assert_eq!("inf".parse(), Ok(Rate::Infinite));
        assert_eq!("2.5".parse(), Ok(Rate::PerSecond(2.5)));
        for wrong in ["0", "-1", "nan", "-inf", "many", ""] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
        assert_eq!(poisson(1, Rate::Infinite, Extent::Requests(3)), [Micros(0); 3]);
    }
}

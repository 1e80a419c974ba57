//! How much longer steps take than the costs say, learnt from those that are filled up to the bound. Costs are measured
//! once, on a machine that does nothing else; what else it does later is seen here. Knows no clock.

use crate::cost::Nanos;

/// Parts of a whole in which the ratio is counted.
const WHOLE: u64 = 1_000;

/// It is never believed that a step takes less than its costs, nor more than twice as long: beyond that the bound is not
/// to be kept, and pictures are to go on.
const MOST: u64 = 2 * WHOLE;

/// Steps move the ratio up by nine of these or down by one, so that it stays where nine in ten take less.
const PIECE: u64 = 4;

/// What nine in ten of the latest filled steps stayed under, as a ratio to what their costs said.
#[derive(Debug)]
pub(crate) struct Pace {
    ratio: u64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self { ratio: WHOLE }
    }

    /// A step took so long.
    pub(crate) fn took(&mut self, predicted: Nanos, taken: Nanos) {
        let is_longer = u128::from(taken.0) * u128::from(WHOLE)
            > u128::from(predicted.0) * u128::from(self.ratio);
        let moved = if is_longer { self.ratio + 9 * PIECE } else { self.ratio - PIECE };
        self.ratio = moved.clamp(WHOLE, MOST);
    }

    /// The predicted time up to which a step may be filled so that nine in ten take no longer than `bound`.
    pub(crate) fn limit(&self, bound: Nanos) -> Nanos {
        let limit = u128::from(bound.0) * u128::from(WHOLE) / u128::from(self.ratio);
        Nanos(u64::try_from(limit).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After so many steps that take `taken(step)` hundredths of what was predicted.
    fn limit_after(num_steps: u64, taken: impl Fn(u64) -> u64) -> u64 {
        let mut pace = Pace::new();
        (0..num_steps).for_each(|step| pace.took(Nanos(100), Nanos(taken(step))));
        pace.limit(Nanos(1_200)).0
    }

    #[test]
    fn as_long_as_steps_keep_to_their_costs_the_bound_stays() {
        assert_eq!(limit_after(1_000, |_| 100), 1_200);
        assert_eq!(limit_after(1_000, |_| 1), 1_200);
        assert_eq!(limit_after(1_001, |step| if step % 20 == 0 { 300 } else { 90 }), 1_158);
    }

    #[test]
    fn what_nine_in_ten_stay_under_is_found_and_forgotten_again() {
        let slow = limit_after(2_000, |step| if step % 5 == 0 { 150 } else { 110 });
        assert!((780..=820).contains(&slow), "{slow}: a fifth of them takes 150");
        assert_eq!(limit_after(2_000, |_| 900), 600);
        assert_eq!(limit_after(2_000, |step| if step < 1_000 { 900 } else { 100 }), 1_200);
    }

    #[test]
    fn no_time_is_too_long() {
        let mut pace = Pace::new();
        pace.took(Nanos::MAX, Nanos::MAX);
        pace.took(Nanos::ZERO, Nanos::MAX);
        assert!(pace.limit(Nanos::MAX) < Nanos::MAX);
    }
}

//! A claim that a run was to show. Knows numbers.

use std::fmt;

use serde::Serialize;

/// A claim, what was measured, and the bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// What is claimed.
    pub claim: String,
    /// Nothing where there was nothing to measure, which shows no claim.
    pub measured: Option<f64>,
    /// The bound.
    pub bound: f64,
    /// On which side of it the claim lies.
    pub direction: Direction,
    /// Whether it does.
    pub held: bool,
}

/// A side of a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The bound or more.
    AtLeast,
    /// The bound or less.
    AtMost,
}

impl Check {
    /// That something is not below a bound.
    pub fn at_least(claim: impl Into<String>, measured: Option<f64>, bound: f64) -> Self {
        let held = measured.is_some_and(|measured| measured >= bound);
        Self { claim: claim.into(), measured, bound, direction: Direction::AtLeast, held }
    }

    /// That something is not above a bound.
    pub fn at_most(claim: impl Into<String>, measured: Option<f64>, bound: f64) -> Self {
        let held = measured.is_some_and(|measured| measured <= bound);
        Self { claim: claim.into(), measured, bound, direction: Direction::AtMost, held }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.held { "held" } else { "MISSED" };
        let sign = match self.direction {
            Direction::AtLeast => "≥",
            Direction::AtMost => "≤",
        };
        let measured =
            self.measured.map_or_else(|| "nothing".to_owned(), |measured| format!("{measured:.3}"));
        write!(formatter, "{verdict:6} {}: {measured}, wanted {sign} {:.3}", self.claim, self.bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_without_a_measurement_is_not_shown() {
        assert!(Check::at_least("a", Some(4.0), 4.0).held && !Check::at_least("a", None, 0.0).held);
        assert!(Check::at_most("a", Some(4.0), 4.0).held && !Check::at_most("a", None, 9.0).held);
        assert!(!Check::at_least("a", Some(f64::NAN), 0.0).held);
        let missed = Check::at_most("gap, ms", Some(31.0), 30.0).to_string();
        assert_eq!(missed, "MISSED gap, ms: 31.000, wanted ≤ 30.000");
    }
}

//! The clock of a run. The only place of this crate where the time is looked at.

use tokio::time::Instant;

use crate::micros::Micros;

/// Counts from a run's start.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
    start: Instant,
}

impl Stopwatch {
    /// Starts to count.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The moment it is now.
    pub fn now(&self) -> Micros {
        self.start.elapsed().into()
    }

    /// When that moment is.
    pub(crate) fn at(&self, moment: Micros) -> Instant {
        self.start + moment.into()
    }
}

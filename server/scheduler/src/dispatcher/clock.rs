//! The two clocks of the front: time as it is given, and time in which the front listened. Tells none.

use super::identity::Micros;

/// What time it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// As it was given.
    pub(super) now: Micros,
    /// Time in which the front listened: a front that looks at least every so often and then does not for
    /// a minute stood still itself, and cannot say that others were silent.
    pub(super) listened: Micros,
}

impl Clock {
    /// It is `now`, unless that was before.
    pub(super) fn pass(&mut self, now: Micros, listen_every: Micros) {
        self.listened = self.listened.after(now.since(self.now).min(listen_every));
        self.now = self.now.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_that_stood_still_did_not_listen() {
        let mut clock = Clock::default();
        clock.pass(Micros(3), Micros(5));
        clock.pass(Micros(100), Micros(5));
        clock.pass(Micros(50), Micros(5));
        assert_eq!(clock, Clock { now: Micros(100), listened: Micros(8) });
    }
}

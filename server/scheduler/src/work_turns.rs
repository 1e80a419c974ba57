//! What a step computes beside the texts that go on: three kinds of work that take turns. Knows kinds and
//! turns, not what the work is.

use crate::planted::{Planted, planted};

/// Work that may be left for a later step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Contexts that catch up, with the pictures they embed.
    Prefill,
    /// Denoiser passes.
    Denoise,
    /// Latents to pixels.
    Render,
}

impl Work {
    fn next(self) -> Self {
        match self {
            Self::Prefill => Self::Denoise,
            Self::Denoise => Self::Render,
            Self::Render => Self::Prefill,
        }
    }
}

/// Whose turn it is to be planned first, and for how many steps it did not fit.
///
/// The kind whose turn it is has the whole time that the texts leave. So among three kinds with work each
/// one advances at least once in `3 · (max_num_deferred + 1)` steps, whatever the others do.
#[derive(Debug)]
pub(crate) struct WorkTurns {
    first: Work,
    num_deferred: usize,
}

impl WorkTurns {
    pub(crate) fn new() -> Self {
        Self { first: Work::Prefill, num_deferred: 0 }
    }

    /// All kinds, the one whose turn it is first.
    pub(crate) fn order(&self) -> [Work; 3] {
        let second = self.first.next();
        [self.first, second, second.next()]
    }

    /// Steps in which `work` had its turn and did not fit.
    pub(crate) fn num_deferred(&self, work: Work) -> usize {
        if work == self.first { self.num_deferred } else { 0 }
    }

    /// `work` was the first kind with anything to do, and advanced or did not.
    pub(crate) fn took_turn(&mut self, work: Work, advanced: bool) {
        if advanced && !planted(Planted::TurnNeverPasses) {
            *self = Self { first: work.next(), num_deferred: 0 };
        } else {
            *self = Self { first: work, num_deferred: self.num_deferred(work) + 1 };
        }
    }
}

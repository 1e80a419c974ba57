//! Which fault met which phase of a request, counted; and which cells of that table cannot be.

use std::collections::BTreeMap;

/// What a request is at when something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// At the front, never run.
    Waiting,
    /// At the front, having lost its worker.
    Returning,
    /// At the front, its client not reading.
    Stalled,
    /// On its way to or from a worker, or waiting behind others there.
    Queued,
    /// Its context is computed for the first time.
    Computing,
    /// Token by token.
    Decoding,
    /// A picture of it is denoised.
    Denoising,
    /// A picture's latents are decoded.
    Rendering,
    /// It waits for a picture from another worker.
    Awaiting,
    /// It is suspected, and alone on its worker.
    Isolated,
}

impl Phase {
    pub(crate) const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Returning,
        Self::Stalled,
        Self::Queued,
        Self::Computing,
        Self::Decoding,
        Self::Denoising,
        Self::Rendering,
        Self::Awaiting,
        Self::Isolated,
    ];

    /// Whether a worker has the request.
    fn is_on_worker(self) -> bool {
        match self {
            Self::Waiting | Self::Returning | Self::Stalled => false,
            Self::Queued
            | Self::Computing
            | Self::Decoding
            | Self::Denoising
            | Self::Rendering
            | Self::Awaiting
            | Self::Isolated => true,
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// A worker is killed from outside.
    Kill,
    /// A worker dies by itself.
    Crash,
    /// A worker falls silent for ever.
    Hang,
    /// A worker falls silent for a while.
    Silence,
    /// A worker's next starts fail.
    FailedStart,
    /// A worker's starts fail from now on.
    NeverStarts,
    /// A worker says what no sound worker says.
    Garbage,
    /// A worker says everything twice for a while.
    Echo,
    /// The front hears nothing for a while.
    FrontStops,
    /// A worker evicts its prefixes.
    Evict,
    /// A client leaves.
    Cancel,
    /// A client stops reading for a while.
    SlowReader,
    /// A request's time is over.
    Deadline,
    /// A job's numbers are not finite.
    NotFinite,
    /// A request kills every worker that runs it.
    Poison,
    /// A request makes every worker hang that runs it.
    PoisonHang,
    /// The front is to drain.
    Drain,
    /// The front is to drain, and then to end at once.
    SecondDrain,
}

impl FaultKind {
    pub(crate) const ALL: [Self; 18] = [
        Self::Kill,
        Self::Crash,
        Self::Hang,
        Self::Silence,
        Self::FailedStart,
        Self::NeverStarts,
        Self::Garbage,
        Self::Echo,
        Self::FrontStops,
        Self::Evict,
        Self::Cancel,
        Self::SlowReader,
        Self::Deadline,
        Self::NotFinite,
        Self::Poison,
        Self::PoisonHang,
        Self::Drain,
        Self::SecondDrain,
    ];

    /// Whether it can meet a request in that phase.
    fn can_meet(self, phase: Phase) -> bool {
        match self {
            Self::Kill
            | Self::Crash
            | Self::Hang
            | Self::Silence
            | Self::Garbage
            | Self::Echo
            | Self::Evict
            | Self::NotFinite => phase.is_on_worker(),
            Self::Poison | Self::PoisonHang => match phase {
                Phase::Computing | Phase::Decoding | Phase::Denoising | Phase::Rendering => true,
                Phase::Isolated => true,
                Phase::Waiting
                | Phase::Returning
                | Phase::Stalled
                | Phase::Queued
                | Phase::Awaiting => false,
            },
            Self::FailedStart | Self::NeverStarts => true,
            Self::FrontStops
            | Self::Cancel
            | Self::SlowReader
            | Self::Deadline
            | Self::Drain
            | Self::SecondDrain => true,
        }
    }
}

/// Meetings of faults and phases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage(BTreeMap<(FaultKind, Phase), u64>);

impl Coverage {
    pub(crate) fn met(&mut self, fault: FaultKind, phase: Phase) {
        *self.0.entry((fault, phase)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (cell, count) in &other.0 {
            *self.0.entry(*cell).or_default() += count;
        }
    }

    /// Cells that can be, and have not been.
    pub(crate) fn empty_cells(&self) -> Vec<(FaultKind, Phase)> {
        FaultKind::ALL
            .into_iter()
            .flat_map(|fault| Phase::ALL.map(|phase| (fault, phase)))
            .filter(|(fault, phase)| fault.can_meet(*phase))
            .filter(|cell| !self.0.contains_key(cell))
            .collect()
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:<12}", "")?;
        for phase in Phase::ALL {
            write!(formatter, "{:>10}", format!("{phase:?}"))?;
        }
        for fault in FaultKind::ALL {
            write!(formatter, "\n{:<12}", format!("{fault:?}"))?;
            for phase in Phase::ALL {
                match self.0.get(&(fault, phase)) {
                    Some(count) => write!(formatter, "{count:>10}")?,
                    None if fault.can_meet(phase) => write!(formatter, "{:>10}", 0)?,
                    None => write!(formatter, "{:>10}", "-")?,
                }
            }
        }
        Ok(())
    }
}

//! What happened to sequences, and where they stood then; a table in which no cell that can be reached
//! may be empty.

use std::collections::BTreeMap;

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It never had a place.
    New,
    /// It lost its place.
    Preempted,
    /// Its prompt, or a picture fed back, is being computed.
    Prefill,
    /// It writes text.
    Generating,
    /// Its dream block or its negative prompt is being computed.
    Dreaming,
    /// It waits for its next denoising step.
    Denoising,
    /// It is in a pass that rests between two segments.
    InPass,
    /// It waits for its latents to be decoded.
    Rendering,
    /// Its decoding rests between two segments.
    InRender,
}

pub(crate) const PHASES: [Phase; 9] = [
    Phase::New,
    Phase::Preempted,
    Phase::Prefill,
    Phase::Generating,
    Phase::Dreaming,
    Phase::Denoising,
    Phase::InPass,
    Phase::Rendering,
    Phase::InRender,
];

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// Aborted between two steps.
    Abort,
    /// Aborted while a step runs.
    AbortInStep,
    /// A row of it has no result.
    Fail,
    /// Its blocks are taken.
    Preempt,
    /// It begins behind a cached prefix.
    Hit,
}

const EVENTS: [Event; 5] =
    [Event::Abort, Event::AbortInStep, Event::Fail, Event::Preempt, Event::Hit];

/// How often what happened where.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<(Event, Phase), usize>);

impl Coverage {
    pub(crate) fn count(&mut self, event: Event, phase: Phase) {
        *self.0.entry((event, phase)).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (cell, count) in &other.0 {
            *self.0.entry(*cell).or_default() += count;
        }
    }

    /// Cells that can be reached and were not, or the other way round.
    pub(crate) fn wrong_cells(&self) -> Vec<(Event, Phase, usize)> {
        let cells = EVENTS.iter().flat_map(|event| PHASES.map(|phase| (*event, phase)));
        cells
            .map(|(event, phase)| (event, phase, self.of(event, phase)))
            .filter(|(event, phase, count)| is_possible(*event, *phase) != (*count > 0))
            .collect()
    }

    fn of(&self, event: Event, phase: Phase) -> usize {
        self.0.get(&(event, phase)).copied().unwrap_or(0)
    }
}

impl std::fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:12}", "")?;
        for phase in PHASES {
            write!(formatter, "{:>11}", format!("{phase:?}"))?;
        }
        for event in EVENTS {
            write!(formatter, "\n{:12}", format!("{event:?}"))?;
            for phase in PHASES {
                match self.of(event, phase) {
                    0 if !is_possible(event, phase) => write!(formatter, "{:>11}", "-")?,
                    count => write!(formatter, "{count:>11}")?,
                }
            }
        }
        Ok(())
    }
}

/// Who has no row cannot fail, and who has no blocks cannot lose them. A context begins when its sequence
/// gets its place or, for a negative prompt, when a picture is to be drawn.
fn is_possible(event: Event, phase: Phase) -> bool {
    match event {
        Event::Abort | Event::AbortInStep | Event::Fail => true,
        Event::Preempt => !matches!(phase, Phase::New | Phase::Preempted),
        Event::Hit => matches!(phase, Phase::New | Phase::Preempted | Phase::Dreaming),
    }
}

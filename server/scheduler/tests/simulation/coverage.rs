//! What happened to sequences, and where they stood then; printed as a table in which no cell that can be
//! reached may be empty.

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

    /// Prints the table.
    ///
    /// # Panics
    /// If a cell that can be reached is empty, or one that cannot be is not.
    pub(crate) fn print_and_check(&self) {
        let titles = PHASES.map(|phase| format!("{:>10}", format!("{phase:?}")));
        println!("{:12}{}", "", titles.concat());
        let mut wrong = Vec::new();
        for event in EVENTS {
            let mut line = format!("{:12}", format!("{event:?}"));
            for phase in PHASES {
                let count = self.0.get(&(event, phase)).copied().unwrap_or(0);
                let possible = is_possible(event, phase);
                line += &if possible { format!("{count:>10}") } else { format!("{:>10}", "-") };
                if possible != (count > 0) {
                    wrong.push((event, phase, count));
                }
            }
            println!("{line}");
        }
        assert!(wrong.is_empty(), "cells that are empty, or not: {wrong:?}");
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

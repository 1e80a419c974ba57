//! The turn of the engine: add · schedule · update · abort. One sequence after another, first come,
//! first served. Nothing here can fail; what must not happen is asserted.

use std::collections::VecDeque;

use crate::config::SchedulerConfig;
use crate::plan::{
    DenoiseRow, RenderRow, Sampled, SampledRow, SequenceEvent, StepOutcome, StepPlan, StepReport,
};
use crate::rules::NextMove;
use crate::sequence::{Sequence, SequenceId, SequenceSpec, SequenceStatus, StepRoom};

/// The waiting queue has reached its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull {
    /// Sequences waiting.
    pub waiting: usize,
}

impl std::fmt::Display for QueueFull {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} sequences are waiting already", self.waiting)
    }
}

impl std::error::Error for QueueFull {}

/// Decides what each engine step computes.
#[derive(Debug)]
pub struct Scheduler {
    config: SchedulerConfig,
    running: Option<Sequence>,
    waiting: VecDeque<Sequence>,
}

impl Scheduler {
    /// A scheduler with nothing to do.
    ///
    /// # Panics
    /// If a limit of `config` is zero under which nothing could ever run.
    pub fn new(config: SchedulerConfig) -> Self {
        config.check();
        Self { config, running: None, waiting: VecDeque::new() }
    }

    /// Takes on a document. It runs at once if nothing else does, else it waits.
    ///
    /// # Errors
    /// [`QueueFull`] if `max_num_waiting` documents are waiting already.
    ///
    /// # Panics
    /// If its prompt is empty or the context cannot hold it: [`crate::Budget::admits`] is asked before.
    pub fn add(&mut self, spec: SequenceSpec) -> Result<(), QueueFull> {
        assert!(self.config.budget.admits(&spec), "only documents that can fit are added");
        self.promote();
        if self.running.is_some() && self.waiting.len() >= self.config.max_num_waiting {
            return Err(QueueFull { waiting: self.waiting.len() });
        }
        self.waiting.push_back(Sequence::new(spec, self.config.budget));
        self.promote();
        Ok(())
    }

    /// What to compute next; empty only if there is nothing to do at all.
    pub fn schedule(&mut self) -> StepPlan {
        self.promote();
        let mut plan = StepPlan::default();
        let Some(sequence) = &self.running else { return plan };
        match sequence.status {
            SequenceStatus::Running => {
                let mut room = StepRoom {
                    positions: self.config.max_num_batched_tokens,
                    encodes: self.config.max_num_encodes,
                };
                sequence.plan_chunk(&mut room, &mut plan);
            }
            SequenceStatus::Denoising { num_done } => plan.denoise.push(DenoiseRow {
                sequence: sequence.id,
                picture: sequence.rules.num_images(),
                step: num_done,
            }),
            SequenceStatus::Rendering => plan
                .render
                .push(RenderRow { sequence: sequence.id, picture: sequence.rules.num_images() }),
            SequenceStatus::Waiting | SequenceStatus::Finished(_) => {
                unreachable!("the running sequence is neither waiting nor finished")
            }
        }
        assert!(!plan.is_empty(), "a running sequence always has something to compute");
        plan
    }

    /// Takes in what came of `plan`. Rows of sequences aborted meanwhile are passed over.
    ///
    /// # Panics
    /// If `outcome` lacks the choice of a row that samples.
    pub fn update(&mut self, plan: &StepPlan, outcome: &StepOutcome) -> StepReport {
        let mut report = StepReport::default();
        for id in plan.sequences() {
            let Some(sequence) = self.running.as_mut().filter(|sequence| sequence.id == id) else {
                continue;
            };
            update_sequence(sequence, plan, outcome, &mut report);
            if matches!(sequence.status, SequenceStatus::Finished(_)) {
                self.running = None;
            }
        }
        report
    }

    /// Forgets a sequence, wherever it stands. Whether it was known.
    pub fn abort(&mut self, id: SequenceId) -> bool {
        if self.running.as_ref().is_some_and(|sequence| sequence.id == id) {
            self.running = None;
            return true;
        }
        let before = self.waiting.len();
        self.waiting.retain(|sequence| sequence.id != id);
        self.waiting.len() < before
    }

    /// Where a sequence stands; `None` if it is not known (any more).
    pub fn status(&self, id: SequenceId) -> Option<SequenceStatus> {
        self.sequences().find(|sequence| sequence.id == id).map(|sequence| sequence.status)
    }

    /// Positions of a sequence's context, and how many of them are computed.
    pub fn positions(&self, id: SequenceId) -> Option<(usize, usize)> {
        self.sequences()
            .find(|sequence| sequence.id == id)
            .map(|sequence| (sequence.main.len(), sequence.main.computed()))
    }

    /// Sequences behind the running one.
    pub fn num_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sequences being computed.
    pub fn num_running(&self) -> usize {
        usize::from(self.running.is_some())
    }

    fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        self.running.iter().chain(&self.waiting)
    }

    fn promote(&mut self) {
        if self.running.is_some() {
            return;
        }
        self.running = self.waiting.pop_front();
        if let Some(sequence) = &mut self.running {
            sequence.status = SequenceStatus::Running;
        }
    }
}

fn update_sequence(
    sequence: &mut Sequence,
    plan: &StepPlan,
    outcome: &StepOutcome,
    report: &mut StepReport,
) {
    let id = sequence.id;
    for row in plan.encode.iter().filter(|row| row.sequence == id) {
        sequence.context(row.branch).encoded(row.picture);
    }
    let mut samples = false;
    let mut decoded = false;
    for row in plan.decode.iter().filter(|row| row.sequence == id) {
        sequence.context(row.branch).advance(row);
        samples |= row.sample.is_some();
        decoded = true;
    }
    if samples {
        let sampled = outcome.sampled.iter().find(|row| row.sequence == id);
        let SampledRow { sampled, .. } = sampled.expect("a row that samples has a choice");
        let next = take_sample(sequence, *sampled);
        sequence.follow(next);
    } else if decoded && sequence.caught_up() {
        settle(sequence, report);
    }
    for row in plan.denoise.iter().filter(|row| row.sequence == id) {
        let num_done = row.step + 1;
        let num_steps = sequence.num_denoising_steps;
        sequence.status = if num_done == num_steps {
            SequenceStatus::Rendering
        } else {
            SequenceStatus::Denoising { num_done }
        };
        let event = SequenceEvent::Denoised { picture: row.picture, num_done, num_steps };
        report.events.push((id, event));
    }
    if plan.render.iter().any(|row| row.sequence == id) {
        let used = sequence.push_picture();
        let next = sequence.rules.image_drawn(used);
        sequence.follow(next);
    }
    if let SequenceStatus::Finished(reason) = sequence.status {
        let event = SequenceEvent::Finished { reason, usage: sequence.usage() };
        report.events.push((id, event));
    }
}

/// Counts a choice and lets the context grow by it.
fn take_sample(sequence: &mut Sequence, sampled: Sampled) -> NextMove {
    match sampled {
        Sampled::Text => {
            let used = sequence.push_token();
            sequence.rules.text_sampled(used)
        }
        Sampled::StopString => {
            let used = sequence.push_token();
            sequence.rules.stop_string_sampled(used)
        }
        Sampled::EndOfText => {
            let used = sequence.main.len();
            sequence.rules.end_of_text_sampled(used)
        }
        Sampled::DreamStart => sequence.rules.dream_start_sampled(sequence.main.len()),
        Sampled::BeamsAdvanced => {
            let used = sequence.push_token();
            let next = sequence.rules.text_sampled(used);
            assert!(matches!(next, NextMove::Sample(_)), "a beam search ends before its limits do");
            next
        }
        Sampled::BeamsFinished { num_tokens, reason } => {
            sequence.rules.beams_finished(num_tokens, reason)
        }
    }
}

/// The context is computed and nothing was to be sampled: the pending move happens.
fn settle(sequence: &mut Sequence, report: &mut StepReport) {
    match sequence.pending() {
        NextMove::Draw => {
            sequence.status = SequenceStatus::Denoising { num_done: 0 };
            let picture = sequence.rules.num_images();
            report.events.push((sequence.id, SequenceEvent::ImageStarted { picture }));
        }
        NextMove::Finish(reason) => sequence.status = SequenceStatus::Finished(reason),
        NextMove::Sample(_) => unreachable!("a row that completes such a context samples"),
    }
}

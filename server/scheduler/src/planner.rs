//! One step's rows: first every text that goes on, then, in the time that these leave, the other kinds of
//! work by turns. Moves no blocks and ends nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::SchedulerConfig;
use crate::cost::Nanos;
use crate::picture_work::{DenoiseCandidate, PictureWork};
use crate::plan::{DenoiseRow, StepPlan};
use crate::planted::{Planted, planted};
use crate::room::StepRoom;
use crate::sequence::{Sequence, SequenceId, SequenceStatus};
use crate::work_turns::{Work, WorkTurns};

/// What a step is planned from.
pub(crate) struct Planner<'a> {
    pub(crate) config: &'a SchedulerConfig,
    pub(crate) sequences: &'a BTreeMap<SequenceId, Sequence>,
    /// Oldest first.
    pub(crate) running: &'a [SequenceId],
    /// Sequences that wait for blocks.
    pub(crate) stalled: &'a BTreeSet<SequenceId>,
    pub(crate) pictures: &'a mut PictureWork,
    pub(crate) turns: &'a mut WorkTurns,
    /// The predicted time of a step while a text goes on.
    pub(crate) max_token_gap: Nanos,
}

impl Planner<'_> {
    /// Fills `plan`.
    pub(crate) fn fill(mut self, plan: &mut StepPlan) {
        let mut room = StepRoom::new(self.config);
        for sequence in self.computing().filter(|sequence| sequence.generates()) {
            sequence.plan_generated(&mut room, plan);
        }
        if !plan.decode.is_empty() && !planted(Planted::GapUnbounded) {
            room.bound(self.max_token_gap);
        }
        let has_texts = !plan.decode.is_empty();
        let mut is_first = true;
        for work in self.turns.order() {
            if !self.has(work) {
                continue;
            }
            let num_deferred = self.turns.num_deferred(work);
            let is_due = num_deferred >= self.config.max_num_deferred;
            if is_first && is_due && !planted(Planted::DeferredForEver) {
                room.force_one();
            }
            let advanced = self.plan(work, &mut room, plan);
            plan.is_filled |= has_texts && advanced;
            room.next_kind();
            if is_first {
                self.turns.took_turn(work, advanced);
            }
            is_first = false;
        }
        plan.predicted = room.spent();
    }

    fn running(&self) -> impl Iterator<Item = &Sequence> {
        self.running.iter().map(|id| &self.sequences[id])
    }

    /// Sequences whose contexts have blocks and positions to compute.
    fn computing(&self) -> impl Iterator<Item = &Sequence> {
        self.running().filter(|sequence| {
            sequence.status == SequenceStatus::Running && !self.stalled.contains(&sequence.id)
        })
    }

    fn has(&self, work: Work) -> bool {
        match work {
            Work::Prefill => self.computing().any(|sequence| !sequence.generates()),
            Work::Denoise => self
                .running()
                .any(|sequence| matches!(sequence.status, SequenceStatus::Denoising { .. })),
            Work::Render => {
                self.running().any(|sequence| sequence.status == SequenceStatus::Rendering)
            }
        }
    }

    /// Plans as much of `work` as there is room for; whether that is anything.
    fn plan(&mut self, work: Work, room: &mut StepRoom<'_>, plan: &mut StepPlan) -> bool {
        match work {
            Work::Prefill => self.plan_prefill(room, plan),
            Work::Denoise => {
                let candidates = self.candidates();
                plan.denoise = self.pictures.plan_pass(candidates, self.config, room);
                plan.denoise.is_some()
            }
            Work::Render => {
                self.start_render();
                plan.render = self.pictures.plan_render(&self.config.cost.render, room);
                plan.render.is_some()
            }
        }
    }

    /// Contexts catch up, oldest first. What is too long for this step is not overtaken, or it might never
    /// be computed.
    fn plan_prefill(&self, room: &mut StepRoom<'_>, plan: &mut StepPlan) -> bool {
        let mut advanced = false;
        for sequence in self.computing().filter(|sequence| !sequence.generates()) {
            advanced |= sequence.plan_chunk(room, plan);
            if room.is_out_of_time() {
                break;
            }
        }
        advanced
    }

    fn candidates(&self) -> Vec<DenoiseCandidate> {
        let candidate = |sequence: &Sequence| match sequence.status {
            SequenceStatus::Denoising { num_done: step } => Some(DenoiseCandidate {
                row: DenoiseRow {
                    sequence: sequence.id,
                    picture: sequence.rules.num_images(),
                    step,
                },
                size: sequence.drawing.size,
                num_rows: sequence.drawing.num_rows(),
                last_pass: sequence.last_pass,
            }),
            SequenceStatus::Waiting
            | SequenceStatus::Running
            | SequenceStatus::Rendering
            | SequenceStatus::Finished(_) => None,
        };
        self.running().filter_map(candidate).collect()
    }

    fn start_render(&mut self) {
        if self.pictures.has_render() {
            return;
        }
        let oldest = self.running().find(|sequence| sequence.status == SequenceStatus::Rendering);
        let oldest = oldest
            .map(|sequence| (sequence.id, sequence.rules.num_images(), sequence.drawing.size));
        if let Some((id, picture, size)) = oldest {
            self.pictures.start_render(id, picture, size);
        }
    }
}

//! What came of a step is taken in: contexts grow, pictures advance, documents end. The other half of the
//! scheduler's turn; plans nothing.

use crate::content::{ContentHash, Span};
use crate::outcome::{FailedRow, Sampled, SampledRow, SequenceEvent, StepOutcome, StepReport};
use crate::plan::{DecodeRow, DenoiseGroup, DenoiseRow, RenderRow, StepPlan};
use crate::rules::NextMove;
use crate::scheduler::Scheduler;
use crate::sequence::{Sequence, SequenceId, SequenceStatus};

impl Scheduler {
    /// Takes in what came of `plan`. Rows of sequences aborted meanwhile are passed over.
    ///
    /// # Panics
    /// If `outcome` lacks the choice of a row that samples or the content of a picture that is complete,
    /// and does not say that its sequence failed.
    pub fn update(&mut self, plan: &StepPlan, outcome: &StepOutcome) -> StepReport {
        let mut report = StepReport::default();
        for FailedRow { sequence, failure } in &outcome.failed {
            if self.remove(*sequence).is_some() {
                report.events.push((*sequence, SequenceEvent::Failed { failure: *failure }));
            }
        }
        for row in &plan.encode {
            if let Some(sequence) = self.sequences.get_mut(&row.sequence) {
                sequence.context_mut(row.branch).encoded(row.picture);
            }
        }
        for row in &plan.decode {
            self.decoded(row, outcome, &mut report);
        }
        if let Some(group) = &plan.denoise {
            self.denoised(group, &mut report);
        }
        if let Some(row) = &plan.render {
            self.rendered(row, outcome);
        }
        for id in plan.sequences() {
            self.finish_if_complete(id, &mut report);
        }
        report
    }

    fn decoded(&mut self, row: &DecodeRow, outcome: &StepOutcome, report: &mut StepReport) {
        let Some(sequence) = self.sequences.get_mut(&row.sequence) else { return };
        sequence.advance(row, &mut self.kv);
        if row.sample.is_some() {
            let sampled = outcome.sampled.iter().find(|sampled| sampled.sequence == row.sequence);
            let SampledRow { sampled, .. } = sampled.expect("a row that samples has a choice");
            let next = take_sample(sequence, *sampled);
            sequence.follow(next);
        } else if sequence.caught_up() {
            settle(sequence, report);
        }
    }

    fn denoised(&mut self, group: &DenoiseGroup, report: &mut StepReport) {
        let Some(moved) = self.pictures.advance_pass(group) else { return };
        self.num_denoiser_passes += 1;
        for DenoiseRow { sequence: id, picture, step } in moved {
            let sequence = self.sequences.get_mut(&id).expect("members of a pass are open");
            let (num_done, num_steps) = (step + 1, sequence.drawing.num_denoising_steps);
            sequence.last_pass = group.pass.0;
            sequence.status = if num_done == num_steps {
                SequenceStatus::Rendering
            } else {
                SequenceStatus::Denoising { num_done }
            };
            self.num_denoised_rows += sequence.drawing.num_rows() as u64;
            report.events.push((id, SequenceEvent::Denoised { picture, num_done, num_steps }));
        }
    }

    fn rendered(&mut self, row: &RenderRow, outcome: &StepOutcome) {
        if !self.pictures.advance_render(row) {
            return;
        }
        let id = row.sequence;
        let rendered = outcome.rendered.iter().find(|rendered| rendered.sequence == id);
        let content: ContentHash = rendered.expect("a complete picture has its content").content;
        let sequence = self.sequences.get_mut(&id).expect("what is rendered is open");
        let used = sequence.grow(|context, budget| {
            context.push_span(Span::Picture(content), budget);
        });
        let next = sequence.rules.image_drawn(used);
        sequence.follow(next);
        self.wait_if_preempted(id);
    }

    fn finish_if_complete(&mut self, id: SequenceId, report: &mut StepReport) {
        let Some(SequenceStatus::Finished(reason)) = self.status(id) else { return };
        if let Some(sequence) = self.remove(id) {
            let usage = sequence.usage();
            report.events.push((id, SequenceEvent::Finished { reason, usage }));
        }
    }
}

/// Counts a choice and lets the context grow by it.
fn take_sample(sequence: &mut Sequence, sampled: Sampled) -> NextMove {
    match sampled {
        Sampled::Text(token) => {
            let used = sequence.grow(|context, _| context.push_token(token));
            sequence.rules.text_sampled(used)
        }
        Sampled::StopString(token) => {
            let used = sequence.grow(|context, _| context.push_token(token));
            sequence.rules.stop_string_sampled(used)
        }
        Sampled::EndOfText => {
            let used = sequence.main().len();
            sequence.rules.end_of_text_sampled(used)
        }
        Sampled::DreamStart => {
            let used = sequence.main().len();
            sequence.rules.dream_start_sampled(used)
        }
        Sampled::BeamsAdvanced => {
            let used = sequence.grow(|context, _| context.push_beams());
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

//! The denoiser pass and the decoding of latents that are under way. Knows who is in them and how far
//! they are; which sequences want one comes in as an argument.

use crate::config::SchedulerConfig;
use crate::cost::SegmentCost;
use crate::plan::{DenoiseGroup, DenoiseRow, PassId, RenderRow, Segments};
use crate::planted::{Planted, planted};
use crate::room::StepRoom;
use crate::sequence::{LatentSize, SequenceId};

/// A picture that waits for its next denoising step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DenoiseCandidate {
    pub(crate) row: DenoiseRow,
    pub(crate) size: LatentSize,
    pub(crate) num_rows: usize,
    /// The pass that moved it last; 0 is none.
    pub(crate) last_pass: u64,
}

/// At most one pass and one decoding at a time: their activations are the largest tensors there are.
#[derive(Debug)]
pub(crate) struct PictureWork {
    pass: Option<Pass>,
    render: Option<Render>,
    next_pass: u64,
    last_size: Option<LatentSize>,
}

#[derive(Debug)]
struct Pass {
    id: PassId,
    size: LatentSize,
    members: Vec<DenoiseRow>,
    /// Rows of all who were in it at its start.
    num_rows: usize,
    next_segment: usize,
}

#[derive(Debug)]
struct Render {
    sequence: SequenceId,
    picture: usize,
    size: LatentSize,
    next_segment: usize,
}

impl PictureWork {
    pub(crate) fn new() -> Self {
        Self { pass: None, render: None, next_pass: 1, last_size: None }
    }

    /// Whether latents are being decoded.
    pub(crate) fn has_render(&self) -> bool {
        self.render.is_some()
    }

    /// Sequences in the pass under way.
    pub(crate) fn num_members(&self) -> usize {
        self.pass.as_ref().map_or(0, |pass| pass.members.len())
    }

    /// Starts decoding a picture's latents.
    pub(crate) fn start_render(&mut self, sequence: SequenceId, picture: usize, size: LatentSize) {
        self.render = Some(Render { sequence, picture, size, next_segment: 0 });
    }

    /// As much as there is room for of the pass under way, or else of a new one of `candidates`.
    pub(crate) fn plan_pass(
        &mut self,
        candidates: Vec<DenoiseCandidate>,
        config: &SchedulerConfig,
        room: &mut StepRoom<'_>,
    ) -> Option<DenoiseGroup> {
        let costs = &config.cost.denoise;
        let pass = match self.pass.take() {
            Some(pass) => pass,
            None => self.form_pass(candidates, config, room)?,
        };
        let start = pass.next_segment;
        let end = room.take_segments(costs, start, pass.num_rows, pass.size);
        if end == 0 {
            // Nobody has joined yet: whoever comes until it fits joins, too.
            return None;
        }
        let group = (end > start).then(|| DenoiseGroup {
            pass: pass.id,
            size: pass.size,
            members: pass.members.clone(),
            segments: Segments { start, end, num: costs.len() },
        });
        if start == 0 {
            self.next_pass += 1;
            self.last_size = Some(pass.size);
        }
        self.pass = Some(pass);
        group
    }

    /// The sizes of the candidates take turns, and of one size those come first whose last pass is longest
    /// ago. While a text goes on no more join than leave each segment short enough.
    fn form_pass(
        &self,
        mut candidates: Vec<DenoiseCandidate>,
        config: &SchedulerConfig,
        room: &StepRoom<'_>,
    ) -> Option<Pass> {
        let sizes = || candidates.iter().map(|candidate| candidate.size);
        let after_last = sizes().filter(|size| Some(*size) > self.last_size).min();
        let size = after_last.or_else(|| sizes().min())?;
        candidates.retain(|candidate| candidate.size == size || planted(Planted::SizesMixed));
        // Stable: of equals the older sequence stays before the younger.
        if !planted(Planted::PassesUnfair) {
            candidates.sort_by_key(|candidate| candidate.last_pass);
        }
        let (mut members, mut num_rows) = (Vec::new(), 0);
        for candidate in candidates {
            let together = num_rows + candidate.num_rows;
            let fits = together <= config.max_num_denoise_rows
                && room.fits_each(&config.cost.denoise, together, size);
            if !members.is_empty() && !fits {
                break;
            }
            num_rows = together;
            members.push(candidate.row);
        }
        Some(Pass { id: PassId(self.next_pass), size, members, num_rows, next_segment: 0 })
    }

    /// As much of the decoding under way as there is room for.
    pub(crate) fn plan_render(
        &self,
        costs: &[SegmentCost],
        room: &mut StepRoom<'_>,
    ) -> Option<RenderRow> {
        let Render { sequence, picture, size, next_segment: start } = *self.render.as_ref()?;
        let end = room.take_segments(costs, start, 1, size);
        let segments = Segments { start, end, num: costs.len() };
        (end > start).then_some(RenderRow { sequence, picture, segments })
    }

    /// Segments of a pass are computed; who has made a step by that, if the pass is over. One that was
    /// given up meanwhile is over for nobody.
    pub(crate) fn advance_pass(&mut self, group: &DenoiseGroup) -> Option<Vec<DenoiseRow>> {
        let pass = self.pass.as_mut().filter(|pass| pass.id == group.pass)?;
        assert_eq!(pass.next_segment, group.segments.start, "segments follow one another");
        pass.next_segment = group.segments.end;
        if !group.segments.is_last() {
            return None;
        }
        self.pass.take().map(|pass| pass.members)
    }

    /// Segments of a decoding are computed; whether its picture is there.
    pub(crate) fn advance_render(&mut self, row: &RenderRow) -> bool {
        let Some(render) = self.render.as_mut().filter(|render| render.sequence == row.sequence)
        else {
            return false;
        };
        assert_eq!(render.next_segment, row.segments.start, "segments follow one another");
        render.next_segment = row.segments.end;
        if row.segments.is_last() {
            self.render = None;
        }
        row.segments.is_last()
    }

    /// A sequence has ended. Its rows in the pass under way go on unseen, unless nobody is left in it.
    pub(crate) fn forget(&mut self, sequence: SequenceId) {
        if let Some(pass) = self.pass.as_mut().filter(|_| !planted(Planted::EndedStaysInPass)) {
            pass.members.retain(|member| member.sequence != sequence);
            if pass.members.is_empty() {
                self.pass = None;
            }
        }
        if self.render.as_ref().is_some_and(|render| render.sequence == sequence) {
            self.render = None;
        }
    }
}

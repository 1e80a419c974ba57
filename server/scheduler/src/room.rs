//! How much one step may still take on: positions, pictures to embed, and predicted time. Knows costs
//! and bounds, not whose rows they are.

use crate::config::SchedulerConfig;
use crate::cost::{CostModel, Nanos, SegmentCost};
use crate::planted::{Planted, planted};
use crate::sequence::LatentSize;

/// What is left of a step.
#[derive(Debug)]
pub(crate) struct StepRoom<'a> {
    cost: &'a CostModel,
    positions: usize,
    encodes: usize,
    /// The predicted time that the step is to stay under.
    limit: Nanos,
    spent: Nanos,
    decodes: bool,
    /// The next unit of work is taken even if it does not fit.
    forced: bool,
    /// Something did not fit into the time.
    out_of_time: bool,
}

impl<'a> StepRoom<'a> {
    /// A whole step without a bound on its time.
    pub(crate) fn new(config: &'a SchedulerConfig) -> Self {
        Self {
            cost: &config.cost,
            positions: config.max_num_batched_tokens,
            encodes: config.max_num_encodes,
            limit: Nanos::MAX,
            spent: Nanos::ZERO,
            decodes: false,
            forced: false,
            out_of_time: false,
        }
    }

    /// From now on only what keeps the step under `limit`.
    pub(crate) fn bound(&mut self, limit: Nanos) {
        self.limit = limit;
    }

    /// Takes the next unit of work in any case.
    pub(crate) fn force_one(&mut self) {
        self.forced = true;
    }

    /// Ends a kind of work: what it did not use of its force is lost, and others may still fit.
    pub(crate) fn next_kind(&mut self) {
        self.forced = false;
        self.out_of_time = false;
    }

    /// Predicted time of what was taken.
    pub(crate) fn spent(&self) -> Nanos {
        self.spent
    }

    /// Whether something was refused because of the time it takes.
    pub(crate) fn is_out_of_time(&self) -> bool {
        self.out_of_time
    }

    /// One position for each of `width` beams, in any case: a text that goes on.
    pub(crate) fn take_generated(&mut self, width: usize) {
        self.positions = self.positions.saturating_sub(1);
        self.spend_positions(width);
    }

    /// Up to `wanted` positions of one context; how many.
    pub(crate) fn take_positions(&mut self, wanted: usize) -> usize {
        let wanted = wanted.min(self.positions);
        if wanted == 0 {
            return 0;
        }
        let mut taken = wanted.min(self.affordable_positions());
        if taken == 0 && self.forced {
            taken = 1;
        }
        self.out_of_time |= taken < wanted;
        if taken > 0 {
            self.forced = false;
            self.positions -= taken;
            self.spend_positions(taken);
        }
        taken
    }

    /// A picture to embed and room for one of its positions at least.
    pub(crate) fn take_encode(&mut self) -> bool {
        let is_spent = self.encodes == 0 && !planted(Planted::EncodesUnbounded);
        if is_spent || self.positions == 0 {
            return false;
        }
        let least = self.cost.encode_picture + self.decoder_start() + self.cost.decode_position;
        if self.spent + least > self.limit && !self.forced {
            self.out_of_time = true;
            return false;
        }
        self.encodes = self.encodes.saturating_sub(1);
        self.spent += self.cost.encode_picture;
        true
    }

    /// The stretches that fit, from `start` on, of a network for `rows` rows; behind the last of them.
    pub(crate) fn take_segments(
        &mut self,
        segments: &[SegmentCost],
        start: usize,
        rows: usize,
        size: LatentSize,
    ) -> usize {
        let mut end = start;
        while let Some(segment) = segments.get(end) {
            let cost = segment.of(rows, size);
            if self.spent + cost > self.limit && !self.forced {
                self.out_of_time = true;
                break;
            }
            self.forced = false;
            self.spent += cost;
            end += 1;
        }
        end
    }

    /// Whether each stretch of a network fits on its own.
    pub(crate) fn fits_each(
        &self,
        segments: &[SegmentCost],
        rows: usize,
        size: LatentSize,
    ) -> bool {
        segments.iter().all(|segment| self.spent + segment.of(rows, size) <= self.limit)
    }

    fn affordable_positions(&self) -> usize {
        let left = self.limit.less(self.spent).less(self.decoder_start());
        match self.cost.decode_position {
            Nanos::ZERO if self.spent + self.decoder_start() > self.limit => 0,
            Nanos::ZERO => usize::MAX,
            Nanos(each) => usize::try_from(left.0 / each).unwrap_or(usize::MAX),
        }
    }

    fn decoder_start(&self) -> Nanos {
        if self.decodes { Nanos::ZERO } else { self.cost.decode_base }
    }

    fn spend_positions(&mut self, count: usize) {
        self.spent += self.decoder_start() + self.cost.decode_position.times(count);
        self.decodes = true;
    }
}

//! One document as the scheduler sees it: its contexts, its rules, and where it stands. Refuses to know
//! what the tokens and pictures are, and who else runs.

use crate::budget::Budget;
use crate::config::KvConfig;
use crate::content::{Span, TenantId};
use crate::context::{Chunk, Context};
use crate::kv::{BlockId, Kv};
use crate::plan::{Branch, DecodeRow, EncodeRow, StepPlan};
use crate::room::StepRoom;
use crate::rules::{
    DocumentLimits, DocumentRules, FinishReason, ImageChoice, LegalTokens, NextMove, WrittenCounts,
};
use crate::usage::Usage;
use crate::waiting_queue::Turn;

/// Names one sequence; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u64);

impl std::fmt::Display for SequenceId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Height and width of a picture's latents. Pictures of one size share denoiser passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LatentSize {
    /// Cells down.
    pub height: usize,
    /// Cells across.
    pub width: usize,
}

impl LatentSize {
    /// Height times width.
    pub fn cells(self) -> usize {
        self.height * self.width
    }
}

/// How a document's pictures are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawingSpec {
    /// Their latents.
    pub size: LatentSize,
    /// Denoising steps that each takes; at least 1.
    pub num_denoising_steps: usize,
    /// Whether a step takes two rows (with guidance) or one.
    pub is_guided: bool,
}

impl DrawingSpec {
    /// Rows that a picture takes in a denoiser pass.
    pub fn num_rows(&self) -> usize {
        if self.is_guided { 2 } else { 1 }
    }
}

/// A document to be written, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSpec {
    /// Its name.
    pub id: SequenceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Lower is earlier, as in vLLM; 0 where nobody says.
    pub priority: i32,
    /// The context before the answer; not empty.
    pub prompt: Vec<Span>,
    /// What of the answer stands already.
    pub written: Written,
    /// The negative prompt's context, if guidance needs one of its own.
    pub negative: Option<Vec<Span>>,
    /// When it ends and how many pictures it gets.
    pub limits: DocumentLimits,
    /// Beams of a beam search, which writes text only; 1 is none.
    pub num_beams: usize,
    /// How its pictures are drawn.
    pub drawing: DrawingSpec,
}

/// The beginning of an answer, written elsewhere. A document that goes on after it is the one that would
/// have been written here from the start. A beam search has none: it is known as a whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Tokens and, for each picture, its dream block and itself.
    pub spans: Vec<Span>,
    /// Whether the last of the tokens completed a stop string.
    pub is_stopped: bool,
}

/// A picture to be drawn from a condition that was computed elsewhere, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureSpec {
    /// Its name, from those of documents.
    pub id: SequenceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Lower is earlier.
    pub priority: i32,
    /// Which picture of its answer it is, from 0.
    pub picture: usize,
    /// How it is drawn.
    pub drawing: DrawingSpec,
}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceStatus {
    /// Not running: new, or its KV blocks were needed by an older one.
    Waiting,
    /// Its context is being computed.
    Running,
    /// A picture is being denoised.
    Denoising {
        /// Denoising steps done.
        num_done: usize,
    },
    /// A picture's latents are finished, its pixels are not.
    Rendering,
    /// Complete.
    Finished(FinishReason),
}

/// One document.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: SequenceId,
    pub(crate) tenant: TenantId,
    pub(crate) priority: i32,
    pub(crate) status: SequenceStatus,
    pub(crate) rules: DocumentRules,
    pub(crate) drawing: DrawingSpec,
    /// Since it first got a place.
    pub(crate) turn: Option<Turn>,
    /// The pass of the denoiser that moved it last; 0 is none.
    pub(crate) last_pass: u64,
    main: Context,
    /// Gone as soon as it is computed: what it is for stays with the runner, as latents do.
    negative: Option<Context>,
    /// What happens once the context is computed; a dream block to draw is already part of it.
    pending: NextMove,
    num_beams: usize,
    /// Blocks that a beam search owns from the start. Its hypotheses cannot be computed again from the
    /// context, so that it can never give any back.
    reserved_blocks: usize,
    budget: Budget,
    prompt: Usage,
    /// Whether it has begun to compute its context, be it that it was preempted since.
    has_begun: bool,
}

impl Sequence {
    pub(crate) fn new(spec: SequenceSpec, budget: Budget, kv: &KvConfig) -> Self {
        assert!(budget.positions(&spec.prompt) > 0, "a prompt has at least one position");
        assert!(spec.drawing.num_denoising_steps > 0, "a picture takes at least one step");
        assert!(spec.num_beams > 0, "a text has at least one beam");
        let counts = spec.written.counts();
        assert!(spec.num_beams == 1 || counts == WrittenCounts::default(), "beams begin anew");
        let reserved_blocks =
            if spec.num_beams > 1 { blocks_needed(&spec, &budget, kv) } else { 0 };
        let prompt = prompt_usage(&spec.prompt, &budget);
        let mut spans = spec.prompt;
        spans.extend(spec.written.spans);
        let main = Context::new(spans, spec.tenant, &budget);
        let negative = spec.negative.map(|spans| {
            let mut context = Context::new(spans, spec.tenant, &budget);
            context.push_condition(&budget);
            context
        });
        let rules = DocumentRules::resumed(budget, spec.limits, counts);
        let pending = rules.next_move(main.len());
        let mut sequence = Self {
            id: spec.id,
            tenant: spec.tenant,
            priority: spec.priority,
            status: SequenceStatus::Waiting,
            rules,
            drawing: spec.drawing,
            turn: None,
            last_pass: 0,
            main,
            negative,
            pending,
            num_beams: spec.num_beams,
            reserved_blocks,
            budget,
            prompt,
            has_begun: false,
        };
        if pending == NextMove::Draw {
            sequence.main.push_condition(&budget);
        }
        sequence
    }

    /// A sequence that is nothing but a picture: without a context, to be denoised as soon as it has a place.
    pub(crate) fn of_picture(spec: &PictureSpec, budget: Budget) -> Self {
        assert!(spec.drawing.num_denoising_steps > 0, "a picture takes at least one step");
        let num_images = spec.picture + 1;
        let limits = DocumentLimits {
            choice: ImageChoice::Exactly(num_images),
            max_images: num_images,
            max_tokens: Some(0),
            min_tokens: 0,
            ignore_eos: false,
            ends_with_images: false,
        };
        let drawn = WrittenCounts { num_images: spec.picture, ..WrittenCounts::default() };
        Self {
            id: spec.id,
            tenant: spec.tenant,
            priority: spec.priority,
            status: SequenceStatus::Waiting,
            rules: DocumentRules::resumed(budget, limits, drawn),
            drawing: spec.drawing,
            turn: None,
            last_pass: 0,
            main: Context::new(Vec::new(), spec.tenant, &budget),
            negative: None,
            pending: NextMove::Draw,
            num_beams: 1,
            reserved_blocks: 0,
            budget,
            prompt: Usage::default(),
            has_begun: false,
        }
    }

    pub(crate) fn main(&self) -> &Context {
        &self.main
    }

    pub(crate) fn context(&self, branch: Branch) -> Option<&Context> {
        match branch {
            Branch::Main => Some(&self.main),
            Branch::Negative => self.negative.as_ref(),
        }
    }

    pub(crate) fn context_mut(&mut self, branch: Branch) -> &mut Context {
        match branch {
            Branch::Main => &mut self.main,
            Branch::Negative => self
                .negative
                .as_mut()
                .expect("only a sequence with a negative prompt has such rows"),
        }
    }

    pub(crate) fn pending(&self) -> NextMove {
        self.pending
    }

    /// Whether everything that the pending move needs is computed.
    pub(crate) fn caught_up(&self) -> bool {
        self.main.caught_up() && self.wanted_negative().is_none()
    }

    /// Whether it only needs its last token computed to choose the next one: a text that goes on.
    pub(crate) fn generates(&self) -> bool {
        matches!(self.pending, NextMove::Sample(_)) && self.main.lacks_one_token()
    }

    /// Whether its blocks may be taken: a beam search's may not.
    pub(crate) fn is_preemptible(&self) -> bool {
        self.reserved_blocks == 0
    }

    pub(crate) fn holds_blocks(&self) -> bool {
        let negative = self.negative.as_ref().map_or(&[][..], Context::table);
        !self.main.table().is_empty() || !negative.is_empty()
    }

    /// Blocks that the pending move needs and that it does not hold.
    pub(crate) fn num_missing_blocks(&self, kv: &Kv) -> usize {
        let main = self.main.num_missing(self.wanted_blocks(kv));
        let negative = self.wanted_negative();
        main + negative
            .map_or(0, |context| context.num_missing(context.len().div_ceil(kv.block_size)))
    }

    /// Takes what [`Self::num_missing_blocks`] counts.
    pub(crate) fn allocate_missing(&mut self, kv: &mut Kv) {
        let wanted = self.wanted_blocks(kv);
        self.main.allocate(wanted, &mut kv.pool);
        if self.pending != NextMove::Draw {
            return;
        }
        if let Some(negative) = &mut self.negative {
            if negative.table().is_empty() {
                let known = negative.cached_prefix(&self.budget, kv);
                negative.begin_with(known, kv);
            }
            negative.allocate(negative.len().div_ceil(kv.block_size), &mut kv.pool);
        }
    }

    /// Published blocks that hold a beginning of its context.
    pub(crate) fn cached_prefix(&self, kv: &Kv) -> Vec<BlockId> {
        self.main.cached_prefix(&self.budget, kv)
    }

    /// Begins with `cached`, which [`Self::cached_prefix`] has found, and takes what is missing.
    pub(crate) fn begin(&mut self, cached: Vec<BlockId>, kv: &mut Kv) {
        self.main.begin_with(cached, kv);
        // Later ones find what it has computed itself.
        if !self.has_begun {
            // What follows the prompt was written elsewhere, before.
            let found = self.main.computed();
            self.prompt.prompt_cached_positions = found.min(self.prompt.prompt_positions);
        }
        self.has_begun = true;
        self.allocate_missing(kv);
        self.status = if self.main.len() == 0 {
            SequenceStatus::Denoising { num_done: 0 }
        } else {
            SequenceStatus::Running
        };
    }

    /// Gives all blocks back; what was computed is to be computed again.
    pub(crate) fn release(&mut self, kv: &mut Kv) {
        if let Some(negative) = &mut self.negative {
            negative.release(&mut kv.pool);
        }
        self.main.release(&mut kv.pool);
    }

    /// The positions of `row` are computed.
    pub(crate) fn advance(&mut self, row: &DecodeRow, kv: &mut Kv) {
        let budget = self.budget;
        let context = self.context_mut(row.branch);
        context.advance(row, &budget, kv);
        if row.branch == Branch::Negative && context.caught_up() {
            context.release(&mut kv.pool);
            self.negative = None;
        }
    }

    /// Plans the one position of a text that goes on.
    pub(crate) fn plan_generated(&self, room: &mut StepRoom<'_>, plan: &mut StepPlan) {
        room.take_generated(self.num_beams);
        plan.decode.push(DecodeRow {
            sequence: self.id,
            branch: Branch::Main,
            start: self.main.computed(),
            pieces: vec![self.main.last_token()],
            blocks: self.main.table().to_vec(),
            sample: self.sampling(),
        });
    }

    /// Plans the next chunk of positions. Whether there was room for any.
    pub(crate) fn plan_chunk(&self, room: &mut StepRoom<'_>, plan: &mut StepPlan) -> bool {
        let main = self.plan_branch(Branch::Main, &self.main, room, plan);
        let negative = self
            .wanted_negative()
            .is_some_and(|negative| self.plan_branch(Branch::Negative, negative, room, plan));
        main || negative
    }

    fn plan_branch(
        &self,
        branch: Branch,
        context: &Context,
        room: &mut StepRoom<'_>,
        plan: &mut StepPlan,
    ) -> bool {
        let Chunk { pictures, pieces } = context.chunk(&self.budget, room);
        let sequence = self.id;
        plan.encode.extend(pictures.into_iter().map(|picture| EncodeRow {
            sequence,
            branch,
            picture,
        }));
        if pieces.is_empty() {
            return false;
        }
        let (start, blocks) = (context.computed(), context.table().to_vec());
        let mut row = DecodeRow { sequence, branch, start, pieces, blocks, sample: None };
        if branch == Branch::Main && start + row.num_positions() == context.len() {
            row.sample = self.sampling();
        }
        plan.decode.push(row);
        true
    }

    fn sampling(&self) -> Option<LegalTokens> {
        match self.pending {
            NextMove::Sample(legal) => Some(legal),
            NextMove::Draw | NextMove::Finish(_) => None,
        }
    }

    /// The negative context, while the pending move waits for it.
    fn wanted_negative(&self) -> Option<&Context> {
        self.negative.as_ref().filter(|_| self.pending == NextMove::Draw)
    }

    fn wanted_blocks(&self, kv: &Kv) -> usize {
        self.main.len().div_ceil(kv.block_size).max(self.reserved_blocks)
    }

    /// Lets the context grow by what the rules answered or what was computed.
    pub(crate) fn grow(&mut self, grow: impl FnOnce(&mut Context, &Budget)) -> usize {
        grow(&mut self.main, &self.budget);
        self.main.len()
    }

    /// Follows the rules' answer after the context has grown or a token was chosen.
    pub(crate) fn follow(&mut self, next: NextMove) {
        self.pending = next;
        match next {
            NextMove::Sample(_) => self.status = SequenceStatus::Running,
            NextMove::Draw => {
                self.main.push_condition(&self.budget);
                self.status = SequenceStatus::Running;
            }
            NextMove::Finish(reason) => self.status = SequenceStatus::Finished(reason),
        }
        assert!(self.main.len() <= self.budget.max_model_len, "a context never outgrows the model");
    }

    pub(crate) fn usage(&self) -> Usage {
        let used = self.main.len();
        Usage {
            text_tokens: self.rules.num_text_tokens(),
            image_positions: self.rules.num_images() * self.budget.drawing_positions(),
            images: self.rules.num_images(),
            positions_used: used,
            positions_left: self.budget.max_model_len - used,
            images_left: self.budget.images_that_fit(used),
            ..self.prompt
        }
    }
}

impl Written {
    fn counts(&self) -> WrittenCounts {
        let mut counts = WrittenCounts { is_stopped: self.is_stopped, ..WrittenCounts::default() };
        for span in &self.spans {
            match span {
                Span::Tokens(ids) => counts.num_text_tokens += ids.len(),
                Span::Picture(_) => counts.num_images += 1,
                Span::Dream => {}
            }
        }
        counts
    }
}

/// Blocks that a document can come to need at once.
pub(crate) fn blocks_needed(spec: &SequenceSpec, budget: &Budget, kv: &KvConfig) -> usize {
    budget.kv_positions(spec, kv.block_size) / kv.block_size
}

fn prompt_usage(prompt: &[Span], budget: &Budget) -> Usage {
    let mut usage = Usage { prompt_positions: budget.positions(prompt), ..Usage::default() };
    for span in prompt {
        match span {
            Span::Tokens(_) => {}
            Span::Picture(_) => {
                usage.prompt_images += 1;
                usage.prompt_image_positions += budget.image_positions;
            }
            Span::Dream => usage.prompt_image_positions += budget.dream_positions,
        }
    }
    usage
}

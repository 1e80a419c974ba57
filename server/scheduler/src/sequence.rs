//! One document as the scheduler sees it: a context of spans and how much of it is computed.
//! Refuses to know what the tokens and pictures are.

use crate::budget::Budget;
use crate::plan::{Branch, DecodeRow, DreamRole, EncodeRow, Piece, StepPlan};
use crate::rules::{DocumentLimits, DocumentRules, FinishReason, LegalTokens, NextMove};
use crate::usage::Usage;

/// Names one sequence; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u64);

impl std::fmt::Display for SequenceId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A stretch of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// So many tokens.
    Tokens(usize),
    /// A picture block.
    Picture,
    /// A dream block.
    Dream,
}

/// A document to be written, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSpec {
    /// Its name.
    pub id: SequenceId,
    /// The context so far; not empty.
    pub prompt: Vec<Span>,
    /// The negative prompt's context, if guidance needs one of its own.
    pub negative: Option<Vec<Span>>,
    /// When it ends and how many pictures it gets.
    pub limits: DocumentLimits,
    /// Denoiser passes that each of its pictures takes; at least 1.
    pub num_denoising_steps: usize,
}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceStatus {
    /// Admitted, nothing computed.
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

/// How much one step may still take on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepRoom {
    pub(crate) positions: usize,
    pub(crate) encodes: usize,
}

/// A context and how much of it the KV cache holds.
#[derive(Debug)]
pub(crate) struct Context {
    spans: Vec<Span>,
    len: usize,
    computed: usize,
    num_encoded: usize,
    /// Index of the dream block whose hidden states are wanted.
    condition: Option<usize>,
}

/// One document.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) id: SequenceId,
    pub(crate) status: SequenceStatus,
    pub(crate) main: Context,
    pub(crate) rules: DocumentRules,
    pub(crate) num_denoising_steps: usize,
    negative: Option<Context>,
    /// What happens once the context is computed; a dream block to draw is already part of it.
    pending: NextMove,
    budget: Budget,
    prompt: Usage,
}

impl Context {
    fn new(spans: Vec<Span>, budget: &Budget) -> Self {
        let len = budget.positions(&spans);
        Self { spans, len, computed: 0, num_encoded: 0, condition: None }
    }

    /// Positions.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Positions that the KV cache holds.
    pub(crate) fn computed(&self) -> usize {
        self.computed
    }

    fn caught_up(&self) -> bool {
        self.computed == self.len
    }

    fn push_token(&mut self) {
        self.len += 1;
        if let Some(Span::Tokens(count)) = self.spans.last_mut() {
            *count += 1;
            return;
        }
        self.spans.push(Span::Tokens(1));
    }

    fn push_picture(&mut self, budget: &Budget) {
        self.condition = None;
        self.len += budget.image_positions;
        self.spans.push(Span::Picture);
    }

    fn push_condition(&mut self, budget: &Budget) {
        self.condition = Some(self.spans.len());
        self.len += budget.dream_positions;
        self.spans.push(Span::Dream);
    }

    pub(crate) fn encoded(&mut self, picture: usize) {
        assert_eq!(picture, self.num_encoded, "pictures are embedded in order");
        self.num_encoded += 1;
    }

    pub(crate) fn advance(&mut self, row: &DecodeRow) {
        assert_eq!(row.start, self.computed, "a row starts where the cache ends");
        self.computed += row.num_positions();
        assert!(self.computed <= self.len, "only positions of the context are computed");
    }

    /// The next chunk within `room`, and the pictures it needs embedded first.
    fn chunk(&self, budget: &Budget, room: &mut StepRoom) -> (Vec<usize>, Vec<Piece>) {
        let (mut pictures, mut pieces) = (Vec::new(), Vec::new());
        let (mut offset, mut tokens, mut picture) = (0, 0, 0);
        for (index, span) in self.spans.iter().enumerate() {
            let positions = budget.positions_of(*span);
            let start = self.computed.saturating_sub(offset).min(positions);
            let len = (positions - start).min(room.positions);
            if len > 0 {
                match span {
                    Span::Tokens(_) => pieces.push(Piece::Tokens { start: tokens + start, len }),
                    Span::Dream => {
                        pieces.push(Piece::Dream { role: self.dream_role(index), start, len });
                    }
                    Span::Picture => {
                        if picture >= self.num_encoded {
                            if room.encodes == 0 {
                                break;
                            }
                            room.encodes -= 1;
                            pictures.push(picture);
                        }
                        pieces.push(Piece::Picture { picture, start, len });
                    }
                }
                room.positions -= len;
            }
            offset += positions;
            match span {
                Span::Tokens(count) => tokens += count,
                Span::Picture => picture += 1,
                Span::Dream => {}
            }
        }
        (pictures, pieces)
    }

    fn dream_role(&self, index: usize) -> DreamRole {
        if self.condition == Some(index) { DreamRole::Condition } else { DreamRole::History }
    }
}

impl Sequence {
    pub(crate) fn new(spec: SequenceSpec, budget: Budget) -> Self {
        assert!(budget.positions(&spec.prompt) > 0, "a prompt has at least one position");
        assert!(spec.num_denoising_steps > 0, "a picture takes at least one denoising step");
        let prompt = prompt_usage(&spec.prompt, &budget);
        let main = Context::new(spec.prompt, &budget);
        let negative = spec.negative.map(|spans| {
            let mut context = Context::new(spans, &budget);
            context.push_condition(&budget);
            context
        });
        let rules = DocumentRules::new(budget, spec.limits);
        let pending = rules.next_move(main.len);
        let mut sequence = Self {
            id: spec.id,
            status: SequenceStatus::Waiting,
            main,
            rules,
            num_denoising_steps: spec.num_denoising_steps,
            negative,
            pending,
            budget,
            prompt,
        };
        if pending == NextMove::Draw {
            sequence.main.push_condition(&budget);
        }
        sequence
    }

    pub(crate) fn context(&mut self, branch: Branch) -> &mut Context {
        match branch {
            Branch::Main => &mut self.main,
            Branch::Negative => self
                .negative
                .as_mut()
                .expect("only a sequence with a negative prompt has such rows"),
        }
    }

    /// Whether everything that the pending move needs is computed.
    pub(crate) fn caught_up(&self) -> bool {
        let negative_is_wanted = self.pending == NextMove::Draw;
        self.main.caught_up()
            && (!negative_is_wanted || self.negative.as_ref().is_none_or(Context::caught_up))
    }

    pub(crate) fn pending(&self) -> NextMove {
        self.pending
    }

    /// Adds the next chunk of positions to the plan.
    pub(crate) fn plan_chunk(&self, room: &mut StepRoom, plan: &mut StepPlan) {
        self.plan_branch(Branch::Main, &self.main, room, plan);
        match (&self.pending, &self.negative) {
            (NextMove::Draw, Some(negative)) => {
                self.plan_branch(Branch::Negative, negative, room, plan);
            }
            (NextMove::Draw | NextMove::Sample(_) | NextMove::Finish(_), _) => {}
        }
    }

    fn plan_branch(
        &self,
        branch: Branch,
        context: &Context,
        room: &mut StepRoom,
        plan: &mut StepPlan,
    ) {
        let (pictures, pieces) = context.chunk(&self.budget, room);
        let sequence = self.id;
        plan.encode.extend(pictures.into_iter().map(|picture| EncodeRow {
            sequence,
            branch,
            picture,
        }));
        if pieces.is_empty() {
            return;
        }
        let mut row = DecodeRow { sequence, branch, start: context.computed, pieces, sample: None };
        if row.start + row.num_positions() == context.len {
            row.sample = self.sampling(branch);
        }
        plan.decode.push(row);
    }

    fn sampling(&self, branch: Branch) -> Option<LegalTokens> {
        match (branch, self.pending) {
            (Branch::Main, NextMove::Sample(legal)) => Some(legal),
            (Branch::Main, NextMove::Draw | NextMove::Finish(_)) | (Branch::Negative, _) => None,
        }
    }

    /// A token joins the context; returns its new length.
    pub(crate) fn push_token(&mut self) -> usize {
        self.main.push_token();
        self.main.len
    }

    /// The drawn picture joins the context; returns its new length.
    pub(crate) fn push_picture(&mut self) -> usize {
        self.main.push_picture(&self.budget);
        self.main.len
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
        assert!(self.main.len <= self.budget.max_model_len, "a context never outgrows the model");
    }

    pub(crate) fn usage(&self) -> Usage {
        let used = self.main.len;
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

fn prompt_usage(prompt: &[Span], budget: &Budget) -> Usage {
    let mut usage = Usage { prompt_positions: budget.positions(prompt), ..Usage::default() };
    for span in prompt {
        match span {
            Span::Tokens(_) => {}
            Span::Picture => {
                usage.prompt_images += 1;
                usage.prompt_image_positions += budget.image_positions;
            }
            Span::Dream => usage.prompt_image_positions += budget.dream_positions,
        }
    }
    usage
}

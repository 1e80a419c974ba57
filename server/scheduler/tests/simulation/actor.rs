//! One request as the simulated runner sees it: it accepts exactly the rows that a serial execution of its
//! document would bring next, and says what came of them.

use std::collections::BTreeSet;

use reverie_scheduler::{
    Branch, Budget, ContentHash, DecodeRow, DenoiseRow, DocumentRules, DreamRole, EncodeRow,
    NextMove, Piece, Sampled, SequenceSpec, Span, TokenId,
};

use crate::document::{
    Contents, Label, Part, bounded, chosen, drawn, dream_label, follow, picture_label, token_label,
};
use crate::memory::Memory;

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its contexts are being computed.
    Computing,
    /// This denoising step is next.
    Denoising(usize),
    /// Its latents wait to be decoded.
    Rendering,
    Over,
}

/// One context.
#[derive(Debug)]
pub(crate) struct ActorContext {
    pub(crate) contents: Contents,
    tokens: Vec<TokenId>,
    pictures: Vec<ContentHash>,
    encoded: BTreeSet<usize>,
    ends_with_token: bool,
    pub(crate) computed: usize,
    /// Where the dream block begins whose states are wanted.
    pub(crate) condition: Option<usize>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) spec: SequenceSpec,
    pub(crate) seed: u64,
    pub(crate) stage: Stage,
    pub(crate) main: ActorContext,
    pub(crate) negative: Option<ActorContext>,
    pub(crate) parts: Vec<Part>,
    pub(crate) rules: DocumentRules,
    pub(crate) pending: NextMove,
    /// The step in which it first got a place.
    pub(crate) seated: Option<usize>,
    pub(crate) passes_missed: usize,
    budget: Budget,
}

impl ActorContext {
    fn new(spans: &[Span], spec: &SequenceSpec, budget: &Budget) -> Self {
        let mut context = Self {
            contents: Contents::new(spec.tenant),
            tokens: Vec::new(),
            pictures: Vec::new(),
            encoded: BTreeSet::new(),
            ends_with_token: false,
            computed: 0,
            condition: None,
        };
        spans.iter().for_each(|span| context.push(span, budget));
        context
    }

    fn push(&mut self, span: &Span, budget: &Budget) {
        self.contents.push_span(span, budget);
        self.ends_with_token = matches!(span, Span::Tokens(_));
        match span {
            Span::Tokens(ids) => self.tokens.extend(ids),
            Span::Picture(content) => self.pictures.push(*content),
            Span::Dream => {}
        }
    }

    fn push_condition(&mut self, budget: &Budget) {
        self.condition = Some(self.len());
        self.push(&Span::Dream, budget);
    }

    pub(crate) fn len(&self) -> usize {
        self.contents.labels.len()
    }

    pub(crate) fn caught_up(&self) -> bool {
        self.computed == self.len()
    }

    pub(crate) fn lose(&mut self) {
        self.computed = 0;
        self.encoded.clear();
    }

    /// What a row says about its positions.
    fn labels(&self, row: &DecodeRow) -> Vec<Label> {
        let mut labels = Vec::new();
        for piece in &row.pieces {
            let position = row.start + labels.len();
            match *piece {
                Piece::Tokens { start, len } => {
                    labels
                        .extend(self.tokens[start..start + len].iter().map(|id| token_label(*id)));
                }
                Piece::Picture { picture, start, len } => {
                    assert!(
                        self.encoded.contains(&picture),
                        "a picture is embedded before its block"
                    );
                    let content = self.pictures[picture];
                    labels.extend((start..start + len).map(|place| picture_label(content, place)));
                }
                Piece::Dream { role, start, len } => {
                    let is_wanted = self.condition == Some(position - start);
                    assert_eq!(
                        role == DreamRole::Condition,
                        is_wanted,
                        "its states are wanted or not"
                    );
                    labels.extend((start..start + len).map(dream_label));
                }
            }
        }
        labels
    }

    /// A beginning of it was found in the cache.
    pub(crate) fn begin_at(&mut self, start: usize, memory: &Memory) {
        assert_eq!(self.computed, 0, "a context begins once");
        assert_eq!(start % memory.block_size(), 0, "whole blocks are found in the cache");
        let first_wanted = self.condition.unwrap_or(self.len() - 1);
        assert!(start <= first_wanted, "hidden states that are wanted are computed");
        self.computed = start;
    }

    fn compute(&mut self, row: &DecodeRow, memory: &mut Memory) {
        assert!(row.num_positions() > 0, "no row is empty");
        assert_eq!(row.start, self.computed, "rows follow one another");
        let end = row.start + row.num_positions();
        assert_eq!(
            self.labels(row),
            self.contents.labels[row.start..end],
            "what is computed is there"
        );
        memory.read(&row.blocks, &self.contents.prefixes[..row.start]);
        memory.write(&row.blocks, row.start, &self.contents.prefixes[row.start..end]);
        self.computed = end;
    }
}

impl Actor {
    pub(crate) fn new(spec: SequenceSpec, seed: u64, budget: Budget) -> Self {
        let mut main = ActorContext::new(&spec.prompt, &spec, &budget);
        let negative = spec.negative.as_ref().map(|spans| {
            let mut context = ActorContext::new(spans, &spec, &budget);
            context.push_condition(&budget);
            context
        });
        let rules = DocumentRules::new(budget, spec.limits);
        let pending = rules.next_move(main.len());
        if pending == NextMove::Draw {
            main.push_condition(&budget);
        }
        Self {
            spec,
            seed,
            stage: Stage::Computing,
            main,
            negative,
            parts: Vec::new(),
            rules,
            pending,
            seated: None,
            passes_missed: 0,
            budget,
        }
    }

    /// Whether its next token is all that is missing to its last one.
    pub(crate) fn generates(&self) -> bool {
        self.stage == Stage::Computing
            && matches!(self.pending, NextMove::Sample(_))
            && self.main.computed + 1 == self.main.len()
            && self.main.ends_with_token
    }

    pub(crate) fn encode(&mut self, row: &EncodeRow) {
        assert_eq!(self.stage, Stage::Computing);
        let context = self.context(row.branch);
        assert!(row.picture < context.pictures.len(), "only pictures of the context are embedded");
        assert!(context.encoded.insert(row.picture), "no picture is embedded twice in vain");
    }

    /// Computes a row; its choice, if it samples.
    pub(crate) fn decode(&mut self, row: &DecodeRow, memory: &mut Memory) -> Option<Sampled> {
        assert_eq!(self.stage, Stage::Computing);
        if row.branch == Branch::Negative {
            assert_eq!(self.pending, NextMove::Draw, "a negative prompt is computed to draw");
        }
        self.context(row.branch).compute(row, memory);
        if self.negative.as_ref().is_some_and(ActorContext::caught_up) {
            self.negative = None;
        }
        let wanted = match (row.branch, self.pending) {
            (Branch::Main, NextMove::Sample(legal)) if self.main.caught_up() => Some(legal),
            _ => None,
        };
        assert_eq!(row.sample, wanted, "a row samples exactly when it completes a context");
        let Some(legal) = wanted else {
            self.settle();
            return None;
        };
        let used = self.main.len();
        let sampled = chosen(self.seed, used, legal, self.spec.num_beams);
        let (max_len, max_tokens) = (self.budget.max_model_len, self.spec.limits.max_tokens);
        Some(bounded(sampled, &self.rules, used, max_len, max_tokens))
    }

    /// A choice was taken in.
    pub(crate) fn take(&mut self, sampled: Sampled) {
        self.parts.push(Part::Chosen(sampled));
        match sampled {
            Sampled::Text(token) | Sampled::StopString(token) => {
                self.main.push(&Span::Tokens(vec![token]), &self.budget);
            }
            // Every beam has its own token there; to the cache it is one that nobody else has.
            Sampled::BeamsAdvanced => {
                let token = TokenId(1_000_000 + self.spec.id.0 as u32);
                self.main.push(&Span::Tokens(vec![token]), &self.budget);
            }
            Sampled::EndOfText | Sampled::DreamStart | Sampled::BeamsFinished { .. } => {}
        }
        let mut used = self.main.len();
        let grown =
            matches!(sampled, Sampled::Text(_) | Sampled::StopString(_) | Sampled::BeamsAdvanced);
        used -= usize::from(grown);
        let next = follow(&mut self.rules, &mut used, sampled);
        self.follow(next);
    }

    pub(crate) fn denoise(&mut self, row: &DenoiseRow) {
        assert_eq!(self.stage, Stage::Denoising(row.step), "steps follow one another, each once");
        assert_eq!(row.picture, self.rules.num_images());
        let next = row.step + 1;
        let is_done = next == self.spec.drawing.num_denoising_steps;
        self.stage = if is_done { Stage::Rendering } else { Stage::Denoising(next) };
    }

    pub(crate) fn picture(&self) -> ContentHash {
        drawn(self.seed, self.rules.num_images())
    }

    pub(crate) fn rendered(&mut self) {
        assert_eq!(self.stage, Stage::Rendering);
        let content = self.picture();
        self.parts.push(Part::Picture(content));
        self.main.condition = None;
        self.main.push(&Span::Picture(content), &self.budget);
        let next = self.rules.image_drawn(self.main.len());
        self.follow(next);
    }

    /// Its context, as the prompt of a next turn.
    pub(crate) fn document(&self) -> Vec<Span> {
        let mut spans = self.spec.prompt.clone();
        for part in &self.parts {
            match part {
                Part::Chosen(Sampled::Text(token) | Sampled::StopString(token)) => {
                    spans.push(Span::Tokens(vec![*token]));
                }
                Part::Picture(content) => spans.extend([Span::Dream, Span::Picture(*content)]),
                Part::Chosen(_) | Part::End(_) => {}
            }
        }
        spans
    }

    pub(crate) fn lose_blocks(&mut self) {
        self.main.lose();
        if let Some(negative) = &mut self.negative {
            negative.lose();
        }
    }

    fn context(&mut self, branch: Branch) -> &mut ActorContext {
        match branch {
            Branch::Main => &mut self.main,
            Branch::Negative => {
                self.negative.as_mut().expect("it has a negative prompt to compute")
            }
        }
    }

    fn settle(&mut self) {
        if !self.main.caught_up() {
            return;
        }
        match self.pending {
            NextMove::Draw if self.negative.is_none() => self.stage = Stage::Denoising(0),
            NextMove::Draw | NextMove::Sample(_) => {}
            NextMove::Finish(reason) => self.end(reason),
        }
    }

    fn follow(&mut self, next: NextMove) {
        self.pending = next;
        self.stage = Stage::Computing;
        match next {
            NextMove::Sample(_) => {}
            NextMove::Draw => self.main.push_condition(&self.budget),
            NextMove::Finish(reason) => self.end(reason),
        }
    }

    fn end(&mut self, reason: reverie_scheduler::FinishReason) {
        self.parts.push(Part::End(reason));
        self.stage = Stage::Over;
    }
}

//! What may come next in a document and when it ends: counting only, no positions computed, no ids.

use crate::Budget;

/// Who decides that a picture is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageChoice {
    /// The model, by `<dream_start>`.
    Auto,
    /// Nobody: `<dream_start>` is forbidden.
    None,
    /// The model, but it may not end before the first one: `</s>` becomes `<dream_start>`.
    Required,
    /// As `Required`, but exactly so many.
    Exactly(usize),
}

/// Why a document ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// `</s>`.
    EndOfText,
    /// A stop string.
    StopString,
    /// `max_tokens`.
    MaxTokens,
    /// The model wanted a picture beyond `max_images`.
    MaxImages,
    /// The context is full.
    ContextFull,
}

/// What a request says about the length of its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Who decides that a picture is drawn.
    pub choice: ImageChoice,
    /// Drawn pictures never exceed this; 0 is the same as [`ImageChoice::None`].
    pub max_images: usize,
    /// At most this many sampled tokens; `None` is "as many as fit", 0 is "pictures only".
    pub max_tokens: Option<usize>,
    /// `</s>` is forbidden before this many.
    pub min_tokens: usize,
    /// `</s>` is forbidden altogether.
    pub ignore_eos: bool,
    /// Nothing is written once the pictures that are insisted on are drawn.
    pub ends_with_images: bool,
}

impl DocumentLimits {
    /// Pictures without which the document may not end.
    pub fn insisted_images(&self) -> usize {
        match self.choice {
            ImageChoice::Auto | ImageChoice::None => 0,
            ImageChoice::Required => 1.min(self.max_images),
            ImageChoice::Exactly(count) => count.min(self.max_images),
        }
    }
}

/// Which tokens may be sampled besides text, which always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegalTokens {
    /// `<dream_start>`.
    pub dream_start: bool,
    /// `</s>`.
    pub end_of_text: bool,
}

/// What happens once the context is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextMove {
    /// A token is sampled.
    Sample(LegalTokens),
    /// A picture is drawn: its dream block comes next, sampled or forced.
    Draw,
    /// The document ends.
    Finish(FinishReason),
}

/// What of an answer stands already when its rules begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WrittenCounts {
    /// Sampled tokens.
    pub num_text_tokens: usize,
    /// Pictures drawn.
    pub num_images: usize,
    /// Whether the last of the tokens completed a stop string.
    pub is_stopped: bool,
}

/// A document's counts against its limits. Every question takes `used`, the positions of the context
/// so far.
///
/// Pictures that the request insists on are drawn whatever ends the text (a stop string, `max_tokens`,
/// the model itself), and early enough to fit. `max_tokens: 0` with `Exactly(1)` draws right after the
/// prompt, and then the text that nobody asked for is at its end, not cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRules {
    budget: Budget,
    limits: DocumentLimits,
    num_text_tokens: usize,
    num_images: usize,
    /// Why no further token will be sampled, once that is certain.
    text_end: Option<FinishReason>,
}

impl DocumentRules {
    /// The rules at the start of an answer.
    pub fn new(budget: Budget, limits: DocumentLimits) -> Self {
        Self::resumed(budget, limits, WrittenCounts::default())
    }

    /// The rules in the middle of an answer: the same as if everything that is written had been counted
    /// here.
    pub fn resumed(budget: Budget, limits: DocumentLimits, written: WrittenCounts) -> Self {
        let WrittenCounts { num_text_tokens, num_images, is_stopped } = written;
        let text_end = (limits.max_tokens == Some(0)).then_some(FinishReason::EndOfText);
        let mut rules = Self { budget, limits, num_text_tokens, num_images, text_end };
        if is_stopped {
            rules.text_end = Some(FinishReason::StopString);
        } else if num_text_tokens > 0 {
            rules.close_text_at_max_tokens();
        }
        rules
    }

    /// Sampled tokens so far, `</s>` included, `<dream_start>` not.
    pub fn num_text_tokens(&self) -> usize {
        self.num_text_tokens
    }

    /// Pictures drawn so far.
    pub fn num_images(&self) -> usize {
        self.num_images
    }

    /// What happens after `used` positions.
    pub fn next_move(&self, used: usize) -> NextMove {
        if self.must_draw(used) {
            return NextMove::Draw;
        }
        if let Some(reason) = self.text_end {
            return NextMove::Finish(reason);
        }
        if self.pictures_end_it() {
            return NextMove::Finish(FinishReason::EndOfText);
        }
        if !self.budget.token_fits(used) {
            return NextMove::Finish(FinishReason::ContextFull);
        }
        NextMove::Sample(self.legal_tokens(used))
    }

    /// A text token was sampled; `used` counts it.
    pub fn text_sampled(&mut self, used: usize) -> NextMove {
        self.num_text_tokens += 1;
        self.close_text_at_max_tokens();
        self.next_move(used)
    }

    /// A text token was sampled and completed a stop string; `used` counts it.
    pub fn stop_string_sampled(&mut self, used: usize) -> NextMove {
        self.num_text_tokens += 1;
        self.text_end = Some(FinishReason::StopString);
        self.next_move(used)
    }

    /// `</s>` was sampled after `used` positions; it takes none itself. While pictures are missing
    /// it is read as `<dream_start>`.
    pub fn end_of_text_sampled(&mut self, used: usize) -> NextMove {
        if self.num_missing_images() > 0 {
            return self.dream_start_sampled(used);
        }
        self.num_text_tokens += 1;
        self.text_end = Some(FinishReason::EndOfText);
        NextMove::Finish(FinishReason::EndOfText)
    }

    /// `<dream_start>` was sampled after `used` positions.
    pub fn dream_start_sampled(&self, used: usize) -> NextMove {
        if self.num_images >= self.limits.max_images {
            return NextMove::Finish(FinishReason::MaxImages);
        }
        if self.budget.images_that_fit(used) == 0 {
            return NextMove::Finish(FinishReason::ContextFull);
        }
        NextMove::Draw
    }

    /// A picture was drawn; `used` counts its dream block and its picture block.
    pub fn image_drawn(&mut self, used: usize) -> NextMove {
        self.num_images += 1;
        self.next_move(used)
    }

    /// A beam search ended with `num_tokens` tokens.
    pub fn beams_finished(&mut self, num_tokens: usize, reason: FinishReason) -> NextMove {
        self.num_text_tokens = num_tokens;
        self.text_end = Some(reason);
        NextMove::Finish(reason)
    }

    fn close_text_at_max_tokens(&mut self) {
        if self.limits.max_tokens.is_some_and(|max| self.num_text_tokens >= max) {
            self.text_end = Some(FinishReason::MaxTokens);
        }
    }

    fn pictures_end_it(&self) -> bool {
        let insisted = self.limits.insisted_images();
        self.limits.ends_with_images && insisted > 0 && self.num_images >= insisted
    }

    fn num_missing_images(&self) -> usize {
        self.limits.insisted_images().saturating_sub(self.num_images)
    }

    /// Whether a missing picture has to come now: the text is over, or another token would take the
    /// room of one of them.
    fn must_draw(&self, used: usize) -> bool {
        let missing = self.num_missing_images();
        let fit_now = missing.min(self.budget.images_that_fit(used));
        let fit_later = missing.min(self.budget.images_that_fit(used + 1));
        fit_now > 0 && (self.text_end.is_some() || fit_later < fit_now)
    }

    fn legal_tokens(&self, used: usize) -> LegalTokens {
        let end_of_text = !self.limits.ignore_eos && self.num_text_tokens >= self.limits.min_tokens;
        let can_draw =
            self.num_images < self.limits.max_images && self.budget.images_that_fit(used) > 0;
        let may_be_wished = match self.limits.choice {
            ImageChoice::None => false,
            ImageChoice::Auto | ImageChoice::Required => self.limits.max_images > 0,
            ImageChoice::Exactly(_) => self.num_missing_images() > 0,
        };
        // A wish for a picture that cannot be drawn ends the document, so it is legal only where an
        // end is.
        LegalTokens { dream_start: may_be_wished && (can_draw || end_of_text), end_of_text }
    }
}

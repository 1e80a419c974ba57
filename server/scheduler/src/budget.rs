//! The arithmetic of positions: what fits into a context. Knows lengths only.

use crate::content::Span;
use crate::rules::ImageChoice;
use crate::sequence::SequenceSpec;

/// How long a context may be and how many positions its blocks take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Positions that the model was trained for (`max_position_embeddings`).
    pub max_model_len: usize,
    /// Positions of a dream block: `<dream_start>`, queries, `<dream_end>`; 0 if no picture can be drawn.
    pub dream_positions: usize,
    /// Positions of a picture block: `<im_start>`, patches, `<im_end>`; 0 if pictures are not fed back.
    pub image_positions: usize,
}

impl Budget {
    /// Positions of one span.
    pub fn positions_of(&self, span: &Span) -> usize {
        match span {
            Span::Tokens(ids) => ids.len(),
            Span::Picture(_) => self.image_positions,
            Span::Dream => self.dream_positions,
        }
    }

    /// Positions of a list of spans.
    pub fn positions(&self, spans: &[Span]) -> usize {
        spans.iter().map(|span| self.positions_of(span)).sum()
    }

    /// Positions that drawing one picture takes: its dream block and its picture block.
    pub fn drawing_positions(&self) -> usize {
        self.dream_positions + self.image_positions
    }

    /// How many pictures can still be drawn after `used` positions, one position being kept for the
    /// token that follows: `used + n · (dream + picture) + 1 <= max_model_len`.
    pub fn images_that_fit(&self, used: usize) -> usize {
        if self.dream_positions == 0 {
            return 0;
        }
        self.max_model_len.saturating_sub(used + 1) / self.drawing_positions()
    }

    /// Whether one more token fits after `used` positions.
    pub fn token_fits(&self, used: usize) -> bool {
        used < self.max_model_len
    }

    /// The most positions that the document can come to, its negative prompt left out.
    pub fn most_positions(&self, spec: &SequenceSpec) -> usize {
        let limits = &spec.limits;
        let images = if limits.choice == ImageChoice::None { 0 } else { limits.max_images };
        self.positions(&spec.prompt)
            .saturating_add(limits.max_tokens.unwrap_or(self.max_model_len))
            .saturating_add(images.saturating_mul(self.drawing_positions()))
            .min(self.max_model_len)
    }

    /// Positions of the negative prompt's context: its spans and one dream block.
    pub fn negative_positions(&self, spec: &SequenceSpec) -> usize {
        spec.negative.as_ref().map_or(0, |spans| self.positions(spans) + self.dream_positions)
    }

    /// The least positions with which the document can be served at all: its prompt, the pictures it
    /// insists on, and one token. Its negative prompt is a context of its own, with one dream block.
    pub fn least_positions(&self, spec: &SequenceSpec) -> usize {
        let drawn = spec.limits.insisted_images() * self.drawing_positions();
        let document = self.positions(&spec.prompt) + drawn + 1;
        document.max(self.negative_positions(spec))
    }

    /// Positions that the document can come to hold at once in blocks of `block_size`: those of each of its
    /// beams, and its negative prompt's.
    pub fn kv_positions(&self, spec: &SequenceSpec, block_size: usize) -> usize {
        let whole = |positions: usize| positions.next_multiple_of(block_size);
        let document = whole(self.most_positions(spec)).saturating_mul(spec.num_beams);
        document.saturating_add(whole(self.negative_positions(spec)))
    }

    /// Whether [`Self::least_positions`] fit.
    pub fn admits(&self, spec: &SequenceSpec) -> bool {
        self.least_positions(spec) <= self.max_model_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{ContentHash, TokenId};

    const BUDGET: Budget = Budget { max_model_len: 100, dream_positions: 10, image_positions: 20 };

    #[test]
    fn a_picture_fits_exactly_when_one_position_remains_after_it() {
        assert_eq!(BUDGET.images_that_fit(69), 1);
        assert_eq!(BUDGET.images_that_fit(70), 0);
        assert_eq!(BUDGET.images_that_fit(39), 2);
        assert_eq!(BUDGET.images_that_fit(40), 1);
        assert_eq!(BUDGET.images_that_fit(100), 0);
        assert_eq!(BUDGET.images_that_fit(500), 0);
    }

    #[test]
    fn without_dream_blocks_no_picture_ever_fits() {
        let reader = Budget { dream_positions: 0, ..BUDGET };
        assert_eq!(reader.images_that_fit(0), 0);
        let drawer = Budget { image_positions: 0, ..BUDGET };
        assert_eq!(drawer.images_that_fit(79), 2);
    }

    #[test]
    fn a_token_fits_up_to_the_last_position() {
        assert!(BUDGET.token_fits(99));
        assert!(!BUDGET.token_fits(100));
    }

    #[test]
    fn spans_add_up() {
        let picture = Span::Picture(ContentHash([0; 32]));
        let spans = [Span::Tokens(vec![TokenId(7); 3]), picture, Span::Dream];
        assert_eq!(BUDGET.positions(&spans), 33);
    }

    #[test]
    fn the_published_model_holds_six_drawn_pictures_and_a_hundred_and_four_other_positions() {
        let published = Budget { max_model_len: 2048, dream_positions: 66, image_positions: 258 };
        assert_eq!(published.images_that_fit(103), 6);
        assert_eq!(published.images_that_fit(104), 5);
    }
}

//! Ids to text as they are generated: only whole characters, and in sum exactly the text that decoding
//! all ids at once gives. Knows no stop strings and no pictures, only that a chunk of text may begin anew.

use std::sync::Arc;

use super::pieces::{Piece, Pieces, Sentence, strip_mark};

/// One document's growing text. Special tokens add nothing to it.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    pieces: Arc<Pieces>,
    sentence: Sentence,
    first: bool,
}

impl Detokenizer {
    pub(super) fn new(pieces: Arc<Pieces>) -> Self {
        let sentence = pieces.sentence();
        Self { pieces, sentence, first: true }
    }

    /// Adds a token and returns the text that became whole with it, often none.
    pub fn push(&mut self, id: u32) -> String {
        match self.pieces.get(id) {
            Some(Piece::Text(text)) => {
                let text = if self.first { strip_mark(text) } else { text };
                self.sentence.push_text(text);
                self.first = false;
            }
            Some(Piece::Byte(byte)) => {
                self.sentence.push_byte(*byte);
                self.first = false;
            }
            Some(Piece::Special { .. }) | None => {}
        }
        self.sentence.take()
    }

    /// Begins another chunk of text, after a picture: returns what was still held back, and drops the
    /// coming chunk's leading space if `strip_leading_space`. A document that has no text yet loses it
    /// in any case.
    pub fn start_chunk(&mut self, strip_leading_space: bool) -> String {
        let rest = self.flush();
        if strip_leading_space {
            self.sentence = self.pieces.sentence();
            self.first = true;
        }
        rest
    }

    /// What is still held back: one U+FFFD for each byte of a character that never became whole.
    pub fn flush(&mut self) -> String {
        self.sentence.finish_bytes();
        self.sentence.take()
    }
}

//! The vocabulary as pieces of output text, and how runs of them become text (sentencepiece's
//! `DecodePieces` and the reference tokenizer's spacing around special tokens). Knows no merging.

use super::sentencepiece::byte_of;

/// Sentencepiece's mark for a space.
const SPACE_MARK: char = '▁';

/// What one id stands for in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text with "▁" for spaces.
    Text(String),
    /// One byte of a character spelled in bytes.
    Byte(u8),
    /// A special token. LLaMA's own (`<s>`, `</s>`, `<unk>`, `[PAD]`) are written into the sentence;
    /// the added ones stand apart from it.
    Special {
        /// Its exact text.
        text: String,
        /// Whether it is one of LLaMA's own.
        own: bool,
    },
}

/// Every id's piece.
#[derive(Debug)]
pub(super) struct Pieces {
    pieces: Vec<Piece>,
    remove_extra_whitespaces: bool,
}

impl Pieces {
    /// `texts` in id order; `special` says of an id whether it is special, and then LLaMA's own.
    pub(super) fn new(
        texts: Vec<String>,
        special: impl Fn(u32) -> Option<bool>,
        remove_extra_whitespaces: bool,
    ) -> Self {
        let pieces = (0u32..)
            .zip(texts)
            .map(|(id, text)| match (special(id), byte_of(&text)) {
                (Some(own), _) => Piece::Special { text, own },
                (None, Some(byte)) => Piece::Byte(byte),
                (None, None) => Piece::Text(text),
            })
            .collect();
        Self { pieces, remove_extra_whitespaces }
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn get(&self, id: u32) -> Option<&Piece> {
        self.pieces.get(id as usize)
    }

    /// The most bytes of input text that one token can cover; special tokens cover none.
    pub(super) fn max_text_bytes(&self) -> usize {
        let text_bytes = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Byte(_) => 1,
            Piece::Special { .. } => 0,
        };
        self.pieces.iter().map(text_bytes).max().unwrap_or(0).max(1)
    }

    pub(super) fn removes_extra_whitespaces(&self) -> bool {
        self.remove_extra_whitespaces
    }

    /// A sentence about to begin.
    pub(super) fn sentence(&self) -> Sentence {
        Sentence::new(self.remove_extra_whitespaces)
    }

    /// The text of `ids` with special tokens written out, spaced as the reference's slow tokenizer does:
    /// added tokens joined to their surroundings by spaces, LLaMA's own preceded by one after text.
    pub(super) fn decode_with_special(&self, ids: &[u32]) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut run: Vec<&Piece> = Vec::new();
        for piece in ids.iter().filter_map(|id| self.get(*id)) {
            match piece {
                Piece::Special { text, own: false } => {
                    let before = self.decode_run(&run);
                    run.clear();
                    parts.extend(Some(before).filter(|text| !text.is_empty()));
                    parts.push(text.clone());
                }
                Piece::Special { own: true, .. } | Piece::Text(_) | Piece::Byte(_) => {
                    run.push(piece)
                }
            }
        }
        if !run.is_empty() {
            parts.push(self.decode_run(&run));
        }
        parts.join(" ")
    }

    /// `LlamaTokenizer.convert_tokens_to_string` in its legacy form.
    fn decode_run(&self, run: &[&Piece]) -> String {
        let mut out = String::new();
        let mut sentence = self.sentence();
        let mut after_special = false;
        for (index, piece) in run.iter().enumerate() {
            match piece {
                Piece::Special { text, .. } => {
                    if !after_special && index > 0 {
                        out.push(' ');
                    }
                    out.push_str(&std::mem::replace(&mut sentence, self.sentence()).finish_all());
                    out.push_str(text);
                    after_special = true;
                }
                Piece::Text(text) => {
                    let text = if index == 0 { strip_mark(text) } else { text };
                    sentence.push_text(text);
                    after_special = false;
                }
                Piece::Byte(byte) => {
                    sentence.push_byte(*byte);
                    after_special = false;
                }
            }
        }
        out.push_str(&sentence.finish_all());
        out
    }
}

/// The text without one leading "▁".
pub(super) fn strip_mark(text: &str) -> &str {
    text.strip_prefix(SPACE_MARK).unwrap_or(text)
}

/// Sentencepiece's `DecodePieces`, one piece at a time: the first "▁" of a sentence is no space, and byte
/// pieces wait until they are whole characters.
#[derive(Debug, Clone)]
pub(super) struct Sentence {
    out: String,
    /// Bytes of a character that is not whole yet.
    pending: Vec<u8>,
    /// Whether a leading "▁" would still be dropped.
    at_start: bool,
    /// Whether anything was written since the sentence began.
    written: bool,
    remove_extra_whitespaces: bool,
}

impl Sentence {
    fn new(remove_extra_whitespaces: bool) -> Self {
        Self {
            out: String::new(),
            pending: Vec::new(),
            at_start: true,
            written: false,
            remove_extra_whitespaces,
        }
    }

    /// Adds a text piece.
    pub(super) fn push_text(&mut self, piece: &str) {
        self.finish_bytes();
        self.at_start &= !self.written;
        let mut rest = piece;
        if self.at_start && piece.starts_with(SPACE_MARK) {
            rest = strip_mark(piece);
            self.at_start = self.remove_extra_whitespaces;
        }
        self.written |= !rest.is_empty();
        self.out.extend(rest.chars().map(|c| if c == SPACE_MARK { ' ' } else { c }));
    }

    /// Adds a byte piece. A byte that can begin or continue no character becomes U+FFFD by itself, as
    /// in sentencepiece.
    pub(super) fn push_byte(&mut self, byte: u8) {
        self.pending.push(byte);
        while !self.pending.is_empty() {
            match std::str::from_utf8(&self.pending) {
                Ok(whole) => {
                    self.out.push_str(whole);
                    self.pending.clear();
                }
                Err(e) if e.error_len().is_none() => break,
                Err(_) => {
                    self.out.push(char::REPLACEMENT_CHARACTER);
                    self.pending.remove(0);
                }
            }
            self.written = true;
        }
    }

    /// Gives up on a character that never became whole: one U+FFFD for each of its bytes.
    pub(super) fn finish_bytes(&mut self) {
        self.written |= !self.pending.is_empty();
        self.out.extend(self.pending.drain(..).map(|_| char::REPLACEMENT_CHARACTER));
    }

    /// What was written since the last call.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    fn finish_all(mut self) -> String {
        self.finish_bytes();
        self.out
    }
}

//! Text ⇄ ids, as the reference's slow `LlamaTokenizer` (transformers 4.35, legacy spacing) does it, with
//! one difference: text from users never becomes a control token. Knows no prompt templates.

mod bpe;
mod detokenizer;
mod pieces;
mod protobuf;
mod sentencepiece;
mod special_tokens;
mod stop_strings;
mod vocabulary;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

pub use detokenizer::Detokenizer;
pub use sentencepiece::{PieceKind, SentencePiece, SentencePieceModel};
pub use special_tokens::SpecialTokens;
pub use stop_strings::{StopMatcher, StopOutcome};

use crate::error::CheckpointError;
use crate::json_grammar::TokenAlphabet;
use pieces::{Piece, Pieces};
use vocabulary::Vocabulary;

/// A checkpoint's tokenizer. Every text piece gets a "▁" in front, also after a control token.
pub struct Tokenizer {
    /// Splits at control strings.
    with_control: tokenizers::Tokenizer,
    /// Takes control strings as the text they are.
    text_only: tokenizers::Tokenizer,
    pieces: Arc<Pieces>,
    special: SpecialTokens,
    forbidden: Vec<u32>,
    json: String,
}

impl Tokenizer {
    /// Reads `tokenizer.model` (which decides, where present) or `tokenizer.json`, and the control tokens
    /// from every file that states them. `vocab_size` is the number of rows of the embedding matrix.
    ///
    /// # Errors
    /// `Missing` without either file or without a control token's id; `SpecialTokens` when two files
    /// disagree on one; `Tokenizer` for unusable files and for two vocabularies that differ.
    pub fn load(folder: &Path, vocab_size: usize) -> Result<Self, CheckpointError> {
        let vocabulary = Vocabulary::load(folder, vocab_size)?;
        let refuse =
            |reason: String| CheckpointError::Tokenizer { path: vocabulary.path.clone(), reason };
        let json = vocabulary.json.to_string();
        let with_control = tokenizers::Tokenizer::from_bytes(json.as_bytes())
            .map_err(|e| refuse(format!("unusable: {e}")))?;
        let mut text_only = with_control.clone();
        text_only.set_encode_special_tokens(true);

        let special = vocabulary.special;
        let own = [special.unk, special.bos, special.eos, special.pad];
        let added: BTreeSet<u32> = vocabulary.added.iter().map(|token| token.id).collect();
        for token in &vocabulary.added {
            if with_control.token_to_id(&token.text) != Some(token.id) {
                return Err(refuse(format!("{} does not get its id {}", token.text, token.id)));
            }
        }
        let allowed = [special.eos, special.dream_start];
        let beyond = vocabulary.texts.len() as u32..vocab_size as u32;
        let forbidden =
            added.iter().copied().filter(|id| !allowed.contains(id)).chain(beyond).collect();
        let pieces = Arc::new(Pieces::new(
            vocabulary.texts,
            |id| added.contains(&id).then(|| own.contains(&id)),
            vocabulary.remove_extra_whitespaces,
        ));
        let tokenizer = Self { with_control, text_only, pieces, special, forbidden, json };
        tokenizer.check_that_text_stays_text(&vocabulary.path)?;
        Ok(tokenizer)
    }

    /// The ids of a text from a user: no `<s>` in front, and control strings in it are spelled out like
    /// any other text. None of the ids is a control token's.
    pub fn encode_text(&self, text: &str) -> Vec<u32> {
        encode(&self.text_only, text)
    }

    /// The ids of a text whose control strings are control tokens, with `<s>` in front: the reference's
    /// `tokenizer(text)`. For templates and parity; never for text from users.
    pub fn encode_with_control(&self, text: &str) -> Vec<u32> {
        let mut ids = vec![self.special.bos];
        ids.extend(encode(&self.with_control, text));
        ids
    }

    /// The text of `ids`: without special tokens as users see it, else with the reference's spacing
    /// around them. Ids outside the vocabulary add nothing.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        if !skip_special {
            return self.pieces.decode_with_special(ids);
        }
        let mut detokenizer = self.detokenizer();
        let mut text: String = ids.iter().map(|id| detokenizer.push(*id)).collect();
        text.push_str(&detokenizer.flush());
        text
    }

    /// Turns one document's ids into text as they come.
    pub fn detokenizer(&self) -> Detokenizer {
        Detokenizer::new(Arc::clone(&self.pieces))
    }

    /// A `tokenizer.json` that gives the same ids; what `convert` writes.
    pub fn to_json(&self) -> &str {
        &self.json
    }

    /// The control tokens.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// Ids that the tokenizer knows; an embedding matrix may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    /// Ids that must never be sampled, ascending: all but text, `</s>` and `<dream_start>`.
    pub fn forbidden_ids(&self) -> &[u32] {
        &self.forbidden
    }

    /// The most bytes of a text that one token can cover.
    pub fn max_token_bytes(&self) -> usize {
        self.pieces.max_text_bytes()
    }

    /// Whether some spaces of a text are dropped before it is encoded, as sentencepiece's
    /// `remove_extra_whitespaces` says: then no space surely takes a token.
    pub fn drops_spaces(&self) -> bool {
        self.pieces.removes_extra_whitespaces()
    }

    /// The bytes that an id adds to a text, "▁" as a space; none for special tokens and unknown ids.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        match self.pieces.get(id) {
            Some(Piece::Text(text)) => text.replace('▁', " ").into_bytes(),
            Some(Piece::Byte(byte)) => vec![*byte],
            Some(Piece::Special { .. }) | None => Vec::new(),
        }
    }

    /// What the tokens of a vocabulary of `vocab_size` write, for grammars.
    pub fn alphabet(&self, vocab_size: usize) -> TokenAlphabet {
        let bytes = (0..vocab_size as u32).map(|id| self.token_bytes(id)).collect();
        TokenAlphabet { bytes, eos: self.special.eos }
    }

    /// The piece behind an id as the reference's `convert_ids_to_tokens` names it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.pieces.get(id).map(|piece| match piece {
            Piece::Text(text) | Piece::Special { text, .. } => text.clone(),
            Piece::Byte(byte) => format!("<0x{byte:02X}>"),
        })
    }

    /// A vocabulary in which spelling out a control string ends in a control token would let users type
    /// one: refused at the door.
    fn check_that_text_stays_text(&self, path: &Path) -> Result<(), CheckpointError> {
        for id in self.special.all().into_iter().filter(|id| *id != self.special.unk) {
            let token = self.token(id).unwrap_or_default();
            for text in [token.clone(), format!("a{token}{token} b")] {
                let ids = self.encode_text(&text);
                if self.special.all().iter().any(|id| *id != self.special.unk && ids.contains(id)) {
                    let reason = format!("typing {token} gives a control token");
                    return Err(CheckpointError::Tokenizer { path: path.to_owned(), reason });
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.vocab_size();
        f.debug_struct("Tokenizer")
            .field("vocab_size", &size)
            .field("special", &self.special)
            .finish_non_exhaustive()
    }
}

/// Ids of `text` without a prefix token. Encoding cannot fail: every character has a piece, bytes or the
/// unknown token, and no step before it refuses a string.
fn encode(tokenizer: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    let encoding = tokenizer.encode_fast(text, false).expect("every string has an encoding");
    encoding.get_ids().to_vec()
}

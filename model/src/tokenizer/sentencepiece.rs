//! Reads `tokenizer.model`, a sentencepiece protobuf: pieces, scores, kinds and the few flags that change
//! what a text becomes. Knows neither special tokens beyond their kind nor how pieces are merged.

use std::collections::HashSet;
use std::path::Path;

use super::protobuf::Reader;
use crate::error::CheckpointError;

/// Longest piece accepted, bytes; LLaMA's longest is 48. Bounds the work of finding merges.
const MAX_PIECE_BYTES: usize = 1024;
/// Most pieces accepted; LLaMA has 32,000.
const MAX_PIECES: usize = 1 << 20;
/// `ModelProto.TrainerSpec.ModelType.BPE`.
const MODEL_TYPE_BPE: u64 = 2;

/// What a piece is for (`SentencePiece.Type`). User-defined and unused pieces do not occur in LLaMA's
/// vocabularies and are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// Text.
    Normal,
    /// The unknown token.
    Unknown,
    /// A control token such as `<s>`; never matched in text.
    Control,
    /// `<0xNN>`: one byte of text that no piece covers.
    Byte(u8),
}

/// One row of the vocabulary; its id is its place.
#[derive(Debug, Clone, PartialEq)]
pub struct SentencePiece {
    /// Its text, with "▁" for spaces.
    pub text: String,
    /// Higher merges first.
    pub score: f32,
    /// What it is for.
    pub kind: PieceKind,
}

/// The parts of a BPE `tokenizer.model` that decide which ids a text has.
#[derive(Debug, Clone, PartialEq)]
pub struct SentencePieceModel {
    /// The vocabulary in id order.
    pub pieces: Vec<SentencePiece>,
    /// Whether "▁" is put before each text.
    pub add_dummy_prefix: bool,
    /// Whether spaces at the ends go and runs of spaces become one.
    pub remove_extra_whitespaces: bool,
    /// Whether characters that no piece covers become their bytes (else the unknown token).
    pub byte_fallback: bool,
}

impl SentencePieceModel {
    /// Parses the file's bytes; `path` only names the file in errors.
    ///
    /// # Errors
    /// `CheckpointError::Tokenizer` for bytes that are no such protobuf, and for models that are not BPE
    /// over unchanged text (another model type, a normalisation table, user-defined pieces).
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        read_model(bytes)
            .map_err(|reason| CheckpointError::Tokenizer { path: path.to_owned(), reason })
    }
}

/// `TrainerSpec` and `NormalizerSpec` with protobuf's defaults.
struct Flags {
    model_type: u64,
    byte_fallback: bool,
    whitespace_as_suffix: bool,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
    has_normalisation_table: bool,
}

fn read_model(bytes: &[u8]) -> Result<SentencePieceModel, String> {
    let mut flags = Flags {
        model_type: 1,
        byte_fallback: false,
        whitespace_as_suffix: false,
        add_dummy_prefix: true,
        remove_extra_whitespaces: true,
        escape_whitespaces: true,
        has_normalisation_table: false,
    };
    let mut pieces = Vec::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 if pieces.len() == MAX_PIECES => {
                return Err(format!("more than {MAX_PIECES} pieces"));
            }
            1 => pieces.push(read_piece(field.bytes()?, pieces.len())?),
            2 => read_trainer(field.bytes()?, &mut flags)?,
            3 => read_normalizer(field.bytes()?, &mut flags)?,
            _ => {} // self-test samples and the denormaliser do not change ids
        }
    }
    check_flags(&flags)?;
    check_pieces(&pieces, flags.byte_fallback)?;
    Ok(SentencePieceModel {
        pieces,
        add_dummy_prefix: flags.add_dummy_prefix,
        remove_extra_whitespaces: flags.remove_extra_whitespaces,
        byte_fallback: flags.byte_fallback,
    })
}

fn read_piece(bytes: &[u8], id: usize) -> Result<SentencePiece, String> {
    let (mut text, mut score, mut kind) = (String::new(), 0.0f32, 1u64);
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            1 => text = field.string().map_err(|e| format!("piece {id}: {e}"))?.to_owned(),
            2 => score = f32::from_bits(field.fixed32()?),
            3 => kind = field.varint()?,
            _ => {}
        }
    }
    if text.is_empty() || text.len() > MAX_PIECE_BYTES {
        return Err(format!("piece {id} has {} bytes, wanted 1 to {MAX_PIECE_BYTES}", text.len()));
    }
    if score.is_nan() {
        return Err(format!("piece {id} ({text:?}) has no score"));
    }
    let kind = match kind {
        1 => PieceKind::Normal,
        2 => PieceKind::Unknown,
        3 => PieceKind::Control,
        6 => {
            PieceKind::Byte(byte_of(&text).ok_or_else(|| {
                format!("piece {id} ({text:?}) is marked as a byte but names none")
            })?)
        }
        other => {
            return Err(format!(
                "piece {id} ({text:?}) is of kind {other}; only normal, unknown, control and byte pieces are known"
            ));
        }
    };
    Ok(SentencePiece { text, score, kind })
}

fn read_trainer(bytes: &[u8], flags: &mut Flags) -> Result<(), String> {
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            3 => flags.model_type = field.varint()?,
            24 => flags.whitespace_as_suffix = field.flag()?,
            35 => flags.byte_fallback = field.flag()?,
            _ => {}
        }
    }
    Ok(())
}

fn read_normalizer(bytes: &[u8], flags: &mut Flags) -> Result<(), String> {
    let mut reader = Reader::new(bytes);
    while let Some((number, field)) = reader.next_field()? {
        match number {
            2 => flags.has_normalisation_table = !field.bytes()?.is_empty(),
            3 => flags.add_dummy_prefix = field.flag()?,
            4 => flags.remove_extra_whitespaces = field.flag()?,
            5 => flags.escape_whitespaces = field.flag()?,
            _ => {}
        }
    }
    Ok(())
}

fn check_flags(flags: &Flags) -> Result<(), String> {
    if flags.model_type != MODEL_TYPE_BPE {
        return Err(format!("model type is {}, wanted {MODEL_TYPE_BPE} (BPE)", flags.model_type));
    }
    if flags.has_normalisation_table {
        return Err("has a normalisation table; only identity normalisation is known".to_owned());
    }
    if flags.whitespace_as_suffix || !flags.escape_whitespaces {
        return Err("spaces must be kept as a \"▁\" before words".to_owned());
    }
    Ok(())
}

fn check_pieces(pieces: &[SentencePiece], byte_fallback: bool) -> Result<(), String> {
    let mut seen = HashSet::with_capacity(pieces.len());
    let mut bytes = [false; 256];
    let mut unknown = 0usize;
    for (id, piece) in pieces.iter().enumerate() {
        if !seen.insert(piece.text.as_str()) {
            return Err(format!("piece {id} ({:?}) occurs twice", piece.text));
        }
        match piece.kind {
            PieceKind::Byte(byte) => bytes[byte as usize] = true,
            PieceKind::Unknown => unknown += 1,
            PieceKind::Normal | PieceKind::Control => {}
        }
    }
    if unknown != 1 {
        return Err(format!("{unknown} unknown tokens, wanted 1"));
    }
    if byte_fallback && let Some(missing) = bytes.iter().position(|present| !present) {
        return Err(format!("byte fallback is on, but <0x{missing:02X}> is missing"));
    }
    Ok(())
}

/// The byte that a piece such as `<0x0A>` names.
pub(super) fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

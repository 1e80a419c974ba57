//! A run as JSON: figures, and every case with what was asked, what came and what it is worth. Pictures are
//! named by the hash of their files. Counts nothing.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Figures, RunNotes};
use crate::evaluation::Outcome;
use crate::verdict::AnswerPiece;

/// The whole run.
pub fn record(notes: &RunNotes, figures: &Figures, outcomes: &[Outcome<'_>]) -> Value {
    json!({
        "run": notes,
        "tasks": figures.tasks,
        "splits": figures.splits().into_iter().map(|split| json!({
            "split": split,
            "right": figures.right(split),
            "pictures_as_asked": figures.pictures_as_asked(split),
        })).collect::<Vec<_>>(),
        "errors": figures.errors(),
        "cases": outcomes.iter().map(case).collect::<Vec<_>>(),
    })
}

fn case(outcome: &Outcome<'_>) -> Value {
    let mut case = json!({
        "case": outcome.case.line,
        "parameters": outcome.parameters,
        "right": outcome.verdict.is_right(),
        "verdict": outcome.verdict,
    });
    match &outcome.answer {
        Ok(answer) => case["answer"] = answer.pieces.iter().map(piece).collect(),
        Err(fault) => case["error"] = json!(fault.to_string()),
    }
    case
}

fn piece(piece: &AnswerPiece) -> Value {
    match piece {
        AnswerPiece::Text(text) => json!({"type": "text", "text": text}),
        AnswerPiece::Picture(picture) => json!({
            "type": "picture", "sha256": digest(&picture.file), "reading": picture.reading,
        }),
    }
}

/// The SHA-256 of a picture file, in hexadecimal digits.
fn digest(file: &[u8]) -> String {
    Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a drawn picture's file is called: the case, and which of its pictures, counted from 1.
pub fn picture_name(case: &str, index: usize, file: &[u8]) -> String {
    let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_.".contains(symbol);
    let case = case.replace(|symbol: char| !plain(symbol), "_");
    let known = image::guess_format(file).ok().and_then(|format| format.extensions_str().first());
    format!("{case}-{}.{}", index + 1, known.copied().unwrap_or("bin"))
}

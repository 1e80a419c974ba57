//! From sentencepiece's scores to a byte-pair encoder in Hugging Face's `tokenizer.json` form: the merges,
//! the normaliser, the decoder and the added tokens. Knows no files.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::sentencepiece::{PieceKind, SentencePieceModel};

/// A special token outside the text vocabulary, or marked as special inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddedToken {
    /// Its id.
    pub(super) id: u32,
    /// Its exact text.
    pub(super) text: String,
}

/// The `tokenizer.json` that gives the same ids as sentencepiece does with this model, with `added` split
/// off first and `bos` put in front. Pieces made of "▁" follow sentencepiece's whitespace rules.
pub(super) fn tokenizer_json(
    model: &SentencePieceModel,
    added: &[AddedToken],
    bos: &AddedToken,
) -> Value {
    let added: Vec<Value> = added
        .iter()
        .map(|token| {
            json!({ "id": token.id, "content": token.text, "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true })
        })
        .collect();
    let bos_item = json!({ "SpecialToken": { "id": bos.text, "type_id": 0 } });
    let sequence = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
    let mut special_tokens = serde_json::Map::new();
    special_tokens
        .insert(bos.text.clone(), json!({ "id": bos.text, "ids": [bos.id], "tokens": [bos.text] }));
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": normalizer(model),
        "pre_tokenizer": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos_item, sequence("A")],
            "pair": [bos_item, sequence("A"), bos_item, sequence("B")],
            "special_tokens": special_tokens,
        },
        "decoder": decoder(model),
        "model": bpe(model),
    })
}

/// Spaces to "▁", and one "▁" in front: what `normalizer_spec` asks for.
fn normalizer(model: &SentencePieceModel) -> Value {
    let regex = |pattern: &str, content: &str| json!({ "type": "Replace", "pattern": { "Regex": pattern }, "content": content });
    let mut steps = Vec::new();
    if model.remove_extra_whitespaces {
        steps.extend([regex(r"\A +", ""), regex(r"[ ▁]+\z", ""), regex(" {2,}", " ")]);
    }
    if model.add_dummy_prefix {
        steps.push(json!({ "type": "Prepend", "prepend": "▁" }));
    }
    steps.push(json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" }));
    json!({ "type": "Sequence", "normalizers": steps })
}

/// "▁" to spaces, bytes to characters, and the first space off.
fn decoder(model: &SentencePieceModel) -> Value {
    let mut steps = vec![
        json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if model.add_dummy_prefix {
        steps.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    json!({ "type": "Sequence", "decoders": steps })
}

fn bpe(model: &SentencePieceModel) -> Value {
    let vocabulary: serde_json::Map<String, Value> = model
        .pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| (piece.text.clone(), json!(id)))
        .collect();
    let unknown = model.pieces.iter().find(|piece| piece.kind == PieceKind::Unknown);
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": unknown.map(|piece| &piece.text),
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": true,
        "byte_fallback": model.byte_fallback,
        "ignore_merges": false,
        "vocab": vocabulary,
        "merges": merges(model),
    })
}

/// Every way to put a text piece together from two others, best score first; pieces of one score in id
/// order, and the ways to one piece by the ids of its halves (as `SentencePieceExtractor` orders them).
///
/// Only text pieces take part: a merge that ended in a control or byte piece would let typed text become
/// one.
fn merges(model: &SentencePieceModel) -> Vec<[&str; 2]> {
    let ids: HashMap<&str, usize> = model
        .pieces
        .iter()
        .enumerate()
        .filter(|(_, piece)| piece.kind == PieceKind::Normal)
        .map(|(id, piece)| (piece.text.as_str(), id))
        .collect();
    let mut by_score: Vec<_> =
        model.pieces.iter().filter(|piece| piece.kind == PieceKind::Normal).collect();
    by_score.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal)); // stable: ids break ties
    let mut merges = Vec::new();
    for piece in by_score {
        let first = merges.len();
        for (border, _) in piece.text.char_indices().skip(1) {
            let (left, right) = piece.text.split_at(border);
            if ids.contains_key(left) && ids.contains_key(right) {
                merges.push([left, right]);
            }
        }
        merges[first..].sort_by_key(|[left, right]| (ids[left], ids[right]));
    }
    merges
}

//! Which files of a checkpoint make its tokenizer, and whether they agree. Knows neither encoding nor
//! decoding.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::bpe::{AddedToken, tokenizer_json};
use super::sentencepiece::SentencePieceModel;
use super::special_tokens::{SpecialTokenSources, SpecialTokens, TOKENIZER_JSON, read_json};
use crate::error::CheckpointError;

const TOKENIZER_MODEL: &str = "tokenizer.model";

/// The text vocabulary with its added tokens, agreed on by every file.
pub(super) struct Vocabulary {
    /// The file that decided.
    pub(super) path: PathBuf,
    /// `tokenizer.json`, read or made.
    pub(super) json: Value,
    /// Every id's text.
    pub(super) texts: Vec<String>,
    /// Special tokens in id order.
    pub(super) added: Vec<AddedToken>,
    /// The ones with a role.
    pub(super) special: SpecialTokens,
    /// Whether decoding drops every leading space.
    pub(super) remove_extra_whitespaces: bool,
}

impl Vocabulary {
    pub(super) fn load(folder: &Path, vocab_size: usize) -> Result<Self, CheckpointError> {
        let json = read_json(folder, TOKENIZER_JSON)?;
        let mut sources = SpecialTokenSources::gather(folder, json.as_ref())?;
        let model_path = folder.join(TOKENIZER_MODEL);
        match (std::fs::read(&model_path), json) {
            (Ok(bytes), json) => {
                let model = SentencePieceModel::parse(&bytes, &model_path)?;
                let texts: Vec<String> =
                    model.pieces.iter().map(|piece| piece.text.clone()).collect();
                sources.compare_with_vocabulary(&texts, TOKENIZER_MODEL)?;
                let mut made =
                    Self::assemble(model_path, Value::Null, texts, &sources, vocab_size)?;
                made.json = tokenizer_json(&model, &made.added, &sources.role("bos_token")?);
                made.remove_extra_whitespaces = model.remove_extra_whitespaces;
                if let Some(json) = json {
                    made.compare_with(&folder.join(TOKENIZER_JSON), &json)?;
                }
                Ok(made)
            }
            (Err(e), Some(mut json)) if e.kind() == std::io::ErrorKind::NotFound => {
                let path = folder.join(TOKENIZER_JSON);
                let texts = read_texts(&path, &json)?;
                sources.compare_with_vocabulary(&texts, TOKENIZER_JSON)?;
                mark_added_as_special(&mut json);
                let read = Self::assemble(path, json, texts, &sources, vocab_size)?;
                read.refuse_merges_into_special()?;
                Ok(read)
            }
            (Err(e), None) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(CheckpointError::Missing {
                    folder: folder.to_owned(),
                    wanted: "tokenizer".to_owned(),
                    hint: format!("{TOKENIZER_MODEL} or {TOKENIZER_JSON}"),
                })
            }
            (Err(source), _) => Err(CheckpointError::Io { path: model_path, source }),
        }
    }

    /// Puts the added tokens after the text vocabulary, without a gap.
    fn assemble(
        path: PathBuf,
        json: Value,
        mut texts: Vec<String>,
        sources: &SpecialTokenSources,
        vocab_size: usize,
    ) -> Result<Self, CheckpointError> {
        let refuse = |reason: String| CheckpointError::Tokenizer { path: path.clone(), reason };
        let special = sources.resolve(vocab_size)?;
        if texts.len() > vocab_size {
            return Err(refuse(format!(
                "has {} pieces, but the vocabulary has {vocab_size} rows",
                texts.len()
            )));
        }
        let added = sources.tokens()?;
        for token in added
            .iter()
            .filter(|token| token.id as usize >= texts.len())
            .cloned()
            .collect::<Vec<_>>()
        {
            if token.id as usize != texts.len() {
                return Err(refuse(format!(
                    "{} has the id {}, but nothing has the id {}",
                    token.text,
                    token.id,
                    texts.len()
                )));
            }
            texts.push(token.text);
        }
        Ok(Self { path, json, texts, added, special, remove_extra_whitespaces: false })
    }

    /// A `tokenizer.json` beside `tokenizer.model` must be its conversion: the same text for each id.
    fn compare_with(&self, path: &Path, json: &Value) -> Result<(), CheckpointError> {
        let theirs = read_texts(path, json)?;
        let refuse = |reason: String| CheckpointError::Tokenizer { path: path.to_owned(), reason };
        let pairs = self.texts.iter().zip(&theirs);
        if let Some((id, (ours, theirs))) =
            pairs.enumerate().find(|(_, (ours, theirs))| ours != theirs)
        {
            return Err(refuse(format!(
                "the id {id} is {theirs:?} here, but {ours:?} in {TOKENIZER_MODEL}"
            )));
        }
        let added = self.added.iter().filter(|token| token.id as usize >= theirs.len()).count();
        if theirs.len() > self.texts.len() || theirs.len() + added < self.texts.len() {
            return Err(refuse(format!(
                "has {} pieces, but {TOKENIZER_MODEL} has {}",
                theirs.len(),
                self.texts.len() - added
            )));
        }
        Ok(())
    }

    /// No two pieces of text may merge into a special token.
    fn refuse_merges_into_special(&self) -> Result<(), CheckpointError> {
        let merges = self.json.pointer("/model/merges").and_then(Value::as_array);
        for merge in merges.into_iter().flatten() {
            let merged = match merge {
                Value::String(pair) => pair.replacen(' ', "", 1),
                Value::Array(pair) => pair.iter().filter_map(Value::as_str).collect(),
                _ => continue, // the tokenizer's own reader refuses it with its own words
            };
            if self.added.iter().any(|token| token.text == merged) {
                return Err(CheckpointError::Tokenizer {
                    path: self.path.clone(),
                    reason: format!("merges text into the special token {merged}"),
                });
            }
        }
        Ok(())
    }
}

/// The text of each id in a `tokenizer.json`, which must be byte-pair encoding over "▁" pieces without gaps.
fn read_texts(path: &Path, json: &Value) -> Result<Vec<String>, CheckpointError> {
    let refuse = |reason: String| CheckpointError::Tokenizer { path: path.to_owned(), reason };
    let kind = json.pointer("/model/type").and_then(Value::as_str).unwrap_or("unknown");
    if kind != "BPE" {
        return Err(refuse(format!("its model is {kind}, wanted BPE")));
    }
    if json.pointer("/model/byte_fallback").and_then(Value::as_bool) != Some(true) {
        return Err(refuse("wanted byte_fallback, as LLaMA's tokenizers have it".to_owned()));
    }
    let vocabulary = json.pointer("/model/vocab").and_then(Value::as_object);
    let vocabulary = vocabulary.ok_or_else(|| refuse("has no model.vocab".to_owned()))?;
    let mut by_id: HashMap<u64, &str> = HashMap::with_capacity(vocabulary.len());
    for (text, id) in vocabulary {
        let id = id.as_u64().ok_or_else(|| refuse(format!("{text:?} has the id {id}")))?;
        if let Some(other) = by_id.insert(id, text) {
            return Err(refuse(format!("{text:?} and {other:?} share the id {id}")));
        }
    }
    (0..vocabulary.len() as u64)
        .map(|id| by_id.get(&id).map(|text| (*text).to_owned()))
        .collect::<Option<_>>()
        .ok_or_else(|| refuse("its ids have gaps".to_owned()))
}

/// Added tokens are control tokens here, whatever the file says: none may be split off a user's text.
fn mark_added_as_special(json: &mut Value) {
    let tokens = json.get_mut("added_tokens").and_then(Value::as_array_mut);
    for token in tokens.into_iter().flatten() {
        token["special"] = Value::Bool(true);
    }
}

//! The ids of control tokens, gathered from every file that states them and refused when two files
//! disagree. Does not read `bos_token_id` and its like from `config.json`: published files have them wrong.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::bpe::AddedToken;
use crate::error::CheckpointError;

/// Ids of the tokens with a role (model code of the reference: `DEFAULT_*_TOKEN` and LLaMA's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// `<unk>`.
    pub unk: u32,
    /// `<s>`, before every document.
    pub bos: u32,
    /// `</s>`, after every answer.
    pub eos: u32,
    /// `[PAD]`.
    pub pad: u32,
    /// `<image>`: a placeholder in prompt text, never seen by the model.
    pub image: u32,
    /// `<im_patch>`: filler at patch and query positions; its embedding is overwritten.
    pub im_patch: u32,
    /// `<im_start>`: before the patches of a picture.
    pub im_start: u32,
    /// `<im_end>`: after them.
    pub im_end: u32,
    /// `<dream>`: a placeholder for a generated picture in prompt text.
    pub dream: u32,
    /// `<dream_start>`: the one picture token that the model emits.
    pub dream_start: u32,
    /// `<dream_end>`: after the dream queries.
    pub dream_end: u32,
}

impl SpecialTokens {
    /// All eleven, in the order of the fields.
    pub fn all(&self) -> [u32; 11] {
        [
            self.unk,
            self.bos,
            self.eos,
            self.pad,
            self.image,
            self.im_patch,
            self.im_start,
            self.im_end,
            self.dream,
            self.dream_start,
            self.dream_end,
        ]
    }
}

/// What the checkpoint's files say about tokens beside the text vocabulary.
#[derive(Debug)]
pub(super) struct SpecialTokenSources {
    folder: PathBuf,
    /// Text → id and the file that said so first.
    stated: BTreeMap<String, (u32, &'static str)>,
    /// Role (`bos_token`, …) → text.
    names: HashMap<&'static str, String>,
}

const ADDED_TOKENS: &str = "added_tokens.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const CONFIG: &str = "config.json";
pub(super) const TOKENIZER_JSON: &str = "tokenizer.json";

/// Roles whose text a tokenizer may rename, and LLaMA's names for them.
const ROLES: [(&str, &str); 4] =
    [("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>"), ("pad_token", "[PAD]")];

impl SpecialTokenSources {
    /// Reads `added_tokens.json`, `tokenizer_config.json` and `config.json`, where present, and takes
    /// `tokenizer_json` as read already.
    ///
    /// # Errors
    /// `SpecialTokens` when two files give a token different ids; `Tokenizer` for files of another form.
    pub(super) fn gather(
        folder: &Path,
        tokenizer_json: Option<&Value>,
    ) -> Result<Self, CheckpointError> {
        let mut sources = Self {
            folder: folder.to_owned(),
            stated: BTreeMap::new(),
            names: ROLES.iter().map(|(role, name)| (*role, (*name).to_owned())).collect(),
        };
        if let Some(tokens) = read_json(folder, ADDED_TOKENS)? {
            sources.state_map(&tokens, ADDED_TOKENS)?;
        }
        if let Some(config) = read_json(folder, TOKENIZER_CONFIG)? {
            sources.read_tokenizer_config(&config)?;
        }
        if let Some(ids) = read_json(folder, CONFIG)?
            .as_ref()
            .and_then(|config| config.get("special_tokens2ids_dict"))
            .filter(|ids| !ids.is_null())
        {
            sources.state_map(ids, CONFIG)?;
        }
        if let Some(tokens) = tokenizer_json.and_then(|json| json.get("added_tokens")) {
            sources.state_list(tokens)?;
        }
        Ok(sources)
    }

    /// Adds the text vocabulary's own word on every token that a file called special, so that a file
    /// which contradicts the vocabulary is refused.
    ///
    /// # Errors
    /// `SpecialTokens` when the ids differ; `Tokenizer` when a file gives a token the id of another piece.
    pub(super) fn compare_with_vocabulary(
        &mut self,
        pieces: &[String],
        source: &'static str,
    ) -> Result<(), CheckpointError> {
        let ids: HashMap<&str, u32> =
            pieces.iter().enumerate().map(|(id, piece)| (piece.as_str(), id as u32)).collect();
        for name in self.names.values().cloned().collect::<Vec<_>>() {
            if let Some(id) = ids.get(name.as_str()) {
                self.state(&name, *id, source)?;
            }
        }
        for (token, (id, stated_by)) in &self.stated {
            let own = ids.get(token.as_str()).copied();
            if let Some(own) = own.filter(|own| own != id) {
                return Err(CheckpointError::SpecialTokens {
                    token: token.clone(),
                    first: own,
                    first_source: source.to_owned(),
                    second: *id,
                    second_source: (*stated_by).to_owned(),
                });
            }
            if own.is_none()
                && let Some(piece) = pieces.get(*id as usize)
            {
                return Err(self.refuse(
                    stated_by,
                    format!("gives {token} the id {id}, which {source} gives to {piece:?}"),
                ));
            }
        }
        Ok(())
    }

    /// Every token stated, in id order, with two tokens of one id refused.
    pub(super) fn tokens(&self) -> Result<Vec<AddedToken>, CheckpointError> {
        let mut tokens: Vec<AddedToken> = self
            .stated
            .iter()
            .map(|(text, (id, _))| AddedToken { id: *id, text: text.clone() })
            .collect();
        tokens.sort_by_key(|token| token.id);
        for pair in tokens.windows(2) {
            if pair[0].id == pair[1].id {
                return Err(self.refuse(
                    self.stated[&pair[1].text].1,
                    format!("{} and {} share the id {}", pair[0].text, pair[1].text, pair[0].id),
                ));
            }
        }
        Ok(tokens)
    }

    /// The token of a role such as `bos_token`.
    pub(super) fn role(&self, role: &'static str) -> Result<AddedToken, CheckpointError> {
        let text = self.names[role].clone();
        self.id(&text).map(|id| AddedToken { id, text })
    }

    /// Every role's id, all below `vocab_size` (rows of the embedding matrix).
    ///
    /// # Errors
    /// `Tokenizer` when a token is nowhere stated or has no embedding.
    pub(super) fn resolve(&self, vocab_size: usize) -> Result<SpecialTokens, CheckpointError> {
        let tokens = SpecialTokens {
            unk: self.role("unk_token")?.id,
            bos: self.role("bos_token")?.id,
            eos: self.role("eos_token")?.id,
            pad: self.role("pad_token")?.id,
            image: self.id("<image>")?,
            im_patch: self.id("<im_patch>")?,
            im_start: self.id("<im_start>")?,
            im_end: self.id("<im_end>")?,
            dream: self.id("<dream>")?,
            dream_start: self.id("<dream_start>")?,
            dream_end: self.id("<dream_end>")?,
        };
        for (text, (id, source)) in &self.stated {
            if *id as usize >= vocab_size {
                return Err(self.refuse(
                    source,
                    format!("{text} has the id {id}, but the vocabulary has {vocab_size} rows"),
                ));
            }
        }
        Ok(tokens)
    }

    fn id(&self, token: &str) -> Result<u32, CheckpointError> {
        self.stated.get(token).map(|(id, _)| *id).ok_or_else(|| CheckpointError::Missing {
            folder: self.folder.clone(),
            wanted: format!("id for the control token {token}"),
            hint: format!(
                "it in {ADDED_TOKENS}, in {TOKENIZER_CONFIG} (added_tokens_decoder), in {CONFIG} \
                 (special_tokens2ids_dict) or in {TOKENIZER_JSON} (added_tokens)"
            ),
        })
    }

    fn read_tokenizer_config(&mut self, config: &Value) -> Result<(), CheckpointError> {
        for (role, _) in ROLES {
            let stated = config.get(role).filter(|name| !name.is_null());
            let name = stated.map(|name| name.get("content").unwrap_or(name));
            if let Some(name) = name {
                let text = name.as_str().ok_or_else(|| {
                    self.refuse(TOKENIZER_CONFIG, format!("{role} is {name}, wanted a string"))
                })?;
                self.names.insert(role, text.to_owned());
            }
        }
        let Some(decoder) = config.get("added_tokens_decoder").filter(|tokens| !tokens.is_null())
        else {
            return Ok(());
        };
        let entries = decoder.as_object().into_iter().flatten();
        for (id, token) in entries {
            let text = token.get("content").and_then(Value::as_str);
            let (Ok(id), Some(text)) = (id.parse(), text) else {
                let reason = format!("added_tokens_decoder has no token and id in {id:?}: {token}");
                return Err(self.refuse(TOKENIZER_CONFIG, reason));
            };
            self.state(text, id, TOKENIZER_CONFIG)?;
        }
        Ok(())
    }

    /// Token → id, with one more level of nesting in `config.json`.
    fn state_map(&mut self, tokens: &Value, source: &'static str) -> Result<(), CheckpointError> {
        let Some(entries) = tokens.as_object() else {
            return Err(self.refuse(source, format!("tokens and ids wanted, found {tokens}")));
        };
        for (token, id) in entries {
            if token == "additional_special_tokens" && id.is_object() {
                self.state_map(id, source)?;
                continue;
            }
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                self.refuse(source, format!("{token} has the id {id}, wanted an integer"))
            })?;
            self.state(token, id, source)?;
        }
        Ok(())
    }

    fn state_list(&mut self, tokens: &Value) -> Result<(), CheckpointError> {
        for token in tokens.as_array().into_iter().flatten() {
            let text = token.get("content").and_then(Value::as_str);
            let id = token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
            let (Some(text), Some(id)) = (text, id) else {
                let reason = format!("added_tokens has an entry without content and id: {token}");
                return Err(self.refuse(TOKENIZER_JSON, reason));
            };
            self.state(text, id, TOKENIZER_JSON)?;
        }
        Ok(())
    }

    fn state(&mut self, token: &str, id: u32, source: &'static str) -> Result<(), CheckpointError> {
        if token.is_empty() {
            return Err(self.refuse(source, format!("the token with the id {id} is empty")));
        }
        let (first, first_source) = *self.stated.entry(token.to_owned()).or_insert((id, source));
        if first == id {
            return Ok(());
        }
        Err(CheckpointError::SpecialTokens {
            token: token.to_owned(),
            first,
            first_source: first_source.to_owned(),
            second: id,
            second_source: source.to_owned(),
        })
    }

    fn refuse(&self, source: &str, reason: String) -> CheckpointError {
        CheckpointError::Tokenizer { path: self.folder.join(source), reason }
    }
}

/// A JSON file of the folder, or `None` where there is none.
///
/// # Errors
/// `Io` when it cannot be read; `Tokenizer` when it is not JSON.
pub(super) fn read_json(folder: &Path, name: &str) -> Result<Option<Value>, CheckpointError> {
    let path = folder.join(name);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CheckpointError::Io { path, source }),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| CheckpointError::Tokenizer { path, reason: format!("not JSON: {e}") })
}

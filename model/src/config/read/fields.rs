//! Typed access to a JSON object's fields, where every refusal names file, field, value and what is
//! allowed. Knows ranges, not models.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::{Map, Value};

use crate::CheckpointError;

/// Widest layer that is believed: twenty times the largest published model's.
pub(super) const MAX_WIDTH: usize = 1 << 18;
/// Most layers of a tower.
pub(super) const MAX_LAYERS: usize = 1024;
/// Longest context.
pub(super) const MAX_POSITIONS: usize = 1 << 24;
/// Largest configuration file.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Reads a configuration file, which must be one JSON object.
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>, CheckpointError> {
    let io_error = |source| CheckpointError::Io { path: path.to_owned(), source };
    let refuse = |found: String| CheckpointError::Config {
        path: path.to_owned(),
        field: "the file".to_owned(),
        found,
        wanted: "one JSON object".to_owned(),
    };
    let metadata = std::fs::metadata(path).map_err(io_error)?;
    if !metadata.is_file() || metadata.len() > MAX_CONFIG_BYTES {
        return Err(refuse(format!("no regular file of at most {MAX_CONFIG_BYTES} bytes")));
    }
    let text = std::fs::read(path).map_err(io_error)?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(refuse("another JSON value".to_owned())),
        Err(error) => Err(refuse(format!("not JSON ({error})"))),
    }
}

/// An object of a configuration file. A field that is `null` counts as absent, as in Python.
pub(super) struct Fields<'a> {
    path: &'a Path,
    prefix: String,
    object: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The outermost object of a file.
    pub(super) fn new(path: &'a Path, object: &'a Map<String, Value>) -> Self {
        Self { path, prefix: String::new(), object: Some(object) }
    }

    /// An object without fields, which takes every default.
    pub(super) fn empty(&self, name: &str) -> Self {
        Self { path: self.path, prefix: format!("{}{name}.", self.prefix), object: None }
    }

    /// The object in a field.
    pub(super) fn child(&self, name: &str) -> Result<Option<Self>, CheckpointError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Self {
                path: self.path,
                prefix: format!("{}{name}.", self.prefix),
                object: Some(object),
            })),
            Some(other) => Err(self.error(name, other, "an object")),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.object?.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn error(&self, name: &str, found: &dyn Display, wanted: &str) -> CheckpointError {
        CheckpointError::Config {
            path: self.path.to_owned(),
            field: format!("{}{name}", self.prefix),
            found: shorten(&found.to_string()),
            wanted: wanted.to_owned(),
        }
    }

    fn require(&self, name: &str, wanted: &str) -> Result<&'a Value, CheckpointError> {
        self.get(name).ok_or_else(|| self.error(name, &"absent", wanted))
    }

    /// A count that must be given.
    pub(super) fn count(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<usize, CheckpointError> {
        let value = self.require(name, &describe(&range))?;
        self.count_in(name, value, &range)
    }

    /// A count with a default, which is not checked against the range unless given.
    pub(super) fn count_or(
        &self,
        name: &str,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> Result<usize, CheckpointError> {
        match self.get(name) {
            Some(value) => self.count_in(name, value, &range),
            None if range.contains(&default) => Ok(default),
            None => {
                Err(self.error(name, &format!("absent, which means {default}"), &describe(&range)))
            }
        }
    }

    fn count_in(
        &self,
        name: &str,
        value: &Value,
        range: &RangeInclusive<usize>,
    ) -> Result<usize, CheckpointError> {
        value
            .as_u64()
            .and_then(|count| usize::try_from(count).ok())
            .filter(|count| range.contains(count))
            .ok_or_else(|| self.error(name, value, &describe(range)))
    }

    /// One count for each level.
    pub(super) fn counts(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Vec<usize>, CheckpointError> {
        let wanted = format!("1 to {MAX_LEVELS} integers, each {}", describe(&range));
        match self.require(name, &wanted)? {
            Value::Array(items) if (1..=MAX_LEVELS).contains(&items.len()) => {
                items.iter().map(|item| self.count_in(name, item, &range)).collect()
            }
            other => Err(self.error(name, other, &wanted)),
        }
    }

    pub(super) fn is_number(&self, name: &str) -> bool {
        self.get(name).is_some_and(Value::is_number)
    }

    pub(super) fn is_list(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Array(_)))
    }

    /// An integer with a sign.
    pub(super) fn integer_or(
        &self,
        name: &str,
        default: i64,
        range: RangeInclusive<i64>,
    ) -> Result<i64, CheckpointError> {
        let found = match self.get(name) {
            Some(value) => value.as_i64().ok_or_else(|| self.error(name, value, &describe(&range))),
            None => Ok(default),
        }?;
        if range.contains(&found) {
            return Ok(found);
        }
        Err(self.error(name, &found, &describe(&range)))
    }

    /// A finite number with a default.
    pub(super) fn number_or(
        &self,
        name: &str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(default) };
        value
            .as_f64()
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.error(name, value, &describe(&range)))
    }

    /// A number of exactly `N` channels, with a default.
    pub(super) fn numbers_or<const N: usize>(
        &self,
        name: &str,
        default: [f32; N],
        range: RangeInclusive<f64>,
    ) -> Result<[f32; N], CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let wanted = format!("{N} numbers, each {}", describe(&range));
        let refuse = || self.error(name, value, &wanted);
        let items = value.as_array().filter(|items| items.len() == N).ok_or_else(refuse)?;
        let mut numbers = default;
        for (number, item) in numbers.iter_mut().zip(items) {
            let given = item.as_f64().filter(|given| range.contains(given)).ok_or_else(refuse)?;
            *number = given as f32;
        }
        Ok(numbers)
    }

    pub(super) fn flag_or(&self, name: &str, default: bool) -> Result<bool, CheckpointError> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.error(name, other, "true or false")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, CheckpointError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(name, other, "a string")),
        }
    }

    /// One of a few words.
    pub(super) fn choice_or<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
        default: T,
    ) -> Result<T, CheckpointError> {
        let Some(found) = self.text(name)? else { return Ok(default) };
        let chosen = choices.iter().find(|(word, _)| *word == found);
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.error(name, &found, &words.join(" or "))
        })
    }

    /// Distinct words of a few, at least one of them.
    pub(super) fn some_of<T: Copy>(
        &self,
        name: &str,
        choices: &[(String, T)],
    ) -> Result<Option<Vec<T>>, CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let words: Vec<&str> = choices.iter().map(|(word, _)| word.as_str()).collect();
        let refuse = || self.error(name, value, &format!("a list of {}", words.join(", ")));
        let items = value.as_array().filter(|items| !items.is_empty()).ok_or_else(refuse)?;
        let mut chosen = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let choice = choices.iter().find(|(word, _)| item == word);
            let (_, choice) =
                choice.filter(|_| !items[..index].contains(item)).ok_or_else(refuse)?;
            chosen.push(*choice);
        }
        Ok(Some(chosen))
    }

    /// A word for each level, all from a few.
    pub(super) fn words(
        &self,
        name: &str,
        choices: &[&str],
        length: usize,
    ) -> Result<Vec<String>, CheckpointError> {
        let wanted = format!("{length} of {}", choices.join(" or "));
        let value = self.require(name, &wanted)?;
        let words: Option<Vec<String>> = value
            .as_array()
            .map(|items| items.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let valid = |words: &Vec<String>| {
            words.len() == length
                && value.as_array().is_some_and(|items| items.len() == length)
                && words.iter().all(|word| choices.contains(&word.as_str()))
        };
        words.filter(valid).ok_or_else(|| self.error(name, value, &wanted))
    }

    /// Refuses a field that would change the computation in a way that is not implemented. Absent
    /// and `null` are always fine.
    pub(super) fn only(&self, name: &str, allowed: &[Value]) -> Result<(), CheckpointError> {
        let Some(value) = self.get(name) else { return Ok(()) };
        if allowed.iter().any(|one| same(one, value)) {
            return Ok(());
        }
        let wanted: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let wanted = if wanted.is_empty() { "null".to_owned() } else { wanted.join(" or ") };
        Err(self.error(name, value, &wanted))
    }
}

/// Most levels of a UNet or VAE.
const MAX_LEVELS: usize = 8;

/// Equality in which 1 and 1.0 are the same.
fn same(first: &Value, second: &Value) -> bool {
    match (first.as_f64(), second.as_f64()) {
        (Some(first), Some(second)) => first == second,
        _ => first == second,
    }
}

fn describe<T: Display>(range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start(), range.end())
}

fn shorten(text: &str) -> String {
    const MOST: usize = 200;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

//! JSON objects that hostile files cannot bend: duplicate keys are errors, and errors have offsets.
//! Knows JSON, not what the keys mean.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};

use super::{io_error, malformed};
use crate::CheckpointError;

/// Largest JSON file read whole: an index or manifest of this family has about 150 KB.
const MAX_JSON_BYTES: u64 = 16 << 20;

/// An object's entries in file order, each key once.
pub(super) struct UniqueEntries<V>(pub(super) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueEntries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = UniqueEntries<V>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut seen = HashSet::new();
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(M::Error::custom(format!("key {key:?} is given twice")));
                    }
                    entries.push((key, map.next_value()?));
                }
                Ok(UniqueEntries(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Parses a JSON text that starts at byte `start` of a file.
pub(super) fn parse<T: DeserializeOwned>(
    path: &Path,
    start: u64,
    text: &[u8],
) -> Result<T, CheckpointError> {
    serde_json::from_slice(text).map_err(|error| {
        let line_start = text
            .split_inclusive(|byte| *byte == b'\n')
            .take(error.line().saturating_sub(1))
            .map(<[u8]>::len)
            .sum::<usize>();
        let offset = start + (line_start + error.column()) as u64;
        malformed(path, offset, format!("JSON: {error}"))
    })
}

/// Reads and parses a small JSON file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CheckpointError> {
    let metadata = std::fs::metadata(path).map_err(|source| io_error(path, source))?;
    if !metadata.is_file() || metadata.len() > MAX_JSON_BYTES {
        let reason = format!("not a regular file of at most {MAX_JSON_BYTES} bytes");
        return Err(malformed(path, 0, reason));
    }
    let text = std::fs::read(path).map_err(|source| io_error(path, source))?;
    parse(path, 0, &text)
}

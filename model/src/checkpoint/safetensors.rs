//! The safetensors format: a checked header, then the tensors without gaps. Knows the format as
//! `huggingface/safetensors` documents it; refuses everything that its reference reader refuses, and
//! duplicate names besides, each with the place and the reason.

use std::fmt;
use std::path::Path;

use candle_core::DType;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::json::{UniqueEntries, parse};
use super::malformed;
use super::mmap::MappedFile;
use super::stored_tensor::{ByteRange, StoredTensor};
use crate::CheckpointError;

/// The format's own limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Bytes of the header's length.
pub(super) const LENGTH_BYTES: usize = 8;

/// Reads the names and places of all tensors of a file; touches no tensor data.
///
/// # Errors
/// [`CheckpointError::Format`] with file, offset and reason; [`CheckpointError::Io`] from the system.
pub(crate) fn read_safetensors(path: &Path) -> Result<Vec<StoredTensor>, CheckpointError> {
    let file = MappedFile::open(path)?;
    let bytes = file.bytes();
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        let reason = format!("{} bytes cannot hold a safetensors header", bytes.len());
        return Err(malformed(path, 0, reason));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        let reason = format!("a header of {length} bytes; at most {MAX_HEADER_BYTES} are allowed");
        return Err(malformed(path, 0, reason));
    }
    let Some(header) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        let reason = format!("a header of {length} bytes in a file of {} bytes", bytes.len());
        return Err(malformed(path, 0, reason));
    };
    let data_start = LENGTH_BYTES + header.len();
    let mut entries = parse::<Header>(path, LENGTH_BYTES as u64, header)?.0;
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut expected = 0;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, entry) in entries {
        let (start, end) = entry.data_offsets;
        let at = (data_start as u64).saturating_add(start);
        if start != expected {
            let how = if start < expected { "overlaps" } else { "leaves a gap after" };
            let reason = format!("tensor {name:?} {how} the one before it");
            return Err(malformed(path, at, reason));
        }
        expected = end;
        let stored = entry
            .range(data_start)
            .and_then(|range| {
                let dtype = element_type(&entry.dtype)?;
                let shape = entry.dimensions()?;
                StoredTensor::contiguous(name.clone(), dtype, shape, &file, range)
            })
            .map_err(|reason| malformed(path, at, format!("tensor {name:?}: {reason}")))?;
        tensors.push(stored);
    }
    let data_bytes = (bytes.len() - data_start) as u64;
    if expected != data_bytes {
        let reason = format!("the tensors end after {expected} bytes, the file after {data_bytes}");
        return Err(malformed(path, data_start as u64 + expected.min(data_bytes), reason));
    }
    Ok(tensors)
}

/// One tensor's header entry, with lengths as wide as a file can state them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Entry {
    fn range(&self, data_start: usize) -> Result<ByteRange, String> {
        let absolute = |offset: u64| {
            usize::try_from(offset)
                .ok()
                .and_then(|offset| offset.checked_add(data_start))
                .ok_or_else(|| format!("offset {offset} overflows"))
        };
        Ok(ByteRange { start: absolute(self.data_offsets.0)?, end: absolute(self.data_offsets.1)? })
    }

    fn dimensions(&self) -> Result<Vec<usize>, String> {
        let overflow = |size: &u64| format!("a dimension of {size} overflows");
        self.shape.iter().map(|size| usize::try_from(*size).map_err(|_| overflow(size))).collect()
    }
}

/// All entries but `__metadata__`, each name once.
struct Header(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = Header;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a safetensors header")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Header, M::Error> {
                let mut seen = std::collections::HashSet::new();
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(M::Error::custom(format!("key {name:?} is given twice")));
                    }
                    if name == "__metadata__" {
                        map.next_value::<UniqueEntries<String>>()?;
                    } else {
                        entries.push((name, map.next_value()?));
                    }
                }
                Ok(Header(entries))
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}

fn element_type(name: &str) -> Result<DType, String> {
    Ok(match name {
        "F64" => DType::F64,
        "F32" => DType::F32,
        "F16" => DType::F16,
        "BF16" => DType::BF16,
        "I64" => DType::I64,
        "I32" => DType::I32,
        "I16" => DType::I16,
        "U32" => DType::U32,
        "U8" | "BOOL" => DType::U8,
        other => return Err(format!("element type {other:?} is not supported")),
    })
}

/// The format's name of an element type, where weights may have it.
pub(super) fn element_type_name(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::F64 => Some("F64"),
        DType::F32 => Some("F32"),
        DType::F16 => Some("F16"),
        DType::BF16 => Some("BF16"),
        _ => None,
    }
}

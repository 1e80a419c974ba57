//! Writes safetensors and other files of a converted folder, hashing while writing. Knows the
//! format's bytes, not which tensors belong together.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::manifest::ManifestFile;
use super::safetensors::{LENGTH_BYTES, element_type_name};
use super::stored_tensor::StoredTensor;
use super::{io_error, malformed};
use crate::CheckpointError;
use crate::digest::hexadecimal;

/// Where the data of a file begins, and every tensor whose size is a multiple of it: a cache line,
/// and what vector instructions want.
const ALIGNMENT: usize = 64;
/// Bytes copied at a time.
const PIECE: usize = 1 << 20;

/// A file whose size and digest are known when it is finished.
pub(super) struct HashedFile {
    name: String,
    path: PathBuf,
    file: File,
    digest: Sha256,
    bytes: u64,
}

impl HashedFile {
    /// Creates `folder/name`, which must not exist, and the folders above it.
    pub(super) fn create(folder: &Path, name: &str) -> Result<Self, CheckpointError> {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| io_error(parent, source))?;
        }
        let file = File::create_new(&path).map_err(|source| io_error(&path, source))?;
        Ok(Self { name: name.to_owned(), path, file, digest: Sha256::new(), bytes: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        self.file.write_all(bytes).map_err(|source| io_error(&self.path, source))?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes it durable.
    pub(super) fn finish(self) -> Result<ManifestFile, CheckpointError> {
        self.file.sync_all().map_err(|source| io_error(&self.path, source))?;
        let sha256 = hexadecimal(&self.digest.finalize());
        Ok(ManifestFile { path: self.name, bytes: self.bytes, sha256 })
    }
}

/// Writes tensors into one safetensors file, in order of falling alignment: those whose size is a
/// multiple of 64 bytes first, so that each of them starts at such a multiple, and smaller ones after
/// them at multiples of the power of two that divides their size. (The format allows no gaps.)
/// `wrote` is told the number of bytes after each piece.
pub(super) fn write_tensors(
    folder: &Path,
    name: &str,
    tensors: &[&StoredTensor],
    wrote: &mut dyn FnMut(u64),
) -> Result<ManifestFile, CheckpointError> {
    let mut ordered = tensors.to_vec();
    ordered.sort_by_key(|tensor| {
        std::cmp::Reverse(tensor.num_bytes().trailing_zeros().min(ALIGNMENT.trailing_zeros()))
    });
    let mut file = HashedFile::create(folder, name)?;
    file.write(&header(&ordered)?)?;
    for tensor in ordered {
        tensor.for_each_piece(PIECE, |piece| {
            file.write(piece)?;
            wrote(piece.len() as u64);
            Ok::<(), CheckpointError>(())
        })?;
    }
    file.finish()
}

fn header(tensors: &[&StoredTensor]) -> Result<Vec<u8>, CheckpointError> {
    let mut entries = Map::new();
    entries.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut start = 0;
    for tensor in tensors {
        let Some(dtype) = element_type_name(tensor.dtype) else {
            let reason = format!("{} has elements of {:?}", tensor.name, tensor.dtype);
            return Err(malformed(tensor.file().path(), 0, reason));
        };
        let end = start + tensor.num_bytes();
        let entry = json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [start, end] });
        entries.insert(tensor.name.clone(), entry);
        start = end;
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    let padded = (LENGTH_BYTES + text.len()).next_multiple_of(ALIGNMENT) - LENGTH_BYTES;
    text.resize(padded, b' ');
    let mut header = (padded as u64).to_le_bytes().to_vec();
    header.extend(text);
    Ok(header)
}

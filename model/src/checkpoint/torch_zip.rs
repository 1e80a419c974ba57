//! Tensors of a `torch.save` archive: the pickle says what they are, the zip says where they lie.
//! Knows the archive's inner layout (`NAME/data.pkl`, `NAME/data/KEY`), not what tensors mean.

use std::path::Path;

use super::malformed;
use super::mmap::MappedFile;
use super::pickle::{PickledTensor, read_pickle};
use super::stored_tensor::{ByteRange, StoredTensor};
use super::zip_directory::{Directory, read_directory};
use crate::CheckpointError;

/// Far more than the pickle of any checkpoint of this family (about 200 bytes a tensor).
const MAX_PICKLE_BYTES: usize = 16 << 20;

/// Reads the names and places of all tensors of a torch archive; touches no tensor data.
///
/// # Errors
/// [`CheckpointError::Format`] for a broken archive, [`CheckpointError::Pickle`] for a pickle that
/// asks for more than tensors, [`CheckpointError::Io`] from the system.
pub(crate) fn read_torch_archive(path: &Path) -> Result<Vec<StoredTensor>, CheckpointError> {
    let file = MappedFile::open(path)?;
    let bytes = file.bytes();
    if bytes.first() == Some(&0x80) {
        return Err(malformed(
            path,
            0,
            "a bare pickle (torch before 1.6, or no torch file at all); only zip archives are read",
        ));
    }
    let directory = read_directory(path, bytes)?;
    let root = archive_root(path, &directory)?;
    refuse_big_endian(path, bytes, directory.get(&format!("{root}/byteorder")))?;
    let pickle = directory[&format!("{root}/data.pkl")];
    if pickle.end - pickle.start > MAX_PICKLE_BYTES {
        let reason = format!("data.pkl is larger than {MAX_PICKLE_BYTES} bytes");
        return Err(malformed(path, pickle.start as u64, reason));
    }
    let pickled = read_pickle(path, &bytes[pickle.start..pickle.end])?;
    let mut tensors = Vec::with_capacity(pickled.len());
    for tensor in pickled {
        let key = format!("{root}/data/{}", tensor.storage.key);
        let Some(range) = directory.get(&key) else {
            let reason = format!("tensor {:?} lies in {key:?}, which is missing", tensor.name);
            return Err(malformed(path, pickle.start as u64, reason));
        };
        let name = tensor.name.clone();
        let stored = place(&file, tensor, *range)
            .map_err(|reason| malformed(path, range.start as u64, format!("{name}: {reason}")))?;
        tensors.push(stored);
    }
    Ok(tensors)
}

fn place(
    file: &std::sync::Arc<MappedFile>,
    tensor: PickledTensor,
    range: ByteRange,
) -> Result<StoredTensor, String> {
    let storage = &tensor.storage;
    let whole = StoredTensor::contiguous(
        String::new(),
        storage.dtype,
        vec![storage.num_elements],
        file,
        range,
    )?;
    whole.view(tensor.name, tensor.shape, tensor.stride, tensor.first_element)
}

/// The folder inside the archive; torch names it after the file it first wrote.
fn archive_root(path: &Path, directory: &Directory) -> Result<String, CheckpointError> {
    let mut roots = directory.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
    match (roots.next(), roots.next()) {
        (Some(root), None) => Ok(root.to_owned()),
        (Some(_), Some(_)) => Err(malformed(path, 0, "more than one data.pkl in the archive")),
        (None, _) => Err(malformed(path, 0, "not a torch archive: no data.pkl in it")),
    }
}

fn refuse_big_endian(
    path: &Path,
    bytes: &[u8],
    range: Option<&ByteRange>,
) -> Result<(), CheckpointError> {
    let Some(range) = range else { return Ok(()) };
    if &bytes[range.start..range.end] == b"little" {
        return Ok(());
    }
    Err(malformed(path, range.start as u64, "the archive's byte order is not little-endian"))
}

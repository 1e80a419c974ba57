//! Zip archives as torch writes them: stored entries, data aligned to 64 bytes, and always 76 bytes
//! of zip64 records before the end record.

use crate::fixtures::RawTensor;
use crate::pickle_writer::{Placement, state_dict};

/// An archive of tensors, each in its own storage.
pub(crate) fn write_archive(root: &str, tensors: &[RawTensor]) -> Vec<u8> {
    let placed: Vec<(&RawTensor, Placement)> = tensors
        .iter()
        .enumerate()
        .map(|(number, tensor)| (tensor, Placement::alone(number, &tensor.shape)))
        .collect();
    let storages: Vec<(String, Vec<u8>)> = tensors
        .iter()
        .enumerate()
        .map(|(number, tensor)| (number.to_string(), tensor.bytes.clone()))
        .collect();
    write_torch_archive(root, &state_dict(&placed), &storages)
}

/// An archive of any pickle and any storages.
pub(crate) fn write_torch_archive(
    root: &str,
    pickle: &[u8],
    storages: &[(String, Vec<u8>)],
) -> Vec<u8> {
    let mut entries = vec![
        (format!("{root}/data.pkl"), pickle.to_vec()),
        (format!("{root}/byteorder"), b"little".to_vec()),
    ];
    for (key, bytes) in storages {
        entries.push((format!("{root}/data/{key}"), bytes.clone()));
    }
    entries.push((format!("{root}/version"), b"3\n".to_vec()));
    write_zip(&entries)
}

/// A stored zip with torch's padding and zip64 records.
pub(crate) fn write_zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, data) in entries {
        let offset = file.len() as u32;
        let padding = 64 - (file.len() + 30 + name.len() + 4) % 64;
        file.extend(b"PK\x03\x04");
        file.extend([0; 14]);
        file.extend((data.len() as u32).to_le_bytes());
        file.extend((data.len() as u32).to_le_bytes());
        file.extend((name.len() as u16).to_le_bytes());
        file.extend((4 + padding as u16).to_le_bytes());
        file.extend(name.as_bytes());
        file.extend(b"FB");
        file.extend((padding as u16).to_le_bytes());
        file.extend(vec![b'Z'; padding]);
        file.extend(data);
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 16]);
        directory.extend((data.len() as u32).to_le_bytes());
        directory.extend((data.len() as u32).to_le_bytes());
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = file.len() as u64;
    let count = entries.len() as u64;
    file.extend(&directory);
    let end64 = file.len() as u64;
    file.extend(b"PK\x06\x06");
    file.extend(44u64.to_le_bytes());
    file.extend([0; 12]);
    file.extend(count.to_le_bytes());
    file.extend(count.to_le_bytes());
    file.extend((directory.len() as u64).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend(b"PK\x06\x07");
    file.extend([0; 4]);
    file.extend(end64.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend(b"PK\x05\x06");
    file.extend([0; 4]);
    file.extend((count as u16).to_le_bytes());
    file.extend((count as u16).to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend((start as u32).to_le_bytes());
    file.extend([0; 2]);
    file
}

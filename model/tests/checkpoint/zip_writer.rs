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

/// Writes an archive whose entries after the first lie beyond 4 GiB, with the wide fields that this
/// takes; the bytes between are a hole that takes no room on disk.
pub(crate) fn write_wide_zip(path: &std::path::Path, entries: &[(String, Vec<u8>)]) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::File::create(path).expect("a file");
    let mut directory = Vec::new();
    let mut position = 0u64;
    for (number, (name, data)) in entries.iter().enumerate() {
        if number == 1 {
            position = (4 << 30) + 4096;
        }
        file.seek(SeekFrom::Start(position)).expect("a position");
        let mut header = b"PK\x03\x04".to_vec();
        header.extend([0; 14]);
        header.extend((data.len() as u32).to_le_bytes());
        header.extend((data.len() as u32).to_le_bytes());
        header.extend((name.len() as u16).to_le_bytes());
        header.extend([0; 2]);
        header.extend(name.as_bytes());
        file.write_all(&header).expect("a header");
        file.write_all(data).expect("data");
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 16]);
        directory.extend((data.len() as u32).to_le_bytes());
        directory.extend((data.len() as u32).to_le_bytes());
        directory.extend((name.len() as u16).to_le_bytes());
        // One unrelated extra field, then the zip64 one with the offset alone.
        directory.extend(18u16.to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(u32::MAX.to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend([0x55, 0x58, 2, 0, 7, 7]);
        directory.extend([1, 0, 8, 0]);
        directory.extend(position.to_le_bytes());
        position += (header.len() + data.len()) as u64;
    }
    let (count, size) = (entries.len() as u64, directory.len() as u64);
    let mut end = directory;
    end.extend(b"PK\x06\x06");
    end.extend(44u64.to_le_bytes());
    end.extend([0; 12]);
    for field in [count, count, size, position] {
        end.extend(field.to_le_bytes());
    }
    end.extend(b"PK\x06\x07");
    end.extend([0; 4]);
    end.extend((position + size).to_le_bytes());
    end.extend(1u32.to_le_bytes());
    end.extend(b"PK\x05\x06");
    end.extend([0; 4]);
    end.extend((count as u16).to_le_bytes());
    end.extend((count as u16).to_le_bytes());
    end.extend((size as u32).to_le_bytes());
    end.extend(u32::MAX.to_le_bytes());
    end.extend([0; 2]);
    file.write_all(&end).expect("the directory");
}

//! The directory of a zip archive whose entries are stored, as torch writes them. Knows where each
//! entry's bytes lie; knows neither compression nor tensors.
//!
//! The place of the central directory is taken from the end record alone. Libraries that guess it
//! from the record's own position are misled by the 76 bytes of zip64 records that torch always adds.

use std::collections::HashMap;
use std::path::Path;

use super::malformed;
use super::stored_tensor::ByteRange;
use crate::CheckpointError;

const END_SIGNATURE: u32 = 0x0605_4b50;
const END_LENGTH: usize = 22;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const END64_LENGTH: usize = 56;
const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
const LOCATOR_LENGTH: usize = 20;
const ENTRY_SIGNATURE: u32 = 0x0201_4b50;
const ENTRY_LENGTH: usize = 46;
const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
const LOCAL_LENGTH: usize = 30;
const ZIP64_EXTRA: u16 = 1;
const MAX_COMMENT: usize = u16::MAX as usize;

/// Where each entry's bytes lie, by name.
pub(crate) type Directory = HashMap<String, ByteRange>;

/// Reads the central directory of the archive `bytes`; `path` is for error messages.
///
/// # Errors
/// [`CheckpointError::Format`] where a record is missing, lies outside the file or contradicts
/// another, and where an entry is compressed, encrypted, listed twice or overlaps another.
pub(crate) fn read_directory(path: &Path, bytes: &[u8]) -> Result<Directory, CheckpointError> {
    let archive = Archive { path, bytes };
    let (start, end, num_entries) = archive.find_directory()?;
    let mut directory = Directory::new();
    let mut position = start;
    for _ in 0..num_entries {
        let (name, range, length) = archive.read_entry(position, end)?;
        if directory.insert(name.clone(), range).is_some() {
            return Err(archive.error(position, format!("entry {name:?} is listed twice")));
        }
        position += length;
    }
    if position != end {
        return Err(archive.error(position, "the directory is longer than its entries"));
    }
    archive.refuse_overlaps(&directory)?;
    Ok(directory)
}

struct Archive<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl Archive<'_> {
    fn error(&self, offset: usize, reason: impl Into<String>) -> CheckpointError {
        malformed(self.path, offset as u64, reason)
    }

    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], CheckpointError> {
        offset
            .checked_add(N)
            .and_then(|end| self.bytes.get(offset..end))
            .and_then(|found| found.try_into().ok())
            .ok_or_else(|| self.error(offset, "the file ends inside a zip record"))
    }

    fn u16_at(&self, offset: usize) -> Result<u16, CheckpointError> {
        self.array(offset).map(u16::from_le_bytes)
    }

    fn u32_at(&self, offset: usize) -> Result<u32, CheckpointError> {
        self.array(offset).map(u32::from_le_bytes)
    }

    fn u64_at(&self, offset: usize) -> Result<u64, CheckpointError> {
        self.array(offset).map(u64::from_le_bytes)
    }

    fn expect_signature(
        &self,
        offset: usize,
        signature: u32,
        record: &str,
    ) -> Result<(), CheckpointError> {
        if self.u32_at(offset)? != signature {
            return Err(self.error(offset, format!("no {record} here")));
        }
        Ok(())
    }

    fn position(&self, value: u64, at: usize, what: &str) -> Result<usize, CheckpointError> {
        usize::try_from(value)
            .ok()
            .filter(|position| *position <= self.bytes.len())
            .ok_or_else(|| self.error(at, format!("{what} {value} lies outside the file")))
    }

    /// Start and end of the central directory and the number of its entries.
    fn find_directory(&self) -> Result<(usize, usize, usize), CheckpointError> {
        let end_record = self.find_end_record()?;
        let mut num_entries = u64::from(self.u16_at(end_record + 10)?);
        let mut size = u64::from(self.u32_at(end_record + 12)?);
        let mut start = u64::from(self.u32_at(end_record + 16)?);
        let saturated = num_entries == u64::from(u16::MAX)
            || size == u64::from(u32::MAX)
            || start == u64::from(u32::MAX);
        if saturated {
            let record = self.find_zip64_end_record(end_record)?;
            num_entries = self.u64_at(record + 32)?;
            size = self.u64_at(record + 40)?;
            start = self.u64_at(record + 48)?;
        }
        let start_position = self.position(start, end_record, "the central directory's offset")?;
        let end = start.saturating_add(size);
        let end = self.position(end, end_record, "the central directory's end")?;
        if end > end_record {
            return Err(self.error(end_record, "the central directory overlaps the end record"));
        }
        let most = (end - start_position) / ENTRY_LENGTH;
        let num_entries =
            usize::try_from(num_entries).ok().filter(|count| *count <= most).ok_or_else(|| {
                self.error(
                    end_record,
                    format!("{num_entries} entries do not fit into {size} bytes"),
                )
            })?;
        Ok((start_position, end, num_entries))
    }

    fn find_end_record(&self) -> Result<usize, CheckpointError> {
        let Some(last) = self.bytes.len().checked_sub(END_LENGTH) else {
            return Err(self.error(0, "too short for a zip archive"));
        };
        let first = last.saturating_sub(MAX_COMMENT);
        for position in (first..=last).rev() {
            if self.u32_at(position)? == END_SIGNATURE
                && usize::from(self.u16_at(position + 20)?) == last - position
            {
                return Ok(position);
            }
        }
        Err(self.error(self.bytes.len(), "not a zip archive: no end record (truncated?)"))
    }

    fn find_zip64_end_record(&self, end_record: usize) -> Result<usize, CheckpointError> {
        let Some(locator) = end_record.checked_sub(LOCATOR_LENGTH) else {
            return Err(self.error(end_record, "no zip64 locator before the end record"));
        };
        self.expect_signature(locator, LOCATOR_SIGNATURE, "zip64 locator")?;
        let record = self.u64_at(locator + 8)?;
        let record = self.position(record, locator, "the zip64 end record's offset")?;
        self.expect_signature(record, END64_SIGNATURE, "zip64 end record")?;
        self.array::<END64_LENGTH>(record)?;
        Ok(record)
    }

    /// One directory entry: its name, where its bytes lie, and the entry's own length.
    fn read_entry(
        &self,
        position: usize,
        end: usize,
    ) -> Result<(String, ByteRange, usize), CheckpointError> {
        self.expect_signature(position, ENTRY_SIGNATURE, "directory entry")?;
        let name_length = usize::from(self.u16_at(position + 28)?);
        let extra_length = usize::from(self.u16_at(position + 30)?);
        let comment_length = usize::from(self.u16_at(position + 32)?);
        let length = ENTRY_LENGTH + name_length + extra_length + comment_length;
        if position + length > end {
            return Err(self.error(position, "a directory entry leaves the directory"));
        }
        let name_bytes = &self.bytes[position + ENTRY_LENGTH..][..name_length];
        let name = std::str::from_utf8(name_bytes)
            .map_err(|_| self.error(position + ENTRY_LENGTH, "an entry's name is not UTF-8"))?;
        if self.u16_at(position + 8)? & 1 != 0 {
            return Err(self.error(position + 8, format!("entry {name:?} is encrypted")));
        }
        if self.u16_at(position + 10)? != 0 {
            let reason = format!("entry {name:?} is compressed; torch stores its entries");
            return Err(self.error(position + 10, reason));
        }
        let (size, header) = self.sizes(position, name_length, extra_length)?;
        let range = self.locate(name_bytes, size, header)?;
        Ok((name.to_owned(), range, length))
    }

    /// Size of the data and offset of the local header, from the entry or its zip64 extra field.
    fn sizes(
        &self,
        position: usize,
        name_length: usize,
        extra_length: usize,
    ) -> Result<(u64, u64), CheckpointError> {
        let stored = self.u32_at(position + 20)?;
        let size = self.u32_at(position + 24)?;
        let header = self.u32_at(position + 42)?;
        let mut wide = self.zip64_extra(position + ENTRY_LENGTH + name_length, extra_length)?;
        let mut resolve = |narrow: u32| -> Result<u64, CheckpointError> {
            if narrow != u32::MAX {
                return Ok(u64::from(narrow));
            }
            let Some((field, rest)) = wide.split_first_chunk::<8>() else {
                return Err(self.error(position, "a zip64 size is announced but not given"));
            };
            wide = rest;
            Ok(u64::from_le_bytes(*field))
        };
        let size = resolve(size)?;
        let stored = resolve(stored)?;
        let header = resolve(header)?;
        if stored != size {
            let reason = format!("stored size {stored} differs from size {size}");
            return Err(self.error(position + 20, reason));
        }
        Ok((size, header))
    }

    fn zip64_extra(&self, start: usize, length: usize) -> Result<&[u8], CheckpointError> {
        let mut position = start;
        let end = start + length;
        while position + 4 <= end {
            let field_end = position + 4 + usize::from(self.u16_at(position + 2)?);
            if field_end > end {
                return Err(self.error(position, "an extra field leaves its entry"));
            }
            if self.u16_at(position)? == ZIP64_EXTRA {
                return Ok(&self.bytes[position + 4..field_end]);
            }
            position = field_end;
        }
        Ok(&[])
    }

    /// Where the data lies: after the local header, whose name must be the directory's.
    fn locate(&self, name: &[u8], size: u64, header: u64) -> Result<ByteRange, CheckpointError> {
        let header = self.position(header, 0, "a local header's offset")?;
        self.expect_signature(header, LOCAL_SIGNATURE, "local header")?;
        let name_length = usize::from(self.u16_at(header + 26)?);
        let extra_length = usize::from(self.u16_at(header + 28)?);
        let name_start = header + LOCAL_LENGTH;
        if self.bytes.get(name_start..name_start + name_length) != Some(name) {
            return Err(self.error(header, "a local header names another entry"));
        }
        let start = name_start + name_length + extra_length;
        let end = (start as u64).saturating_add(size);
        let end = self.position(end, header, "the end of an entry")?;
        Ok(ByteRange { start, end })
    }

    fn refuse_overlaps(&self, directory: &Directory) -> Result<(), CheckpointError> {
        let mut ranges: Vec<ByteRange> = directory.values().copied().collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        for pair in ranges.windows(2) {
            if pair[1].start < pair[0].end {
                return Err(self.error(pair[1].start, "two entries overlap"));
            }
        }
        Ok(())
    }
}

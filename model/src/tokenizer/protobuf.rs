//! Protobuf's wire format, reading only: numbered fields out of hostile bytes, without copying.
//! Knows no message types.

/// One field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// Integers and booleans.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Strings and messages.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

impl<'a> Field<'a> {
    pub(super) fn varint(self) -> Result<u64, String> {
        match self {
            Self::Varint(value) => Ok(value),
            Self::Fixed64(_) | Self::Bytes(_) | Self::Fixed32(_) => {
                Err(self.mismatch("an integer"))
            }
        }
    }

    pub(super) fn flag(self) -> Result<bool, String> {
        Ok(self.varint()? != 0)
    }

    pub(super) fn fixed32(self) -> Result<u32, String> {
        match self {
            Self::Fixed32(value) => Ok(value),
            Self::Varint(_) | Self::Fixed64(_) | Self::Bytes(_) => Err(self.mismatch("a float")),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Self::Bytes(value) => Ok(value),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32(_) => Err(self.mismatch("bytes")),
        }
    }

    pub(super) fn string(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|e| format!("not UTF-8: {e}"))
    }

    fn mismatch(self, wanted: &str) -> String {
        let found = match self {
            Self::Varint(_) => "an integer",
            Self::Fixed64(_) => "a double",
            Self::Bytes(_) => "bytes",
            Self::Fixed32(_) => "a float",
        };
        format!("a field holds {found} where {wanted} belongs; not a sentencepiece model")
    }
}

/// Walks the fields of one message.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// The next field and its number, or `None` at the end of the message.
    pub(super) fn next_field(&mut self) -> Result<Option<(u64, Field<'a>)>, String> {
        if self.offset == self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| self.truncated())?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(format!("unknown wire type {other} at byte {}", self.offset)),
        };
        Ok(Some((key >> 3, field)))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(format!("an integer of more than 64 bits at byte {}", self.offset))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.offset.checked_add(length).filter(|end| *end <= self.bytes.len());
        let taken = &self.bytes[self.offset..end.ok_or_else(|| self.truncated())?];
        self.offset += length;
        Ok(taken)
    }

    fn truncated(&self) -> String {
        format!("ends inside a field that starts at byte {}", self.offset)
    }
}

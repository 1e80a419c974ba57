//! Values as bytes between the front and its workers: little-endian numbers, lengths before contents, a tag
//! before each variant. Reading trusts nothing: no length is believed beyond the bytes that are there. Knows
//! no messages. Both ends are the same build, so there is nothing to be compatible with.

use std::sync::Arc;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They end too early.
    #[error("the bytes end in the middle of a value")]
    Truncated,
    /// Something follows the value.
    #[error("{left} bytes follow the value")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// No variant has this tag, or no value of the type looks so.
    #[error("{found} is no {wanted}")]
    Invalid {
        /// What was wanted.
        wanted: &'static str,
        /// What is there.
        found: u64,
    },
}

/// Bytes that are being read.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

/// A value that goes over the wire.
pub trait Wire: Sized {
    /// Appends its bytes.
    fn put(&self, bytes: &mut Vec<u8>);

    /// Takes it off the front of `reader`.
    ///
    /// # Errors
    /// [`WireError`] if it is not there.
    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError>;
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// A length of things that take at least one byte each.
    fn count(&mut self) -> Result<usize, WireError> {
        let count = usize::take(self)?;
        if count > self.0.len() { Err(WireError::Truncated) } else { Ok(count) }
    }
}

/// The bytes of `value`.
pub fn to_bytes(value: &impl Wire) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    bytes
}

/// The value that `bytes` are, and nothing else.
///
/// # Errors
/// [`WireError`] if they are not.
pub fn from_bytes<T: Wire>(bytes: &[u8]) -> Result<T, WireError> {
    let mut reader = Reader(bytes);
    let value = T::take(&mut reader)?;
    match reader.0.len() {
        0 => Ok(value),
        left => Err(WireError::Trailing { left }),
    }
}

macro_rules! wire_numbers {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn put(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                let bytes = reader.bytes(size_of::<Self>())?;
                Ok(Self::from_le_bytes(bytes.try_into().expect("as many bytes as were asked for")))
            }
        }
    )*};
}

wire_numbers!(u8, u16, u32, u64, u128, i32, f32);

impl Wire for usize {
    fn put(&self, bytes: &mut Vec<u8>) {
        (*self as u64).put(bytes);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let found = u64::take(reader)?;
        Self::try_from(found).map_err(|_| WireError::Invalid { wanted: "length", found })
    }
}

impl Wire for bool {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        match u8::take(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(WireError::Invalid { wanted: "truth", found: found.into() }),
        }
    }
}

impl Wire for [u8; 32] {
    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(reader.bytes(32)?.try_into().expect("as many bytes as were asked for"))
    }
}

impl Wire for String {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.len().put(bytes);
        bytes.extend_from_slice(self.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count()?;
        let text = std::str::from_utf8(reader.bytes(count)?);
        let wanted = "UTF-8";
        text.map(str::to_owned).map_err(|_| WireError::Invalid { wanted, found: count as u64 })
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.len().put(bytes);
        self.iter().for_each(|item| item.put(bytes));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count()?;
        (0..count).map(|_| T::take(reader)).collect()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, bytes: &mut Vec<u8>) {
        self.is_some().put(bytes);
        if let Some(value) = self {
            value.put(bytes);
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        bool::take(reader)?.then(|| T::take(reader)).transpose()
    }
}

impl<T: Wire> Wire for Arc<T> {
    fn put(&self, bytes: &mut Vec<u8>) {
        (**self).put(bytes);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        T::take(reader).map(Self::new)
    }
}

/// Many bytes at once, for pixels.
pub(super) fn put_blob(blob: &[u8], bytes: &mut Vec<u8>) {
    blob.len().put(bytes);
    bytes.extend_from_slice(blob);
}

/// The same, read.
pub(super) fn take_blob(reader: &mut Reader<'_>) -> Result<Vec<u8>, WireError> {
    let count = reader.count()?;
    Ok(reader.bytes(count)?.to_vec())
}

/// A struct goes over the wire field by field.
macro_rules! wire_struct {
    ($name:path { $($field:ident),* $(,)? }) => {
        impl Wire for $name {
            fn put(&self, bytes: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($field.put(bytes);)*
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Self { $($field: Wire::take(reader)?),* })
            }
        }
    };
}

/// A struct with one nameless field.
macro_rules! wire_newtype {
    ($($name:path),* $(,)?) => {$(
        impl Wire for $name {
            fn put(&self, bytes: &mut Vec<u8>) {
                self.0.put(bytes);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Self(Wire::take(reader)?))
            }
        }
    )*};
}

/// An enum goes over the wire as a tag and its variant's fields.
macro_rules! wire_enum {
    ($name:path { $($tag:literal => $variant:ident $({ $($field:ident),* })? $(( $inner:ident ))?),* $(,)? }) => {
        impl Wire for $name {
            fn put(&self, bytes: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(( $inner ))? => {
                        bytes.push($tag);
                        $($($field.put(bytes);)*)?
                        $($inner.put(bytes);)?
                    })*
                }
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                match u8::take(reader)? {
                    $($tag => {
                        $($(let $field = Wire::take(reader)?;)*)?
                        $(let $inner = Wire::take(reader)?;)?
                        Ok(Self::$variant $({ $($field),* })? $(( $inner ))?)
                    })*
                    found => Err(WireError::Invalid { wanted: stringify!($name), found: found.into() }),
                }
            }
        }
    };
}

pub(super) use {wire_enum, wire_newtype, wire_struct};

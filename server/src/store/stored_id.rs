//! The names of what is kept. One that was read is well-formed: no more than a known prefix and hexadecimal digits, so that
//! it can be a file's name.

use std::fmt;
use std::str::FromStr;

const NUM_DIGITS: usize = 32;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoredKind {
    /// An answer of `/v1/responses`, with what was asked.
    Response,
    /// A picture's file.
    Picture,
}

impl StoredKind {
    const ALL: [Self; 2] = [Self::Response, Self::Picture];

    fn prefix(self) -> &'static str {
        match self {
            Self::Response => "resp_",
            Self::Picture => "file-",
        }
    }
}

/// A name: OpenAI's prefix, and 128 bits that nobody guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoredId {
    /// What it names.
    pub kind: StoredKind,
    /// Which one.
    pub unique: u128,
}

/// Not a name that was ever given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this service")]
pub struct InvalidId;

impl fmt::Display for StoredId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{:032x}", self.kind.prefix(), self.unique)
    }
}

impl FromStr for StoredId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let named = |kind: StoredKind| Some((kind, text.strip_prefix(kind.prefix())?));
        let (kind, digits) = StoredKind::ALL.into_iter().find_map(named).ok_or(InvalidId)?;
        Ok(Self { kind, unique: hexadecimal(digits).ok_or(InvalidId)? })
    }
}

/// Exactly 32 lower-case digits.
pub(crate) fn hexadecimal(digits: &str) -> Option<u128> {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != NUM_DIGITS || !digits.bytes().all(plain) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is_a_name() {
        for kind in StoredKind::ALL {
            let id = StoredId { kind, unique: 0x0123_4567_89ab_cdef };
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(id.to_string().len(), 37);
        }
        for text in [
            "",
            "file-",
            "file-../../../../etc/passwd000000000",
            "file-0123456789ABCDEF0123456789abcdef",
            "file-0123456789abcdef0123456789abcde",
            "file-0123456789abcdef0123456789abcdef0",
            "file-+123456789abcdef0123456789abcdef",
            "resp-0123456789abcdef0123456789abcdef",
            "resp_0123456789abcdef0123456789abcde\u{e9}",
        ] {
            assert_eq!(text.parse::<StoredId>(), Err(InvalidId), "{text}");
        }
    }
}

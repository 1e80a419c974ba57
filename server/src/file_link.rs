//! Addresses of kept pictures: signed, so that whoever has one needs no key, and expiring. Knows how they are written, signed
//! and read; not where pictures are kept.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use reverie_model::digest::hexadecimal;
use sha2::{Digest as _, Sha256};

use crate::store::StoredId;

/// Between the base and the id.
const PATH: &str = "/v1/files/";
const AFTER_ID: &str = "/content?expires=";
const AFTER_EXPIRY: &str = "&signature=";
/// Longer addresses are none of ours: bases are short.
pub(crate) const MAX_URL_BYTES: usize = 2048;

/// Signs addresses, and makes names that nobody guesses. Replicas that share a store share it.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// From an operator's secret.
    pub fn of_secret(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// From bytes that nobody guesses.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// 128 bits that follow from `parts` and that nobody without the key can guess.
    pub fn unguessable(&self, parts: &[&[u8]]) -> u128 {
        let mac = self.mac("name", parts).finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac[..16]);
        u128::from_be_bytes(bytes)
    }

    fn mac(&self, purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of every length");
        for part in [purpose.as_bytes()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }

    fn mac_of_link(&self, id: StoredId, expires: u64) -> Hmac<Sha256> {
        self.mac("file", &[id.to_string().as_bytes(), &expires.to_le_bytes()])
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(…)")
    }
}

/// What an address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLink {
    /// Of which file it is.
    pub id: StoredId,
    /// From when on it leads nowhere, seconds since 1970.
    pub expires: u64,
    signature: [u8; 32],
}

/// Why an address leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// Signed by nobody, or by another key.
    #[error("was not signed by this service")]
    Forged,
    /// Its time is over.
    #[error("has expired")]
    Expired,
}

impl FileLink {
    /// An address of `id` until `expires`.
    pub fn new(id: StoredId, expires: u64, key: &SigningKey) -> Self {
        let signature = key.mac_of_link(id, expires).finalize().into_bytes();
        Self { id, expires, signature: signature.into() }
    }

    /// Below `base`, such as `https://host`.
    pub fn url(&self, base: &str) -> String {
        let Self { id, expires, signature } = self;
        let signature = hexadecimal(signature);
        format!("{base}{PATH}{id}{AFTER_ID}{expires}{AFTER_EXPIRY}{signature}")
    }

    /// What `url` says, below whatever base, if it is written as [`url`](Self::url) writes.
    pub fn parse(url: &str) -> Option<Self> {
        if url.len() > MAX_URL_BYTES {
            return None;
        }
        let (_base, rest) = url.rsplit_once(PATH)?;
        let (id, rest) = rest.split_once(AFTER_ID)?;
        let (expires, signature) = rest.split_once(AFTER_EXPIRY)?;
        Self::of_parts(id.parse().ok()?, expires, signature)
    }

    /// What an address' parts say, if they are written as [`url`](Self::url) writes them.
    pub fn of_parts(id: StoredId, expires: &str, signature: &str) -> Option<Self> {
        let is_plain = !expires.is_empty() && expires.bytes().all(|byte| byte.is_ascii_digit());
        let expires = if is_plain { expires.parse().ok()? } else { return None };
        Some(Self { id, expires, signature: digest(signature)? })
    }

    /// Whether it still leads somewhere at `now`; comparing takes as long whatever was signed.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, key: &SigningKey, now: u64) -> Result<(), LinkFault> {
        let mac = key.mac_of_link(self.id, self.expires);
        mac.verify_slice(&self.signature).map_err(|_| LinkFault::Forged)?;
        if now >= self.expires { Err(LinkFault::Expired) } else { Ok(()) }
    }
}

/// 32 bytes in lower-case hexadecimal.
fn digest(digits: &str) -> Option<[u8; 32]> {
    use crate::store::stored_id::hexadecimal;
    let (first, second) = digits.split_at_checked(32)?;
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&hexadecimal(first)?.to_be_bytes());
    bytes[16..].copy_from_slice(&hexadecimal(second)?.to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoredKind;

    const ID: StoredId = StoredId { kind: StoredKind::Picture, unique: 7 };

    #[test]
    fn an_address_is_read_below_every_base_and_holds_until_it_expires() {
        let key = SigningKey::of_secret("quiet");
        let link = FileLink::new(ID, 100, &key);
        for base in ["http://localhost:8000", "https://a.example/some/path", ""] {
            assert_eq!(FileLink::parse(&link.url(base)), Some(link));
        }
        assert_eq!(link.check(&key, 99), Ok(()));
        assert_eq!(link.check(&key, 100), Err(LinkFault::Expired));
        assert_eq!(link.check(&SigningKey::of_secret("loud"), 99), Err(LinkFault::Forged));
    }

    #[test]
    fn nothing_of_an_address_can_be_changed() {
        let key = SigningKey::of_secret("quiet");
        let url = FileLink::new(ID, 100, &key).url("http://host");
        let changed = [
            (url.replace("expires=100", "expires=101"), Some(LinkFault::Forged)),
            (url.replace("0007/content", "0008/content"), Some(LinkFault::Forged)),
            (url.replace("expires=100", "expires=+100"), None),
            (url.replace("expires=100", "expires="), None),
            (url.replace("file-", "resp-"), None),
            (format!("{url}0"), None),
            (url[..url.len() - 1].to_owned(), None),
        ];
        for (url, fault) in changed {
            let link = FileLink::parse(&url);
            assert_eq!(link.map(|link| link.check(&key, 0)), fault.map(Err), "{url}");
        }
        let (signed, last) = url.split_at(url.len() - 1);
        let other = if last == "0" { "1" } else { "0" };
        let link = FileLink::parse(&format!("{signed}{other}"));
        assert_eq!(link.map(|link| link.check(&key, 0)), Some(Err(LinkFault::Forged)));
    }

    #[test]
    fn names_follow_from_the_key_and_what_they_are_of() {
        let key = SigningKey::of_secret("quiet");
        let name = key.unguessable(&[b"a", b"b"]);
        assert_eq!(key.unguessable(&[b"a", b"b"]), name);
        assert_ne!(key.unguessable(&[b"ab", b""]), name);
        assert_ne!(SigningKey::of_secret("loud").unguessable(&[b"a", b"b"]), name);
    }
}

//! What only the operator knows: keys from flags and files, and secrets that are drawn where none is given.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::ConfigError;
use crate::args::Secret;
use crate::file_link::SigningKey;
use crate::http::ApiKey;

/// Keys that clients may bring.
pub(super) fn api_keys(
    given: &[Secret],
    file: Option<PathBuf>,
) -> Result<Vec<ApiKey>, ConfigError> {
    let mut keys: Vec<ApiKey> = given.iter().map(|key| ApiKey::new(key.expose())).collect();
    if let Some(path) = file {
        keys.extend(key_lines("api-key-file", &path)?.iter().map(|line| ApiKey::new(line)));
    }
    Ok(keys)
}

/// The keys in a file, at least one, each on a line of its own.
fn key_lines(flag: &'static str, path: &Path) -> Result<Vec<String>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::KeyFile {
        flag,
        path: path.to_owned(),
        source,
    })?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(ConfigError::NoKey { flag, path: path.to_owned() });
    }
    Ok(lines)
}

/// From the operator's secret, or else drawn.
pub(super) fn signing_key(
    given: Option<&Secret>,
    file: Option<PathBuf>,
) -> Result<SigningKey, ConfigError> {
    match (given, file) {
        (Some(secret), _) => Ok(SigningKey::of_secret(secret.expose())),
        (None, Some(path)) => {
            Ok(SigningKey::of_secret(&key_lines("signing-key-file", &path)?.join("\n")))
        }
        (None, None) => Ok(SigningKey::new(drawn_secret())),
    }
}

/// From the operator's secret, or else drawn.
pub(super) fn tenant_salt(secret: Option<&Secret>) -> [u8; 32] {
    secret.map_or_else(drawn_secret, |secret| Sha256::digest(secret.expose()).into())
}

/// From identifiers that nobody guesses.
fn drawn_secret() -> [u8; 32] {
    let mut hash = Sha256::new();
    (0..4).for_each(|_| hash.update(Uuid::now_v7().as_bytes()));
    hash.finalize().into()
}

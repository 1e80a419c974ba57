//! The files that travel inside the binary: the default checkpoint and the reference's golden vectors.
//! They are unpacked into the cache folder on first use, because weights are read by memory-mapping files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "../assets/standin"]
struct DefaultCheckpoint;

#[derive(RustEmbed)]
#[folder = "../tests/goldens"]
struct Goldens;

/// The name under which the built-in checkpoint is served.
pub const DEFAULT_MODEL_NAME: &str = "reverie-standin";

/// Unpacks the built-in checkpoint below `cache` (once) and returns its folder.
///
/// # Errors
/// If the cache folder cannot be written.
pub fn default_checkpoint(cache: &Path) -> io::Result<PathBuf> {
    unpack::<DefaultCheckpoint>(cache, "default-checkpoint")
}

/// Unpacks the golden vectors and their checkpoint below `cache` (once) and returns the folder that
/// holds `checkpoint/` and `vectors/`.
///
/// # Errors
/// If the cache folder cannot be written.
pub fn goldens(cache: &Path) -> io::Result<PathBuf> {
    unpack::<Goldens>(cache, "goldens")
}

/// Where unpacked files go unless `--cache-dir` says otherwise: the user's cache folder, or the
/// system's temporary folder where there is none or it cannot be written (read-only containers).
pub fn default_cache_dir(home: Option<PathBuf>, xdg_cache_home: Option<PathBuf>) -> PathBuf {
    let user = xdg_cache_home.or_else(|| home.map(|home| home.join(".cache")));
    user.map(|folder| folder.join("reverie"))
        .filter(|folder| fs::create_dir_all(folder).is_ok())
        .unwrap_or_else(|| std::env::temp_dir().join("reverie"))
}

/// Writes the embedded files to `cache/{name}-{digest}`. The folder appears whole or not at all: it is
/// written beside its place and renamed, so that two processes starting at once cannot see half of it.
fn unpack<Files: RustEmbed>(cache: &Path, name: &str) -> io::Result<PathBuf> {
    let mut digest = Sha256::new();
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    let file = |name: &str| {
        Files::get(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, name.to_owned()))
    };
    for name in &names {
        digest.update(name.as_bytes());
        digest.update(file(name)?.metadata.sha256_hash());
    }
    let digest: String =
        digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let place = cache.join(format!("{name}-{digest}"));
    if place.is_dir() {
        return Ok(place);
    }
    let draft = cache.join(format!(".{name}-{digest}-{}", std::process::id()));
    for name in &names {
        let path = draft.join(name.as_ref());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &file(name)?.data)?;
    }
    match fs::rename(&draft, &place) {
        Ok(()) => Ok(place),
        // Another process was faster: its folder is the same.
        Err(_) if place.is_dir() => fs::remove_dir_all(&draft).map(|()| place),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_checkpoint_unpacks_once_and_whole() {
        let cache = std::env::temp_dir().join(format!("reverie-assets-{}", std::process::id()));
        let first = default_checkpoint(&cache).unwrap();
        assert!(first.join("config.json").is_file() && first.join("unet/config.json").is_file());
        let before = fs::metadata(first.join("config.json")).unwrap().modified().unwrap();
        assert_eq!(default_checkpoint(&cache).unwrap(), first);
        assert_eq!(fs::metadata(first.join("config.json")).unwrap().modified().unwrap(), before);
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "no draft is left behind");
        fs::remove_dir_all(&cache).unwrap();
    }
}

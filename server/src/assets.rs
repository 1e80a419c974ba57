//! The files that travel inside the binary: the default checkpoint and the reference's golden vectors.
//! They are unpacked into the cache folder on first use, because weights are read by memory-mapping files.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use reverie_model::digest::hexadecimal;
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest, Sha256};

use crate::draft::draft;

#[derive(RustEmbed)]
#[folder = "../assets/mini"]
struct DefaultCheckpoint;

#[derive(RustEmbed)]
#[folder = "../tests/goldens"]
struct Goldens;

/// The name under which the built-in checkpoint is served.
pub const DEFAULT_MODEL_NAME: &str = "reverie-mini";

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

/// Where unpacked files go unless `--cache-dir` says otherwise: the user's cache folder, or one below the
/// system's temporary folder where there is none or it cannot be written (read-only containers).
pub fn default_cache_dir(home: Option<PathBuf>, xdg_cache_home: Option<PathBuf>) -> PathBuf {
    let user = xdg_cache_home.or_else(|| home.map(|home| home.join(".cache")));
    user.map(|folder| folder.join("reverie"))
        .filter(|folder| fs::create_dir_all(folder).is_ok())
        .unwrap_or_else(|| private_folder(&std::env::temp_dir()))
}

/// A folder below `shared`, which everybody can write, that nobody else can: `reverie` if that is ours,
/// else a new one. Whoever owned the folder could swap the weights between our look and our use.
fn private_folder(shared: &Path) -> PathBuf {
    let usual = shared.join("reverie");
    let others = (0..).map(|number| shared.join(format!("reverie-{}-{number}", process::id())));
    for folder in std::iter::once(usual.clone()).chain(others.take(100)) {
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return folder,
            Err(_) if is_private(&folder) => return folder,
            Err(_) => {}
        }
    }
    usual // cannot be used, which whoever tries to will say
}

/// Whether `folder` is a real folder of this process' user that nobody else can write.
fn is_private(folder: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(folder) else { return false };
    if !found.is_dir() || found.permissions().mode() & 0o022 != 0 {
        return false;
    }
    // A file that we make is ours; its owner is who we are.
    let probe = folder.join(format!(".owner-{}", process::id()));
    // Only ever a new file: a link that the folder's owner put there is not followed.
    let made = File::options().write(true).create_new(true).open(&probe);
    let owner = made.and_then(|made| made.metadata());
    let removed = fs::remove_file(&probe);
    removed.is_ok() && owner.is_ok_and(|owner| owner.uid() == found.uid())
}

/// Writes the embedded files to `cache/{name}-{digest}`, unless they are there already, byte for byte. The
/// folder appears whole or not at all: it is written beside its place and renamed, so that two processes
/// starting at once cannot see half of it.
fn unpack<Files: RustEmbed>(cache: &Path, name: &str) -> io::Result<PathBuf> {
    let mut digest = Sha256::new();
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    for name in &names {
        digest.update(name.as_bytes());
        digest.update(embedded::<Files>(name)?.metadata.sha256_hash());
    }
    let digest = hexadecimal(&digest.finalize()[..8]);
    let place = cache.join(format!("{name}-{digest}"));
    let is_whole = || {
        names.iter().all(|name| {
            let held = fs::read(place.join(name.as_ref()));
            held.is_ok_and(|held| embedded::<Files>(name).is_ok_and(|file| *file.data == *held))
        })
    };
    if is_whole() {
        return Ok(place);
    }
    fs::create_dir_all(cache)?;
    let (draft, ()) = draft(cache, &format!(".{name}-{digest}"), |path| fs::create_dir(path))?;
    for name in &names {
        let path = draft.join(name.as_ref());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &embedded::<Files>(name)?.data)?;
    }
    if fs::rename(&draft, &place).is_ok() {
        return Ok(place);
    }
    // Either another process was faster, or what is there has been truncated or swapped.
    if is_whole() {
        return fs::remove_dir_all(&draft).map(|()| place);
    }
    tracing::warn!(folder = %place.display(), "unpacked files were damaged; unpacking them anew");
    fs::remove_dir_all(&place)?;
    fs::rename(&draft, &place).map(|()| place)
}

fn embedded<Files: RustEmbed>(name: &str) -> io::Result<EmbeddedFile> {
    Files::get(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, name.to_owned()))
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

    #[test]
    fn those_who_unpack_at_once_under_one_process_number_are_not_in_each_others_way() {
        let cache = std::env::temp_dir().join(format!("reverie-at-once-{}", process::id()));
        let folders = std::thread::scope(|scope| {
            let unpack = || scope.spawn(|| default_checkpoint(&cache).unwrap());
            let all = [unpack(), unpack(), unpack(), unpack()];
            all.map(|one| one.join().unwrap())
        });
        for folder in &folders {
            assert_eq!(folder, &folders[0]);
        }
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "no draft is left behind");
        fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn damaged_files_are_unpacked_anew() {
        let cache = std::env::temp_dir().join(format!("reverie-damaged-{}", process::id()));
        let folder = default_checkpoint(&cache).unwrap();
        let config = fs::read(folder.join("config.json")).unwrap();
        let mut swapped = config.clone();
        swapped[0] ^= 1;
        for damage in [&config[..config.len() / 2], &swapped] {
            fs::write(folder.join("config.json"), damage).unwrap();
            assert_eq!(default_checkpoint(&cache).unwrap(), folder);
            assert_eq!(fs::read(folder.join("config.json")).unwrap(), config);
        }
        fs::remove_file(folder.join("unet/config.json")).unwrap();
        default_checkpoint(&cache).unwrap();
        assert!(folder.join("unet/config.json").is_file());
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "no draft is left behind");
        fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_trusted_with_weights() {
        let shared = std::env::temp_dir().join(format!("reverie-shared-{}", process::id()));
        fs::create_dir_all(&shared).unwrap();
        let usual = private_folder(&shared);
        assert_eq!(usual, shared.join("reverie"));
        assert_eq!(fs::metadata(&usual).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(private_folder(&shared), usual, "our own is used again");

        fs::set_permissions(&usual, fs::Permissions::from_mode(0o777)).unwrap();
        let fresh = private_folder(&shared);
        assert_ne!(fresh, usual);
        assert_eq!(fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o700);

        fs::remove_dir(&usual).unwrap();
        std::os::unix::fs::symlink(&fresh, &usual).unwrap();
        assert_eq!(private_folder(&shared), fresh, "a link is not followed");
        fs::remove_dir_all(&shared).unwrap();
    }
}

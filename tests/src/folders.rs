//! Where the repository's checkpoints are, and folders that end with their test. Knows paths only.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// `name` below the repository's root.
pub fn in_repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The reference's own saving of a tiny model, in the published layout.
pub fn golden_checkpoint() -> PathBuf {
    in_repository("tests/goldens/checkpoint")
}

/// What the reference computed with it.
pub fn golden_vectors() -> PathBuf {
    in_repository("tests/goldens/vectors")
}

/// The checkpoint that `serve` starts with: trained on coloured shapes.
pub fn mini() -> PathBuf {
    in_repository("assets/mini")
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder.
    ///
    /// # Panics
    /// If the system has none to give.
    #[expect(clippy::new_without_default, reason = "a folder on the disk is no default")]
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("reverie-tests-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `name` in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

/// Copies files and folders below `source` to `destination`.
///
/// # Panics
/// If a file cannot be read or written.
pub fn copy_folder(source: &Path, destination: &Path) {
    std::fs::create_dir_all(destination).expect("a folder");
    for entry in std::fs::read_dir(source).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let target = destination.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copied file");
        }
    }
}

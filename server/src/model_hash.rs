//! The digest of the served weights: stated by a converted folder's manifest, remembered from an earlier
//! start, or computed. Knows files and their dates, not tensors.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use reverie_model::checkpoint::WeightsContent;
use reverie_model::digest::hexadecimal;
use sha2::{Digest, Sha256};

use crate::draft::draft;

/// Smaller weights are hashed sooner than a file about them would be worth.
const REMEMBERED_FROM_BYTES: u64 = 256 << 20;
const HASH_CHARS: usize = 64;

/// The digest of a checkpoint's weights, found once.
#[derive(Debug)]
pub struct ModelHash {
    weights: Option<WeightsContent>,
    /// Where digests are remembered.
    folder: PathBuf,
    remembered_from_bytes: u64,
    found: OnceLock<String>,
}

impl ModelHash {
    /// Of `weights`; what has to be computed is remembered below `cache`.
    pub fn of(weights: WeightsContent, cache: &Path) -> Self {
        let found = weights.stated().map_or_else(OnceLock::new, |stated| stated.to_owned().into());
        Self {
            weights: Some(weights),
            folder: cache.join("model-hashes"),
            remembered_from_bytes: REMEMBERED_FROM_BYTES,
            found,
        }
    }

    /// One that is known already.
    pub fn known(hash: &str) -> Self {
        let found = OnceLock::from(hash.to_owned());
        Self { weights: None, folder: PathBuf::new(), remembered_from_bytes: u64::MAX, found }
    }

    /// SHA-256 in lower-case hexadecimal ([`WeightsContent::digest`]). The first call may read all weights,
    /// which takes as long as the disk needs; further ones wait for it.
    pub fn get(&self) -> &str {
        self.found.get_or_init(|| self.weights.as_ref().map_or_else(String::new, |w| self.find(w)))
    }

    fn find(&self, weights: &WeightsContent) -> String {
        if weights.num_bytes() < self.remembered_from_bytes {
            return weights.digest();
        }
        let place = match file_key(weights) {
            Ok(key) => self.folder.join(key),
            Err(_) => return weights.digest(), // without their dates nothing can be remembered of files
        };
        if let Some(known) = fs::read_to_string(&place).ok().filter(|text| is_hash(text)) {
            return known;
        }
        let digest = weights.digest();
        if let Err(error) = remember(&self.folder, &place, &digest) {
            tracing::debug!(%error, "the weights' digest is not remembered");
        }
        digest
    }
}

/// Changes with the name, size or modification time of any file.
fn file_key(weights: &WeightsContent) -> io::Result<String> {
    let mut digest = Sha256::new();
    for path in weights.files() {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        digest.update(path.canonicalize()?.as_os_str().as_encoded_bytes());
        digest.update([0]);
        digest.update(metadata.len().to_le_bytes());
        digest.update(modified.as_nanos().to_le_bytes());
    }
    Ok(hexadecimal(&digest.finalize()))
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_CHARS
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The file appears whole or not at all.
fn remember(folder: &Path, place: &Path, digest: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let (draft, mut file) = draft(folder, ".draft", |path| File::create_new(path))?;
    file.write_all(digest.as_bytes())?;
    fs::rename(&draft, place)
}

#[cfg(test)]
mod tests {
    use reverie_model::checkpoint::Checkpoint;

    use super::*;

    fn golden(cache: &Path) -> ModelHash {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/checkpoint");
        let weights = Checkpoint::open(&folder).unwrap().weights_content();
        ModelHash { remembered_from_bytes: 0, ..ModelHash::of(weights, cache) }
    }

    #[test]
    fn a_computed_digest_is_remembered_and_a_torn_file_is_not_believed() {
        let cache = std::env::temp_dir().join(format!("reverie-model-hash-{}", std::process::id()));
        let computed = golden(&cache).get().to_owned();
        assert!(is_hash(&computed));
        let remembered: Vec<_> = fs::read_dir(cache.join("model-hashes")).unwrap().collect();
        let [Ok(file)] = remembered.as_slice() else { panic!("one file: {remembered:?}") };
        assert_eq!(fs::read_to_string(file.path()).unwrap(), computed);

        let other = "0".repeat(HASH_CHARS);
        fs::write(file.path(), &other).unwrap();
        assert_eq!(golden(&cache).get(), other, "it is read, not computed again");
        fs::write(file.path(), &other[1..]).unwrap();
        assert_eq!(golden(&cache).get(), computed);
        fs::remove_dir_all(&cache).unwrap();
    }

    #[test]
    fn a_cache_that_cannot_be_written_costs_nothing_but_time() {
        let nowhere = Path::new("/dev/null/cache");
        assert!(is_hash(golden(nowhere).get()));
    }
}

//! `reverie_manifest.json` of a converted folder: size and sha256 of every file. Knows files, not
//! tensors.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::shards::inside;
use super::{io_error, json, malformed};
use crate::CheckpointError;
use crate::digest::hexadecimal;

/// The manifest's file name.
pub const MANIFEST_FILE: &str = "reverie_manifest.json";
/// What the field `format` of a manifest must be.
pub(super) const MANIFEST_FORMAT: &str = "reverie-checkpoint/1";

/// What a converted folder consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `reverie-checkpoint/1`.
    pub format: String,
    /// Number of tensors.
    pub num_tensors: usize,
    /// Number of parameters in them.
    pub num_parameters: u64,
    /// Digest of the tensors, whatever files they lie in ([`WeightsContent::digest`](super::WeightsContent));
    /// absent where an older version converted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// Every file of the folder but the manifest, by path.
    pub files: Vec<ManifestFile>,
}

/// One file of a converted folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Relative to the folder, with `/`.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Digest, lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads the folder's manifest, if it has one, and checks that every file is there in its size.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = folder.join(MANIFEST_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let manifest: Self = json::read(&path)?;
        if manifest.format != MANIFEST_FORMAT {
            let reason = format!("format {:?}, wanted {MANIFEST_FORMAT:?}", manifest.format);
            return Err(malformed(&path, 0, reason));
        }
        for file in &manifest.files {
            let path = file.locate(folder)?;
            let metadata = std::fs::metadata(&path).map_err(|source| io_error(&path, source))?;
            if metadata.len() != file.bytes {
                let reason = format!(
                    "the file has {} bytes, the manifest says {}",
                    metadata.len(),
                    file.bytes
                );
                return Err(malformed(&path, metadata.len().min(file.bytes), reason));
            }
        }
        Ok(Some(manifest))
    }

    /// Reads every file and compares its digest. Returns the number of bytes read.
    ///
    /// # Errors
    /// [`CheckpointError::Checksum`] for the first file that differs; [`CheckpointError::Io`].
    pub(super) fn verify(&self, folder: &Path) -> Result<u64, CheckpointError> {
        let mut bytes = 0;
        for file in &self.files {
            let path = file.locate(folder)?;
            let found = digest_file(&path)?;
            if found != file.sha256 {
                return Err(CheckpointError::Checksum { path, found, wanted: file.sha256.clone() });
            }
            bytes += file.bytes;
        }
        Ok(bytes)
    }
}

impl ManifestFile {
    fn locate(&self, folder: &Path) -> Result<PathBuf, CheckpointError> {
        inside(folder, &self.path).ok_or_else(|| {
            let reason = format!("file {:?} lies outside the folder", self.path);
            malformed(&folder.join(MANIFEST_FILE), 0, reason)
        })
    }
}

fn digest_file(path: &Path) -> Result<String, CheckpointError> {
    let mut file = File::open(path).map_err(|source| io_error(path, source))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut buffer).map_err(|source| io_error(path, source))?;
        if length == 0 {
            return Ok(hexadecimal(&digest.finalize()));
        }
        digest.update(&buffer[..length]);
    }
}

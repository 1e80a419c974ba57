//! What a checkpoint's weights are, in one digest: the same for every layout that holds the same tensors.
//! Knows tensors and files, not the network they belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::stored_tensor::StoredTensor;
use crate::digest::hexadecimal;

/// Bytes hashed at a time.
const PIECE: usize = 1 << 20;

/// The weights of an opened checkpoint, for whoever wants their digest; cheap to clone.
#[derive(Debug, Clone)]
pub struct WeightsContent {
    pub(super) tensors: Arc<BTreeMap<String, StoredTensor>>,
    pub(super) stated: Option<String>,
}

impl WeightsContent {
    /// The digest as the manifest of a converted folder states it.
    pub fn stated(&self) -> Option<&str> {
        self.stated.as_deref()
    }

    /// The files that hold the tensors.
    pub fn files(&self) -> BTreeSet<&Path> {
        self.tensors.values().map(|tensor| tensor.file().path()).collect()
    }

    /// Bytes of all tensors.
    pub fn num_bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.num_bytes() as u64).sum()
    }

    /// SHA-256, in lower-case hexadecimal, of one line for each tensor in alphabetical order: canonical name,
    /// element type, dimensions joined by `x`, and the SHA-256 of its elements (row-major, little-endian),
    /// with a space between them and a line feed at the end. Reads every tensor.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (name, tensor) in self.tensors.as_ref() {
            let shape: Vec<_> = tensor.shape.iter().map(ToString::to_string).collect();
            let (dtype, shape) = (tensor.dtype.as_str(), shape.join("x"));
            let elements = elements_digest(tensor);
            digest.update(format!("{name} {dtype} {shape} {elements}\n"));
        }
        hexadecimal(&digest.finalize())
    }
}

fn elements_digest(tensor: &StoredTensor) -> String {
    let mut digest = Sha256::new();
    let Ok(()) = tensor.for_each_piece(PIECE, |piece| {
        digest.update(piece);
        Ok::<_, Infallible>(())
    });
    hexadecimal(&digest.finalize())
}

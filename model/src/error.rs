//! What can go wrong in this crate, as facts with fields.

use std::path::PathBuf;

use candle_core::{DType, Tensor};

use crate::config::Ability;
use crate::json_grammar::GrammarError;

/// A checkpoint folder that cannot be used. Exit code 65 (data) or 78 (configuration) at the command line.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file that must be there is not.
    #[error("{folder}: no {wanted}; expected {hint}", folder = folder.display())]
    Missing {
        /// The checkpoint folder.
        folder: PathBuf,
        /// The file or kind of file looked for.
        wanted: String,
        /// What would have been accepted.
        hint: String,
    },
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file's bytes do not follow its format.
    #[error("{path}: at byte {offset}: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in the file, bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A pickle asks for something that rebuilding tensors does not need. Nothing was executed.
    #[error("{path}: refused pickle opcode {opcode} at byte {offset}: {reason}", path = path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// The opcode's name and byte, as in `pickletools`.
        opcode: String,
        /// Where in the pickle stream, bytes.
        offset: u64,
        /// Why it is refused.
        reason: String,
    },
    /// A configuration value that no checkpoint can have.
    #[error("{path}: {field} is {found}, wanted {wanted}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The field, dotted.
        field: String,
        /// Its value.
        found: String,
        /// What is allowed.
        wanted: String,
    },
    /// Two sources of special token ids contradict each other.
    #[error("special token {token} is {first} in {first_source} but {second} in {second_source}")]
    SpecialTokens {
        /// The token's text.
        token: String,
        /// Its id in the first source.
        first: u32,
        /// File of the first id.
        first_source: String,
        /// Its id in the second source.
        second: u32,
        /// File of the second id.
        second_source: String,
    },
    /// The tensors found are not the tensors the configuration describes; every difference is listed.
    #[error("{folder}: the tensors do not match the configuration:\n{report}", folder = folder.display())]
    Tensors {
        /// The checkpoint folder.
        folder: PathBuf,
        /// One line for each missing, unexpected, misnamed or misshapen tensor.
        report: String,
    },
    /// A file differs from what the manifest recorded.
    #[error("{path}: sha256 is {found}, the manifest says {wanted}", path = path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Digest of the file as it is.
        found: String,
        /// Digest in the manifest.
        wanted: String,
    },
    /// The tokenizer's files are unusable.
    #[error("{path}: tokenizer: {reason}", path = path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor operation failed while loading.
    #[error("while loading: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl CheckpointError {
    /// The process exit code for this error, as in `sysexits.h`: 78 configuration, 71 system, 65 data.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } | Self::SpecialTokens { .. } | Self::Tokenizer { .. } => 78,
            Self::Io { .. } => 71,
            Self::Missing { .. }
            | Self::Format { .. }
            | Self::Pickle { .. }
            | Self::Tensors { .. }
            | Self::Checksum { .. }
            | Self::Tensor(_) => 65,
        }
    }
}

/// A computation that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The tensor library refused; always a defect or a lack of memory, never bad user input.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A context would grow past what the model was trained for.
    #[error("{wanted} positions do not fit into a context of {limit}")]
    ContextFull {
        /// Positions asked for.
        wanted: usize,
        /// `max_position_embeddings`.
        limit: usize,
    },
    /// A network's numbers overflowed: a NaN or an infinity, which would silently make a black picture or
    /// arbitrary text.
    #[error("{stage}: a number is not finite")]
    NotFinite {
        /// Whose numbers.
        stage: &'static str,
    },
    /// The checkpoint says that the model was not trained for this.
    #[error("the model has no {ability}")]
    Untrained {
        /// What it lacks.
        ability: Ability,
    },
    /// A text cannot follow its grammar.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// A parameter outside what the network can do.
    #[error("{parameter} is {found}, wanted {wanted}")]
    Parameter {
        /// Its name, as in a request.
        parameter: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        wanted: String,
    },
}

impl ModelError {
    /// Fails if one of `values` is a NaN or infinite.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`], naming `stage`.
    pub fn unless_finite(stage: &'static str, values: &[f32]) -> Result<(), Self> {
        if values.iter().all(|value| value.is_finite()) {
            return Ok(());
        }
        Err(Self::NotFinite { stage })
    }

    /// As [`unless_finite`](Self::unless_finite), of a tensor wherever it is: one number comes back from
    /// there.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`], naming `stage`; [`ModelError::Tensor`] if the device refuses.
    pub fn unless_all_finite(stage: &'static str, values: &Tensor) -> Result<(), Self> {
        // x · 0 is 0 of finite numbers only.
        let sum = values.affine(0.0, 0.0)?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?;
        Self::unless_finite(stage, &[sum])
    }
}

/// A picture that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// The first bytes are of no supported format.
    #[error("not a PNG, JPEG, WebP or GIF picture")]
    UnsupportedFormat,
    /// Its header promises more than the limits allow; nothing was decoded.
    #[error(
        "picture of {width}x{height} pixels is too large: at most {max_pixels} pixels and {max_side} a side"
    )]
    TooLarge {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Limit on width × height.
        max_pixels: u64,
        /// Limit on either side.
        max_side: u32,
    },
    /// Its sides are too unequal: one is more than `max_ratio` times the other.
    #[error("picture of {width}x{height} pixels is too elongated: at most {max_ratio}:1")]
    TooElongated {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Limit on the longer side over the shorter.
        max_ratio: u32,
    },
    /// A side of zero pixels.
    #[error("picture has no pixels")]
    Empty,
    /// Truncated or corrupt data.
    #[error("picture data is truncated or corrupt")]
    Corrupt,
}

//! Flags of verbs that ask a server over HTTP: which server, and those of `eval`, `batch` and `replay`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::ModelArgs;

/// Which server is asked: a running one, or one of this process on a free port.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// A running server, such as http://127.0.0.1:8000 [default: one is started for as long as it takes]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// A file whose first line is the key of the server at --url
    #[arg(long, value_name = "FILE", requires = "url")]
    pub api_key_file: Option<PathBuf>,

    /// The model of the server that is started.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// Flags of `reverie eval`.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// A suite by its name, or a JSONL file or a folder with suite.jsonl; may be repeated [default: test and
    /// held-out]
    #[arg(long, value_name = "NAME|FILE")]
    pub suite: Vec<String>,

    /// Which server is judged.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Requests sent at a time
    #[arg(long, value_name = "N", default_value = "8")]
    pub concurrency: NonZeroUsize,

    /// Only the cases of this task; may be repeated
    #[arg(long, value_name = "TASK")]
    pub only: Vec<String>,

    /// At most this many cases of each task and split
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,

    /// Keys the seeds of all cases
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// Write figures and every case to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write a contact sheet, one self-contained page, to this file
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,

    /// Write every drawn picture into this folder
    #[arg(long, value_name = "DIR")]
    pub save_pictures: Option<PathBuf>,

    /// What the figures must reach, a JSON file; exit code 1 where they do not
    #[arg(long, value_name = "FILE")]
    pub floor: Option<PathBuf>,
}

/// Flags of `reverie batch`.
#[derive(Debug, Clone, Args)]
pub struct BatchArgs {
    /// Requests, a line each: custom_id, method, url, body
    #[arg(value_name = "IN.jsonl")]
    pub input: PathBuf,

    /// Answers, a line each; those already there are not asked for again
    #[arg(value_name = "OUT.jsonl")]
    pub output: PathBuf,

    /// Which server answers.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Requests sent at a time
    #[arg(long, value_name = "N", default_value = "8")]
    pub concurrency: NonZeroUsize,
}

/// Flags of `reverie replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// An answer with provenance (JSON), or a picture that Reverie drew (PNG)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The request it answered (JSON), where FILE does not hold it
    #[arg(long, value_name = "FILE")]
    pub request: Option<PathBuf>,

    /// Which server writes it again.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Compare even if other weights are served
    #[arg(long)]
    pub any_model: bool,

    /// For programs
    #[arg(long)]
    pub json: bool,
}

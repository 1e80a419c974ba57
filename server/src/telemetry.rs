//! Log lines: where they go and how they look. Content of prompts or pictures is never logged, at any
//! level; this file cannot see any.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Logging that cannot be set up. Exit code 2 at the command line.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("--log: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging was set up before in this process.
    #[error("logging is already set up: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// Sends log lines that pass `filter` to standard error.
///
/// # Errors
/// [`TelemetryError`] if the filter cannot be read, or on a second call in one process.
pub fn log_to_stderr(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        // Files and collectors get no colours.
        LogFormat::Text => builder.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Twice)
}

//! Log lines: where they go and how they look. Content of prompts or pictures is never logged, at any
//! level; this file cannot see any.

use std::io::{self, IsTerminal as _, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};

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
    let mut builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LossyStderr)
        .log_internal_errors(false); // it would go to standard error, and panic where that is broken
    if !stderr().is_terminal() {
        builder = builder.with_ansi(false); // colours are for people; NO_COLOR is respected as it is
    }
    match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Twice)
}

/// Lines that standard error has not taken since it last took one.
static LOST_LINES: AtomicU64 = AtomicU64::new(0);

/// Standard error as long as it takes lines. Where the disk is full or the reader gone they are lost, which is no
/// reason not to serve; how many is the next thing that is said.
struct LossyStderr;

impl Write for LossyStderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if stderr().write_all(line).is_err() {
            LOST_LINES.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        let lost = LOST_LINES.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lines = lost, "log lines were lost");
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

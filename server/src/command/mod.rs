//! The verbs of the command line. Each file is one verb; each failure carries its exit code
//! (0 clean, 2 usage, 64 to 78 as in `sysexits.h`).

mod asked_server;
mod batch;
mod bench;
mod complete;
mod convert;
mod eval;
mod health;
mod inspect;
mod replay;
mod serve;
mod verify;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use reverie_model::CheckpointError;

use crate::args::{Cli, Command};
use crate::assets;
use crate::config::ConfigError;
use crate::engine::{EngineFailure, LoadError};
use crate::pool::PoolFailure;
use crate::startup::StartupError;
use crate::telemetry::TelemetryError;

/// A verb that could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// What the process ends with.
    pub exit_code: u8,
    message: String,
}

/// Wrong use of the command line.
const USAGE: u8 = 2;
/// What was given is not what it should be.
const DATA: u8 = 65;
/// The other side is not available.
const UNAVAILABLE: u8 = 69;
/// A defect of ours.
const SOFTWARE: u8 = 70;
/// The operating system refused.
const SYSTEM: u8 = 71;
/// Something was cut off; asking again may succeed.
const TEMPORARY: u8 = 75;
/// Something was set up otherwise than it must be.
const CONFIGURATION: u8 = 78;

impl Failure {
    fn new(exit_code: u8, message: impl fmt::Display) -> Self {
        Self { exit_code, message: message.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl From<StartupError> for Failure {
    fn from(error: StartupError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error.exit_code(), error)
    }
}

impl From<EngineFailure> for Failure {
    fn from(failure: EngineFailure) -> Self {
        let exit_code = match &failure {
            EngineFailure::Load(LoadError::Checkpoint(error)) => error.exit_code(),
            EngineFailure::Load(LoadError::Model(_))
            | EngineFailure::WarmUp(_)
            | EngineFailure::Poisoned(_)
            | EngineFailure::Panicked(_) => SOFTWARE,
        };
        Self::new(exit_code, failure)
    }
}

impl From<PoolFailure> for Failure {
    fn from(failure: PoolFailure) -> Self {
        match failure {
            PoolFailure::Engine(failure) => failure.into(),
            PoolFailure::Lost { .. } | PoolFailure::NoWorker => Self::new(SOFTWARE, failure),
        }
    }
}

impl From<TelemetryError> for Failure {
    fn from(error: TelemetryError) -> Self {
        Self::new(USAGE, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(SYSTEM, error)
    }
}

/// Runs what was asked for.
///
/// # Errors
/// [`Failure`], with the exit code that belongs to it.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(args) => serve::run(*args),
        Command::Complete(args) => complete::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Worker(args) => worker::run(&args),
    }
}

/// Where the built-in files are unpacked to.
fn cache_dir(given: Option<PathBuf>) -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    given.unwrap_or_else(|| assets::default_cache_dir(variable("HOME"), variable("XDG_CACHE_HOME")))
}

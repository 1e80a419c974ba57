//! The command line as typed: verbs, flags and their `REVERIE_*` variables. Definitions only; the one
//! place where the environment is read. Flag names are the ones vLLM's users know.

mod asking;
mod bench;
mod devices;
mod offline;
mod serve;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use reverie_model::Kernels;

pub use asking::{BatchArgs, EvalArgs, ReplayArgs, ServerArgs};
pub use bench::{BenchArgs, ScenarioName};
pub use devices::{WorkerDevice, num_sharing, threads_of_each};
pub use offline::{CompleteArgs, ConvertArgs, HealthArgs, InspectArgs, VerifyArgs};
pub use serve::ServeArgs;
pub use worker::WorkerArgs;

/// Documents that mix text and pictures, read and written by one model.
#[derive(Debug, Parser)]
#[command(name = "reverie", version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer OpenAI-shaped requests over HTTP
    Serve(Box<ServeArgs>),
    /// Write one document, without a server
    Complete(Box<CompleteArgs>),
    /// Turn a published checkpoint into one self-contained folder that loads fast
    Convert(ConvertArgs),
    /// Say what a checkpoint holds and what it needs
    Inspect(InspectArgs),
    /// Compare every stage with recorded results of the reference implementation
    Verify(VerifyArgs),
    /// Judge a server on suites of requests with known answers
    Eval(Box<EvalArgs>),
    /// Load a server and measure what its clients get
    Bench(Box<BenchArgs>),
    /// Answer the requests of a file, in OpenAI's batch format
    Batch(Box<BatchArgs>),
    /// Write an answer or draw a picture again, and compare
    Replay(Box<ReplayArgs>),
    /// Ask a running server whether it can serve; for container health checks
    Health(HealthArgs),
    /// One worker of a daemon, which starts it
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// Which model, and where it computes.
#[derive(Debug, Clone, Args)]
pub struct ModelArgs {
    /// Checkpoint folder [default: the model that comes with Reverie]
    #[arg(long, env = "REVERIE_MODEL", value_name = "DIR")]
    pub model: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, env = "REVERIE_DEVICE", value_name = "DEVICE", default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,

    /// Number format of weights and activations
    #[arg(long, env = "REVERIE_DTYPE", value_enum, default_value_t = DtypeChoice::Auto)]
    pub dtype: DtypeChoice,

    /// Whose kernels compute in f32 on a CPU: reverie or candle; elsewhere candle's do
    #[arg(long, env = "REVERIE_KERNELS", value_name = "NAME", default_value_t = Kernels::Reverie)]
    pub kernels: Kernels,

    /// Where the built-in files are unpacked [default: the user's cache folder, else a temporary one]
    #[arg(long, env = "REVERIE_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Positions a document may have [default: as many as the model was trained for]
    #[arg(long, env = "REVERIE_MAX_MODEL_LEN", value_name = "N")]
    pub max_model_len: Option<usize>,
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if this build and machine have one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, by its number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "wanted auto, cpu, cuda or cuda:N".to_owned()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(number) => write!(formatter, "cuda:{number}"),
        }
    }
}

/// Number format of weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeChoice {
    /// f32 on a CPU, bf16 on a GPU
    Auto,
    /// 32-bit floats
    F32,
    /// bfloat16
    Bf16,
    /// 16-bit floats
    F16,
}

impl DtypeChoice {
    /// The name under which `--dtype` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

impl FromStr for DtypeChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as ValueEnum>::from_str(text, false)
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

impl LogFormat {
    /// The name under which `--log-format` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Whose turn is next (vLLM's names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchedulingPolicy {
    /// First come, first served, within each tenant's share
    Fcfs,
    /// The lowest `priority` of a request first, whosever it is
    Priority,
}

/// A value that must not appear in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = text.trim();
        if key.is_empty() {
            return Err("an empty key would open the door to everybody".to_owned());
        }
        Ok(Self(key.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

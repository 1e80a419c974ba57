//! Flags of the verbs that need no server, and of `health`, which asks one.

use std::path::PathBuf;

use clap::Args;
use reverie_model::Kernels;

use super::{DeviceChoice, ModelArgs};

/// Flags of `reverie complete`.
#[derive(Debug, Clone, Args)]
pub struct CompleteArgs {
    /// What to say to the model
    #[arg(value_name = "PROMPT")]
    pub prompt: String,

    /// Which model, and where it computes.
    #[command(flatten)]
    pub model: ModelArgs,

    /// Picture files shown before the prompt, in order
    #[arg(long, value_name = "FILE")]
    pub image: Vec<PathBuf>,

    /// Folder the drawn pictures are written to
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,

    /// Write the whole document to one self-contained page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Keys every random draw; drawn and printed if not given
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// How adventurous text is, 0 to 2 [default: the checkpoint's]
    #[arg(long, value_name = "T")]
    pub temperature: Option<f64>,

    /// At most this many sampled tokens
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<u64>,

    /// At most this many pictures
    #[arg(long, value_name = "N")]
    pub max_images: Option<u64>,

    /// WIDTHxHEIGHT of pictures, pixels [default: the checkpoint's]
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,

    /// Denoising steps [default: the checkpoint's]
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,

    /// Strength of guidance [default: the checkpoint's]
    #[arg(long, value_name = "SCALE")]
    pub guidance: Option<f64>,

    /// ddpm, ddim, pndm, dpmpp_2m, dpmpp_2m_karras, euler, euler_ancestral or unipc [default: the
    /// checkpoint's]
    #[arg(long, value_name = "NAME")]
    pub sampler: Option<String>,

    /// What pictures should not show
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,

    /// Keep the prompt and all else that was asked in each picture's file, so that `reverie replay` can draw
    /// it again
    #[arg(long)]
    pub keep_request: bool,
}

/// Flags of `reverie convert`.
#[derive(Debug, Clone, Args)]
pub struct ConvertArgs {
    /// Checkpoint folder to read
    #[arg(value_name = "SRC")]
    pub source: PathBuf,

    /// Folder to write; must not exist or be empty
    #[arg(value_name = "DST")]
    pub destination: PathBuf,
}

/// Flags of `reverie inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// Checkpoint folder to read
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,

    /// Read every file of a converted folder and compare it with the manifest's sha256
    #[arg(long)]
    pub checksums: bool,

    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Flags of `reverie verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Checkpoint folder the recorded results belong to [default: the embedded one]
    #[arg(long, env = "REVERIE_MODEL", value_name = "DIR")]
    pub model: Option<PathBuf>,

    /// Where the built-in files are unpacked [default: the user's cache folder, else a temporary one]
    #[arg(long, env = "REVERIE_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Whose kernels compute on a CPU: reverie or candle; elsewhere candle's do
    #[arg(long, env = "REVERIE_KERNELS", value_name = "NAME", default_value_t = Kernels::Reverie)]
    pub kernels: Kernels,

    /// Folder of recorded results [default: the embedded ones]
    #[arg(long, value_name = "DIR")]
    pub goldens: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, env = "REVERIE_DEVICE", value_name = "DEVICE", default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,

    /// For programs
    #[arg(long)]
    pub json: bool,

    /// Write the report to a file, too
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Flags of `reverie health`.
#[derive(Debug, Clone, Args)]
pub struct HealthArgs {
    /// Probe to ask [default: http://127.0.0.1:PORT/readyz, at the probe port if there is one]
    #[arg(long, env = "REVERIE_HEALTH_URL", value_name = "URL")]
    pub url: Option<String>,

    /// Port that serves
    #[arg(long, env = "REVERIE_PORT", value_name = "PORT", default_value_t = 8000)]
    pub port: u16,

    /// Port that answers probes alone
    #[arg(long, env = "REVERIE_PROBE_PORT", value_name = "PORT")]
    pub probe_port: Option<u16>,
}

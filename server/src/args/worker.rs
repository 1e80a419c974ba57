//! Flags of `reverie worker`, which a daemon gives to the processes it starts.

use clap::Args;

use super::LogFormat;

/// Flags of `reverie worker`.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}

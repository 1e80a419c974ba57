//! Flags of `reverie bench`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use reverie_bench::arrivals::Rate;
use reverie_bench::bounds::Bounds;
use reverie_bench::workload::Mix;

use super::ServerArgs;

/// Flags of `reverie bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What is to be shown, by loads of its own; exit code 1 where it is not [default: one load is measured]
    #[arg(long, value_enum, value_name = "NAME")]
    pub scenario: Option<ScenarioName>,

    /// Which server is asked.
    #[command(flatten)]
    pub server: ServerArgs,

    /// What requests call the model [default: the first that the server names]
    #[arg(long, value_name = "NAME")]
    pub served_model_name: Option<String>,

    /// Requests served at once by the server that is started
    #[arg(long, value_name = "N", default_value_t = 16, conflicts_with = "url")]
    pub max_num_seqs: usize,

    /// Requests that may wait at the server that is started [default: as `serve`]
    #[arg(long, value_name = "N", conflicts_with = "url")]
    pub max_waiting: Option<usize>,

    /// Kinds of requests by weight: text, vqa (a question about a picture), picture, document (a story with
    /// pictures)
    #[arg(long, value_name = "KIND=N,…", default_value = "text=4,vqa=2,picture=1,document=1")]
    pub mix: Mix,

    /// Keys every request and every arrival
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// So many tokens in each answer of words alone, by min_tokens and ignore_eos [default: as the model
    /// ends; 64 in throughput and gap]
    #[arg(long, value_name = "N")]
    pub output_len: Option<u64>,

    /// A JSON object whose fields every request gets besides
    #[arg(long, value_name = "JSON")]
    pub extra_body: Option<String>,

    /// Requests a second on average, arriving at random whatever becomes of the earlier ones; inf is all at
    /// once
    #[arg(long, value_name = "RATE", default_value = "4", conflicts_with = "scenario")]
    pub request_rate: Rate,

    /// Keep so many requests under way instead (a closed loop: a slow server is asked less, and looks better
    /// than it is); in overload and half-load, with how many the server's capacity is found [default: 16]
    #[arg(long, value_name = "N")]
    pub max_concurrency: Option<NonZeroUsize>,

    /// Requests in all [default: 64]
    #[arg(long, value_name = "N", conflicts_with_all = ["duration", "scenario"])]
    pub num_requests: Option<usize>,

    /// Seconds in which requests are sent; in scenarios, in each part [default there: 10]
    #[arg(long, value_name = "SECONDS")]
    pub duration: Option<f64>,

    /// How often the parts of a scenario that are compared alternate
    #[arg(long, value_name = "N", default_value = "3")]
    pub rounds: NonZeroUsize,

    /// Requests before the measurement
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub warm_up: usize,

    /// Bounds that a good answer keeps, seconds: ttft, gap (the longest), picture (the last), latency
    /// [default: none; latency=10 in overload]
    #[arg(long, value_name = "BOUND=SECONDS,…")]
    pub slo: Option<Bounds>,

    /// Seconds after which an answer that is not whole counts as failed
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    pub timeout: NonZeroUsize,

    /// Write NAME.json and NAME.svg, the figures and the curves, into this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Write the requests of an open loop and their times into this file first, a line each, so that another
    /// load generator can send the same (aiperf: --custom-dataset-type mooncake-trace)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "max_concurrency"])]
    pub save_trace: Option<PathBuf>,

    /// Write NAME.jsonl besides: every request, with the moment of every piece of its answer, microseconds
    #[arg(long, requires = "out")]
    pub records: bool,
}

/// What is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScenarioName {
    /// Tokens and pictures a second, many at a time against one at a time
    Throughput,
    /// The gap between tokens of texts, with pictures being drawn and without
    Gap,
    /// Goodput and refusals at five times what can be served
    Overload,
    /// The same load three times, at half of what can be served
    HalfLoad,
}

//! Flags of `reverie serve`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory as _, FromArgMatches as _};

use crate::request::AllowedDomain;

use super::{LogFormat, ModelArgs, SchedulingPolicy, Secret, WorkerDevice};
use crate::http::UnknownParams;

/// Flags of `reverie serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Checkpoint folder, as with --model
    #[arg(value_name = "DIR", conflicts_with = "model")]
    pub folder: Option<PathBuf>,

    /// Which model, and where it computes.
    #[command(flatten)]
    pub model: ModelArgs,

    /// A worker process for each of these instead of one on --device: cpu, cuda:N, with :decode (texts
    /// only) or :denoise (pictures only) behind it
    #[arg(
        long,
        env = "REVERIE_DEVICES",
        value_name = "DEVICE",
        value_delimiter = ',',
        conflicts_with = "device"
    )]
    pub devices: Vec<WorkerDevice>,

    /// Address to listen on; anything but loopback should have an API key
    #[arg(long, env = "REVERIE_HOST", value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// Port to listen on; 0 takes any free one
    #[arg(long, env = "REVERIE_PORT", value_name = "PORT", default_value_t = 8000)]
    pub port: u16,

    /// Port that answers probes besides, whatever the other one is busy with [default: none]
    #[arg(long, env = "REVERIE_PROBE_PORT", value_name = "PORT")]
    pub probe_port: Option<u16>,

    /// Names requests may use for the model, the first in answers [default: the folder's name]
    #[arg(long, env = "REVERIE_SERVED_MODEL_NAME", value_name = "NAME", value_delimiter = ',')]
    pub served_model_name: Vec<String>,

    /// Keys that open /v1, as `Authorization: Bearer KEY`
    #[arg(
        long,
        env = "REVERIE_API_KEY",
        value_name = "KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub api_key: Vec<Secret>,

    /// A file with one more key on each line
    #[arg(long, env = "REVERIE_API_KEY_FILE", value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,

    /// Makes tenants of keys; share it between instances that share keys [default: drawn at start]
    #[arg(long, env = "REVERIE_TENANT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub tenant_secret: Option<Secret>,

    /// `Host` headers to answer, on any port [default: loopback names on a loopback address, else all]
    #[arg(long, env = "REVERIE_ALLOWED_HOST", value_name = "NAME", value_delimiter = ',')]
    pub allowed_host: Vec<String>,

    /// Let requests ask for `trace`: conditions, predicted latents and attention maps of every picture; needs
    /// API keys
    #[arg(long, env = "REVERIE_ALLOW_TRACE", value_parser = BoolishValueParser::new())]
    pub allow_trace: bool,

    /// Leave out the page at /
    #[arg(long, env = "REVERIE_NO_PLAYGROUND", value_parser = BoolishValueParser::new())]
    pub no_playground: bool,

    /// Requests served at once [default: as many as the memory holds, up to 32]
    #[arg(long, env = "REVERIE_MAX_NUM_SEQS", value_name = "N")]
    pub max_num_seqs: Option<usize>,

    /// Memory of the KV cache, at least two contexts' [default: half a context for each request served at
    /// once, in at most half of the memory that the model leaves]
    #[arg(long, env = "REVERIE_KV_CACHE_BYTES", value_name = "N")]
    pub kv_cache_bytes: Option<u64>,

    /// Milliseconds that an engine step may take while texts go on, as far as measured costs can tell;
    /// pictures get what texts leave of them. The default keeps a gap of 30 with something to spare for
    /// a step that takes longer than predicted
    #[arg(long, env = "REVERIE_MAX_TOKEN_GAP", value_name = "MILLISECONDS", default_value_t = 20)]
    pub max_token_gap: u64,

    /// Positions computed in one engine step; longer prompts take several
    #[arg(long, env = "REVERIE_MAX_NUM_BATCHED_TOKENS", value_name = "N", default_value_t = 512)]
    pub max_num_batched_tokens: usize,

    /// Whose turn is next: first come, first served within each tenant's share; or before that whoever has the
    /// lowest `priority` in its request, tenant or not
    #[arg(long, env = "REVERIE_SCHEDULING_POLICY", value_enum, default_value_t = SchedulingPolicy::Fcfs)]
    pub scheduling_policy: SchedulingPolicy,

    /// Seconds that a request may have to wait for its turn, by how fast others have got theirs; one that
    /// would wait longer is answered 429 with the time to come back after, unless a place is free; 0 lets all
    /// wait. The default is half of the ten seconds for which people keep their mind on what they wait for,
    /// and leaves the other half for the answer
    #[arg(long, env = "REVERIE_MAX_WAIT", value_name = "SECONDS", default_value_t = 5)]
    pub max_wait: u64,

    /// Requests that may wait; one more is answered 429
    #[arg(long, env = "REVERIE_MAX_WAITING", value_name = "N", default_value_t = 128)]
    pub max_waiting: usize,

    /// What becomes of fields of a request that are not known here; ignored ones are named in the header
    /// x-reverie-ignored-params
    #[arg(long, env = "REVERIE_UNKNOWN_PARAMS", value_enum, default_value_t = UnknownParams::Refuse)]
    pub unknown_params: UnknownParams,

    /// Bytes of a request's body
    #[arg(long, env = "REVERIE_MAX_BODY_BYTES", value_name = "N", default_value_t = 64 << 20)]
    pub max_body_bytes: usize,

    /// Bytes of all bodies held at a time, until their pictures are decoded; one more is answered 429
    #[arg(long, env = "REVERIE_MAX_HELD_BODY_BYTES", value_name = "N", default_value_t = 512 << 20)]
    pub max_held_body_bytes: usize,

    /// Connections open at a time; further ones wait to be accepted
    #[arg(long, env = "REVERIE_MAX_CONNECTIONS", value_name = "N", default_value_t = 1024)]
    pub max_connections: usize,

    /// Pictures in a request, history included
    #[arg(long, env = "REVERIE_MAX_INPUT_IMAGES", value_name = "N", default_value_t = 16)]
    pub max_input_images: usize,

    /// Bytes of one picture file in a request
    #[arg(long, env = "REVERIE_MAX_IMAGE_BYTES", value_name = "N", default_value_t = 20 << 20)]
    pub max_image_bytes: usize,

    /// Pixels of one picture in a request
    #[arg(long, env = "REVERIE_MAX_IMAGE_PIXELS", value_name = "N", default_value_t = 1 << 25)]
    pub max_image_pixels: u64,

    /// Hosts that pictures may be fetched from by http(s): HOST (ports 80 and 443), HOST:PORT, or * for all;
    /// never at addresses that are not public [default: none, such URLs are refused]
    #[arg(long, env = "REVERIE_ALLOWED_MEDIA_DOMAINS", value_name = "HOST", value_delimiter = ',')]
    pub allowed_media_domains: Vec<AllowedDomain>,

    /// Pictures in an answer
    #[arg(long, env = "REVERIE_MAX_IMAGES", value_name = "N", default_value_t = 16)]
    pub max_images: usize,

    /// Denoising steps of a drawn picture
    #[arg(long, env = "REVERIE_MAX_NUM_INFERENCE_STEPS", value_name = "N", default_value_t = 200)]
    pub max_num_inference_steps: usize,

    /// Where stored answers and kept pictures lie; replicas may share it, with one --signing-key and one
    /// --tenant-secret [default: this process's memory]
    #[arg(long, env = "REVERIE_STORE_DIR", value_name = "DIR")]
    pub store_dir: Option<PathBuf>,

    /// Bytes of all stored answers and kept pictures; of one at most a quarter of it
    #[arg(long, env = "REVERIE_STORE_BYTES", value_name = "N", default_value_t = 256 << 20)]
    pub store_bytes: u64,

    /// Stored answers and kept pictures
    #[arg(long, env = "REVERIE_STORE_RECORDS", value_name = "N", default_value_t = 10_000)]
    pub store_records: usize,

    /// Seconds after its last use in which a stored answer or a kept picture is gone
    #[arg(long, env = "REVERIE_STORE_TTL", value_name = "SECONDS", default_value_t = 86_400)]
    pub store_ttl: u64,

    /// Signs the addresses of kept pictures; share it between replicas [default: drawn at start]
    #[arg(
        long,
        env = "REVERIE_SIGNING_KEY",
        value_name = "SECRET",
        hide_env_values = true,
        conflicts_with = "signing_key_file"
    )]
    pub signing_key: Option<Secret>,

    /// A file with that secret
    #[arg(long, env = "REVERIE_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: Option<PathBuf>,

    /// Where clients reach this service, such as <https://reverie.example>: addresses of kept pictures begin with
    /// it [default: http:// and what the client itself said, its Host header]
    #[arg(long, env = "REVERIE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Seconds a request's body may take to arrive
    #[arg(long, env = "REVERIE_BODY_TIMEOUT", value_name = "SECONDS", default_value_t = 30)]
    pub body_timeout: u64,

    /// Seconds a client may take nothing of what is sent to it before it loses the connection; the default
    /// is what proxies grant (nginx: send_timeout)
    #[arg(long, env = "REVERIE_WRITE_TIMEOUT", value_name = "SECONDS", default_value_t = 60)]
    pub write_timeout: u64,

    /// Seconds a document may take from acceptance to end; 0 is for ever
    #[arg(long, env = "REVERIE_REQUEST_TIMEOUT", value_name = "SECONDS", default_value_t = 0)]
    pub request_timeout: u64,

    /// Seconds a worker may be silent before it is killed and replaced; longer than any engine step takes
    #[arg(long, env = "REVERIE_WORKER_TIMEOUT", value_name = "SECONDS", default_value_t = 60)]
    pub worker_timeout: u64,

    /// Seconds that running documents get to finish after SIGTERM
    #[arg(long, env = "REVERIE_SHUTDOWN_TIMEOUT", value_name = "SECONDS", default_value_t = 30)]
    pub shutdown_timeout: u64,

    /// How log lines look
    #[arg(long, env = "REVERIE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged, as in tracing's filters: info, or reverie_server=debug,warn
    #[arg(long, env = "REVERIE_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Only there to fill in the defaults.
#[derive(Debug, clap::Parser)]
struct NoFlags {
    #[command(flatten)]
    serve: ServeArgs,
}

impl ServeArgs {
    /// Every default, whatever the environment says, with this model.
    pub fn defaults(model: ModelArgs) -> Self {
        // The environment is masked: flags of `serve` that stand in it are not meant for other verbs.
        let parsed =
            NoFlags::command().mut_args(|arg| arg.env(None::<&str>)).get_matches_from(["reverie"]);
        let mut serve = NoFlags::from_arg_matches(&parsed)
            .map(|flags| flags.serve)
            .unwrap_or_else(|error| error.exit());
        serve.model = model;
        serve
    }
}

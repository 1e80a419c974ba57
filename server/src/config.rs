//! From what was typed to what is needed: nested by owner, complete, checked. Reads no environment and
//! knows no checkpoint; what the checkpoint decides comes in as [`ModelFacts`].

mod secrets;
mod store;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reverie_model::Kernels;
use reverie_model::config::Abilities;
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_model::diffusion::trace::TraceSize;
use reverie_model::json_grammar::JsonGrammars;

use self::secrets::{api_keys, signing_key, tenant_salt};
use crate::args::{
    DeviceChoice, DtypeChoice, LogFormat, ModelArgs, SchedulingPolicy, ServeArgs, WorkerDevice,
};
use crate::http::{AllowedHosts, BODY_UNIT, HttpSettings};
use crate::listener::ConnectionLimits;
use crate::picture_codec::PictureLimits;
use crate::request::{Defaults, Limits, PictureUrlPolicy, WritableTokens};
use crate::template::TextToImage;

pub use store::StoreConfig;

/// Answers to one request at most, as OpenAI's images.
const MAX_CHOICES: usize = 10;
/// Pictures of a request to fetch: each takes a connection, and all of them seconds.
const MAX_IMAGE_URLS: usize = 8;
/// A stream with nothing to say says so this often; well under the idle limits of common proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A request's head is one packet or two; slower ones only want to hold the connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// More of anything at a time is a slip of the keyboard.
const MAX_COUNT: usize = 1_000_000;
/// No decoder or network is served by longer sides; 16384 holds every camera's pictures.
const MAX_IMAGE_SIDE: u32 = 16_384;
/// CLIP's square crop sees nothing of more elongated pictures.
const MAX_ASPECT_RATIO: u32 = 200;

/// What `reverie serve` does, complete.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where probes are answered besides, on a thread of their own.
    pub probe_listen: Option<SocketAddr>,
    /// Which model, and where it computes.
    pub model: ModelConfig,
    /// How the edge behaves.
    pub http: HttpSettings,
    /// What requests may ask for, as far as flags decide it.
    pub requests: RequestLimits,
    /// How much is done at a time.
    pub engine: EngineLimits,
    /// What is kept between requests, and where.
    pub store: StoreConfig,
    /// How much of the machine connections may take.
    pub connections: ConnectionLimits,
    /// What running documents get to finish after SIGTERM.
    pub shutdown_timeout: Duration,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: String,
}

/// Which model, and where it computes.
#[derive(Debug, Clone)]
pub struct ModelConfig {
    /// Its folder; `None` is the model that comes with Reverie.
    pub folder: Option<PathBuf>,
    /// Where the built-in files are unpacked; `None` is the user's cache folder.
    pub cache_dir: Option<PathBuf>,
    /// What requests call it; empty means the folder's name.
    pub names: Vec<String>,
    /// Where to compute, in this process.
    pub device: DeviceChoice,
    /// Where workers compute that are processes of their own, and what each of them does.
    pub devices: Vec<WorkerDevice>,
    /// Number format.
    pub dtype: DtypeChoice,
    /// Whose kernels compute, where there is a choice.
    pub kernels: Kernels,
    /// Positions; `None` is as many as the model was trained for.
    pub max_model_len: Option<usize>,
}

/// How much is done at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineLimits {
    /// Requests served at once; `None` is as many as the memory holds, up to 32.
    pub max_num_seqs: Option<usize>,
    /// Positions computed in one engine step.
    pub max_num_batched_tokens: usize,
    /// Requests that may wait.
    pub max_waiting: usize,
    /// A request that would wait longer for its turn is refused.
    pub max_wait: Option<Duration>,
    /// Memory of the KV cache; `None` follows from `max_num_seqs` and the memory there is.
    pub kv_cache_bytes: Option<u64>,
    /// While a text goes on, a step is predicted to take no longer than this.
    pub max_token_gap: Duration,
    /// Silence after which a worker is replaced.
    pub worker_timeout: Duration,
}

/// What requests may ask for, as far as flags decide it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// Pictures in a request.
    pub max_input_images: usize,
    /// Bytes of one picture file.
    pub max_image_bytes: usize,
    /// What a picture's header may promise.
    pub picture: PictureLimits,
    /// Where pictures may be fetched from.
    pub picture_urls: PictureUrlPolicy,
    /// Pictures in an answer.
    pub max_images: usize,
    /// Answers to one request; all of them have to find a place at once.
    pub max_choices: usize,
    /// Denoising steps.
    pub max_num_inference_steps: usize,
    /// Whether it may be recorded how pictures are drawn.
    pub allow_trace: bool,
    /// Whether requests may say that they are more urgent than others.
    pub has_priorities: bool,
}

/// What the checkpoint decides about requests.
#[derive(Debug, Clone)]
pub struct ModelFacts {
    /// Names requests may use, the first canonical.
    pub names: Vec<String>,
    /// What it was trained for.
    pub abilities: Abilities,
    /// How a request that is nothing but a wish for a picture is written down.
    pub text_to_image: TextToImage,
    /// Positions of the context.
    pub max_model_len: usize,
    /// Bytes of text the longest token stands for.
    pub max_token_bytes: usize,
    /// Whether the tokenizer drops some spaces.
    pub drops_spaces: bool,
    /// Which tokens an answer may have.
    pub tokens: WritableTokens,
    /// Compiles what an answer's text must follow.
    pub json_grammars: Arc<JsonGrammars>,
    /// Positions of a picture block: patches + 2.
    pub picture_positions: usize,
    /// Positions of a dream block: queries + 2.
    pub dream_positions: usize,
    /// The noise that denoising steps are taken through.
    pub noise_schedule: Arc<NoiseSchedule>,
    /// The smallest side that can be drawn, and the step between sides, pixels.
    pub side_multiple: usize,
    /// The largest side that can be drawn, pixels.
    pub max_side: usize,
    /// Width × height that can be drawn, pixels.
    pub max_drawn_pixels: usize,
    /// What requests that do not say get.
    pub defaults: Defaults,
    /// How large records of drawings become.
    pub trace_size: TraceSize,
}

impl RequestLimits {
    /// What requests may ask for, now that the checkpoint is known.
    pub fn with_model(self, facts: ModelFacts) -> Limits {
        Limits {
            model_names: facts.names,
            abilities: facts.abilities,
            text_to_image: facts.text_to_image,
            max_model_len: facts.max_model_len,
            max_token_bytes: facts.max_token_bytes,
            drops_spaces: facts.drops_spaces,
            tokens: facts.tokens,
            json_grammars: facts.json_grammars,
            picture_positions: facts.picture_positions,
            dream_positions: facts.dream_positions,
            max_input_images: self.max_input_images,
            max_image_bytes: self.max_image_bytes,
            picture: self.picture,
            picture_urls: self.picture_urls,
            max_image_urls: MAX_IMAGE_URLS,
            max_images: self.max_images,
            max_choices: self.max_choices,
            max_num_inference_steps: self.max_num_inference_steps,
            noise_schedule: facts.noise_schedule,
            side: facts.side_multiple..=facts.max_side,
            side_multiple: facts.side_multiple,
            max_drawn_pixels: facts.max_drawn_pixels,
            has_priorities: self.has_priorities,
            defaults: facts.defaults,
            allow_trace: self.allow_trace,
            trace_size: facts.trace_size,
        }
    }
}

/// A flag that cannot be meant. Exit code 2 at the command line, 78 for the key file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A number out of its range.
    #[error("--{flag} is {found}, wanted {wanted}")]
    OutOfRange {
        /// Without its dashes.
        flag: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        wanted: &'static str,
    },
    /// How a model works inside is for those with a key.
    #[error("--allow-trace needs --api-key or --api-key-file")]
    TraceForEverybody,
    /// A key file cannot be read.
    #[error("--{flag} {path}: {source}", path = path.display())]
    KeyFile {
        /// Without its dashes.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A key file without a key.
    #[error("--{flag} {path}: no key in it", path = path.display())]
    NoKey {
        /// Without its dashes.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
}

impl ConfigError {
    /// The process exit code for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::OutOfRange { .. } | Self::TraceForEverybody => 2,
            Self::KeyFile { .. } | Self::NoKey { .. } => 78,
        }
    }
}

impl Config {
    /// What `reverie complete` runs with: the defaults of `serve`, and the model it was given.
    pub fn for_one_document(model: &ModelArgs) -> Self {
        let defaults = ServeArgs::defaults(model.clone());
        Self::try_from(defaults).expect("the defaults of serve are in range")
    }
}

/// So many seconds; 0 is no bound.
fn bounded_seconds(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

impl TryFrom<ServeArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: ServeArgs) -> Result<Self, ConfigError> {
        check_counts(&args)?;
        let store = StoreConfig::new(&args);
        let http = HttpSettings {
            api_keys: api_keys(&args.api_key, args.api_key_file)?,
            tenant_salt: tenant_salt(args.tenant_secret.as_ref()),
            signing_key: signing_key(args.signing_key.as_ref(), args.signing_key_file)?,
            public_url: args.public_url.map(public_url).transpose()?,
            allowed_hosts: allowed_hosts(args.allowed_host, args.host),
            playground: !args.no_playground,
            unknown_params: args.unknown_params,
            max_body_bytes: args.max_body_bytes,
            max_held_body_bytes: args.max_held_body_bytes,
            body_timeout: Duration::from_secs(args.body_timeout),
            request_timeout: bounded_seconds(args.request_timeout),
            keep_alive: KEEP_ALIVE,
        };
        let requests = RequestLimits {
            max_input_images: args.max_input_images,
            max_image_bytes: args.max_image_bytes,
            picture: PictureLimits {
                max_pixels: args.max_image_pixels,
                max_side: MAX_IMAGE_SIDE,
                max_aspect_ratio: MAX_ASPECT_RATIO,
            },
            picture_urls: PictureUrlPolicy { allowed: args.allowed_media_domains },
            max_images: args.max_images,
            max_choices: MAX_CHOICES
                .min(args.max_num_seqs.unwrap_or(1).saturating_add(args.max_waiting)),
            max_num_inference_steps: args.max_num_inference_steps,
            allow_trace: args.allow_trace,
            has_priorities: args.scheduling_policy == SchedulingPolicy::Priority,
        };
        if requests.allow_trace && http.api_keys.is_empty() {
            return Err(ConfigError::TraceForEverybody);
        }
        let model = ModelConfig {
            folder: args.folder.or(args.model.model),
            cache_dir: args.model.cache_dir,
            names: args.served_model_name,
            device: args.model.device,
            devices: worker_devices(args.devices, args.model.device)?,
            dtype: args.model.dtype,
            kernels: args.model.kernels,
            max_model_len: args.model.max_model_len,
        };
        Ok(Self {
            listen: SocketAddr::new(args.host, args.port),
            probe_listen: args.probe_port.map(|port| SocketAddr::new(args.host, port)),
            model,
            http,
            requests,
            engine: EngineLimits {
                max_num_seqs: args.max_num_seqs,
                max_num_batched_tokens: args.max_num_batched_tokens,
                max_waiting: args.max_waiting,
                max_wait: bounded_seconds(args.max_wait),
                kv_cache_bytes: args.kv_cache_bytes,
                max_token_gap: Duration::from_millis(args.max_token_gap),
                worker_timeout: Duration::from_secs(args.worker_timeout),
            },
            store,
            connections: ConnectionLimits {
                max_connections: args.max_connections,
                head_timeout: HEAD_TIMEOUT,
                write_timeout: Duration::from_secs(args.write_timeout),
            },
            shutdown_timeout: Duration::from_secs(args.shutdown_timeout),
            log_format: args.log_format,
            log_filter: args.log,
        })
    }
}

fn check_counts(args: &ServeArgs) -> Result<(), ConfigError> {
    let at_least_one = [
        ("max-num-seqs", args.max_num_seqs.unwrap_or(usize::MAX)),
        ("max-num-batched-tokens", args.max_num_batched_tokens),
        ("max-waiting", args.max_waiting),
        ("max-connections", args.max_connections),
        ("max-body-bytes", args.max_body_bytes),
        ("max-image-bytes", args.max_image_bytes),
        ("store-records", args.store_records),
        ("store-bytes", usize::try_from(args.store_bytes).unwrap_or(usize::MAX)),
        ("store-ttl", usize::try_from(args.store_ttl).unwrap_or(usize::MAX)),
        ("max-model-len", args.model.max_model_len.unwrap_or(usize::MAX)),
    ];
    for (flag, value) in at_least_one {
        if value == 0 {
            return Err(ConfigError::OutOfRange { flag, found: "0".into(), wanted: "at least 1" });
        }
    }
    for (flag, value) in
        [("max-waiting", args.max_waiting), ("max-connections", args.max_connections)]
    {
        if value > MAX_COUNT {
            let (found, wanted) = (value.to_string(), "at most 1000000");
            return Err(ConfigError::OutOfRange { flag, found, wanted });
        }
    }
    if args.max_num_batched_tokens < args.max_num_seqs.unwrap_or(1) {
        return Err(ConfigError::OutOfRange {
            flag: "max-num-batched-tokens",
            found: args.max_num_batched_tokens.to_string(),
            wanted: "at least --max-num-seqs",
        });
    }
    if args.max_held_body_bytes < args.max_body_bytes.next_multiple_of(BODY_UNIT) {
        return Err(ConfigError::OutOfRange {
            flag: "max-held-body-bytes",
            found: args.max_held_body_bytes.to_string(),
            wanted: "room for one body of --max-body-bytes",
        });
    }
    if args.max_token_gap == 0 || args.kv_cache_bytes == Some(0) {
        let flag = if args.max_token_gap == 0 { "max-token-gap" } else { "kv-cache-bytes" };
        return Err(ConfigError::OutOfRange { flag, found: "0".into(), wanted: "at least 1" });
    }
    if args.max_image_pixels == 0 {
        let found = "0".to_owned();
        let flag = "max-image-pixels";
        return Err(ConfigError::OutOfRange { flag, found, wanted: "at least 1" });
    }
    for (flag, seconds) in [
        ("body-timeout", args.body_timeout),
        ("write-timeout", args.write_timeout),
        ("worker-timeout", args.worker_timeout),
    ] {
        if seconds == 0 {
            let found = "0".to_owned();
            return Err(ConfigError::OutOfRange { flag, found, wanted: "at least 1" });
        }
    }
    if !(1..=1000).contains(&args.max_num_inference_steps) {
        let found = args.max_num_inference_steps.to_string();
        let flag = "max-num-inference-steps";
        return Err(ConfigError::OutOfRange { flag, found, wanted: "1 to 1000" });
    }
    if args.served_model_name.iter().any(|name| name.is_empty() || name.len() > 256) {
        let found = "empty or too long".to_owned();
        let flag = "served-model-name";
        return Err(ConfigError::OutOfRange { flag, found, wanted: "1 to 256 bytes" });
    }
    Ok(())
}

/// `url` without a slash at its end.
fn public_url(url: String) -> Result<String, ConfigError> {
    let is_plain = |url: &str| url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b')');
    let trimmed = url.trim_end_matches('/');
    let rest = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && rest.len() < 1024 && is_plain(rest) => {
            Ok(trimmed.to_owned())
        }
        Some(_) | None => {
            let wanted = "http:// or https:// and a name, without spaces";
            Err(ConfigError::OutOfRange { flag: "public-url", found: url, wanted })
        }
    }
}

/// A worker for each device, at least one of them for texts.
fn worker_devices(
    given: Vec<WorkerDevice>,
    device: DeviceChoice,
) -> Result<Vec<WorkerDevice>, ConfigError> {
    if given.is_empty() {
        return Ok(vec![WorkerDevice::whole(device)]);
    }
    if !given.iter().any(|worker| worker.role.writes()) {
        let found = given.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let wanted = "a device that is not for pictures only";
        return Err(ConfigError::OutOfRange { flag: "devices", found, wanted });
    }
    Ok(given)
}

fn allowed_hosts(given: Vec<String>, host: IpAddr) -> AllowedHosts {
    if given.is_empty() {
        return if host.is_loopback() { AllowedHosts::loopback() } else { AllowedHosts::Any };
    }
    AllowedHosts::Only(given)
}

#[cfg(test)]
mod tests;

//! The running whole: pool of workers, HTTP edge, and how they end. What `serve` and the tests start.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_model::diffusion::trace::TraceSize;
use reverie_model::json_grammar::JsonGrammars;
use reverie_model::noise::{NoiseKey, NoiseSource};
use reverie_model::tokenizer::Tokenizer;
use reverie_model::vision::as_seen;
use reverie_scheduler::dispatcher::Role;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::args::{DeviceChoice, WorkerDevice, num_sharing, threads_of_each};
use crate::capacity::Capacity;
use crate::config::{Config, ModelFacts, StoreConfig};
use crate::engine::candle_runner::CandleRunner;
use crate::engine::document_engine::{DocumentEngine as _, EngineStatus};
use crate::engine::runner::{ModelRunner, TextDecoder};
use crate::engine::{Clock, LoadError};
use crate::http::{AppState, BODY_UNIT, Origin, ServedModel, Vocabulary, router};
use crate::listener::{self, ConnectionLimits};
use crate::picture_codec::PictureCodec;
use crate::picture_fetch::{FetchLimits, PictureFetcher, Surroundings};
use crate::pool::memory_file::MemoryFile;
use crate::pool::process_worker::{ProcessPlace, WorkerProgram};
use crate::pool::thread_worker::LoadRunner;
use crate::pool::vocabulary::{PROTOCOL, Setup, WorkerModel};
use crate::pool::worker_port::WorkerPlace;
use crate::pool::worker_process::build;
use crate::pool::{Pool, PoolConfig, PoolFailure, PoolHandle, PoolThread, TextSource};
use crate::request::{Defaults, WritableTokens};
use crate::shutdown::Signals;
use crate::startup::PreparedModel;
use crate::store::{DirectoryStore, MemoryStore, RecordStore};

/// Pictures decoded, and pictures encoded, at a time: one for each of the two cores that a small machine
/// has, so that reading a burst of large pictures cannot starve the engine.
const PICTURE_WORKERS: usize = 2;

/// The largest drawn picture is this many times the checkpoint's own side: the UNet repeats itself beyond.
const MAX_SIDE_FACTOR: usize = 2;

/// What a process's maps call the weights that workers share.
const WEIGHT_ARENA: &str = "reverie-weights";

/// Starts in a row that may fail before a place for a worker is given up.
const MAX_FAILED_STARTS: u32 = 5;

/// Pool and edge of one model.
pub struct Daemon {
    engine: PoolHandle,
    thread: Mutex<Option<PoolThread>>,
    state: AppState,
}

/// The same noise for each life of a worker.
#[derive(Clone)]
struct SharedNoise(Arc<dyn NoiseSource>);

impl NoiseSource for SharedNoise {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        self.0.normal(key, len)
    }
}

impl Daemon {
    /// Starts a worker in this process, which loads the model, and prepares the edge. Pictures start from
    /// `noise`; `clock` tells deadlines. What fails to load is not tried again.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    pub fn start(
        config: &Config,
        prepared: PreparedModel,
        noise: Box<dyn NoiseSource>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let prepared = Arc::new(prepared);
        let max_model_len = max_model_len(config, &prepared);
        let (model, noise) = (Arc::clone(&prepared), SharedNoise(noise.into()));
        let load = move || -> Result<Box<dyn ModelRunner>, LoadError> {
            let runner = CandleRunner::new(model.load()?, Box::new(noise.clone()))?;
            Ok(Box::new(runner.with_max_model_len(max_model_len)))
        };
        let mut pool = pool_config(config, &prepared, vec![Role::Both]);
        pool.max_failed_starts = 1;
        let (load, class): (LoadRunner, _) = (Arc::new(load), prepared.numerics_class());
        let text = text_source(&prepared);
        let pool = Pool::of_threads(pool, class, &load, text, clock)?;
        Self::around(config, &prepared, pool)
    }

    /// Starts a process for each device of the configuration, which loads the model there, supervises them,
    /// and prepares the edge.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    pub fn start_processes(
        config: &Config,
        prepared: &PreparedModel,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let devices = &config.model.devices;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let num_threads = threads_of_each(devices, cores);
        let weight_arena = match num_sharing(devices, DeviceChoice::Cpu) {
            0 | 1 => None,
            _ => Some(Arc::new(MemoryFile::create(WEIGHT_ARENA)?)),
        };
        let place = |worker: &WorkerDevice| -> Box<dyn WorkerPlace> {
            let setup = Setup {
                protocol: PROTOCOL,
                build: build().to_owned(),
                model: WorkerModel {
                    folder: prepared.folder.to_string_lossy().into_owned(),
                    device: worker.device.to_string(),
                    dtype: config.model.dtype.name().to_owned(),
                    kernels: config.model.kernels.to_string(),
                    max_model_len: max_model_len(config, prepared),
                },
                limits: config.engine,
                num_sharing: num_sharing(devices, worker.device),
                role: worker.role,
                weight_arena: weight_arena.as_ref().map(|file| file.path()),
            };
            Box::new(ProcessPlace::new(WorkerProgram {
                setup,
                weight_arena: weight_arena.clone(),
                num_threads,
                log_format: config.log_format.name().to_owned(),
                log_filter: config.log_filter.clone(),
            }))
        };
        let places = devices.iter().map(place).collect();
        let roles = devices.iter().map(|worker| worker.role).collect();
        let pool = pool_config(config, prepared, roles);
        let pool = Pool::start(pool, places, text_source(prepared), clock)?;
        Self::around(config, prepared, pool)
    }

    fn around(
        config: &Config,
        prepared: &PreparedModel,
        (engine, thread): (PoolHandle, PoolThread),
    ) -> std::io::Result<Self> {
        let origin = Origin::system();
        let max_model_len = max_model_len(config, prepared);
        let model = served_model(config, prepared, max_model_len, origin.unix_time());
        // Known before the first picture needs it, and at the cost of no request. It ends by itself, and
        // nobody waits for its end.
        let hash = Arc::clone(&prepared.hash);
        std::thread::Builder::new().name("model-hash".to_owned()).spawn(move || {
            tracing::debug!(sha256 = hash.get(), "the weights' digest is known");
        })?;
        let fetcher = PictureFetcher::new(
            config.requests.picture_urls.clone(),
            FetchLimits::standard(config.requests.max_image_bytes),
            Surroundings::system(),
        );
        let state = AppState {
            engine: Arc::new(engine.clone()),
            model: Arc::new(model),
            codec: PictureCodec::standard(),
            fetcher: Arc::new(fetcher),
            body_memory: Arc::new(Semaphore::new(config.http.max_held_body_bytes / BODY_UNIT)),
            preparing: Arc::new(Semaphore::new(config.engine.max_waiting)),
            picture_reading: Arc::new(Semaphore::new(PICTURE_WORKERS)),
            picture_writing: Arc::new(Semaphore::new(PICTURE_WORKERS)),
            store: open_store(&config.store, origin.unix_time())?,
            origin,
            settings: Arc::new(config.http.clone()),
        };
        Ok(Self { engine, thread: Mutex::new(Some(thread)), state })
    }

    /// The way to the engine.
    pub fn engine(&self) -> PoolHandle {
        self.engine.clone()
    }

    /// What the edge's handlers share.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Every route.
    pub fn router(&self) -> Router {
        router(self.state.clone())
    }

    /// Waits for the front's thread, which ends once it was drained.
    ///
    /// # Errors
    /// Why it ended otherwise.
    pub fn join(&self) -> Result<(), PoolFailure> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(failure))) => Err(failure),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

/// What is kept between requests.
fn open_store(config: &StoreConfig, now: u64) -> std::io::Result<Arc<dyn RecordStore>> {
    let StoreConfig { folder, limits, is_shareable } = config;
    let Some(folder) = folder else { return Ok(Arc::new(MemoryStore::new(*limits))) };
    if !is_shareable {
        tracing::warn!(
            "what is in --store-dir is lost to other processes and after a restart: set --signing-key, \
             and --tenant-secret where there are API keys"
        );
    }
    let opened = DirectoryStore::open(folder, *limits, now);
    let store = opened.map_err(|error| {
        std::io::Error::new(error.kind(), format!("--store-dir {}: {error}", folder.display()))
    })?;
    Ok(Arc::new(store))
}

fn text_source(prepared: &PreparedModel) -> TextSource {
    let tokenizer = Arc::clone(&prepared.tokenizer);
    Arc::new(move || Box::new(tokenizer.detokenizer()) as Box<dyn TextDecoder>)
}

fn pool_config(config: &Config, prepared: &PreparedModel, roles: Vec<Role>) -> PoolConfig {
    let max_model_len = max_model_len(config, prepared);
    // A worker on a device of its own settles this itself, by what it has there.
    let needs = prepared.kv_needs(max_model_len, roles.len());
    let capacity = Capacity::new(&config.engine, needs);
    tracing::info!(capacity.max_num_seqs, capacity.num_kv_blocks, "capacity of a worker");
    PoolConfig {
        budget: prepared.budget(max_model_len),
        engine: capacity.engine_config(&config.engine),
        max_wait: config.engine.max_wait,
        roles,
        worker_timeout: config.engine.worker_timeout,
        max_failed_starts: MAX_FAILED_STARTS,
        has_tenants: config.http.api_keys.len() > 1,
    }
}

/// What the model was trained for, or less if a flag says so.
fn max_model_len(config: &Config, prepared: &PreparedModel) -> usize {
    let trained = prepared.checkpoint.config().llama.max_position_embeddings;
    config.model.max_model_len.map_or(trained, |wanted| wanted.min(trained))
}

fn served_model(
    config: &Config,
    prepared: &PreparedModel,
    max_model_len: usize,
    created: u64,
) -> ServedModel {
    let model = prepared.checkpoint.config();
    let side = model.default_picture_side();
    let names = if config.model.names.is_empty() {
        vec![prepared.name.clone()]
    } else {
        config.model.names.clone()
    };
    let tokenizer = &prepared.tokenizer;
    let facts = ModelFacts {
        names,
        abilities: model.abilities,
        text_to_image: prepared.template.text_to_image,
        max_model_len,
        max_token_bytes: tokenizer.max_token_bytes(),
        drops_spaces: tokenizer.drops_spaces(),
        tokens: WritableTokens {
            vocab_size: tokenizer.vocab_size(),
            forbidden: tokenizer.forbidden_ids().into(),
        },
        json_grammars: json_grammars(tokenizer, model.llama.vocab_size),
        picture_positions: model.image_positions(),
        dream_positions: model.dream_positions(),
        noise_schedule: Arc::new(NoiseSchedule::new(&model.head.noise_schedule)),
        side_multiple: model.picture_multiple(),
        max_side: side * MAX_SIDE_FACTOR,
        max_drawn_pixels: side * side * MAX_SIDE_FACTOR,
        defaults: Defaults::of_checkpoint(prepared.template.defaults, side),
        trace_size: TraceSize::new(&model.head, model.num_dream_queries),
    };
    let preprocess = model.vision.preprocess.clone();
    ServedModel {
        limits: config.requests.clone().with_model(facts),
        template: prepared.template.clone(),
        vocabulary: vocabulary(&prepared.tokenizer),
        shrink: Arc::new(move |picture| as_seen(picture, &preprocess)),
        provenance: prepared.provenance(),
        created,
        is_built_in: config.model.folder.is_none(),
    }
}

fn json_grammars(tokenizer: &Arc<Tokenizer>, vocab_size: usize) -> Arc<JsonGrammars> {
    let tokenizer = Arc::clone(tokenizer);
    Arc::new(JsonGrammars::new(move || tokenizer.alphabet(vocab_size)))
}

fn vocabulary(tokenizer: &Arc<Tokenizer>) -> Vocabulary {
    let [encoder, decoder, speller, bytes] = [0; 4].map(|_| Arc::clone(tokenizer));
    Vocabulary {
        encode: Arc::new(move |text| encoder.encode_text(text)),
        decode: Arc::new(move |ids| decoder.decode(ids, false)),
        spell: Arc::new(move |id| speller.token(id).unwrap_or_default()),
        bytes: Arc::new(move |id| bytes.token_bytes(id)),
        special: *tokenizer.special(),
        size: tokenizer.vocab_size(),
    }
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything accepted was finished.
    Drained,
    /// Told to end while the model was loading: nothing had been accepted.
    NeverServed,
    /// Something was cut off.
    Cut,
    /// The engine ended by itself; [`Daemon::join`] says why.
    Failed,
}

/// Serves until the first signal; then refuses new work, finishes what was accepted, and ends. A second
/// signal, or `grace` running out, ends at once; the streams that are cut see their connection close.
pub async fn serve_until(
    listener: TcpListener,
    daemon: &Daemon,
    connections: ConnectionLimits,
    mut signals: Signals,
    grace: Duration,
) -> Ended {
    let engine = daemon.engine();
    let stop = CancellationToken::new();
    let server = listener::serve(listener, daemon.router(), connections, stop.clone());
    tokio::pin!(server);
    tokio::select! {
        () = &mut server => return Ended::Drained,
        // Whoever supervises the daemon starts another; a half-alive one helps nobody.
        () = engine.failed() => return Ended::Failed,
        signal = signals.next() => tracing::info!(?signal, "draining: finishing what was accepted"),
    }
    if engine.status() == EngineStatus::Loading {
        return Ended::NeverServed; // loading cannot be interrupted; it ends with the process
    }
    engine.drain();
    let drained = async {
        // Connections are taken until the last document is written: whoever comes is told with 503 to go
        // elsewhere, and probes see why.
        tokio::select! {
            () = &mut server => return,
            () = engine.ended() => stop.cancel(),
        }
        server.await;
    };
    tokio::select! {
        () = drained => Ended::Drained,
        signal = signals.next() => {
            tracing::warn!(?signal, "ending at once");
            Ended::Cut
        }
        () = tokio::time::sleep(grace) => {
            tracing::warn!(seconds = grace.as_secs(), "ending at once: the time to drain is over");
            Ended::Cut
        }
    }
}

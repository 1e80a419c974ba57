//! The running whole: engine thread, HTTP edge, and how they end. What `serve` and the tests start.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use reverie_model::decoder::KvPool;
use reverie_model::diffusion::noise_schedule::NoiseSchedule;
use reverie_model::noise::NoiseSource;
use reverie_model::vision::as_seen;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::capacity::{Capacity, KvNeeds};
use crate::config::{Config, ModelFacts};
use crate::device;
use crate::engine::candle_runner::CandleRunner;
use crate::engine::document_engine::{DocumentEngine as _, EngineStatus};
use crate::engine::runner::ModelRunner;
use crate::engine::{Clock, Engine, EngineConfig, EngineFailure, EngineHandle, LoadError};
use crate::http::{AppState, BODY_UNIT, Origin, ServedModel, router};
use crate::listener::{self, ConnectionLimits};
use crate::picture_codec::PictureCodec;
use crate::request::Defaults;
use crate::shutdown::Signals;
use crate::startup::PreparedModel;

/// Pictures decoded, and pictures encoded, at a time: one for each of the two cores that a small machine
/// has, so that reading a burst of large pictures cannot starve the engine.
const PICTURE_WORKERS: usize = 2;

/// Pictures embedded in one engine step: a few in one pass of the vision tower, and not so many that a
/// client that leaves is noticed late.
const MAX_NUM_ENCODES: usize = 4;

/// The largest drawn picture is this many times the checkpoint's own side: the UNet repeats itself beyond.
const MAX_SIDE_FACTOR: usize = 2;

/// Engine and edge of one model.
pub struct Daemon {
    engine: EngineHandle,
    thread: Mutex<Option<JoinHandle<Result<(), EngineFailure>>>>,
    state: AppState,
}

impl Daemon {
    /// Starts the engine's thread, which loads the model, and prepares the edge. Pictures start from
    /// `noise`; `clock` tells deadlines.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    pub fn start(
        config: &Config,
        prepared: PreparedModel,
        noise: Box<dyn NoiseSource>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let origin = Origin::system();
        let max_model_len = max_model_len(config, &prepared);
        let model = served_model(config, &prepared, max_model_len, origin.unix_time());
        // Known before the first picture needs it, and at the cost of no request. It ends by itself, and
        // nobody waits for its end.
        let hash = Arc::clone(&prepared.hash);
        std::thread::Builder::new().name("model-hash".to_owned()).spawn(move || {
            tracing::debug!(sha256 = hash.get(), "the weights' digest is known");
        })?;
        let capacity = Capacity::new(&config.engine, kv_needs(&prepared, max_model_len));
        tracing::info!(capacity.max_num_seqs, capacity.num_kv_blocks, "capacity");
        let load = move || -> Result<Box<dyn ModelRunner>, LoadError> {
            let runner = CandleRunner::new(prepared.load()?, noise)?;
            Ok(Box::new(runner.with_max_model_len(max_model_len)))
        };
        let engine_config = EngineConfig {
            max_num_seqs: capacity.max_num_seqs,
            num_kv_blocks: capacity.num_kv_blocks,
            max_token_gap: config.engine.max_token_gap,
            max_num_batched_tokens: config.engine.max_num_batched_tokens,
            max_num_encodes: MAX_NUM_ENCODES,
            max_num_waiting: config.engine.max_waiting,
        };
        let (engine, thread) = Engine::start(load, engine_config, clock)?;
        let state = AppState {
            engine: Arc::new(engine.clone()),
            model: Arc::new(model),
            codec: PictureCodec::standard(),
            body_memory: Arc::new(Semaphore::new(config.http.max_held_body_bytes / BODY_UNIT)),
            preparing: Arc::new(Semaphore::new(config.engine.max_waiting)),
            picture_reading: Arc::new(Semaphore::new(PICTURE_WORKERS)),
            picture_writing: Arc::new(Semaphore::new(PICTURE_WORKERS)),
            origin,
            settings: Arc::new(config.http.clone()),
        };
        Ok(Self { engine, thread: Mutex::new(Some(thread)), state })
    }

    /// The way to the engine.
    pub fn engine(&self) -> EngineHandle {
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

    /// Waits for the engine's thread, which ends once it was drained.
    ///
    /// # Errors
    /// Why it ended otherwise.
    pub fn join(&self) -> Result<(), EngineFailure> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        match thread.map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(failure))) => Err(failure),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

/// What its contexts take, and what the machine has left for them.
fn kv_needs(prepared: &PreparedModel, max_model_len: usize) -> KvNeeds {
    let llama = &prepared.checkpoint.config().llama;
    let available = device::available_memory(&prepared.device);
    KvNeeds {
        block_bytes: KvPool::block_bytes(llama, prepared.dtype),
        context_blocks: max_model_len.div_ceil(KvPool::BLOCK_SIZE),
        spare_bytes: available.map(|bytes| bytes.saturating_sub(prepared.memory_estimate)),
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
    let tokenizer = Arc::clone(&prepared.tokenizer);
    let facts = ModelFacts {
        names,
        abilities: model.abilities,
        text_to_image: prepared.template.text_to_image,
        max_model_len,
        max_token_bytes: tokenizer.max_token_bytes(),
        drops_spaces: tokenizer.drops_spaces(),
        picture_positions: model.image_positions(),
        dream_positions: model.dream_positions(),
        noise_schedule: Arc::new(NoiseSchedule::new(&model.head.noise_schedule)),
        side_multiple: model.picture_multiple(),
        max_side: side * MAX_SIDE_FACTOR,
        max_drawn_pixels: side * side * MAX_SIDE_FACTOR,
        defaults: Defaults::of_checkpoint(prepared.template.defaults, side),
    };
    let special = *tokenizer.special();
    let preprocess = model.vision.preprocess.clone();
    ServedModel {
        limits: config.requests.with_model(facts),
        template: prepared.template.clone(),
        encode: Arc::new(move |text| tokenizer.encode_text(text)),
        bos: special.bos,
        eos: special.eos,
        shrink: Arc::new(move |picture| as_seen(picture, &preprocess)),
        provenance: prepared.provenance(),
        created,
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

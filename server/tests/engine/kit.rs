//! What the engine's tests stand on: a small budget, plain requests, an engine with a scripted runner and a
//! clock that moves by hand.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reverie_model::diffusion::SamplerKind;
use reverie_model::{CheckpointError, Picture};
use reverie_scheduler::Budget;
use reverie_server::engine::document_engine::{DocumentEngine, EngineStatus, EventStream};
use reverie_server::engine::event::{EngineEvent, FinishReason, Usage};
use reverie_server::engine::request::{
    EngineRequest, ImageChoice, ONE_TENANT, PictureParams, PromptSegment, SamplingParams,
    StoppingParams,
};
use reverie_server::engine::scripted_runner::{Script, ScriptItem, ScriptedRunner, StepControl};
use reverie_server::engine::{Clock, Engine, EngineConfig, EngineFailure, EngineHandle, LoadError};
use tokio_stream::StreamExt;

/// A drawn picture takes ten positions.
const BUDGET: Budget = Budget { max_model_len: 100, dream_positions: 4, image_positions: 6 };

const CONFIG: EngineConfig = EngineConfig {
    max_num_seqs: 1,
    max_num_batched_tokens: 32,
    max_num_encodes: 1,
    max_num_waiting: 2,
    num_kv_blocks: 56,
    max_token_gap: Duration::MAX,
};

type EngineThread = JoinHandle<Result<(), EngineFailure>>;

/// A running engine.
pub(crate) struct Kit {
    pub(crate) handle: EngineHandle,
    pub(crate) thread: EngineThread,
    pub(crate) clock: HandClock,
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<Mutex<Instant>>);

impl HandClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(crate) fn advance(&self, time: Duration) {
        *self.0.lock().expect("no holder panics") += time;
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Arc::new(move || *now.lock().expect("no holder panics"))
    }
}

impl Kit {
    /// An engine that runs freely.
    pub(crate) fn start(scripts: Vec<Script>) -> Self {
        Self::with(ScriptedRunner::new(BUDGET, scripts))
    }

    /// An engine that asks before every step.
    pub(crate) fn controlled(scripts: Vec<Script>) -> (Self, StepControl) {
        let (runner, control) = ScriptedRunner::controlled(BUDGET, scripts);
        (Self::with(runner), control)
    }

    fn with(runner: ScriptedRunner) -> Self {
        let clock = HandClock::new();
        let load = move || Ok(Box::new(runner) as Box<_>);
        let (handle, thread) = Engine::start(load, CONFIG, clock.clock()).expect("a thread");
        let loading = handle.clone();
        let loaded = std::thread::spawn(move || block_on(loading.loaded())).join();
        assert_eq!(loaded.expect("no panic"), EngineStatus::Ready);
        Self { handle, thread, clock }
    }

    /// All events of one request.
    pub(crate) async fn run(&self, request: EngineRequest) -> Vec<EngineEvent> {
        collect(self.handle.submit(request).expect("accepted")).await
    }

    /// Drains and joins.
    pub(crate) fn stop(self) {
        self.handle.drain();
        self.joined().expect("a drained engine ends in peace");
    }

    pub(crate) fn joined(self) -> Result<(), EngineFailure> {
        self.thread.join().expect("the engine's thread does not panic")
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

pub(crate) fn engine_that_cannot_load() -> (EngineHandle, EngineThread) {
    let load = || Err(nothing_to_load());
    Engine::start(load, CONFIG, HandClock::new().clock()).expect("a thread")
}

/// The same, once what it returns last is dropped.
pub(crate) fn engine_that_waits_before_it_loads() -> (EngineHandle, EngineThread, SyncSender<()>) {
    let (go_on, waits) = sync_channel::<()>(1);
    let load = move || {
        let _dropped = waits.recv();
        Err(nothing_to_load())
    };
    let (handle, thread) = Engine::start(load, CONFIG, HandClock::new().clock()).expect("a thread");
    (handle, thread, go_on)
}

fn nothing_to_load() -> LoadError {
    LoadError::Checkpoint(CheckpointError::Missing {
        folder: PathBuf::from("nowhere"),
        wanted: "config.json".to_owned(),
        hint: "a checkpoint folder".to_owned(),
    })
}

pub(crate) fn engine_that_panics_while_loading() -> (EngineHandle, EngineThread) {
    let load = || panic!("a defect of the loader");
    Engine::start(load, CONFIG, HandClock::new().clock()).expect("a thread")
}

/// A request with a prompt of so many tokens, in which the model decides everything.
pub(crate) fn request(prompt_tokens: usize) -> EngineRequest {
    EngineRequest {
        tenant: ONE_TENANT,
        prompt: vec![PromptSegment::Tokens(vec![1; prompt_tokens])],
        sampling: SamplingParams { temperature: 0.0, top_p: 1.0, top_k: 0, seed: 0, num_beams: 1 },
        stopping: StoppingParams {
            max_tokens: None,
            min_tokens: 0,
            ignore_eos: false,
            stop: Vec::new(),
        },
        pictures: PictureParams {
            choice: ImageChoice::Auto,
            max_images: 8,
            width: 8,
            height: 8,
            num_inference_steps: 2,
            guidance_scale: 7.5,
            guidance_rescale: 0.0,
            eta: 0.0,
            negative_prompt: None,
            sampler: SamplerKind::Ddpm,
            seed: 0,
            format: reverie_model::picture_codec::PictureFormat::Png,
            report_progress: false,
        },
        deadline: None,
    }
}

pub(crate) fn picture() -> Arc<Picture> {
    Arc::new(Picture::new(2, 2, vec![7; 12]))
}

pub(crate) fn word(text: &str) -> ScriptItem {
    ScriptItem::Text(text.to_owned())
}

pub(crate) async fn collect(stream: EventStream) -> Vec<EngineEvent> {
    stream.collect().await
}

/// Events in words.
pub(crate) fn story(events: &[EngineEvent]) -> Vec<String> {
    events.iter().map(text_of).collect()
}

/// An event in words.
pub(crate) fn text_of(event: &EngineEvent) -> String {
    match event {
        EngineEvent::Text { delta, .. } => delta.clone(),
        EngineEvent::ImageStarted { index } => format!("started {index}"),
        EngineEvent::ImageProgress { index, step, num_steps } => {
            format!("step {index} {step}/{num_steps}")
        }
        EngineEvent::Image { index, .. } => format!("image {index}"),
        EngineEvent::Finished { reason, .. } => format!("{reason:?}"),
        EngineEvent::Failed(error) => format!("failed: {error}"),
    }
}

/// All text, put together.
pub(crate) fn texts(events: &[EngineEvent]) -> String {
    let delta = |event: &EngineEvent| match event {
        EngineEvent::Text { delta, .. } => Some(delta.clone()),
        _ => None,
    };
    events.iter().filter_map(delta).collect()
}

/// The pictures, in the order they came.
pub(crate) fn image_indices(events: &[EngineEvent]) -> Vec<usize> {
    let index = |event: &EngineEvent| match event {
        EngineEvent::Image { index, .. } => Some(*index),
        _ => None,
    };
    events.iter().filter_map(index).collect()
}

/// How the document ended.
pub(crate) fn finished(events: &[EngineEvent]) -> (FinishReason, Usage) {
    match events.last() {
        Some(EngineEvent::Finished { reason, usage }) => (*reason, *usage),
        other => panic!("the document did not finish: {other:?}"),
    }
}

//! What the engine's tests stand on: a small budget, plain requests, an engine with a scripted runner and a
//! clock that moves by hand.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reverie_model::diffusion::SamplerKind;
use reverie_model::{CheckpointError, Picture};
use reverie_scheduler::Budget;
use reverie_scheduler::dispatcher::NumericsClass;
use reverie_server::engine::document_engine::{DocumentEngine, EngineStatus, EventStream};
use reverie_server::engine::event::{EngineEvent, FinishReason, Usage};
use reverie_server::engine::request::{
    EngineRequest, ImageChoice, ONE_TENANT, PictureParams, PromptSegment, RequestIdentity,
    SamplingParams, StoppingParams,
};
use reverie_server::engine::runner::{ModelRunner, TextDecoder};
use reverie_server::engine::scripted_runner::{Script, ScriptItem, ScriptedRunner, StepControl};
use reverie_server::engine::{Clock, EngineConfig, LoadError};
use reverie_server::pool::thread_worker::LoadRunner;
use reverie_server::pool::{Pool, PoolConfig, PoolFailure, PoolHandle, PoolThread};
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

/// A pool of one running engine.
pub(crate) struct Kit {
    pub(crate) handle: PoolHandle,
    pub(crate) thread: PoolThread,
    pub(crate) clock: HandClock,
}

/// A clock that runs, and can be moved forward.
#[derive(Clone)]
pub(crate) struct HandClock(Arc<Mutex<Duration>>);

impl HandClock {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Duration::ZERO)))
    }

    pub(crate) fn advance(&self, time: Duration) {
        *self.0.lock().expect("no holder panics") += time;
    }

    fn clock(&self) -> Clock {
        let moved = Arc::clone(&self.0);
        Arc::new(move || Instant::now() + *moved.lock().expect("no holder panics"))
    }
}

impl Kit {
    /// An engine that runs freely.
    pub(crate) fn start(scripts: Vec<Script>) -> Self {
        Self::with(vec![ScriptedRunner::new(BUDGET, scripts)])
    }

    /// Engines one after the other, each with its scripts.
    pub(crate) fn start_lives(lives: Vec<Vec<Script>>) -> Self {
        let runner = |scripts| ScriptedRunner::new(BUDGET, scripts);
        Self::with(lives.into_iter().map(runner).collect())
    }

    /// An engine that asks before every step.
    pub(crate) fn controlled(scripts: Vec<Script>) -> (Self, StepControl) {
        let (runner, control) = ScriptedRunner::controlled(BUDGET, scripts);
        (Self::with(vec![runner]), control)
    }

    fn with(runners: Vec<ScriptedRunner>) -> Self {
        let clock = HandClock::new();
        // Tokens have the same names in every life if all scripts use the same words in the same order.
        let words = runners[0].words();
        let lives = Mutex::new(runners.into_iter());
        let load = move || match lives.lock().expect("no holder panics").next() {
            Some(runner) => Ok(Box::new(runner) as Box<_>),
            None => Err(nothing_to_load()),
        };
        let (handle, thread) = start(load, move || words.decoder(), &clock);
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

    /// Waits until the front has heard everything that was said to it before.
    pub(crate) fn settle(&self) {
        // The second one is refused after everything that followed from the first.
        for _ in 0..2 {
            let refused = self.handle.submit(request(BUDGET.max_model_len));
            assert!(refused.is_err(), "a prompt as long as the context leaves no room");
        }
    }

    pub(crate) fn joined(self) -> Result<(), PoolFailure> {
        self.thread.join().expect("the engine's thread does not panic")
    }
}

fn start(
    load: impl Fn() -> Result<Box<dyn ModelRunner>, LoadError> + Send + Sync + 'static,
    text: impl Fn() -> Box<dyn TextDecoder> + Send + Sync + 'static,
    clock: &HandClock,
) -> (PoolHandle, PoolThread) {
    let load: LoadRunner = Arc::new(load);
    let config = PoolConfig::of_one(BUDGET, CONFIG);
    Pool::of_threads(config, NumericsClass(1), &load, Arc::new(text), clock.clock())
        .expect("a thread")
}

fn no_text() -> Box<dyn TextDecoder> {
    ScriptedRunner::new(BUDGET, Vec::new()).words().decoder()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

pub(crate) fn engine_that_cannot_load() -> (PoolHandle, PoolThread) {
    start(|| Err(nothing_to_load()), no_text, &HandClock::new())
}

/// The same, once what it returns last is dropped.
pub(crate) fn engine_that_waits_before_it_loads() -> (PoolHandle, PoolThread, SyncSender<()>) {
    let (go_on, waits) = sync_channel::<()>(1);
    let waits = Mutex::new(waits);
    let load = move || {
        let _dropped = waits.lock().expect("no holder panics").recv();
        Err(nothing_to_load())
    };
    let (handle, thread) = start(load, no_text, &HandClock::new());
    (handle, thread, go_on)
}

fn nothing_to_load() -> LoadError {
    LoadError::Checkpoint(CheckpointError::Missing {
        folder: PathBuf::from("nowhere"),
        wanted: "config.json".to_owned(),
        hint: "a checkpoint folder".to_owned(),
    })
}

pub(crate) fn engine_that_panics_while_loading() -> (PoolHandle, PoolThread) {
    let load = || panic!("a defect of the loader");
    start(load, no_text, &HandClock::new())
}

/// A request with a prompt of so many tokens, in which the model decides everything.
pub(crate) fn request(prompt_tokens: usize) -> EngineRequest {
    EngineRequest {
        prompt: vec![PromptSegment::Tokens(vec![1; prompt_tokens])],
        sampling: SamplingParams::greedy(),
        stopping: StoppingParams {
            max_tokens: None,
            min_tokens: 0,
            ignore_eos: false,
            ends_with_images: false,
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
            progress: None,
            trace: None,
        },
        choice: 0,
        deadline: None,
        tenant: ONE_TENANT,
        priority: 0,
        identity: RequestIdentity::default(),
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
        EngineEvent::ImageProgress { index, step, num_steps, preview: None } => {
            format!("step {index} {step}/{num_steps}")
        }
        EngineEvent::ImageProgress { index, step, num_steps, preview: Some(preview) } => {
            format!("step {index} {step}/{num_steps} shade {}", preview.rgb()[0])
        }
        EngineEvent::Image { index, .. } => format!("image {index}"),
        EngineEvent::Traced(pictures) => format!("traced {pictures:?}"),
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

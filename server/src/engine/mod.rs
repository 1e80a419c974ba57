//! The engine: one thread that owns the model and the scheduler, and turns requests into events.
//!
//! ```text
//!  EngineHandle::submit ──Command──▶ worker: take commands · sweep · schedule · execute · update · publish
//!         ▲                             │ &mut Scheduler   &mut Sessions   Box<dyn ModelRunner>
//!         └────── EventStream ◀─────────┘
//! ```
//!
//! The doors are [`Engine::start`], [`EngineHandle`] and [`EventStream`](document_engine::EventStream).
//! A request is split in two: its lengths and limits go to the scheduler, its contents to the runner;
//! what is left, the client's end of it, is a session. Knows no HTTP and no wire format.

mod admission;
pub mod candle_runner;
mod command;
pub mod document_engine;
pub mod event;
mod handle;
pub mod request;
pub mod runner;
pub mod scheduling;
pub mod scripted_runner;
pub mod sequence_spec;
mod session;
mod text;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reverie_model::{CheckpointError, ModelError};
use reverie_scheduler::CostModel;
pub use reverie_scheduler::SchedulerStats;
use tokio::sync::mpsc;

use self::admission::Admission;
use self::document_engine::EngineStatus;
use self::event::EngineError;
pub use self::handle::EngineHandle;
use self::runner::ModelRunner;
use self::scheduling::scheduler_config;
use self::worker::Worker;

/// Tells the time. Production passes `Instant::now`.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The engine's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Requests that are served at once. At least 1.
    pub max_num_seqs: usize,
    /// Decoder positions in one step at most; longer prompts are computed in chunks. At least
    /// `max_num_seqs`.
    pub max_num_batched_tokens: usize,
    /// Pictures embedded in one step at most. At least 1.
    pub max_num_encodes: usize,
    /// Requests that may wait besides those that are served.
    pub max_num_waiting: usize,
    /// Blocks of the KV cache, of sixteen positions each; at least those of two full contexts are used.
    pub num_kv_blocks: usize,
    /// While a text goes on, a step is predicted to take no longer than this.
    pub max_token_gap: Duration,
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its networks cannot be built or run.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Why the engine's thread ended other than by draining.
#[derive(Debug, thiserror::Error)]
pub enum EngineFailure {
    /// The model was not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A stage failed its first real pass.
    #[error("warm-up: {0}")]
    WarmUp(EngineError),
    /// The runner says that nothing it computes can be trusted any more.
    #[error("the model runner is unusable after: {0}")]
    Poisoned(EngineError),
}

/// The engine's beginning.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Starts the engine's thread, which loads the model by calling `load`, warms it up, and serves
    /// until it is drained or every handle is gone. The status is `Loading` until then, and `Failed`
    /// if it ends in any other way; the thread's result says why.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    pub fn start<F>(
        load: F,
        config: EngineConfig,
        clock: Clock,
    ) -> std::io::Result<(EngineHandle, JoinHandle<Result<(), EngineFailure>>)>
    where
        F: FnOnce() -> Result<Box<dyn ModelRunner>, LoadError> + Send + 'static,
    {
        let admission = Arc::new(Admission::new(config.max_num_seqs, config.max_num_waiting));
        // One for each admitted request, one for the order to drain: sending never fails for fullness.
        let (sender, commands) = mpsc::channel(admission.max_accepted() + 1);
        let handle = EngineHandle::new(sender, Arc::clone(&admission), Arc::clone(&clock));
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            let _failed_unless_told_otherwise = FailedOnPanic(Arc::clone(&admission));
            let ended = load_and_warm_up(load, &clock).and_then(|(runner, cost)| {
                let scheduler = scheduler_config(&config, runner.budget(), cost);
                Worker::new(runner, scheduler, clock, Arc::clone(&admission)).run(commands)
            });
            if ended.is_err() {
                admission.set_status(EngineStatus::Failed);
            }
            ended
        })?;
        Ok((handle, thread))
    }
}

fn load_and_warm_up<F>(
    load: F,
    clock: &Clock,
) -> Result<(Box<dyn ModelRunner>, CostModel), EngineFailure>
where
    F: FnOnce() -> Result<Box<dyn ModelRunner>, LoadError>,
{
    let mut runner = load()?;
    let cost = runner.warm_up(clock).map_err(EngineFailure::WarmUp)?;
    tracing::debug!(?cost, "measured");
    Ok((runner, cost))
}

/// Marks the engine as failed if its thread unwinds.
struct FailedOnPanic(Arc<Admission>);

impl Drop for FailedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_status(EngineStatus::Failed);
        }
    }
}

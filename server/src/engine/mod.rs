//! The engine of one worker: a loop that owns the model and the scheduler, and turns orders into messages.
//!
//! ```text
//!  EngineOrder ──▶ worker: take orders · schedule · execute · update · say ──▶ EngineMessage
//!                     &mut Scheduler   &mut Sessions   Box<dyn ModelRunner>
//! ```
//!
//! The door is [`serve`]; who gives orders, and whether that is another process, is not known here. A request
//! is split in two: its lengths and limits go to the scheduler, its contents to the runner; what is left,
//! what is written of its document, is a session. Knows no clients, no HTTP and no wire format.

pub mod candle_runner;
pub mod document_engine;
pub mod event;
mod failpoint;
pub(crate) mod guarded_call;
pub mod order;
pub mod request;
pub mod runner;
pub mod scheduling;
pub mod scripted_runner;
pub mod sequence_spec;
mod session;
pub(crate) mod text;
mod worker;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use reverie_model::{CheckpointError, ModelError};
pub use reverie_scheduler::SchedulerStats;
use reverie_scheduler::dispatcher::{NumericsClass, Role};

use self::event::EngineError;
use self::order::{EngineMessage, EngineOrder, Outbox};
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

impl EngineConfig {
    /// Jobs that an engine can hold at once.
    pub fn max_jobs(&self, role: Role) -> usize {
        match role {
            Role::Both | Role::Denoise => self.max_num_seqs,
            // A document that waits for its picture has no place: another one can have it.
            Role::Decode => 2 * self.max_num_seqs,
        }
    }
}

/// Which part of the work an engine does, and whose numbers its answers agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineDuty {
    /// Texts, pictures, or both.
    pub role: Role,
    /// Kernel set, instruction set, dtype and device family, hashed.
    pub class: NumericsClass,
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

/// Why an engine ended other than by being told to.
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
    /// The runner panicked.
    #[error("panic: {0}")]
    Panicked(String),
}

/// How an engine is to work.
#[derive(Clone)]
pub struct EngineSetup {
    /// Its limits.
    pub config: EngineConfig,
    /// Its part of the work.
    pub duty: EngineDuty,
    /// By which it measures what its passes and steps take.
    pub clock: Clock,
}

/// Loads the model by calling `load`, warms it up, says so, and works off `orders` until it is told to end,
/// or nobody gives orders or listens any more.
///
/// # Errors
/// Why it ended otherwise.
pub fn serve(
    load: impl FnOnce() -> Result<Box<dyn ModelRunner>, LoadError>,
    setup: &EngineSetup,
    orders: &Receiver<EngineOrder>,
    outbox: &mut dyn Outbox,
) -> Result<(), EngineFailure> {
    let EngineSetup { config, duty, clock } = setup;
    failpoint::strike_at_start();
    let mut runner = load()?;
    let cost = runner.warm_up(clock).map_err(EngineFailure::WarmUp)?;
    tracing::debug!(?cost, "measured");
    let (budget, max_jobs, class) = (runner.budget(), config.max_jobs(duty.role), duty.class);
    let scheduler = scheduler_config(config, budget, cost);
    let kv_positions = scheduler.kv.num_positions();
    let ready = EngineMessage::Ready { budget, max_jobs, kv_positions, class };
    if outbox.say(ready).and_then(|()| outbox.flush()).is_err() {
        return Ok(());
    }
    Worker::new(runner, scheduler, duty.role, Arc::clone(clock), outbox).run(orders)
}

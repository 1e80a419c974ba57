//! The pool: a front that lets requests in and workers that compute them, each in a process or a thread.
//!
//! ```text
//!  PoolHandle::submit ──FrontEvent──▶ front: Dispatcher (who, where, again) · answers (contents, text)
//!        ▲                              │ EngineOrder          ▲ EngineMessage
//!        └────── EventStream ◀──────────┤                      │
//!                                       └──▶ WorkerPort ──▶ engine loop, in a thread or behind a socket
//! ```
//!
//! The dispatcher knows names, counts and times; the front puts contents to its names. Text is made here, from
//! the pieces that workers produce, so that a document that goes on elsewhere goes on in the middle of a word.
//! Knows no HTTP and no tensors.

mod answer;
mod contents;
pub mod frame;
mod front;
mod handle;
mod inbox;
mod limits;
pub mod memory_file;
pub mod process_worker;
mod progress;
mod reading;
pub mod thread_worker;
pub mod vocabulary;
pub mod wire;
mod wording;
pub mod worker_port;
pub mod worker_process;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use reverie_scheduler::SchedulerStats;
use reverie_scheduler::dispatcher::{NumericsClass, Role};
use tokio::sync::watch;

pub use self::handle::PoolHandle;
pub use self::inbox::{WorkerEnd, WorkerLine};
pub use self::limits::PoolConfig;

use self::front::{Front, Lines};
use self::inbox::INBOX;
use self::thread_worker::{LoadRunner, ThreadPlace};
use self::worker_port::WorkerPlace;
use crate::engine::document_engine::EngineStatus;
use crate::engine::runner::TextDecoder;
use crate::engine::{Clock, EngineDuty, EngineFailure, EngineSetup};

/// Makes what turns one document's ids into text.
pub type TextSource = Arc<dyn Fn() -> Box<dyn TextDecoder> + Send + Sync>;

/// The front's thread, and how it ended.
pub type PoolThread = JoinHandle<Result<(), PoolFailure>>;

/// Why a pool ended other than by draining.
#[derive(Debug, thiserror::Error)]
pub enum PoolFailure {
    /// Workers could not be started any more; the last one said why.
    #[error(transparent)]
    Engine(EngineFailure),
    /// The same, and the last one could not say why.
    #[error("workers end before they are ready: {reason}")]
    Lost {
        /// How the last one ended.
        reason: String,
    },
    /// No worker could be started at all.
    #[error("no worker can be started")]
    NoWorker,
}

/// The pool's beginning.
#[derive(Debug)]
pub struct Pool;

impl Pool {
    /// The same with workers that are threads of this process, each of which loads by `load`.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    pub fn of_threads(
        config: PoolConfig,
        class: NumericsClass,
        load: &LoadRunner,
        text: TextSource,
        clock: Clock,
    ) -> io::Result<(PoolHandle, PoolThread)> {
        let place = |role: &Role| -> Box<dyn WorkerPlace> {
            let duty = EngineDuty { role: *role, class };
            let setup = EngineSetup { config: config.engine, duty, clock: Arc::clone(&clock) };
            Box::new(ThreadPlace::new(Arc::clone(load), setup))
        };
        let places = config.roles.iter().map(place).collect();
        Self::start(config, places, text, clock)
    }

    /// Starts the front's thread, which starts a worker in each of `places` (one for each role of `config`)
    /// and serves until it is drained or every handle is gone. The status is `Loading` until a worker is
    /// warm, and `Failed` if none is left; the thread's result says why.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    ///
    /// # Panics
    /// If there are not as many places as roles.
    pub fn start(
        config: PoolConfig,
        places: Vec<Box<dyn WorkerPlace>>,
        text: TextSource,
        clock: Clock,
    ) -> io::Result<(PoolHandle, PoolThread)> {
        assert_eq!(config.roles.len(), places.len(), "a place for each role");
        let (sender, inbox) = sync_channel(INBOX);
        let drain = Arc::new(AtomicBool::new(false));
        let (status, watched) = watch::channel(EngineStatus::Loading);
        let (stats, board) = watch::channel(SchedulerStats::default());
        let judging = (config.budget, config.has_choice());
        let handle = PoolHandle::new(sender.clone(), Arc::clone(&drain), (watched, board), judging);
        let thread = std::thread::Builder::new().name("front".to_owned()).spawn(move || {
            let lines = Lines { inbox, sender, drain, status, stats };
            Front::new(config, places, text, lines, clock).run()
        })?;
        Ok((handle, thread))
    }
}

//! Workers as threads of this process, for tests and embedding. A thread cannot be killed: one that hangs is
//! left behind, one that is told to end does so after its step.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};

use reverie_scheduler::dispatcher::DownCause;

use super::inbox::{WorkerEnd, WorkerLine};
use super::worker_port::{ORDERS, TellError, WorkerPlace, WorkerPort};
use crate::engine::order::EngineOrder;
use crate::engine::runner::ModelRunner;
use crate::engine::{EngineFailure, EngineSetup, LoadError, serve};

/// Loads the model, on the worker's thread; called again for each life.
pub type LoadRunner =
    std::sync::Arc<dyn Fn() -> Result<Box<dyn ModelRunner>, LoadError> + Send + Sync>;

/// A place whose workers are threads.
pub struct ThreadPlace {
    load: LoadRunner,
    setup: EngineSetup,
}

impl ThreadPlace {
    /// Workers that compute with what `load` yields.
    pub fn new(load: LoadRunner, setup: EngineSetup) -> Self {
        Self { load, setup }
    }
}

impl WorkerPlace for ThreadPlace {
    fn start(&mut self, mut line: WorkerLine) -> io::Result<Box<dyn WorkerPort>> {
        let (sender, orders) = sync_channel(ORDERS);
        let (load, setup) = (std::sync::Arc::clone(&self.load), self.setup.clone());
        let name = format!("engine-{}", line.worker().0);
        std::thread::Builder::new().name(name).spawn(move || {
            let ended =
                catch_unwind(AssertUnwindSafe(|| serve(|| load(), &setup, &orders, &mut line)));
            line.down(match ended {
                Ok(Ok(())) => told_to_end(),
                Ok(Err(failure)) => failed(failure),
                Err(_panic) => failed(EngineFailure::Panicked("outside the runner".to_owned())),
            });
        })?;
        Ok(Box::new(ThreadPort { orders: Some(sender) }))
    }
}

fn told_to_end() -> WorkerEnd {
    WorkerEnd { cause: DownCause::Killed, reason: "told to end".to_owned(), failure: None }
}

fn failed(failure: EngineFailure) -> WorkerEnd {
    let reason = failure.to_string();
    WorkerEnd { cause: DownCause::Crashed, reason, failure: Some(failure) }
}

struct ThreadPort {
    /// `None` once it was killed: a thread without orders ends.
    orders: Option<SyncSender<EngineOrder>>,
}

impl WorkerPort for ThreadPort {
    fn tell(&mut self, order: EngineOrder) -> Result<(), TellError> {
        let orders = self.orders.as_ref().ok_or(TellError::Ended)?;
        Ok(orders.try_send(order)?)
    }

    fn kill(&mut self) {
        self.orders = None;
    }
}

//! A worker as the front sees it, wherever it runs: started, told, killed. Two implementations stand beside
//! this: a thread and a process.

use std::io;
use std::sync::mpsc::TrySendError;

use super::inbox::WorkerLine;
use crate::engine::order::EngineOrder;

/// Orders that wait for a worker at most. The dispatcher gives a worker no more jobs than it holds, and each
/// has a few orders: a worker that lets more lie does not listen any more.
pub(super) const ORDERS: usize = 1024;

/// Starts workers of one place.
pub trait WorkerPlace: Send {
    /// Starts one. What it says and that it has ended comes over `line`.
    ///
    /// # Errors
    /// If the system refuses.
    fn start(&mut self, line: WorkerLine) -> io::Result<Box<dyn WorkerPort>>;
}

/// One life of a worker.
pub trait WorkerPort: Send {
    /// Gives an order; never waits.
    ///
    /// # Errors
    /// [`TellError`]; the order is lost.
    fn tell(&mut self, order: EngineOrder) -> Result<(), TellError>;

    /// Ends it at once, as far as that is possible. Nothing that it says from now on counts.
    fn kill(&mut self);
}

/// Why an order does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TellError {
    /// The worker has ended; the news of it is under way.
    #[error("the worker has ended")]
    Ended,
    /// It does not take its orders.
    #[error("the worker leaves {ORDERS} orders lying")]
    Full,
}

impl<T> From<TrySendError<T>> for TellError {
    fn from(error: TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::Full,
            TrySendError::Disconnected(_) => Self::Ended,
        }
    }
}

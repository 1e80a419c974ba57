//! The dispatcher's refusals and failures in the engine's words. Decides nothing.

use std::time::Duration;

use reverie_scheduler::dispatcher::{Failure, JobFault, Micros, Rejection};

use crate::engine::document_engine::SubmitError;
use crate::engine::event::EngineError;

fn span(micros: Micros) -> Duration {
    Duration::from_micros(micros.0)
}

/// Why a request was not accepted; it is `now`.
pub(super) fn submit_error(rejection: Rejection, now: Micros) -> SubmitError {
    match rejection {
        Rejection::TooLong { positions, limit } => SubmitError::TooLong { positions, limit },
        Rejection::TooLarge { num_bytes, limit } => SubmitError::TooLarge { num_bytes, limit },
        Rejection::KvTooSmall { positions, limit } => SubmitError::TooWide { positions, limit },
        Rejection::WaitTooLong { wait, limit, retry_after } => SubmitError::WaitTooLong {
            wait: span(wait),
            limit: span(limit),
            retry_after: span(retry_after),
        },
        Rejection::DeadlineInfeasible { wait, left, retry_after } => {
            let (wait, left, retry_after) = (span(wait), span(left), span(retry_after));
            SubmitError::DeadlineInfeasible { wait, left, retry_after }
        }
        Rejection::QueueFull { waiting, retry_after } => {
            SubmitError::QueueFull { waiting, retry_after: span(retry_after) }
        }
        Rejection::TenantQueueFull { waiting, retry_after } => {
            SubmitError::TenantQueueFull { waiting, retry_after: span(retry_after) }
        }
        Rejection::MemoryFull { reserved, retry_after } => {
            SubmitError::MemoryFull { reserved, retry_after: span(retry_after) }
        }
        Rejection::KeysFull { retry_after } => {
            SubmitError::KeysFull { retry_after: span(retry_after) }
        }
        Rejection::KeyConflict => SubmitError::KeyConflict,
        Rejection::Quarantined { until } => {
            SubmitError::Quarantined { retry_after: span(until.since(now)) }
        }
        Rejection::NotReady => SubmitError::Loading,
        Rejection::Draining => SubmitError::Draining,
        Rejection::NoWorker => SubmitError::NoWorker,
    }
}

/// Why an accepted request failed; `cause` is what its worker said.
pub(super) fn engine_error(failure: Failure, cause: Option<String>) -> EngineError {
    let cause = || cause.unwrap_or_default();
    match failure {
        Failure::Deadline => EngineError::Deadline,
        Failure::Quarantined => EngineError::Quarantined,
        Failure::LostTooOften { deaths } => EngineError::Lost { deaths },
        Failure::SlowReader => EngineError::SlowReader,
        Failure::Fault(JobFault::NotFinite) => EngineError::NotFinite(cause()),
        Failure::Fault(JobFault::NotComputed | JobFault::Refused) => EngineError::Model(cause()),
        Failure::NoWorker => EngineError::NoWorker,
        Failure::Aborted => EngineError::ShuttingDown,
    }
}

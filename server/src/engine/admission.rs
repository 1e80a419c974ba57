//! What the engine's thread and its handles share: how many requests are in, and whether more may come.
//! Knows counts and states, not requests.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reverie_scheduler::{Budget, SchedulerStats};
use tokio::sync::watch;

use super::document_engine::EngineStatus;

/// The bounds of a suggested wait.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// The engine's front door.
#[derive(Debug)]
pub(super) struct Admission {
    status: watch::Sender<EngineStatus>,
    budget: OnceLock<Budget>,
    max_num_running: usize,
    max_accepted: usize,
    num_accepted: AtomicUsize,
    /// How long a document takes, smoothed; 0 until one has ended.
    document_millis: AtomicU64,
    /// The scheduler's numbers after the last step.
    stats: Mutex<SchedulerStats>,
}

/// A request's place in the engine, from its submission to its end.
#[derive(Debug)]
pub(super) struct Place(Arc<Admission>);

impl Admission {
    pub(super) fn new(max_num_running: usize, max_num_waiting: usize) -> Self {
        Self {
            status: watch::Sender::new(EngineStatus::Loading),
            budget: OnceLock::new(),
            max_num_running,
            max_accepted: max_num_waiting + max_num_running,
            num_accepted: AtomicUsize::new(0),
            document_millis: AtomicU64::new(0),
            stats: Mutex::default(),
        }
    }

    /// The scheduler's numbers after the last step.
    pub(super) fn stats(&self) -> SchedulerStats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_stats(&self, stats: SchedulerStats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    /// Requests in the engine at most.
    pub(super) fn max_accepted(&self) -> usize {
        self.max_accepted
    }

    pub(super) fn status(&self) -> EngineStatus {
        *self.status.borrow()
    }

    pub(super) fn watch_status(&self) -> watch::Receiver<EngineStatus> {
        self.status.subscribe()
    }

    pub(super) fn set_status(&self, status: EngineStatus) {
        self.status.send_replace(status);
    }

    /// The model is loaded and warm. A drain ordered meanwhile stands.
    pub(super) fn open(&self, budget: Budget) {
        self.budget.get_or_init(|| budget);
        self.status.send_if_modified(|status| match status {
            EngineStatus::Loading => {
                *status = EngineStatus::Ready;
                true
            }
            EngineStatus::Ready | EngineStatus::Draining | EngineStatus::Failed => false,
        });
    }

    /// Nothing new from now on. Whether this call changed that.
    pub(super) fn close(&self) -> bool {
        self.status.send_if_modified(|status| match status {
            EngineStatus::Loading | EngineStatus::Ready => {
                *status = EngineStatus::Draining;
                true
            }
            EngineStatus::Draining | EngineStatus::Failed => false,
        })
    }

    /// What fits into a context, once the model is loaded.
    pub(super) fn budget(&self) -> Option<Budget> {
        self.budget.get().copied()
    }

    /// Takes a place, or says how many requests are waiting.
    pub(super) fn take_place(self: &Arc<Self>) -> Result<Place, usize> {
        let taken = self.num_accepted.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count < self.max_accepted).then_some(count + 1)
        });
        match taken {
            Ok(_) => Ok(Place(Arc::clone(self))),
            Err(count) => Err(count.saturating_sub(self.max_num_running)),
        }
    }

    /// When a request that found no place may find one: in about the time that a document takes.
    pub(super) fn retry_after(&self) -> Duration {
        let (least, most) = RETRY_AFTER;
        Duration::from_millis(self.document_millis.load(Ordering::Relaxed)).clamp(least, most)
    }

    /// A document took this long. Only the engine's thread calls this.
    pub(super) fn document_took(&self, duration: Duration) {
        let latest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
        let smoothed = match self.document_millis.load(Ordering::Relaxed) {
            0 => latest,
            mean => mean - mean / 4 + latest / 4,
        };
        self.document_millis.store(smoothed, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.num_accepted.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back_when_dropped() {
        let admission = Arc::new(Admission::new(1, 1));
        let first = admission.take_place().expect("the running one");
        let _second = admission.take_place().expect("the waiting one");
        assert_eq!(admission.take_place().map(|_| ()), Err(1));
        drop(first);
        assert!(admission.take_place().is_ok());
    }

    #[test]
    fn the_suggested_wait_follows_how_long_documents_take() {
        let admission = Admission::new(1, 1);
        assert_eq!(admission.retry_after(), Duration::from_secs(1));
        admission.document_took(Duration::from_secs(8));
        assert_eq!(admission.retry_after(), Duration::from_secs(8));
        admission.document_took(Duration::from_secs(4));
        assert_eq!(admission.retry_after(), Duration::from_secs(7));
    }

    #[test]
    fn a_drain_ordered_while_loading_stands() {
        let budget = Budget { max_model_len: 8, dream_positions: 1, image_positions: 1 };
        let admission = Admission::new(1, 1);
        assert!(admission.close());
        admission.open(budget);
        assert_eq!(admission.status(), EngineStatus::Draining);
        assert!(!admission.close());
    }
}

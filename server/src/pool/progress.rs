//! Reports of progress on their way to one client: few, the latest ones, outside the order of the answer. A
//! client that reads slowly loses reports, and nothing else. Knows no answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use reverie_model::Picture;

use crate::engine::event::EngineEvent;

/// Reports that wait for a client: enough for one that reads as fast as pictures are drawn, whatever the
/// operating system does in between; a preview has a few KiB.
const MAX_WAITING: usize = 16;

/// A denoising step of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProgressReport {
    /// Which picture of the answer, from 0.
    pub(super) index: usize,
    /// Steps done.
    pub(super) step: usize,
    /// Steps in all.
    pub(super) num_steps: usize,
    pub(super) preview: Option<Arc<Picture>>,
}

impl From<ProgressReport> for EngineEvent {
    fn from(report: ProgressReport) -> Self {
        let ProgressReport { index, step, num_steps, preview } = report;
        Self::ImageProgress { index, step, num_steps, preview }
    }
}

/// Reports between the front, which pushes and never waits, and one client.
#[derive(Debug, Default)]
pub(super) struct ProgressQueue(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    reports: VecDeque<ProgressReport>,
    reader: Option<Waker>,
}

impl ProgressQueue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the latest report. Where there is no room the oldest without a preview goes, or the oldest.
    pub(super) fn push(&self, report: ProgressReport) {
        let reader = {
            let mut waiting = self.waiting();
            if waiting.reports.len() == MAX_WAITING {
                let plain = waiting.reports.iter().position(|report| report.preview.is_none());
                waiting.reports.remove(plain.unwrap_or(0));
            }
            waiting.reports.push_back(report);
            waiting.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The picture of the latest report. The reader is woken when there is another one.
    pub(super) fn watch(&self, cx: &Context<'_>) -> Option<usize> {
        let mut waiting = self.waiting();
        waiting.reader = Some(cx.waker().clone());
        waiting.reports.back().map(|report| report.index)
    }

    /// The oldest report, if it is about picture `last` or one before it.
    pub(super) fn pop(&self, last: usize) -> Option<ProgressReport> {
        let mut waiting = self.waiting();
        if waiting.reports.front()?.index > last {
            return None;
        }
        waiting.reports.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: usize, preview: bool) -> ProgressReport {
        let preview = preview.then(|| Arc::new(Picture::new(1, 1, vec![step as u8; 3])));
        ProgressReport { index: 0, step, num_steps: 100, preview }
    }

    fn steps(queue: &ProgressQueue) -> Vec<usize> {
        std::iter::from_fn(|| queue.pop(0)).map(|report| report.step).collect()
    }

    #[test]
    fn a_client_that_does_not_read_keeps_the_latest_reports_only() {
        let queue = ProgressQueue::default();
        (1..=100).for_each(|step| queue.push(report(step, true)));
        assert_eq!(steps(&queue), (85..=100).collect::<Vec<_>>());
    }

    #[test]
    fn previews_outlive_steps_without_one() {
        let queue = ProgressQueue::default();
        (1..=100).for_each(|step| queue.push(report(step, step % 30 == 0)));
        let left = steps(&queue);
        assert_eq!(left[..3], [30, 60, 87]);
        assert_eq!((left.len(), left.last()), (MAX_WAITING, Some(&100)));
    }

    #[test]
    fn reports_of_a_later_picture_wait_for_the_one_before() {
        let queue = ProgressQueue::default();
        queue.push(ProgressReport { index: 1, ..report(1, false) });
        assert_eq!(queue.pop(0), None);
        assert!(queue.pop(1).is_some());
    }
}

//! One place for a worker: its present process, whether that lives, and what it has been given. Knows
//! nothing of requests but their jobs' names.
//!
//! Silence, loading and stability are measured on the front's **listening** clock, which stands still while
//! the front does: what a worker said meanwhile has not been heard yet, and proves nothing against it.

use std::collections::{BTreeSet, VecDeque};

use super::clock::Clock;
use super::config::LivenessConfig;
use super::event::{Abilities, Submission};
use super::identity::{Digest, Epoch, JobId, Micros, NumericsClass, RequestId, Role, WorkerId};
use crate::planted::{Planted, planted};

/// Where a worker's process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerState {
    /// There is none.
    Down {
        /// When the next one is started.
        restart_at: Micros,
    },
    /// It loads.
    Starting {
        /// From when on, on the listening clock.
        since: Micros,
    },
    /// It works.
    Serving {
        /// What it can hold.
        abilities: Abilities,
        /// From when on, on the listening clock.
        since: Micros,
        /// When it last said something, on the listening clock.
        heard: Micros,
    },
    /// It failed to start too often: there will never be one again.
    GivenUp,
}

/// What a tick finds a worker in need of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Start,
    /// It has been silent for too long.
    Replace,
}

/// A place for a worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) role: Role,
    pub(super) epoch: Epoch,
    pub(super) state: WorkerState,
    /// The class of its latest process.
    pub(super) class: Option<NumericsClass>,
    /// Jobs that its latest process could hold.
    pub(super) places: usize,
    /// Positions of its latest process's KV cache.
    pub(super) kv_positions: usize,
    /// What runs there, aborted jobs included until they have left.
    pub(super) jobs: BTreeSet<JobId>,
    /// The cost of all jobs.
    pub(super) load: u64,
    /// The suspected request that has the worker, or is going to have it, for itself.
    pub(super) claim: Option<RequestId>,
    /// Requests whose numbers were not finite in its present process, and when, on the listening clock.
    not_finite: VecDeque<(Micros, Digest)>,
    failed_starts: u32,
    /// Deaths since it was last stable.
    deaths: u32,
}

impl Worker {
    pub(super) fn new(id: WorkerId, role: Role) -> Self {
        Self {
            id,
            role,
            epoch: Epoch(0),
            state: WorkerState::Down { restart_at: Micros(0) },
            class: None,
            places: 0,
            kv_positions: 0,
            jobs: BTreeSet::new(),
            load: 0,
            claim: None,
            not_finite: VecDeque::new(),
            failed_starts: 0,
            deaths: 0,
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.state == WorkerState::GivenUp
    }

    /// Whether it may get new work: it serves, and has been heard lately.
    pub(super) fn is_routable(&self, listened: Micros, config: &LivenessConfig) -> bool {
        match self.state {
            WorkerState::Serving { heard, .. } => {
                listened.since(heard) < config.suspect_after || planted(Planted::RouteToSuspected)
            }
            WorkerState::Down { .. } | WorkerState::Starting { .. } | WorkerState::GivenUp => false,
        }
    }

    /// Whether its KV cache has room for all that a request can come to.
    pub(super) fn holds(&self, submission: &Submission) -> bool {
        submission.kv_positions <= self.kv_positions
    }

    /// Jobs that it could take on besides those it has.
    pub(super) fn room(&self) -> usize {
        match self.state {
            WorkerState::Serving { abilities, .. } => {
                let slack = usize::from(planted(Planted::OneJobTooMany));
                (abilities.max_jobs + slack).saturating_sub(self.jobs.len())
            }
            WorkerState::Down { .. } | WorkerState::Starting { .. } | WorkerState::GivenUp => 0,
        }
    }

    pub(super) fn start(&mut self, listened: Micros) {
        if !planted(Planted::EpochReused) || self.epoch == Epoch(0) {
            self.epoch.0 += 1;
        }
        self.state = WorkerState::Starting { since: listened };
    }

    /// Whether that made it serve: only a process that loads can become ready.
    pub(super) fn up(&mut self, listened: Micros, abilities: Abilities) -> bool {
        let WorkerState::Starting { .. } = self.state else { return false };
        self.failed_starts = 0;
        self.class = Some(abilities.class);
        self.places = abilities.max_jobs;
        self.kv_positions = abilities.kv_positions;
        self.not_finite.clear();
        self.state = WorkerState::Serving { abilities, since: listened, heard: listened };
        true
    }

    pub(super) fn hear(&mut self, listened: Micros) {
        if let WorkerState::Serving { heard, .. } = &mut self.state {
            *heard = listened;
        }
    }

    /// Whether one request more whose numbers are not finite is one too many.
    pub(super) fn is_unsound(
        &mut self,
        listened: Micros,
        request: Digest,
        config: &LivenessConfig,
    ) -> bool {
        let is_old = |(at, _): &(Micros, Digest)| listened.since(*at) > config.not_finite_within;
        while self.not_finite.front().is_some_and(is_old) {
            self.not_finite.pop_front();
        }
        if !self.not_finite.iter().any(|(_, known)| *known == request) {
            self.not_finite.push_back((listened, request));
        }
        self.not_finite.len() > config.max_not_finite && !planted(Planted::NotFiniteUnseen)
    }

    /// Its process is gone: another is started after a wait that doubles, or none.
    pub(super) fn down(&mut self, clock: Clock, config: &LivenessConfig) {
        match self.state {
            WorkerState::Serving { since, .. }
                if clock.listened.since(since) >= config.stable_after =>
            {
                self.deaths = 0;
            }
            WorkerState::Starting { .. } if !planted(Planted::StartsForEver) => {
                self.failed_starts += 1;
            }
            WorkerState::Starting { .. }
            | WorkerState::Serving { .. }
            | WorkerState::Down { .. }
            | WorkerState::GivenUp => {}
        }
        if self.failed_starts >= config.max_failed_starts {
            self.state = WorkerState::GivenUp;
            return;
        }
        let doubled = config.first_backoff.0.saturating_mul(1 << self.deaths.min(32));
        let backoff = Micros(doubled).min(config.max_backoff);
        self.deaths += 1;
        self.state = WorkerState::Down { restart_at: clock.now.after(backoff) };
    }

    /// What it needs now.
    pub(super) fn need(&self, clock: Clock, config: &LivenessConfig) -> Need {
        let overdue = self.deadline(clock, config).is_some_and(|deadline| deadline <= clock.now);
        match self.state {
            WorkerState::Down { .. } if overdue => Need::Start,
            WorkerState::Serving { .. } if planted(Planted::HangUnseen) => Need::Nothing,
            WorkerState::Starting { .. } | WorkerState::Serving { .. } if overdue => Need::Replace,
            WorkerState::Down { .. }
            | WorkerState::Starting { .. }
            | WorkerState::Serving { .. }
            | WorkerState::GivenUp => Need::Nothing,
        }
    }

    /// When it will need something unless it is heard.
    pub(super) fn deadline(&self, clock: Clock, config: &LivenessConfig) -> Option<Micros> {
        let in_time_of_listening =
            |due: Micros| clock.now.after(due.since(clock.listened).min(config.listen_every));
        match self.state {
            WorkerState::Down { restart_at } => Some(restart_at),
            WorkerState::Starting { since } => {
                Some(in_time_of_listening(since.after(config.start_timeout)))
            }
            WorkerState::Serving { heard, .. } => {
                Some(in_time_of_listening(heard.after(config.hung_after)))
            }
            WorkerState::GivenUp => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: LivenessConfig = LivenessConfig {
        suspect_after: Micros(10),
        hung_after: Micros(30),
        start_timeout: Micros(100),
        first_backoff: Micros(5),
        max_backoff: Micros(15),
        stable_after: Micros(1_000),
        max_failed_starts: 3,
        max_not_finite: 2,
        not_finite_within: Micros(50),
        listen_every: Micros(5),
    };
    const ABILITIES: Abilities =
        Abilities { max_jobs: 2, kv_positions: 9, class: NumericsClass(1) };

    fn at(time: u64) -> Clock {
        Clock { now: Micros(time), listened: Micros(time) }
    }

    fn restart_at(worker: &Worker) -> Option<u64> {
        match worker.state {
            WorkerState::Down { restart_at } => Some(restart_at.0),
            WorkerState::Starting { .. } | WorkerState::Serving { .. } | WorkerState::GivenUp => {
                None
            }
        }
    }

    #[test]
    fn silence_is_first_suspected_then_replaced() {
        let mut worker = Worker::new(WorkerId(1), Role::Both);
        assert_eq!(worker.need(at(0), &CONFIG), Need::Start);
        worker.start(Micros(0));
        assert!(worker.up(Micros(3), ABILITIES));
        assert!(worker.is_routable(Micros(12), &CONFIG));
        assert!(!worker.is_routable(Micros(13), &CONFIG));
        assert_eq!(worker.need(at(32), &CONFIG), Need::Nothing);
        assert_eq!(worker.need(at(33), &CONFIG), Need::Replace);
        worker.hear(Micros(33));
        assert!(worker.is_routable(Micros(33), &CONFIG));
    }

    #[test]
    fn a_worker_is_unsound_once_many_requests_are_not_finite_within_a_while() {
        let mut worker = Worker::new(WorkerId(1), Role::Both);
        let mut counts =
            |time, request| worker.is_unsound(Micros(time), Digest([request; 32]), &CONFIG);
        assert!(!counts(0, 1) && !counts(1, 1) && !counts(2, 1), "the same request");
        assert!(!counts(3, 2));
        assert!(!counts(51, 3), "the first was too long ago");
        assert!(counts(52, 4));
    }

    #[test]
    fn waits_double_up_to_their_bound_and_start_small_after_a_stable_time() {
        let mut worker = Worker::new(WorkerId(1), Role::Both);
        for expected in [5, 10, 15, 15] {
            worker.start(Micros(0));
            worker.up(Micros(0), ABILITIES);
            worker.down(at(0), &CONFIG);
            assert_eq!(restart_at(&worker), Some(expected));
        }
        worker.start(Micros(0));
        worker.up(Micros(0), ABILITIES);
        worker.down(at(1_000), &CONFIG);
        assert_eq!(restart_at(&worker), Some(1_005));
    }

    #[test]
    fn a_place_is_given_up_after_so_many_failed_starts_in_a_row() {
        let mut worker = Worker::new(WorkerId(1), Role::Both);
        for _ in 0..2 {
            worker.start(Micros(0));
            worker.down(at(0), &CONFIG);
        }
        worker.start(Micros(0));
        worker.up(Micros(0), ABILITIES);
        worker.down(at(0), &CONFIG);
        for _ in 0..2 {
            worker.start(Micros(0));
            worker.down(at(0), &CONFIG);
            assert!(!worker.is_given_up());
        }
        worker.start(Micros(0));
        worker.down(at(0), &CONFIG);
        assert!(worker.is_given_up());
        assert_eq!(worker.deadline(at(0), &CONFIG), None);
    }
}

//! What the front has promised, kept in books of its own: every event and every action is entered, and
//! whatever breaks a promise is said in one line. Shares no code with the dispatcher.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use reverie_scheduler::dispatcher::{
    Abilities, Counters, DispatcherConfig, Ending, Entry, Epoch, JobId, Micros, NumericsClass, Role,
};
use reverie_scheduler::{Budget, FinishReason};

use super::oracle::num_bytes;
use super::script::{Script, Wish};

/// A broken promise.
pub(crate) type Broken = String;

/// Says so unless it holds.
macro_rules! promise {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err(format!($($said)+));
        }
    };
}
pub(crate) use promise;

/// A job as the front must believe it to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobPage {
    pub(crate) request: u64,
    pub(crate) is_drawing: bool,
    pub(crate) cost: u64,
    pub(crate) is_aborted: bool,
    /// The entry that it has asked for, a picture.
    pub(crate) awaits: Option<usize>,
}

/// A worker as the front must believe it to be.
#[derive(Debug)]
pub(crate) struct WorkerPage {
    pub(crate) role: Role,
    pub(crate) abilities: Abilities,
    pub(crate) epoch: Epoch,
    pub(crate) is_starting: bool,
    pub(crate) is_up: bool,
    pub(crate) heard: Micros,
    pub(crate) failed_starts: u32,
    /// Contents of requests that were not finite in its present life, each time, and when.
    pub(crate) not_finite: Vec<(Micros, u64)>,
    /// Whether it was killed for that.
    pub(crate) is_recycled: bool,
    pub(crate) jobs: BTreeMap<JobId, JobPage>,
}

impl WorkerPage {
    pub(crate) fn holds(&self, wish: &Wish) -> bool {
        wish.kv_positions <= self.abilities.kv_positions
    }

    pub(crate) fn load(&self) -> u64 {
        self.jobs.values().map(|job| job.cost).sum()
    }
}

/// A request as its client sees it.
#[derive(Debug)]
pub(crate) struct RequestPage {
    pub(crate) wish: Rc<Wish>,
    pub(crate) answer: Rc<(Vec<Entry>, FinishReason)>,
    pub(crate) admitted: Micros,
    /// When it was given to a worker for the first time.
    pub(crate) started: Option<Micros>,
    pub(crate) ended: Micros,
    pub(crate) order: usize,
    pub(crate) delivered: Vec<Entry>,
    pub(crate) num_read: usize,
    /// From when on its client has lagged by more than half of what it may.
    pub(crate) lags_since: Option<Micros>,
    pub(crate) ending: Option<Ending>,
    pub(crate) clients: BTreeSet<u64>,
    pub(crate) is_suspect: bool,
    /// Alone on a worker that died by itself, after another did.
    pub(crate) is_proven: bool,
    pub(crate) deaths: u32,
    pub(crate) has_failed: bool,
    /// The entry that was last said to be a picture for another worker.
    pub(crate) asked_picture: Option<usize>,
    pub(crate) text_class: Option<NumericsClass>,
    pub(crate) picture_class: Option<NumericsClass>,
}

impl RequestPage {
    pub(crate) fn is_open(&self) -> bool {
        self.ending.is_none()
    }

    pub(crate) fn has_started(&self) -> bool {
        self.started.is_some()
    }

    pub(crate) fn unread(&self) -> u64 {
        self.delivered[self.num_read..].iter().map(|entry| num_bytes(*entry)).sum()
    }

    /// Whether a picture of it is being drawn for a document that only writes, or is going to be.
    pub(crate) fn awaits_picture(&self) -> bool {
        self.asked_picture == Some(self.delivered.len())
    }

    pub(crate) fn deadline(&self) -> Option<Micros> {
        self.wish.patience.map(|patience| self.admitted.after(Micros(patience)))
    }
}

/// The books.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) config: DispatcherConfig,
    pub(crate) budget: Budget,
    pub(crate) workers: Vec<WorkerPage>,
    pub(crate) requests: BTreeMap<u64, RequestPage>,
    /// Those of them that have not ended.
    pub(crate) open: BTreeSet<u64>,
    pub(crate) wishes: BTreeMap<u64, Rc<Wish>>,
    /// Attached clients, and whose answer they read.
    pub(crate) attached: BTreeMap<u64, u64>,
    pub(crate) forgotten: BTreeSet<u64>,
    pub(crate) quarantined: BTreeSet<u64>,
    pub(crate) num_drains: u32,
    pub(crate) was_ready: bool,
    pub(crate) has_exited: bool,
    /// Cost that others started while a tenant waited, beyond what it started itself.
    pub(crate) debts: BTreeMap<(u128, u128), i64>,
    /// Whose job has just spoken, and where.
    pub(crate) speaker: Option<(usize, u64)>,
    /// Who has just cancelled.
    pub(crate) canceller: Option<u64>,
    /// The worker that has just said what no sound worker says.
    pub(crate) is_garbage: bool,
    pub(crate) num_accepted: usize,
    /// Whether tenants' shares alone decide whose turn it is, and the dearest request.
    pub(crate) has_shares: bool,
    pub(crate) dearest: i64,
    /// Whether nothing goes wrong, nobody is preferred, and every worker holds everybody.
    is_undisturbed: bool,
    /// When the front last went on after standing still.
    pub(crate) front_is_back: Micros,
}

impl Ledger {
    pub(crate) fn new(script: &Script) -> Self {
        let workers = script.config.workers.iter().zip(&script.abilities);
        let pages = workers.map(|((_, role), abilities)| WorkerPage {
            role: *role,
            abilities: *abilities,
            epoch: Epoch(0),
            is_starting: false,
            is_up: false,
            heard: Micros(0),
            failed_starts: 0,
            not_finite: Vec::new(),
            is_recycled: false,
            jobs: BTreeMap::new(),
        });
        let wishes = script.wishes.iter().map(|wish| (wish.id, Rc::new(wish.clone())));
        let has_shares = |wish: &Wish| wish.priority == 0 && wish.kv_positions == 1;
        let dearest = script.wishes.iter().map(|wish| super::cost(wish) as i64).max();
        let is_plain = |wish: &Wish| {
            let is_harmless = wish.poison.is_none() && wish.patience.is_none();
            is_harmless && has_shares(wish)
        };
        let is_undisturbed = script.faults.is_empty() && script.wishes.iter().all(is_plain);
        Self {
            config: script.config.clone(),
            budget: script.budget,
            workers: pages.collect(),
            requests: BTreeMap::new(),
            open: BTreeSet::new(),
            wishes: wishes.collect(),
            attached: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            quarantined: BTreeSet::new(),
            num_drains: 0,
            was_ready: false,
            has_exited: false,
            debts: BTreeMap::new(),
            speaker: None,
            canceller: None,
            is_garbage: false,
            num_accepted: 0,
            has_shares: script.wishes.iter().all(has_shares),
            dearest: dearest.unwrap_or(0),
            is_undisturbed,
            front_is_back: Micros(0),
        }
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = (&u64, &RequestPage)> {
        self.open.iter().map(|id| (id, &self.requests[id]))
    }

    /// The jobs of a request that are not aborted.
    pub(crate) fn live_jobs(&self, request: u64) -> impl Iterator<Item = (usize, &JobPage)> {
        self.workers.iter().enumerate().flat_map(move |(index, worker)| {
            let jobs = worker.jobs.values().filter(move |job| job.request == request);
            jobs.filter(|job| !job.is_aborted).map(move |job| (index, job))
        })
    }

    /// A worker is dead, as far as the front knows.
    pub(crate) fn bury(&mut self, index: usize, is_blamed: bool) {
        let max_failed_starts = self.config.liveness.max_failed_starts;
        let worker = &mut self.workers[index];
        if worker.is_starting {
            worker.failed_starts = (worker.failed_starts + 1).min(max_failed_starts + 1);
        }
        worker.is_up = false;
        worker.is_starting = false;
        worker.not_finite.clear();
        let jobs = std::mem::take(&mut worker.jobs);
        let is_alone = jobs.len() == 1;
        let victims: BTreeSet<u64> = jobs.values().map(|job| job.request).collect();
        for victim in victims {
            let Some(page) = self.requests.get_mut(&victim).filter(|page| page.is_open()) else {
                continue;
            };
            page.deaths += 1;
            if is_blamed {
                page.is_proven = page.is_suspect && is_alone;
                page.is_suspect = true;
            }
        }
    }

    /// All that must be true between two events.
    pub(crate) fn check_between(&self, now: Micros, counters: &Counters) -> Result<(), Broken> {
        let admission = &self.config.admission;
        let open: Vec<&RequestPage> = self.open().map(|(_, page)| page).collect();
        let waiting = open.iter().filter(|page| !page.has_started()).count();
        promise!(counters.open == open.len(), "{} open, not {}", counters.open, open.len());
        promise!(counters.waiting == waiting, "{} wait, not {waiting}", counters.waiting);
        promise!(waiting <= admission.max_waiting, "{waiting} wait: too many");
        promise!(open.len() <= admission.max_open, "{} are open: too many", open.len());
        let bytes: u64 = open.iter().map(|page| page.wish.num_bytes).sum();
        promise!(
            counters.reserved_bytes == bytes,
            "{} reserved, not {bytes}",
            counters.reserved_bytes
        );
        promise!(bytes <= admission.max_reserved_bytes, "{bytes} reserved: too many");
        let jobs: usize = self.workers.iter().map(|worker| worker.jobs.len()).sum();
        promise!(counters.jobs == jobs, "{} jobs, not {jobs}", counters.jobs);
        promise!(
            counters.attached == self.attached.len(),
            "{} attached, not {}",
            counters.attached,
            self.attached.len()
        );
        promise!(counters.timers <= 2 * open.len(), "{} timers: too many", counters.timers);
        promise!(counters.prefixes <= self.config.routing.max_prefixes, "too many prefixes");
        let kept = counters.kept_bytes;
        promise!(kept <= self.config.idempotency.max_bytes, "{kept} bytes are kept");
        promise!(counters.keys <= self.config.idempotency.max_keys, "too many keys");
        promise!(counters.blocked <= self.config.quarantine.max_fingerprints, "too many blocked");
        for (index, worker) in self.workers.iter().enumerate() {
            promise!(
                worker.jobs.len() <= worker.abilities.max_jobs,
                "worker {index} has too many jobs"
            );
            promise!(!self.is_unsound(index, now), "unsound worker {index} goes on");
            for job in worker.jobs.values() {
                let page = &self.requests[&job.request];
                promise!(
                    job.is_aborted || page.is_open(),
                    "request {} has ended and works on",
                    job.request
                );
                promise!(
                    job.is_aborted || page.unread() < self.config.outbox.max_bytes,
                    "request {} is not read and works on",
                    job.request
                );
            }
        }
        self.check_nobody_waits_in_vain(now)
    }

    /// A request that could run runs, unless workers are being cleared for suspects.
    fn check_nobody_waits_in_vain(&self, now: Micros) -> Result<(), Broken> {
        if self.has_exited || self.open().any(|(_, page)| page.is_suspect) {
            return Ok(());
        }
        let is_idle = |worker: &WorkerPage| {
            worker.is_up
                && worker.role.writes()
                && worker.jobs.is_empty()
                && now.since(worker.heard) < self.config.liveness.suspect_after
        };
        let Some(idle) = self.workers.iter().position(is_idle) else { return Ok(()) };
        let holds = |page: &RequestPage| self.workers[idle].holds(&page.wish);
        let waits = self.open().find(|(_, page)| !page.has_started() && holds(page));
        promise!(waits.is_none(), "request {waits:?} waits beside idle worker {idle}");
        Ok(())
    }

    /// Whether so many requests were not finite on a worker that it has to be replaced. By the front's own
    /// clock, which may stand still, it may have been so before.
    fn is_unsound(&self, index: usize, now: Micros) -> bool {
        let liveness = &self.config.liveness;
        let failed = &self.workers[index].not_finite;
        let is_first = |number: usize, content: u64| {
            failed[..number].iter().all(|(_, earlier)| *earlier != content)
        };
        let new = failed.iter().enumerate().filter(|(number, (at, content))| {
            now.since(*at) <= liveness.not_finite_within && is_first(*number, *content)
        });
        new.count() > liveness.max_not_finite
    }

    /// Whether a newcomer could be given to a worker at once.
    pub(crate) fn has_free_place(&self, now: Micros, wish: &Wish) -> bool {
        let is_suspect = |job: &JobPage| self.requests[&job.request].is_suspect;
        !self.open().any(|(_, page)| page.is_suspect)
            && self.workers.iter().any(|worker| {
                worker.is_up
                    && worker.role.writes()
                    && worker.holds(wish)
                    && worker.jobs.len() < worker.abilities.max_jobs
                    && now.since(worker.heard) < self.config.liveness.suspect_after
                    && !worker.jobs.values().any(is_suspect)
            })
    }

    /// Whoever was accepted gets its place in a time that has to do with the bound, as long as nothing goes
    /// wrong: the front foresees neither how long what runs will take nor who comes next.
    pub(crate) fn check_wait(
        &self,
        now: Micros,
        id: u64,
        page: &RequestPage,
    ) -> Result<(), Broken> {
        let Some(limit) = self.config.admission.max_wait.filter(|_| self.is_undisturbed) else {
            return Ok(());
        };
        let until = |page: &RequestPage| if page.is_open() { now } else { page.ended };
        let spans = self.requests.values().filter_map(|page| Some((page, page.started?)));
        let longest = spans.map(|(page, started)| until(page).since(started).0).max().unwrap_or(0);
        let (waited, bound) = (now.since(page.admitted), 6 * limit.0 + 3 * longest);
        promise!(
            waited.0 <= bound,
            "{id} has waited for {} of {limit:?}, beside services of {longest}",
            waited.0
        );
        Ok(())
    }
}

//! The workers' side of the front: processes come up, fall silent, die, are replaced. What ran there goes
//! on elsewhere or is found guilty.

use std::collections::BTreeSet;

use super::action::{Action, Ending, ExitReason, Failure, Order};
use super::event::{Abilities, DownCause};
use super::identity::{Digest, Epoch, JobId, RequestId, WorkerId};
use super::placement::{Purpose, is_able};
use super::quarantine::{Death, Verdict};
use super::request::{RequestState, Work};
use super::worker::{Need, WorkerState};
use super::{Dispatcher, Mode};
use crate::planted::{Planted, planted};

impl Dispatcher {
    pub(super) fn worker_up(
        &mut self,
        id: WorkerId,
        epoch: Epoch,
        abilities: Abilities,
        actions: &mut Vec<Action>,
    ) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.epoch == epoch) else {
            return;
        };
        if !worker.up(self.clock.listened, abilities) {
            return;
        }
        if self.mode == Mode::Starting && worker.role.writes() {
            self.mode = Mode::Serving;
        }
        self.fail_hopeless(actions);
    }

    pub(super) fn worker_down(
        &mut self,
        id: WorkerId,
        epoch: Epoch,
        cause: DownCause,
        actions: &mut Vec<Action>,
    ) {
        let Some(worker) = self.workers.get(&id).filter(|worker| worker.epoch == epoch) else {
            return;
        };
        match worker.state {
            WorkerState::Starting { .. } | WorkerState::Serving { .. } => {
                let blames = match cause {
                    DownCause::Crashed => true,
                    DownCause::Killed => false,
                };
                self.bury(id, blames, actions);
            }
            WorkerState::Down { .. } | WorkerState::GivenUp => {}
        }
    }

    /// Starts what is to be started, replaces what has been silent for too long.
    pub(super) fn mind_workers(&mut self, actions: &mut Vec<Action>) {
        let ids: Vec<WorkerId> = self.workers.keys().copied().collect();
        for id in ids {
            if self.mode == Mode::Exited {
                return;
            }
            let clock = self.clock;
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            match worker.need(clock, &self.config.liveness) {
                Need::Nothing => {}
                Need::Start => {
                    worker.start(clock.listened);
                    actions.push(Action::Start { worker: id, epoch: worker.epoch });
                }
                Need::Replace => self.replace(id, actions),
            }
        }
    }

    /// Kills a process that is of no use any more; what runs there is suspected.
    pub(super) fn replace(&mut self, id: WorkerId, actions: &mut Vec<Action>) {
        if let Some(worker) = self.workers.get(&id) {
            actions.push(Action::Kill { worker: id, epoch: worker.epoch });
            self.bury(id, true, actions);
        }
    }

    /// The numbers of a request were not finite on a worker. One that this happens to with many requests is
    /// not sound: another process takes its place, and nobody who runs there is suspected.
    pub(super) fn count_not_finite(
        &mut self,
        id: WorkerId,
        fingerprint: Option<Digest>,
        actions: &mut Vec<Action>,
    ) {
        let (listened, liveness) = (self.clock.listened, self.config.liveness);
        let worker = self.workers.get_mut(&id);
        if let (Some(worker), Some(fingerprint)) = (worker, fingerprint)
            && worker.is_unsound(listened, fingerprint, &liveness)
        {
            actions.push(Action::Kill { worker: id, epoch: worker.epoch });
            self.bury(id, false, actions);
        }
    }

    /// A process is dead: its requests go on elsewhere, alone if it died by itself.
    fn bury(&mut self, id: WorkerId, blames: bool, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let jobs = std::mem::take(&mut worker.jobs);
        worker.load = 0;
        worker.claim = None;
        worker.down(self.clock, &self.config.liveness);
        let is_given_up = worker.is_given_up();
        self.prefixes.forget(id);
        let death = match (blames, jobs.len()) {
            (false, _) => Death::Blameless,
            (true, 1) => Death::Alone,
            (true, _) => Death::InCompany,
        };
        let victims: BTreeSet<RequestId> =
            jobs.into_iter().filter_map(|job| self.lose(job)).collect();
        for victim in victims {
            self.sentence(victim, death, actions);
        }
        if is_given_up {
            self.fail_hopeless(actions);
        }
    }

    /// An attempt is lost with its worker; whose it was.
    fn lose(&mut self, id: JobId) -> Option<RequestId> {
        let job = self.jobs.remove(&id)?;
        let request = self.requests.get_mut(&job.request)?;
        if let RequestState::Writing { job } = request.state
            && job == id
        {
            request.state = RequestState::Waiting;
            self.to_write.insert(request.submission.request);
        }
        if let Some(drawing) = request.drawing.as_mut().filter(|drawing| drawing.job == Some(id)) {
            drawing.job = None;
            if !planted(Planted::DrawingLost) {
                self.to_draw.insert(job.request);
            }
        }
        Some(job.request)
    }

    fn sentence(&mut self, id: RequestId, death: Death, actions: &mut Vec<Action>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        match request.record.death(death, &self.config.quarantine) {
            Verdict::Replay => {}
            Verdict::Suspect => {
                for job in self.jobs.values_mut().filter(|job| job.request == id) {
                    job.is_suspect = true;
                }
                self.withdraw(id, actions);
            }
            Verdict::Guilty => {
                self.quarantine.block(self.clock.now, request.submission.fingerprint);
                self.end(id, Ending::Failed(Failure::Quarantined), actions);
            }
            Verdict::Lost { deaths } => {
                self.end(id, Ending::Failed(Failure::LostTooOften { deaths }), actions);
            }
        }
    }

    /// Takes a request back from every worker: what was being done is to be placed again.
    pub(super) fn withdraw(&mut self, id: RequestId, actions: &mut Vec<Action>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let jobs: Vec<JobId> = request.jobs().collect();
        if let RequestState::Writing { .. } = request.state {
            request.state = RequestState::Waiting;
            self.to_write.insert(id);
        }
        if let Some(drawing) = &mut request.drawing
            && drawing.job.take().is_some()
        {
            self.to_draw.insert(id);
        }
        for job in jobs {
            self.abort(job, actions);
        }
    }

    /// Asks a worker to give an attempt up; it counts as being there until the worker says that it is not.
    pub(super) fn abort(&mut self, id: JobId, actions: &mut Vec<Action>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.is_leaving = true;
        let worker = job.worker;
        let Some(epoch) = self.workers.get(&worker).map(|worker| worker.epoch) else { return };
        actions.push(Action::Send { worker, epoch, order: Order::Abort { job: id } });
        if planted(Planted::AbortedIsGone) {
            self.leave(id);
        }
    }

    /// An attempt is over.
    pub(super) fn leave(&mut self, id: JobId) {
        let Some(job) = self.jobs.remove(&id) else { return };
        if let Some(worker) = self.workers.get_mut(&job.worker) {
            worker.jobs.remove(&id);
            worker.load = worker.load.saturating_sub(job.cost);
        }
        self.release_claims(job.request);
    }

    /// Workers that a request claims and has nothing on are free, unless it waits for them.
    pub(super) fn release_claims(&mut self, id: RequestId) {
        for worker in self.workers.values_mut().filter(|worker| worker.claim == Some(id)) {
            let jobs = &self.jobs;
            let is_there = |job: &JobId| jobs.get(job).is_some_and(|job| job.request == id);
            if !worker.jobs.iter().any(is_there) {
                worker.claim = None;
            }
        }
    }

    /// Ends what no worker can ever go on with, and the front if none can write.
    pub(super) fn fail_hopeless(&mut self, actions: &mut Vec<Action>) {
        if !self.workers.values().any(|worker| is_able(worker, Purpose::Write)) {
            self.fail_all(Failure::NoWorker, ExitReason::NoWorkerLeft, actions);
            return;
        }
        let hopeless: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, request)| {
                !self.has_hope(request, Purpose::Write)
                    || (request.drawing.is_some() && !self.has_hope(request, Purpose::Draw))
            })
            .map(|(id, _)| *id)
            .collect();
        for id in hopeless {
            self.end(id, Ending::Failed(Failure::NoWorker), actions);
        }
    }

    /// Ends the processes and the front.
    pub(super) fn exit(&mut self, reason: ExitReason, actions: &mut Vec<Action>) {
        for worker in self.workers.values() {
            let (id, epoch) = (worker.id, worker.epoch);
            match (worker.state, reason) {
                (WorkerState::Serving { .. }, ExitReason::Drained) => {
                    actions.push(Action::Send { worker: id, epoch, order: Order::Shutdown });
                }
                (WorkerState::Serving { .. } | WorkerState::Starting { .. }, _) => {
                    actions.push(Action::Kill { worker: id, epoch });
                }
                (WorkerState::Down { .. } | WorkerState::GivenUp, _) => {}
            }
        }
        self.jobs.clear();
        self.mode = Mode::Exited;
        actions.push(Action::Exit(reason));
    }

    /// What an attempt is at, if that worker is on it and it is not aborted.
    pub(super) fn work_of(&self, id: JobId, worker: WorkerId) -> Option<(RequestId, Work)> {
        let job = self.jobs.get(&id).filter(|job| job.worker == worker)?;
        let is_heard = !job.is_leaving || planted(Planted::AbortedIsHeard);
        is_heard.then_some((job.request, job.work))
    }
}

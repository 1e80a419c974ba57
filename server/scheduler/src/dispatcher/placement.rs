//! Who is given what, next: role first, then the holder of the longest prefix, then the least loaded, then
//! the lowest name. Suspects get a worker for themselves.

use super::Dispatcher;
use super::action::{Action, ConditionHandle, Order};
use super::event::Submission;
use super::identity::{JobId, RequestId, WorkerId};
use super::request::{Job, Request, RequestState, Work};
use super::worker::Worker;
use crate::planted::{Planted, planted};

/// What a worker is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    Draw,
}

impl Dispatcher {
    /// Places all that can be placed. Pictures first: a worker's room is held up until they are there.
    pub(super) fn place(&mut self, actions: &mut Vec<Action>) {
        let mut drawings: Vec<RequestId> = self.to_draw.iter().copied().collect();
        drawings.sort_by_key(|id| self.requests.get(id).map(|request| request.arrival));
        for id in drawings {
            if let Some(worker) = self.choose(id, Purpose::Draw) {
                self.send_drawing(id, worker, actions);
            }
        }
        while let Some((id, worker)) = self.next_document() {
            self.send_document(id, worker, actions);
        }
    }

    /// Documents like this one that could be given to a worker now, beyond those that wait.
    pub(super) fn num_free_for(&self, submission: &Submission) -> usize {
        let writers = self.workers.values().filter(|worker| self.is_free(worker, Purpose::Write));
        writers.filter(|worker| worker.holds(submission)).map(Worker::room).sum()
    }

    /// Whether some worker can, or may turn out to, do that for the request.
    pub(super) fn has_hope(&self, request: &Request, purpose: Purpose) -> bool {
        self.workers.values().any(|worker| {
            is_able(worker, purpose) && (worker.class.is_none() || suits(worker, purpose, request))
        })
    }

    /// The first in turn that has a place: what has run before comes first, then priority, the tenants'
    /// turns, and the order of arrival.
    fn next_document(&mut self) -> Option<(RequestId, WorkerId)> {
        if self.to_write.is_empty() {
            return None;
        }
        let is_free = |worker: &Worker| self.is_free(worker, Purpose::Write);
        let has_room = self.workers.values().any(|worker| is_free(worker) && worker.room() > 0);
        let mut turns: Vec<_> = self
            .to_write
            .iter()
            .filter_map(|id| self.requests.get(id).map(|request| (*id, request)))
            .filter(|(_, request)| has_room || request.record.is_suspect())
            .map(|(id, request)| (self.turn(request), id))
            .collect();
        turns.sort_unstable();
        turns
            .into_iter()
            .find_map(|(_, id)| self.choose(id, Purpose::Write).map(|worker| (id, worker)))
    }

    fn turn(&self, request: &Request) -> (bool, i32, u64, u128, u64) {
        let submission = &request.submission;
        if request.has_started {
            return (false, submission.priority, 0, 0, request.arrival);
        }
        let priority = if planted(Planted::PriorityIgnored) { 0 } else { submission.priority };
        let order = if planted(Planted::LastComeFirst) {
            u64::MAX - request.arrival
        } else {
            request.arrival
        };
        let tag = self.admission.tag(submission.tenant);
        (true, priority, tag, submission.tenant.0, order)
    }

    fn choose(&mut self, id: RequestId, purpose: Purpose) -> Option<WorkerId> {
        let request = self.requests.get(&id)?;
        // One that has not left yet may still kill the worker that it is on: not two at once.
        if self.jobs.values().any(|job| job.request == id && job.is_leaving) {
            return None;
        }
        if request.record.is_suspect() {
            return self.isolate(id, purpose);
        }
        let takes = |worker: &&Worker| self.takes(worker, purpose, request) && worker.room() > 0;
        let candidates = || self.workers.values().filter(takes);
        let least = candidates().min_by_key(|worker| (worker.load, worker.id))?;
        let holder = match purpose {
            Purpose::Write => self.prefixes.holder(&request.submission.prefix),
            Purpose::Draw => None,
        };
        let bound = least.load.saturating_add(self.config.routing.max_imbalance);
        candidates()
            .find(|worker| Some(worker.id) == holder && worker.load <= bound)
            .or(Some(least))
            .map(|worker| worker.id)
    }

    /// Whether it can be given work of that kind, if it has room and the right numbers. Nobody joins a
    /// suspect, not even one that is about to leave.
    fn is_free(&self, worker: &Worker, purpose: Purpose) -> bool {
        is_able(worker, purpose)
            && worker.claim.is_none()
            && worker.is_routable(self.clock.listened, &self.config.liveness)
            && !worker.jobs.iter().any(|id| self.jobs.get(id).is_some_and(|job| job.is_suspect))
    }

    /// Whether it can be given that work of this request, if it has room.
    fn takes(&self, worker: &Worker, purpose: Purpose, request: &Request) -> bool {
        self.is_free(worker, purpose)
            && suits(worker, purpose, request)
            && !draws_twice(worker, purpose, request)
    }

    /// A worker for a suspect alone: claimed first, given once it is empty. At most half of those able
    /// are claimed, at least one, so that the rest goes on.
    fn isolate(&mut self, id: RequestId, purpose: Purpose) -> Option<WorkerId> {
        let request = self.requests.get(&id)?;
        let able = || self.workers.values().filter(|worker| is_able(worker, purpose));
        let claimed = able().find(|worker| worker.claim == Some(id));
        let chosen = match claimed {
            Some(worker) => worker.id,
            None => {
                let num_claimed = able().filter(|worker| worker.claim.is_some()).count();
                if num_claimed >= (able().count() / 2).max(1) {
                    return None;
                }
                able()
                    .filter(|worker| self.takes(worker, purpose, request))
                    .min_by_key(|worker| (worker.jobs.len(), worker.load, worker.id))?
                    .id
            }
        };
        let liveness = &self.config.liveness;
        let worker = self.workers.get_mut(&chosen)?;
        worker.claim = Some(id);
        (worker.jobs.is_empty() && worker.is_routable(self.clock.listened, liveness))
            .then_some(chosen)
    }

    fn send_document(&mut self, id: RequestId, to: WorkerId, actions: &mut Vec<Action>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        self.to_write.remove(&id);
        if !request.has_started {
            request.has_started = true;
            self.admission.start(&request.submission);
            if request.accepted < self.clock.now {
                self.forecast.started();
            }
        }
        self.prefixes.routed(&request.submission.prefix, to);
        let is_forgotten = planted(Planted::JournalForgotten);
        let journal = if is_forgotten { Vec::new() } else { request.journal.entries().to_vec() };
        let (cost, next) = (request.submission.cost, journal.len());
        let work = Work::Write { next, awaits: false };
        let job = self.attempt(id, to, cost, work);
        if let Some(request) = self.requests.get_mut(&id) {
            request.state = RequestState::Writing { job };
        }
        self.send(to, Order::Write { job, request: id, journal }, actions);
    }

    fn send_drawing(&mut self, id: RequestId, to: WorkerId, actions: &mut Vec<Action>) {
        let Some(drawing) = self.requests.get(&id).and_then(|request| request.drawing) else {
            return;
        };
        self.to_draw.remove(&id);
        let (cost, work) = (drawing.cost, Work::Draw);
        let job = self.attempt(id, to, cost, work);
        if let Some(drawing) =
            self.requests.get_mut(&id).and_then(|request| request.drawing.as_mut())
        {
            drawing.job = Some(job);
        }
        let condition = ConditionHandle { request: id, position: drawing.position };
        self.send(to, Order::Draw { job, condition }, actions);
    }

    fn attempt(&mut self, request: RequestId, worker: WorkerId, cost: u64, work: Work) -> JobId {
        self.num_jobs += 1;
        let id = JobId(self.num_jobs);
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.jobs.insert(id);
            worker.load = worker.load.saturating_add(cost);
        }
        let is_suspect = self.requests.get(&request).is_some_and(|of| of.record.is_suspect());
        let is_drawing = work == Work::Draw;
        let job = Job { request, worker, cost, work, is_drawing, is_suspect, is_leaving: false };
        self.jobs.insert(id, job);
        id
    }

    pub(super) fn send(&self, to: WorkerId, order: Order, actions: &mut Vec<Action>) {
        if let Some(worker) = self.workers.get(&to) {
            actions.push(Action::Send { worker: to, epoch: worker.epoch, order });
        }
    }
}

/// Whether it is made for that work, and will ever do any.
pub(super) fn is_able(worker: &Worker, purpose: Purpose) -> bool {
    let is_made = match purpose {
        Purpose::Write => worker.role.writes(),
        Purpose::Draw => worker.role.draws(),
    };
    is_made && !worker.is_given_up()
}

/// Whether it would draw by itself what is being drawn elsewhere: a document whose worker is lost meanwhile
/// goes on where only text is written, or once it has its picture. Otherwise one that kills who draws it would
/// be on two such workers at once.
fn draws_twice(worker: &Worker, purpose: Purpose, request: &Request) -> bool {
    match purpose {
        Purpose::Write => {
            worker.role.draws() && request.drawing.is_some() && !planted(Planted::DrawnTwice)
        }
        Purpose::Draw => false,
    }
}

/// Whether it holds all that the request can come to, and its numbers continue those that the client has. A
/// worker that draws what it writes must agree in both.
fn suits(worker: &Worker, purpose: Purpose, request: &Request) -> bool {
    let tokens = request.write_class.is_none() || request.write_class == worker.class;
    let pictures = request.draw_class.is_none() || request.draw_class == worker.class;
    let agrees = match purpose {
        Purpose::Write => tokens && (pictures || !worker.role.draws()),
        Purpose::Draw => pictures,
    };
    let holds = match purpose {
        Purpose::Write => worker.holds(&request.submission),
        // A picture takes none.
        Purpose::Draw => true,
    };
    (agrees || planted(Planted::ClassesMixed)) && (holds || planted(Planted::KvIgnored))
}

//! What workers say, and what of it reaches clients. Takes only what the present life of a worker says of
//! a job it has, at the next position.

use super::Dispatcher;
use super::action::{Action, Ending, Failure, Order};
use super::event::{Entry, JobFault, WorkerMessage};
use super::identity::{Digest, Epoch, JobId, NumericsClass, RequestId, WorkerId};
use super::placement::Purpose;
use super::request::{Drawing, RequestState, Work};
use super::worker::WorkerState;
use crate::planted::{Planted, planted};
use crate::rules::FinishReason;

/// A message that no sound worker sends: a position was left out, or a job mistaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Violation;

/// An entry as a worker says it.
#[derive(Debug, Clone, Copy)]
struct Said {
    position: usize,
    entry: Entry,
    num_bytes: u64,
}

impl Dispatcher {
    pub(super) fn message(
        &mut self,
        from: WorkerId,
        epoch: Epoch,
        message: WorkerMessage,
        actions: &mut Vec<Action>,
    ) {
        let listened = self.clock.listened;
        let Some(worker) = self.workers.get_mut(&from).filter(|worker| worker.epoch == epoch)
        else {
            return;
        };
        match worker.state {
            WorkerState::Serving { .. } => worker.hear(listened),
            WorkerState::Down { .. } | WorkerState::Starting { .. } | WorkerState::GivenUp => {
                return;
            }
        }
        let taken = match message {
            WorkerMessage::Heartbeat => Ok(()),
            WorkerMessage::Produced { job, position, entry, num_bytes } => {
                self.produced(from, job, Said { position, entry, num_bytes }, actions)
            }
            WorkerMessage::Drawing { job } => {
                self.is_drawing(from, job);
                Ok(())
            }
            WorkerMessage::NeedsPicture { job, position, cost } => {
                self.needs_picture(from, job, Drawing { position, cost, job: None }, actions)
            }
            WorkerMessage::Drawn { job, picture, num_bytes } => {
                self.drawn(from, job, (picture, num_bytes), actions)
            }
            WorkerMessage::Ended { job, num_entries, reason } => {
                self.ended(from, job, (num_entries, reason), actions)
            }
            WorkerMessage::Failed { job, fault } => {
                self.failed(from, job, fault, actions);
                Ok(())
            }
            WorkerMessage::Aborted { job } => {
                self.has_left(from, job);
                Ok(())
            }
            WorkerMessage::Evicted(keys) => {
                self.prefixes.evicted(&keys, from);
                Ok(())
            }
        };
        if taken == Err(Violation) {
            self.replace(from, actions);
        }
    }

    fn failed(&mut self, from: WorkerId, job: JobId, fault: JobFault, actions: &mut Vec<Action>) {
        let Some((id, _)) = self.work_of(job, from) else {
            self.has_left(from, job);
            return;
        };
        self.leave(job);
        let fingerprint = self.requests.get(&id).map(|request| request.submission.fingerprint);
        self.end(id, Ending::Failed(Failure::Fault(fault)), actions);
        match fault {
            JobFault::NotFinite => self.count_not_finite(from, fingerprint, actions),
            JobFault::NotComputed | JobFault::Refused => {}
        }
    }

    /// A document's picture is being drawn. Only time is told by it: whoever says so too often harms nobody.
    fn is_drawing(&mut self, from: WorkerId, job: JobId) {
        let draws = self.workers.get(&from).is_some_and(|worker| worker.role.draws());
        if let Some(job) = self.jobs.get_mut(&job)
            && job.worker == from
            && draws
        {
            job.is_drawing = true;
        }
    }

    fn produced(
        &mut self,
        from: WorkerId,
        job: JobId,
        said: Said,
        actions: &mut Vec<Action>,
    ) -> Result<(), Violation> {
        let Some((id, work)) = self.work_of(job, from) else { return Ok(()) };
        let Work::Write { next, awaits: false } = work else { return Err(Violation) };
        if said.position < next && !planted(Planted::DuplicateDelivered) {
            return Ok(());
        }
        if said.position > next {
            return Err(Violation);
        }
        self.advance(job);
        let Some(request) = self.requests.get(&id) else { return Ok(()) };
        let known = request.journal.entries().get(said.position);
        let is_twice = planted(Planted::DuplicateDelivered) && said.position < next;
        if !is_twice && let Some(known) = known {
            return if *known == said.entry { Ok(()) } else { Err(Violation) };
        }
        if let Some(Drawing { job: Some(drawing), .. }) = request.drawing {
            self.abort(drawing, actions);
        }
        let class = self.class_of(from);
        if let Some(request) = self.requests.get_mut(&id) {
            request.drawing = None;
            self.to_draw.remove(&id);
            match said.entry {
                Entry::Token(_) | Entry::LastToken(_) => request.write_class = class,
                Entry::Picture(_) => request.draw_class = class,
            }
        }
        self.deliver(id, said, actions)
    }

    /// The next entry of an answer goes to its client.
    fn deliver(
        &mut self,
        id: RequestId,
        said: Said,
        actions: &mut Vec<Action>,
    ) -> Result<(), Violation> {
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        if request.journal.len() >= request.submission.max_entries {
            return Err(Violation);
        }
        let Said { position, entry, num_bytes } = said;
        request.journal.push(entry, num_bytes);
        if let (Entry::Picture(_), Some(demand)) = (entry, request.submission.pictures) {
            self.forecast.drawn(demand);
        }
        actions.push(Action::Deliver { request: id, position, entry });
        self.stall_if_unread(id, actions);
        Ok(())
    }

    fn needs_picture(
        &mut self,
        from: WorkerId,
        job: JobId,
        drawing: Drawing,
        actions: &mut Vec<Action>,
    ) -> Result<(), Violation> {
        let Some((id, work)) = self.work_of(job, from) else { return Ok(()) };
        let Work::Write { next, awaits } = work else { return Err(Violation) };
        let position = drawing.position;
        if position < next || (position == next && awaits) {
            return Ok(());
        }
        if position > next {
            return Err(Violation);
        }
        let can_draw =
            self.requests.get(&id).is_some_and(|request| self.has_hope(request, Purpose::Draw));
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        if let Some(known) = request.journal.entries().get(position) {
            let Entry::Picture(picture) = *known else { return Err(Violation) };
            if !planted(Planted::PictureNotRepeated) {
                self.advance(job);
                self.send(from, Order::Picture { job, position, picture }, actions);
            }
            return Ok(());
        }
        if !can_draw {
            self.end(id, Ending::Failed(Failure::NoWorker), actions);
            return Ok(());
        }
        if let Some(job) = self.jobs.get_mut(&job) {
            job.work = Work::Write { next, awaits: true };
        }
        // A drawing from before the document lost its worker is the same one.
        if request.drawing.is_none() {
            request.drawing = Some(drawing);
            self.to_draw.insert(id);
        }
        Ok(())
    }

    fn drawn(
        &mut self,
        from: WorkerId,
        job: JobId,
        (picture, num_bytes): (Digest, u64),
        actions: &mut Vec<Action>,
    ) -> Result<(), Violation> {
        let Some((id, work)) = self.work_of(job, from) else {
            self.has_left(from, job);
            return Ok(());
        };
        let Work::Draw = work else { return Err(Violation) };
        self.leave(job);
        let class = self.class_of(from);
        let Some(request) = self.requests.get_mut(&id) else { return Ok(()) };
        let Some(drawing) = request.drawing.take() else { return Ok(()) };
        request.draw_class = class;
        let position = drawing.position;
        if let RequestState::Writing { job } = request.state
            && self.jobs.get(&job).is_some_and(|job| job.work.awaits_at(position))
        {
            self.advance(job);
            let worker = self.jobs[&job].worker;
            self.send(worker, Order::Picture { job, position, picture }, actions);
        }
        if planted(Planted::DrawnNotDelivered) {
            return Ok(());
        }
        self.deliver(id, Said { position, entry: Entry::Picture(picture), num_bytes }, actions)
    }

    fn ended(
        &mut self,
        from: WorkerId,
        job: JobId,
        (num_entries, reason): (usize, FinishReason),
        actions: &mut Vec<Action>,
    ) -> Result<(), Violation> {
        let Some((id, work)) = self.work_of(job, from) else {
            self.has_left(from, job);
            return Ok(());
        };
        let Work::Write { next, awaits: false } = work else { return Err(Violation) };
        let num_delivered = self.requests.get(&id).map(|request| request.journal.len());
        if num_entries != next || num_delivered.is_some_and(|delivered| delivered != next) {
            return Err(Violation);
        }
        self.leave(job);
        self.end(id, Ending::Complete(reason), actions);
        Ok(())
    }

    /// The attempt has gone on by one entry.
    fn advance(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && let Work::Write { next, .. } = job.work
        {
            job.work = Work::Write { next: next + 1, awaits: false };
            job.is_drawing = false;
        }
    }

    /// An aborted attempt holds nothing on its worker any more.
    fn has_left(&mut self, from: WorkerId, id: JobId) {
        if self.jobs.get(&id).is_some_and(|job| job.worker == from && job.is_leaving) {
            self.leave(id);
        }
    }

    fn class_of(&self, worker: WorkerId) -> Option<NumericsClass> {
        self.workers.get(&worker).and_then(|worker| worker.class)
    }
}

impl Work {
    fn awaits_at(self, position: usize) -> bool {
        match self {
            Self::Write { next, awaits } => awaits && next == position,
            Self::Draw => false,
        }
    }
}

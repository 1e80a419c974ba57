//! The clients' side of the front: they submit, read, leave, run out of time. Every accepted request has
//! its one end here.

use super::action::{Action, Ending, ExitReason, Failure, Rejection};
use super::event::Submission;
use super::idempotency::Claim;
use super::identity::{Digest, RequestId, TenantId};
use super::placement::{Purpose, is_able};
use super::request::{Request, RequestState};
use super::{Dispatcher, Mode};
use crate::planted::{Planted, planted};

impl Dispatcher {
    pub(super) fn submit(&mut self, submission: Submission, actions: &mut Vec<Action>) {
        let request = submission.request;
        match self.judge(&submission) {
            Err(rejection) => actions.push(Action::Reject { request, rejection }),
            Ok(Claim::Open(to)) => {
                self.attached.insert(request, to);
                if let Some(open) = self.requests.get_mut(&to) {
                    open.clients.insert(request);
                }
                actions.push(Action::Attach { request, to });
            }
            Ok(Claim::Kept(of)) => actions.push(Action::Replay { request, of }),
            Ok(Claim::New) => self.admit(submission, actions),
            Ok(Claim::Conflict | Claim::Full) => unreachable!("these are rejections"),
        }
    }

    /// Whether the request may come in, and which answer it gets.
    fn judge(&self, submission: &Submission) -> Result<Claim, Rejection> {
        match self.mode {
            Mode::Starting => return Err(Rejection::NotReady),
            Mode::Draining if !planted(Planted::DrainAccepts) => return Err(Rejection::Draining),
            Mode::Serving | Mode::Draining | Mode::Exited => {}
        }
        let claim = self.claim(submission)?;
        if claim != Claim::New {
            return Ok(claim);
        }
        if let Some(until) = self.quarantine.blocked_until(submission.fingerprint, self.clock.now) {
            return Err(Rejection::Quarantined { until });
        }
        let rejection = self.admission.misfit(submission).or_else(|| self.too_wide(submission));
        if let Some(rejection) = rejection {
            return Err(rejection);
        }
        let can_draw = self.workers.values().any(|worker| is_able(worker, Purpose::Draw));
        if submission.pictures.is_some() && !can_draw {
            return Err(Rejection::NoWorker);
        }
        let (wait, num_free) = (self.wait(submission), self.num_free_for(submission));
        let overload = self.admission.overload(submission, num_free, wait);
        let facts = (self.clock.now, self.drawing_time(submission), self.num_places());
        let rejection = overload.or_else(|| self.admission.lateness(submission, wait, facts));
        rejection.map_or(Ok(claim), Err)
    }

    /// Why the least request that `tenant` could make would be refused now; `None` if it would not. Tells those
    /// whose request costs something to be understood before that is spent.
    pub fn refuses_all(&self, tenant: TenantId, priority: i32) -> Option<Rejection> {
        let least = Submission {
            request: RequestId(0),
            tenant,
            priority,
            cost: 1,
            least_positions: 1,
            num_bytes: 0,
            pictures: None,
            kv_positions: 1,
            max_entries: 1,
            prefix: Vec::new(),
            deadline: None,
            fingerprint: Digest([0; 32]),
            idempotency_key: None,
        };
        self.judge(&least).err()
    }

    /// Whether no worker can hold all that it can come to; one that has never been up may turn out to.
    fn too_wide(&self, submission: &Submission) -> Option<Rejection> {
        let writers = || self.workers.values().filter(|worker| is_able(worker, Purpose::Write));
        let (positions, limit) =
            (submission.kv_positions, writers().map(|worker| worker.kv_positions).max()?);
        let is_known = writers().all(|worker| worker.class.is_some());
        (is_known && positions > limit).then_some(Rejection::KvTooSmall { positions, limit })
    }

    fn claim(&self, submission: &Submission) -> Result<Claim, Rejection> {
        let Some(key) = submission.idempotency_key else { return Ok(Claim::New) };
        match self.idempotency.look_up(submission.tenant, key, submission.fingerprint) {
            Claim::Conflict => Err(Rejection::KeyConflict),
            Claim::Full => {
                let retry_after = self.admission.after(self.wait(submission));
                Err(Rejection::KeysFull { retry_after })
            }
            Claim::Open(_) if self.attached.len() >= self.config.admission.max_open => {
                let waiting = self.admission.num_waiting();
                let retry_after = self.admission.after(self.wait(submission));
                Err(Rejection::QueueFull { waiting, retry_after })
            }
            claim @ (Claim::New | Claim::Open(_) | Claim::Kept(_)) => Ok(claim),
        }
    }

    fn admit(&mut self, submission: Submission, actions: &mut Vec<Action>) {
        let request = submission.request;
        if let Some(key) = submission.idempotency_key {
            let (tenant, body) = (submission.tenant, submission.fingerprint);
            for request in self.idempotency.take(tenant, key, body, request) {
                actions.push(Action::Forget { request });
            }
        }
        self.admission.admit(&submission);
        if let Some(deadline) = submission.deadline {
            self.deadlines.insert((deadline, request));
        }
        self.num_accepted += 1;
        self.requests.insert(request, Request::new(submission, self.num_accepted, self.clock.now));
        self.to_write.insert(request);
        actions.push(Action::Admit { request });
    }

    pub(super) fn cancel(&mut self, client: RequestId, actions: &mut Vec<Action>) {
        let id = self.attached.remove(&client).unwrap_or(client);
        let Some(request) = self.requests.get_mut(&id) else { return };
        if !request.clients.remove(&client) {
            return;
        }
        if request.clients.is_empty() {
            self.end(id, Ending::Cancelled, actions);
        } else {
            actions.push(Action::Detach { request: client });
        }
    }

    /// The quickest client of an answer decides: the others read what is kept for it.
    pub(super) fn consumed(&mut self, client: RequestId, num_entries: usize) {
        let id = self.attached.get(&client).copied().unwrap_or(client);
        let Some(request) = self.requests.get_mut(&id) else { return };
        request.journal.read(num_entries);
        let is_low = request.journal.unread_bytes() <= self.config.outbox.max_bytes / 2;
        match request.state {
            RequestState::Stalled { cut_at } if is_low && !planted(Planted::StallForEver) => {
                self.cuts.remove(&(cut_at, id));
                request.state = RequestState::Waiting;
                self.to_write.insert(id);
            }
            RequestState::Stalled { .. } | RequestState::Waiting | RequestState::Writing { .. } => {
            }
        }
    }

    /// Takes the request back from its workers if its client lags too far behind.
    pub(super) fn stall_if_unread(&mut self, id: RequestId, actions: &mut Vec<Action>) {
        let Some(request) = self.requests.get(&id) else { return };
        if request.journal.unread_bytes() < self.config.outbox.max_bytes
            || planted(Planted::StallKeepsJob)
        {
            return;
        }
        self.withdraw(id, actions);
        self.to_write.remove(&id);
        self.to_draw.remove(&id);
        let cut_at = self.clock.listened.after(self.config.outbox.max_stall);
        if let Some(request) = self.requests.get_mut(&id) {
            request.drawing = None;
            request.state = RequestState::Stalled { cut_at };
        }
        self.cuts.insert((cut_at, id));
    }

    /// Ends whatever has run out of time.
    pub(super) fn end_overdue(&mut self, actions: &mut Vec<Action>) {
        while let Some(&(at, id)) = self.deadlines.first()
            && at <= self.clock.now
        {
            self.deadlines.pop_first();
            let has_started = self.requests.get(&id).is_some_and(|request| request.has_started);
            if !(planted(Planted::DeadlineWhileWaitingOnly) && has_started) {
                self.end(id, Ending::Failed(Failure::Deadline), actions);
            }
        }
        while let Some(&(at, id)) = self.cuts.first()
            && at <= self.clock.listened
        {
            self.cuts.pop_first();
            self.end(id, Ending::Failed(Failure::SlowReader), actions);
        }
    }

    /// Nothing new from now on; the second time, nothing at all.
    pub(super) fn drain(&mut self, actions: &mut Vec<Action>) {
        match self.mode {
            Mode::Starting | Mode::Serving => self.mode = Mode::Draining,
            Mode::Draining => self.fail_all(Failure::Aborted, ExitReason::Aborted, actions),
            Mode::Exited => {}
        }
    }

    /// Ends everything, and the front.
    pub(super) fn fail_all(
        &mut self,
        failure: Failure,
        reason: ExitReason,
        actions: &mut Vec<Action>,
    ) {
        let open: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in open {
            self.end(id, Ending::Failed(failure), actions);
        }
        self.exit(reason, actions);
    }

    /// The one end of an accepted request: all that it holds is free, aborted jobs leave by themselves.
    pub(super) fn end(&mut self, id: RequestId, ending: Ending, actions: &mut Vec<Action>) {
        if !(ending == Ending::Cancelled && planted(Planted::CancelKeepsJob)) {
            self.withdraw(id, actions);
        }
        let Some(request) = self.requests.remove(&id) else { return };
        self.to_write.remove(&id);
        self.to_draw.remove(&id);
        for client in &request.clients {
            self.attached.remove(client);
        }
        if let Some(deadline) = request.submission.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        if let RequestState::Stalled { cut_at } = request.state {
            self.cuts.remove(&(cut_at, id));
        }
        self.release_claims(id);
        let submission = &request.submission;
        if !request.has_started {
            self.admission.leave_queue(submission);
        }
        if !(ending == Ending::Cancelled && planted(Planted::CancelKeepsBytes)) {
            self.admission.release(submission);
        }
        let is_complete = match ending {
            Ending::Complete(_) => true,
            Ending::Cancelled | Ending::Failed(_) => false,
        };
        if let Some(demand) = submission.pictures.filter(|_| is_complete) {
            self.forecast.completed(demand, request.journal.num_pictures());
        }
        actions.push(Action::Finish { request: id, ending });
        match submission.idempotency_key {
            Some(key) if is_complete => {
                let (whose, num_bytes) = ((submission.tenant, key), request.journal.num_bytes());
                let forgotten = self.idempotency.keep(self.clock.now, whose, num_bytes);
                actions.extend(forgotten.into_iter().map(|request| Action::Forget { request }));
            }
            Some(key) => self.idempotency.release(submission.tenant, key),
            None => {}
        }
    }
}

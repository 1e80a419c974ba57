//! How events and actions are entered in the ledger, and what each must not be.

use std::rc::Rc;

use reverie_scheduler::dispatcher::{
    Action, DownCause, Ending, Entry, Epoch, Event, ExitReason, Failure, JobFault, JobId, Micros,
    Order, Rejection, WorkerId, WorkerMessage,
};

use super::ledger::{Broken, JobPage, Ledger, RequestPage, promise};
use super::oracle::{self, num_bytes};

impl Ledger {
    /// The front is about to hear this.
    pub(crate) fn enter_event(&mut self, now: Micros, event: &Event) {
        self.speaker = None;
        self.canceller = None;
        match event {
            Event::Submit(_) | Event::Tick => {}
            Event::Cancel(client) => {
                let id = self.attached.remove(&client.0).unwrap_or(client.0);
                if let Some(page) = self.requests.get_mut(&id).filter(|page| page.is_open()) {
                    page.clients.remove(&client.0);
                    self.canceller = Some(client.0);
                }
            }
            Event::Consumed { request, num_entries } => {
                let id = self.attached.get(&request.0).copied().unwrap_or(request.0);
                if let Some(page) = self.requests.get_mut(&id) {
                    page.num_read = page.num_read.max(*num_entries);
                    if page.unread() <= self.config.outbox.max_bytes / 2 {
                        page.lags_since = None;
                    }
                }
            }
            Event::WorkerUp { worker, epoch, .. } => {
                let page = &mut self.workers[worker.0 as usize];
                if page.epoch == *epoch && page.is_starting {
                    page.is_starting = false;
                    page.is_up = true;
                    page.heard = now;
                    page.failed_starts = 0;
                    self.was_ready |= page.role.writes();
                }
            }
            Event::WorkerDown { worker, epoch, cause } => {
                let index = worker.0 as usize;
                let page = &self.workers[index];
                if page.epoch == *epoch && (page.is_up || page.is_starting) {
                    self.bury(index, *cause == DownCause::Crashed);
                }
            }
            Event::Message { worker, epoch, message } => {
                self.enter_message(now, *worker, *epoch, message);
            }
            Event::Drain => self.num_drains += 1,
        }
    }

    fn enter_message(
        &mut self,
        now: Micros,
        from: WorkerId,
        epoch: Epoch,
        message: &WorkerMessage,
    ) {
        let index = from.0 as usize;
        let worker = &mut self.workers[index];
        if worker.epoch != epoch || !worker.is_up {
            return;
        }
        worker.heard = now;
        let job = match message {
            WorkerMessage::Heartbeat
            | WorkerMessage::Evicted(_)
            | WorkerMessage::Drawing { .. } => return,
            WorkerMessage::Produced { job, .. } | WorkerMessage::NeedsPicture { job, .. } => {
                worker.jobs.get(job).copied()
            }
            WorkerMessage::Drawn { job, .. }
            | WorkerMessage::Ended { job, .. }
            | WorkerMessage::Failed { job, .. } => worker.jobs.remove(job),
            WorkerMessage::Aborted { job } => {
                if worker.jobs.get(job).is_some_and(|job| job.is_aborted) {
                    worker.jobs.remove(job);
                }
                None
            }
        };
        let Some(job) = job.filter(|job| !job.is_aborted) else { return };
        self.speaker = Some((index, job.request));
        if let WorkerMessage::NeedsPicture { job, position, .. } = message
            && let Some(page) = worker.jobs.get_mut(job)
        {
            page.awaits = Some(*position);
            let request = self.requests.get_mut(&page.request);
            request.into_iter().for_each(|page| page.asked_picture = Some(*position));
        }
        if let WorkerMessage::Failed { fault, .. } = message
            && let Some(page) = self.requests.get_mut(&job.request)
        {
            page.has_failed = true;
            if *fault == JobFault::NotFinite {
                worker.not_finite.push((now, page.wish.content));
            }
        }
    }

    /// The front has done this about it.
    pub(crate) fn enter_action(
        &mut self,
        now: Micros,
        event: &Event,
        action: &Action,
    ) -> Result<(), Broken> {
        promise!(!self.has_exited, "{action:?} after the exit");
        match action {
            Action::Admit { request } => self.admit(now, request.0),
            Action::Attach { request, to } => self.attach(request.0, to.0),
            Action::Replay { request, of } => self.replay(request.0, of.0),
            Action::Reject { rejection, .. } => self.reject(now, event, *rejection),
            Action::Detach { request } => {
                promise!(self.canceller == Some(request.0), "{} is detached", request.0);
                Ok(())
            }
            Action::Deliver { request, position, entry } => {
                self.deliver(now, request.0, *position, *entry)
            }
            Action::Finish { request, ending } => self.finish(now, request.0, *ending),
            Action::Forget { request } => {
                self.forgotten.insert(request.0);
                Ok(())
            }
            Action::Send { worker, epoch, order } => self.send(now, *worker, *epoch, order),
            Action::Start { worker, epoch } => self.start(now, *worker, *epoch),
            Action::Kill { worker, epoch } => self
                .kill(now, *worker, *epoch, event)
                .map_err(|broken| format!("{broken} on {event:?}")),
            Action::Exit(reason) => self.exit(*reason),
        }
    }

    fn admit(&mut self, now: Micros, id: u64) -> Result<(), Broken> {
        promise!(!self.requests.contains_key(&id), "request {id} is admitted twice");
        promise!(self.num_drains == 0, "request {id} is admitted while draining");
        promise!(self.was_ready, "request {id} is admitted before anybody is ready");
        let wish = Rc::clone(&self.wishes[&id]);
        let tenant = wish.tenant;
        let waits = |ledger: &Self| {
            ledger.open().any(|(_, page)| page.wish.tenant == tenant && !page.has_started())
        };
        if !waits(self) {
            self.debts.retain(|(creditor, _), _| *creditor != tenant);
        }
        self.num_accepted += 1;
        let page = RequestPage {
            answer: Rc::new(oracle::answer(&wish, &self.budget)),
            wish,
            admitted: now,
            started: None,
            ended: now,
            order: self.num_accepted,
            delivered: Vec::new(),
            num_read: 0,
            lags_since: None,
            ending: None,
            clients: [id].into(),
            is_suspect: false,
            is_proven: false,
            deaths: 0,
            has_failed: false,
            asked_picture: None,
            text_class: None,
            picture_class: None,
        };
        self.requests.insert(id, page);
        self.open.insert(id);
        Ok(())
    }

    fn is_same_asking(&self, one: u64, other: u64) -> bool {
        let (one, other) = (&self.wishes[&one], &self.wishes[&other]);
        one.key.is_some()
            && one.key == other.key
            && one.tenant == other.tenant
            && one.content == other.content
    }

    fn attach(&mut self, id: u64, to: u64) -> Result<(), Broken> {
        promise!(self.is_same_asking(id, to), "{id} is attached to {to}, another request");
        let page = self.requests.get_mut(&to).filter(|page| page.is_open());
        let Some(page) = page else { return Err(format!("{id} is attached to {to}, not open")) };
        page.clients.insert(id);
        self.attached.insert(id, to);
        Ok(())
    }

    fn replay(&self, id: u64, of: u64) -> Result<(), Broken> {
        promise!(self.is_same_asking(id, of), "{id} gets the answer of {of}, another request");
        promise!(!self.forgotten.contains(&of), "{id} gets the answer of {of}, forgotten");
        let is_complete = matches!(self.requests[&of].ending, Some(Ending::Complete(_)));
        promise!(is_complete, "{id} gets the answer of {of}, not complete");
        Ok(())
    }

    fn reject(&self, now: Micros, event: &Event, rejection: Rejection) -> Result<(), Broken> {
        let Event::Submit(submission) = event else {
            return Err("a rejection of nothing".to_owned());
        };
        let admission = &self.config.admission;
        let waiting = self.open().filter(|(_, page)| !page.has_started());
        let wish = &self.wishes[&submission.request.0];
        let is_full = !self.has_free_place(now, wish);
        let writers = || self.workers.iter().filter(|worker| worker.role.writes());
        let num_places: usize = writers()
            .filter(|worker| worker.is_up)
            .filter(|worker| now.since(worker.heard) < self.config.liveness.suspect_after)
            .map(|worker| worker.abilities.max_jobs)
            .sum();
        let is_true = match rejection {
            Rejection::TooLong { positions, limit } => positions > limit,
            Rejection::TooLarge { num_bytes, limit } => num_bytes > limit,
            Rejection::KvTooSmall { positions, limit } => {
                positions > limit && !writers().any(|worker| worker.is_up && worker.holds(wish))
            }
            Rejection::WaitTooLong { wait, limit, .. } => {
                wait > limit && admission.max_wait == Some(limit) && is_full
            }
            Rejection::DeadlineInfeasible { left, .. } => wish.patience == Some(left.0) && is_full,
            Rejection::QueueFull { waiting: number, .. } => {
                let is_unforeseen = admission.max_wait.is_some() && is_full && number >= num_places;
                number == waiting.count()
                    && (number >= admission.max_waiting
                        || self.open().count() >= admission.max_open
                        || self.attached.len() >= admission.max_open
                        || is_unforeseen)
            }
            Rejection::TenantQueueFull { .. } => {
                waiting.filter(|(_, page)| page.wish.tenant == submission.tenant.0).count()
                    >= admission.max_waiting_per_tenant
            }
            Rejection::MemoryFull { reserved, .. } => {
                reserved + submission.num_bytes > admission.max_reserved_bytes
            }
            Rejection::KeysFull { .. } | Rejection::KeyConflict => {
                submission.idempotency_key.is_some()
            }
            Rejection::Quarantined { .. } => {
                self.quarantined.contains(&self.wishes[&submission.request.0].content)
            }
            Rejection::NotReady => !self.was_ready,
            Rejection::Draining => self.num_drains > 0,
            Rejection::NoWorker => {
                let limit = self.config.liveness.max_failed_starts;
                let able = self.workers.iter().filter(|worker| worker.role.draws());
                able.into_iter().all(|worker| worker.failed_starts >= limit)
            }
        };
        promise!(is_true, "{rejection:?} is not true");
        Ok(())
    }

    fn deliver(
        &mut self,
        now: Micros,
        id: u64,
        position: usize,
        entry: Entry,
    ) -> Result<(), Broken> {
        let max_bytes = self.config.outbox.max_bytes;
        let Some((index, speaker)) = self.speaker else {
            return Err(format!("entry {position} of {id} comes from nowhere"));
        };
        promise!(speaker == id, "an entry of {speaker} is delivered to {id}");
        let class = self.workers[index].abilities.class;
        let Some(page) = self.requests.get_mut(&id).filter(|page| page.is_open()) else {
            return Err(format!("entry {position} is delivered to {id}, which is not open"));
        };
        let due = page.delivered.len();
        promise!(position == due, "{id} gets entry {position} where {due} is due");
        let wanted = page.answer.0.get(position);
        promise!(wanted == Some(&entry), "{id} gets {entry:?} at {position}, not {wanted:?}");
        promise!(
            page.deadline().is_none_or(|deadline| now <= deadline),
            "{id} gets an entry after its deadline"
        );
        let wanted = match entry {
            Entry::Token(_) | Entry::LastToken(_) => page.text_class.get_or_insert(class),
            Entry::Picture(_) => page.picture_class.get_or_insert(class),
        };
        promise!(*wanted == class, "{id} goes on in another class of numbers");
        promise!(page.unread() < max_bytes, "{id} gets an entry beyond its outbox");
        page.delivered.push(entry);
        if page.unread() > max_bytes / 2 {
            page.lags_since.get_or_insert(now);
        }
        let _bytes_are_counted_by_unread = num_bytes(entry);
        Ok(())
    }

    fn finish(&mut self, now: Micros, id: u64, ending: Ending) -> Result<(), Broken> {
        let limit = self.config.liveness.max_failed_starts;
        let is_given_up = self.workers.iter().any(|worker| worker.failed_starts >= limit);
        let num_drains = self.num_drains;
        let kv = self.workers.iter().map(|worker| worker.abilities.kv_positions);
        let least_kv = kv.min().unwrap_or(0);
        let outbox = self.config.outbox;
        let canceller = self.canceller;
        let Some(page) = self.requests.get_mut(&id).filter(|page| page.is_open()) else {
            return Err(format!("{id} ends twice"));
        };
        let is_true = match ending {
            Ending::Complete(reason) => page.answer.0 == page.delivered && page.answer.1 == reason,
            Ending::Cancelled => canceller.is_some() && page.clients.is_empty(),
            Ending::Failed(Failure::Deadline) => {
                page.deadline().is_some_and(|deadline| deadline <= now)
            }
            Ending::Failed(Failure::Quarantined) => page.is_proven,
            Ending::Failed(Failure::LostTooOften { deaths }) => deaths == page.deaths,
            Ending::Failed(Failure::SlowReader) => {
                page.lags_since.is_some_and(|since| since.after(outbox.max_stall) <= now)
            }
            Ending::Failed(Failure::Fault(_)) => page.has_failed,
            Ending::Failed(Failure::NoWorker) => is_given_up || page.wish.kv_positions > least_kv,
            Ending::Failed(Failure::Aborted) => num_drains > 1,
        };
        promise!(is_true, "{id} ends with {ending:?}, which is not so: {page:?}");
        page.ending = Some(ending);
        page.ended = now;
        self.open.remove(&id);
        if ending == Ending::Failed(Failure::Quarantined) {
            self.quarantined.insert(page.wish.content);
        }
        self.attached.retain(|_, to| *to != id);
        Ok(())
    }

    fn send(
        &mut self,
        now: Micros,
        to: WorkerId,
        epoch: Epoch,
        order: &Order,
    ) -> Result<(), Broken> {
        let index = to.0 as usize;
        let worker = &self.workers[index];
        promise!(
            worker.epoch == epoch && worker.is_up,
            "{order:?} goes to a worker that is not up"
        );
        match order {
            Order::Write { job, request, journal } => {
                self.check_placement(now, index, request.0, false)?;
                let page = &self.requests[&request.0];
                promise!(page.delivered == *journal, "{} gets a wrong journal", request.0);
                self.place(now, (index, *job), request.0, false);
            }
            Order::Draw { job, condition } => {
                self.check_placement(now, index, condition.request.0, true)?;
                self.place(now, (index, *job), condition.request.0, true);
            }
            Order::Picture { job, position, picture } => {
                let Some(page) = self.workers[index].jobs.get_mut(job) else {
                    return Err(format!("{job:?} gets a picture and is not there"));
                };
                promise!(page.awaits == Some(*position), "{job:?} gets a picture unasked");
                page.awaits = None;
                let wanted = self.requests[&page.request].answer.0.get(*position).copied();
                promise!(wanted == Some(Entry::Picture(*picture)), "{job:?} gets a wrong picture");
            }
            Order::Abort { job } => {
                let Some(page) = self.workers[index].jobs.get_mut(job) else {
                    return Err(format!("{job:?} is aborted and is not there"));
                };
                promise!(!page.is_aborted, "{job:?} is aborted twice");
                page.is_aborted = true;
            }
            Order::Shutdown => promise!(self.num_drains > 0, "a shutdown without a drain"),
        }
        Ok(())
    }

    fn place(&mut self, now: Micros, (index, job): (usize, JobId), request: u64, is_drawing: bool) {
        let wish = &self.wishes[&request];
        let cost = if is_drawing { wish.num_steps as u64 } else { super::cost(wish) };
        let page = JobPage { request, is_drawing, cost, is_aborted: false, awaits: None };
        self.workers[index].jobs.insert(job, page);
        if is_drawing || self.requests[&request].has_started() {
            return;
        }
        let (tenant, cost) = (wish.tenant, cost as i64);
        if let Some(page) = self.requests.get_mut(&request) {
            page.started = Some(now);
        }
        let waiting: Vec<u128> = self
            .open()
            .filter(|(_, page)| !page.has_started())
            .map(|(_, page)| page.wish.tenant)
            .collect();
        for other in waiting.into_iter().filter(|other| *other != tenant) {
            self.debts.entry((other, tenant)).or_insert(0);
        }
        for ((creditor, debtor), debt) in &mut self.debts {
            if *debtor == tenant {
                *debt += cost;
            }
            if *creditor == tenant {
                *debt -= cost;
            }
        }
    }

    fn start(&mut self, now: Micros, id: WorkerId, epoch: Epoch) -> Result<(), Broken> {
        let limit = self.config.liveness.max_failed_starts;
        let worker = &mut self.workers[id.0 as usize];
        promise!(epoch > worker.epoch, "worker {} starts in an old epoch", id.0);
        promise!(!worker.is_up && !worker.is_starting, "worker {} starts twice", id.0);
        promise!(worker.failed_starts < limit, "worker {} is given up and starts", id.0);
        worker.epoch = epoch;
        worker.is_starting = true;
        worker.is_recycled = false;
        worker.heard = now;
        Ok(())
    }

    fn kill(
        &mut self,
        now: Micros,
        id: WorkerId,
        epoch: Epoch,
        event: &Event,
    ) -> Result<(), Broken> {
        let index = id.0 as usize;
        let liveness = self.config.liveness;
        let worker = &self.workers[index];
        promise!(worker.epoch == epoch, "worker {} is killed in an old life", id.0);
        let patience =
            if worker.is_starting { liveness.start_timeout } else { liveness.hung_after };
        let is_silent = now.since(worker.heard) >= patience;
        let is_over = self.num_drains > 0
            || self.workers.iter().any(|worker| worker.failed_starts >= liveness.max_failed_starts);
        let fault = match event {
            Event::Message { worker, message: WorkerMessage::Failed { fault, .. }, .. } => {
                (*worker == id).then_some(*fault)
            }
            _ => None,
        };
        let is_unsound =
            fault == Some(JobFault::NotFinite) && worker.not_finite.len() > liveness.max_not_finite;
        promise!(
            is_silent || self.is_garbage || is_over || is_unsound,
            "worker {} is killed for nothing",
            id.0
        );
        self.workers[index].is_recycled = is_unsound;
        self.bury(index, !is_unsound);
        Ok(())
    }

    fn exit(&mut self, reason: ExitReason) -> Result<(), Broken> {
        let is_true = match reason {
            ExitReason::Drained => self.num_drains > 0,
            ExitReason::Aborted => self.num_drains > 1,
            ExitReason::NoWorkerLeft => {
                let limit = self.config.liveness.max_failed_starts;
                let mut able = self.workers.iter().filter(|worker| worker.role.writes());
                able.all(|worker| worker.failed_starts >= limit)
            }
        };
        promise!(is_true, "{reason:?} is not so");
        let open = self.open().count();
        promise!(open == 0, "the front exits with {open} open requests");
        self.has_exited = true;
        for worker in &mut self.workers {
            worker.jobs.clear();
        }
        Ok(())
    }
}

//! Where the front may send what: rules of routing, isolation and fairness, checked before a job is
//! entered in the ledger.

use reverie_scheduler::dispatcher::Micros;

use super::ledger::{Broken, Ledger, RequestPage, WorkerPage, promise};

impl Ledger {
    pub(crate) fn check_placement(
        &self,
        now: Micros,
        index: usize,
        id: u64,
        is_drawing: bool,
    ) -> Result<(), Broken> {
        let worker = &self.workers[index];
        let Some(page) = self.requests.get(&id).filter(|page| page.is_open()) else {
            return Err(format!("{id} is placed and is not open"));
        };
        let is_able = if is_drawing { worker.role.draws() } else { worker.role.writes() };
        promise!(is_able, "{id} is placed on a worker of another role");
        let silence = now.since(worker.heard.max(self.front_is_back));
        promise!(
            silence < self.config.liveness.suspect_after,
            "{id} is placed on worker {index}, silent for {silence:?}"
        );
        promise!(
            worker.jobs.len() < worker.abilities.max_jobs,
            "{id} is placed on full worker {index}"
        );
        let is_double = self.live_jobs(id).any(|(_, job)| job.is_drawing == is_drawing);
        promise!(!is_double, "{id} is placed twice");
        self.check_company(index, id)?;
        self.check_class(worker, page, is_drawing)?;
        promise!(is_drawing || worker.holds(&page.wish), "{id} does not fit worker {index}");
        let is_twice = !is_drawing && worker.role.draws() && page.awaits_picture();
        promise!(!is_twice, "{id} is placed where its picture is drawn twice");
        if !is_drawing && !page.has_started() {
            self.check_turn(index, id, page)?;
            self.check_wait(now, id, page)?;
        }
        self.check_load(now, index, id, is_drawing)
    }

    /// A suspect is alone, and nobody joins one.
    fn check_company(&self, index: usize, id: u64) -> Result<(), Broken> {
        let worker = &self.workers[index];
        if self.requests[&id].is_suspect {
            promise!(worker.jobs.is_empty(), "suspect {id} is placed in company");
        }
        let suspect = worker.jobs.values().find(|job| self.requests[&job.request].is_suspect);
        promise!(suspect.is_none(), "{id} is placed beside suspect {suspect:?}");
        Ok(())
    }

    fn check_class(
        &self,
        worker: &WorkerPage,
        page: &RequestPage,
        is_drawing: bool,
    ) -> Result<(), Broken> {
        let text = page.text_class.is_none_or(|class| class == worker.abilities.class);
        let picture = page.picture_class.is_none_or(|class| class == worker.abilities.class);
        let agrees = if is_drawing { picture } else { text && (picture || !worker.role.draws()) };
        promise!(agrees, "{} is placed in another class of numbers", page.wish.id);
        Ok(())
    }

    /// Priority first, then the tenants' shares, then first come, first served; who does not fit this worker
    /// waits for another.
    fn check_turn(&self, index: usize, id: u64, page: &RequestPage) -> Result<(), Broken> {
        let wish = &page.wish;
        let fits = |behind: &RequestPage| self.workers[index].holds(&behind.wish);
        let waiting = self.open().filter(|(_, behind)| !behind.has_started() && fits(behind));
        for (other, behind) in waiting {
            promise!(
                behind.wish.priority >= wish.priority,
                "{id} is served before {other}, whose priority is higher"
            );
            let is_same_line =
                behind.wish.tenant == wish.tenant && behind.wish.priority == wish.priority;
            promise!(!is_same_line || page.order <= behind.order, "{id} overtakes {other}");
        }
        if !self.has_shares {
            return Ok(());
        }
        for ((creditor, debtor), debt) in &self.debts {
            let is_waiting =
                self.open().any(|(_, page)| page.wish.tenant == *creditor && !page.has_started());
            promise!(
                !is_waiting || *debt <= 2 * self.dearest,
                "tenant {creditor} waits while {debtor} is served {debt} beyond its share"
            );
        }
        Ok(())
    }

    /// Neither more loaded than the least loaded by more than a prefix is worth.
    fn check_load(
        &self,
        now: Micros,
        index: usize,
        id: u64,
        is_drawing: bool,
    ) -> Result<(), Broken> {
        if self.open().any(|(_, page)| page.is_suspect) {
            return Ok(());
        }
        let page = &self.requests[&id];
        let is_choice = |(at, worker): &(usize, &WorkerPage)| {
            let is_able = if is_drawing { worker.role.draws() } else { worker.role.writes() };
            *at == index
                || (is_able
                    && worker.is_up
                    && worker.jobs.len() < worker.abilities.max_jobs
                    && (is_drawing || worker.holds(&page.wish))
                    && (is_drawing || !worker.role.draws() || !page.awaits_picture())
                    && now.since(worker.heard) < self.config.liveness.suspect_after
                    && !worker.jobs.values().any(|job| self.requests[&job.request].is_suspect)
                    && self.check_class(worker, page, is_drawing).is_ok())
        };
        let choices = self.workers.iter().enumerate().filter(is_choice);
        let least = choices.map(|(_, worker)| worker.load()).min();
        let slack = if is_drawing { 0 } else { self.config.routing.max_imbalance };
        let (load, bound) = (self.workers[index].load(), least.unwrap_or(0) + slack);
        promise!(load <= bound, "{id} is placed under load {load} where {bound} is the most");
        Ok(())
    }
}

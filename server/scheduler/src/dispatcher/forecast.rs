//! How long a newcomer would wait: from who is before it, and from how fast the front has seen places come
//! free and pictures be drawn. Integers and times that come in; refuses nothing.
//!
//! Two things are waited for. A **place** on a worker that writes: metered by starts, in time in which somebody
//! waited for one. The **drawing** of pictures, which share a worker's denoiser: metered by the work of pictures
//! that came, in time in which some were being drawn. Both are metered for each server, so that a worker that
//! dies takes its share of the pace along. How many pictures a document has that leaves it to the model is the
//! mean of those that ended lately.

use std::collections::BTreeMap;

use super::Dispatcher;
use super::event::{PictureDemand, Submission};
use super::identity::{Micros, TenantId, WorkerId};
use super::request::{Request, RequestState};
use super::worker::Worker;
use crate::planted::{Planted, planted};

/// Served work is kept in such fractions, so that halving it again and again keeps a trace.
const FRACTION: u64 = 1 << 16;
/// Documents whose pictures the mean is of, about.
const REMEMBERED_DOCUMENTS: u64 = 64;
/// Pictures are counted in thousandths where they are expected.
const THOUSAND: u64 = 1000;

/// What was served, and in what time in which there was something to serve. Both are halved now and then, so
/// that a pace follows the work that there is.
#[derive(Debug, Default)]
struct Meter {
    /// Microseconds of each server.
    time: u64,
    /// Microseconds since the sums were halved.
    age: u64,
    /// Fractions of a unit of work.
    served: u64,
    /// Whether anything was ever served.
    is_known: bool,
}

impl Meter {
    /// Something was there to serve for all of `num_servers`.
    fn pass(&mut self, span: Micros, num_servers: u64, memory: Micros) {
        // Before it passes: what is served at its end belongs to it.
        if self.age > memory.0 {
            self.time /= 2;
            self.served /= 2;
            self.age /= 2;
        }
        self.time = self.time.saturating_add(span.0.saturating_mul(num_servers));
        self.age = self.age.saturating_add(span.0);
    }

    fn serve(&mut self, work: u64) {
        self.served = self.served.saturating_add(work.saturating_mul(FRACTION));
        self.is_known = true;
    }

    /// The time in which `num_servers` do so much; `None` before anything was ever served.
    fn time_for(&self, work: u64, num_servers: u64) -> Option<Micros> {
        let work = u128::from(work).saturating_mul(u128::from(FRACTION));
        let wanted = work.saturating_mul(u128::from(self.time));
        let pace = u128::from(self.served.max(1)) * u128::from(num_servers.max(1));
        self.is_known.then(|| Micros(u64::try_from(wanted / pace).unwrap_or(u64::MAX)))
    }
}

/// Service as it was seen.
#[derive(Debug)]
pub(super) struct Forecast {
    memory: Micros,
    /// Starts of requests that had waited.
    places: Meter,
    /// Work of pictures that came.
    drawing: Meter,
    /// Pictures of documents that leave it to the model, and how many such documents.
    pictures: (u64, u64),
}

/// How long a newcomer would wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// A place is free.
    Nothing,
    /// For so long.
    For(Micros),
    /// Every place is taken, and nobody who waited has got one yet.
    Unknown,
}

/// What comes before a newcomer.
#[derive(Debug, Clone, Copy, Default)]
struct Ahead {
    /// Requests that get a place before.
    num_requests: u64,
    /// Pictures' work, in thousandths of its unit.
    drawing: u64,
}

impl Forecast {
    /// Of a front that has seen nothing, that halves what it has seen after so much of it.
    pub(super) fn new(memory: Micros) -> Self {
        // The first document is expected to have a picture if it may.
        let (places, drawing) = (Meter::default(), Meter::default());
        Self { memory, places, drawing, pictures: (1, 1) }
    }

    /// One that had waited has got its place.
    pub(super) fn started(&mut self) {
        self.places.serve(1);
    }

    /// A picture has come.
    pub(super) fn drawn(&mut self, demand: PictureDemand) {
        self.drawing.serve(demand.cost);
    }

    /// A document is complete, with so many pictures.
    pub(super) fn completed(&mut self, demand: PictureDemand, num_pictures: usize) {
        if demand.least > 0 {
            return;
        }
        let (sum, count) = &mut self.pictures;
        *sum += num_pictures as u64;
        *count += 1;
        if *count >= REMEMBERED_DOCUMENTS {
            *sum /= 2;
            *count /= 2;
        }
    }

    /// Thousandths of a picture that a document is going to have.
    fn pictures_of(&self, demand: PictureDemand) -> u64 {
        match (demand.least, self.pictures) {
            (0, (sum, count)) => sum * THOUSAND / count,
            (least, _) => least as u64 * THOUSAND,
        }
    }

    /// Whether a picture is more likely than none.
    fn is_drawn(&self, demand: PictureDemand) -> bool {
        2 * self.pictures_of(demand) >= THOUSAND
    }

    /// Thousandths of the drawing that is left to do of a request.
    fn drawing_left(&self, request: &Request, is_drawing: bool) -> u64 {
        let Some(demand) = request.submission.pictures else { return 0 };
        let drawn = request.journal.num_pictures() as u64 * THOUSAND;
        let left = self.pictures_of(demand).saturating_sub(drawn);
        left.max(if is_drawing { THOUSAND } else { 0 }).saturating_mul(demand.cost)
    }
}

impl Dispatcher {
    /// Time in which the front listened passes, before anything happens.
    pub(super) fn meter(&mut self, span: Micros) {
        if span.0 == 0 {
            return;
        }
        let memory = self.forecast.memory;
        if self.admission.num_waiting() > 0 {
            let num_places = self.num_places();
            self.forecast.places.pass(span, num_places, memory);
        }
        let at_work = self.jobs.values().filter(|job| job.is_drawing && !job.is_leaving);
        let mut drawers: Vec<WorkerId> = at_work.map(|job| job.worker).collect();
        drawers.sort_unstable();
        drawers.dedup();
        if !drawers.is_empty() {
            self.forecast.drawing.pass(span, drawers.len() as u64, memory);
        }
    }

    /// How long `submission` would wait for its place; if it is likely to draw, until what is to be drawn
    /// before it is.
    pub(super) fn wait(&self, submission: &Submission) -> Wait {
        if self.num_free_for(submission) > 0 && !planted(Planted::FreePlacesUnseen) {
            return Wait::Nothing;
        }
        let ahead = self.ahead_of(submission);
        let num_places = self.num_places();
        // While all workers are replaced their places are empty, and only those before it will take them.
        let is_empty = self.num_serving_places() == 0;
        if is_empty && ahead.num_requests < num_places {
            return Wait::Nothing;
        }
        let Some(place) = self.forecast.places.time_for(ahead.num_requests + 1, num_places) else {
            return Wait::Unknown;
        };
        let draws = submission.pictures.is_some_and(|demand| self.forecast.is_drawn(demand));
        let num_drawers = self.serving().filter(|worker| worker.role.draws()).count() as u64;
        let drawing = self.forecast.drawing.time_for(ahead.drawing / THOUSAND, num_drawers);
        Wait::For(place.max(drawing.filter(|_| draws).unwrap_or_default()))
    }

    /// The time that the pictures take which `submission` insists on, by themselves.
    pub(super) fn drawing_time(&self, submission: &Submission) -> Micros {
        let work = submission
            .pictures
            .map_or(0, |pictures| (pictures.least as u64).saturating_mul(pictures.cost));
        self.forecast.drawing.time_for(work, 1).unwrap_or_default()
    }

    /// Documents that are written at once; while nobody serves, those that are going to be.
    pub(super) fn num_places(&self) -> u64 {
        let writers = || self.workers.values().filter(|worker| worker.role.writes());
        match self.num_serving_places() {
            0 => {
                let coming = writers().filter(|worker| !worker.is_given_up());
                coming.map(|worker| worker.places as u64).sum::<u64>().max(1)
            }
            places => places,
        }
    }

    /// Those of workers that serve.
    fn num_serving_places(&self) -> u64 {
        let writers = self.serving().filter(|worker| worker.role.writes());
        writers.map(|worker| worker.places as u64).sum()
    }

    fn serving(&self) -> impl Iterator<Item = &Worker> {
        let (listened, liveness) = (self.clock.listened, &self.config.liveness);
        self.workers.values().filter(move |worker| worker.is_routable(listened, liveness))
    }

    /// Who has its turn before a newcomer, as turns are taken in placement: whoever lost its worker, higher
    /// priorities, then by tags, which grow along each tenant's line.
    fn ahead_of(&self, newcomer: &Submission) -> Ahead {
        let drawing: Vec<_> = self.jobs.values().filter(|job| job.is_drawing).collect();
        let is_drawing = |id| drawing.iter().any(|job| job.request == id);
        let mut ahead = Ahead::default();
        let mut line: Vec<&Request> = Vec::new();
        for (id, request) in &self.requests {
            match request.state {
                RequestState::Stalled { .. } => continue,
                RequestState::Waiting if !request.has_started => {
                    line.push(request);
                    continue;
                }
                RequestState::Waiting => ahead.num_requests += 1,
                RequestState::Writing { .. } => {}
            }
            let left = self.forecast.drawing_left(request, is_drawing(*id));
            ahead.drawing = ahead.drawing.saturating_add(left);
        }
        line.sort_by_key(|request| request.arrival);
        let is_own = |request: &Request| request.submission.tenant == newcomer.tenant;
        let own = line.iter().filter(|request| is_own(request));
        let own = own.filter(|request| request.submission.priority <= newcomer.priority);
        let own_cost: u64 = own.map(|request| request.submission.cost).sum();
        let tag = self.admission.tag_of_newcomer(newcomer.tenant).saturating_add(own_cost);
        let mut started: BTreeMap<TenantId, u64> = BTreeMap::new();
        for request in line {
            let Submission { tenant, priority, cost, .. } = request.submission;
            if priority > newcomer.priority {
                continue;
            }
            let cost_before = started.entry(tenant).or_default();
            let its_tag = self.admission.tag(tenant).saturating_add(*cost_before);
            *cost_before = cost_before.saturating_add(cost);
            if priority < newcomer.priority
                || is_own(request)
                || (its_tag, tenant.0) < (tag, newcomer.tenant.0)
            {
                ahead.num_requests += 1;
                let left = self.forecast.drawing_left(request, false);
                ahead.drawing = ahead.drawing.saturating_add(left);
            }
        }
        ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Micros = Micros(1_000);

    #[test]
    fn a_pace_is_known_once_something_was_served_and_shared_by_those_who_serve() {
        let mut meter = Meter::default();
        meter.pass(Micros(100), 4, MEMORY);
        assert_eq!(meter.time_for(1, 4), None);
        meter.serve(2);
        assert_eq!(meter.time_for(6, 4), Some(Micros(300)));
        assert_eq!(meter.time_for(6, 1), Some(Micros(1_200)), "three of four have died");
    }

    #[test]
    fn a_pace_follows_the_work_and_slows_down_while_nothing_is_served() {
        let mut meter = Meter::default();
        for _ in 0..100 {
            meter.pass(Micros(100), 1, MEMORY);
            meter.serve(1);
        }
        let quick = meter.time_for(1, 1).expect("known");
        assert!((98..=102).contains(&quick.0), "{quick:?}");
        for _ in 0..40 {
            meter.pass(Micros(500), 1, MEMORY);
            meter.serve(1);
        }
        let slow = meter.time_for(1, 1).expect("known");
        assert!((490..=510).contains(&slow.0), "{slow:?}");
        for _ in 0..1_000 {
            meter.pass(Micros(500), 1, MEMORY);
        }
        assert!(meter.time_for(1, 1) > Some(Micros(1_000_000)), "nobody gets a place any more");
        meter.pass(Micros(u64::MAX), u64::MAX, MEMORY);
        meter.serve(u64::MAX);
        assert!(meter.time_for(u64::MAX, 1).is_some(), "sums stop at their ends");
    }

    #[test]
    fn what_the_model_decides_is_the_mean_of_what_it_decided() {
        let mut forecast = Forecast::new(MEMORY);
        let left_to_it = PictureDemand { least: 0, cost: 10 };
        assert!(forecast.is_drawn(left_to_it), "the first may draw");
        for _ in 0..200 {
            forecast.completed(left_to_it, 0);
        }
        assert!(!forecast.is_drawn(left_to_it));
        forecast.completed(PictureDemand { least: 9, cost: 10 }, 9);
        assert!(!forecast.is_drawn(left_to_it), "what was insisted on says nothing of it");
        for _ in 0..200 {
            forecast.completed(left_to_it, 3);
        }
        assert!((2_800..=3_000).contains(&forecast.pictures_of(left_to_it)));
        assert_eq!(forecast.pictures_of(PictureDemand { least: 2, cost: 10 }), 2_000);
    }
}

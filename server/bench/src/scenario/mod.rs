//! Loads that show something, each with its claims. Knows the generator and the summary; no server's inside.

mod gap;
mod half_load;
mod overload;
mod plain;
mod throughput;

use crate::arrivals::{Extent, Rate};
use crate::bounds::Bounds;
use crate::generator::{Generator, Until};
use crate::micros::Micros;
use crate::record::{Outcome, Record};
use crate::report::{Part, Report};
use crate::workload::Workload;

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scenario {
    /// One load, measured; nothing is claimed.
    Plain(Load),
    /// Tokens and pictures a second, many at a time against one at a time.
    Throughput,
    /// The gap between tokens of running texts, with pictures being drawn and without.
    Gap,
    /// Goodput at five times what can be served.
    Overload,
    /// The same load three times, at half of what can be served.
    HalfLoad,
}

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// At times of their own, whatever becomes of the others.
    Open {
        /// How many a second.
        rate: Rate,
        /// For how long.
        extent: Extent,
    },
    /// As fast as answers come: a slow server is asked less, so waiting times look better than they are.
    Closed {
        /// How many are under way at a time.
        concurrency: usize,
        /// For how long.
        extent: Extent,
    },
}

/// All that scenarios need.
pub struct Bench<'a> {
    /// Sends.
    pub generator: Generator,
    /// What is asked. The scenarios choose the mix where they compare kinds.
    pub workload: Workload,
    /// What is good enough.
    pub bounds: Option<Bounds>,
    /// Requests under way where a scenario finds out what can be served.
    pub concurrency: usize,
    /// How long one part of a scenario sends requests.
    pub part: Micros,
    /// How often parts that are compared alternate.
    pub rounds: usize,
    /// Requests before the first measurement.
    pub warm_up: usize,
    /// Told of each part when it is over.
    pub on_part: &'a dyn Fn(&Part),
}

/// A scenario that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The first requests came to nothing.
    #[error("no whole answer to any of {requests} requests; the first: {outcome:?}")]
    NoAnswer {
        /// How many were sent.
        requests: usize,
        /// How one of them ended.
        outcome: Option<Outcome>,
    },
    /// The server did not even answer a small question.
    #[error("the server does not answer: {reason}")]
    NoRoundTrip {
        /// Why.
        reason: String,
    },
}

impl Bench<'_> {
    /// Warms the server up and runs the scenario.
    ///
    /// # Errors
    /// [`ScenarioError`]; a claim that is not held is none.
    pub async fn run(&self, scenario: Scenario) -> Result<Report, ScenarioError> {
        self.warm_up().await?;
        match scenario {
            Scenario::Plain(load) => Ok(plain::run(self, load).await),
            Scenario::Throughput => Ok(throughput::run(self).await),
            Scenario::Gap => Ok(gap::run(self).await),
            Scenario::Overload => overload::run(self).await,
            Scenario::HalfLoad => half_load::run(self).await,
        }
    }

    async fn warm_up(&self) -> Result<(), ScenarioError> {
        if self.warm_up == 0 {
            return Ok(());
        }
        // Of a seed that no measurement has: nothing of it may be found again in a cache.
        let workload = self.workload.seeded(!self.workload.seed);
        let concurrency = self.warm_up.min(self.concurrency);
        let until = Until::Requests(self.warm_up);
        let records = self.generator.closed_loop(&workload, concurrency, until).await;
        answered(&records)
    }

    fn part(&self, name: impl Into<String>, records: Vec<Record>) -> Part {
        let part = Part::new(name.into(), records, self.bounds.as_ref());
        (self.on_part)(&part);
        part
    }

    /// A closed loop for the length of a part.
    async fn closed_part(
        &self,
        name: impl Into<String>,
        workload: &Workload,
        concurrency: usize,
    ) -> Part {
        let until = Until::Moment(self.generator.watch.now().plus(self.part));
        let records = self.generator.closed_loop(workload, concurrency, until).await;
        self.part(name, records)
    }

    /// An open loop.
    async fn open_part(
        &self,
        name: impl Into<String>,
        workload: &Workload,
        arrivals: &[Micros],
    ) -> Part {
        let requests = workload.requests(arrivals.len());
        let records = self.generator.open_loop(requests, arrivals).await;
        self.part(name, records)
    }

    /// What can be served, found by a closed loop: whole answers a second.
    async fn capacity(&self) -> Result<(Part, f64), ScenarioError> {
        let workload = self.workload.seeded(self.workload.seed.wrapping_add(1));
        let name = format!("{} at a time", self.concurrency);
        let part = self.closed_part(name, &workload, self.concurrency).await;
        answered(&part.records)?;
        let capacity = part.summary.requests_per_second;
        Ok((part, capacity))
    }
}

fn answered(records: &[Record]) -> Result<(), ScenarioError> {
    if records.iter().any(Record::is_complete) {
        return Ok(());
    }
    let outcome = records.first().map(|record| record.outcome.clone());
    Err(ScenarioError::NoAnswer { requests: records.len(), outcome })
}

/// The middle one; the upper of two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

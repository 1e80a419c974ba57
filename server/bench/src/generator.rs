//! Sends the requests of a run: at their times (open loop) or as fast as answers come (closed loop). Keeps
//! every record; judges none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;

use crate::client::Client;
use crate::micros::Micros;
use crate::record::Record;
use crate::stopwatch::Stopwatch;
use crate::workload::{Planned, Workload};

/// What [`Generator::max_in_flight`] should be: each request may hold a connection and a descriptor, of which
/// a process has 1024 by default.
pub const MAX_IN_FLIGHT: usize = 1000;

/// Sends requests to one server.
#[derive(Debug, Clone)]
pub struct Generator {
    /// Who is asked.
    pub client: Client,
    /// The run's clock.
    pub watch: Stopwatch,
    /// Requests of an open loop under way at a time. One more is recorded as not sent, never delayed: a delay
    /// would hide the overload.
    pub max_in_flight: usize,
}

/// When a closed loop asks no further.
#[derive(Debug, Clone)]
pub enum Until {
    /// So many requests were sent.
    Requests(usize),
    /// It is so late.
    Moment(Micros),
    /// Somebody says so.
    Told(Arc<AtomicBool>),
}

impl Until {
    fn is_reached(&self, sent: usize, now: Micros) -> bool {
        match self {
            Self::Requests(count) => sent >= *count,
            Self::Moment(moment) => now >= *moment,
            Self::Told(enough) => enough.load(Ordering::Relaxed),
        }
    }
}

impl Generator {
    /// Sends each request `arrivals` later than now, whatever became of the others; waits for all. Records
    /// are in the order of the requests.
    pub async fn open_loop(&self, requests: Vec<Planned>, arrivals: &[Micros]) -> Vec<Record> {
        let mut records = Vec::with_capacity(requests.len());
        let mut under_way = JoinSet::new();
        let start = self.watch.now();
        for (planned, arrival) in requests.into_iter().zip(arrivals) {
            let scheduled = start.plus(*arrival);
            sleep_until(self.watch.at(scheduled)).await;
            while let Some(record) = under_way.try_join_next() {
                records.push(finished(record));
            }
            if under_way.len() >= self.max_in_flight {
                let now = self.watch.now();
                records.push(Record::unsent(planned.index, planned.kind, scheduled, now));
                continue;
            }
            let Self { client, watch, .. } = self.clone();
            under_way.spawn(async move { client.ask(planned, scheduled, &watch).await });
        }
        while let Some(record) = under_way.join_next().await {
            records.push(finished(record));
        }
        records.sort_unstable_by_key(|record| record.index);
        records
    }

    /// Keeps `concurrency` requests under way until it is enough, then waits for the last. Records are in the
    /// order of the requests. Waiting counts from when the request's turn came: in a closed loop a slow server
    /// is asked less.
    pub async fn closed_loop(
        &self,
        workload: &Workload,
        concurrency: usize,
        until: Until,
    ) -> Vec<Record> {
        let workload = Arc::new(workload.clone());
        let next = Arc::new(AtomicUsize::new(0));
        let mut lanes = JoinSet::new();
        for _lane in 0..concurrency {
            let Self { client, watch, .. } = self.clone();
            let (workload, next, until) = (Arc::clone(&workload), Arc::clone(&next), until.clone());
            lanes.spawn(async move {
                let mut records = Vec::new();
                loop {
                    let index = next.load(Ordering::Relaxed);
                    let now = watch.now();
                    if until.is_reached(index, now) {
                        return records;
                    }
                    next.store(index + 1, Ordering::Relaxed);
                    let planned = workload.request(index);
                    records.push(client.ask(planned, watch.now(), &watch).await);
                }
            });
        }
        let mut records = Vec::new();
        while let Some(lane) = lanes.join_next().await {
            records.extend(finished(lane));
        }
        records.sort_unstable_by_key(|record| record.index);
        records
    }
}

/// What a task came to; a panic in it goes on here.
fn finished<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_cancelled) => unreachable!("nobody cancels a request's task"),
    })
}

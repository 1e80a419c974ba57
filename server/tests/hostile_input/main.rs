//! The catalogue of hostile input (`tests/hostile/catalogue.toml`) against the real binary: every row sent, and five
//! things asserted of each. Writes the table in `docs/hostile-input.md`, which must be what it says.

#[path = "../command_line/process.rs"]
#[expect(dead_code, reason = "each test binary uses its part of the kit")]
mod process;

#[path = "../../../tests/pictures/picture_headers.rs"]
mod picture_headers;

mod bystander;
mod catalogue;
mod client;
mod expansion;
mod picture_files;
mod programs;
mod table;
mod watched_daemon;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bystander::Bystander;
use catalogue::{Case, Catalogue, Expectation, Row};
use client::{Answer, Client, Request};
use table::{RowResult, Table};
use watched_daemon::WatchedDaemon;

/// Stands in prompts, names, keys and pictures, and must never come out again but in an answer's own text.
pub(crate) const CANARY: &str = "canary-7f3a9c";

#[test]
fn every_row_of_the_catalogue_holds() {
    let catalogue = Catalogue::read();
    catalogue.check();
    let mut results = BTreeMap::new();
    let mut failures = Vec::new();
    for (name, options) in catalogue.daemons() {
        let rows: Vec<_> = catalogue.rows_for(name).collect();
        let daemon = WatchedDaemon::start(&options);
        let bystander = Bystander::new(&daemon.client);
        for row in rows {
            let since = Instant::now();
            // One row that fails hides no other.
            match catch_unwind(AssertUnwindSafe(|| meet(&daemon, &bystander, row))) {
                Ok(result) => {
                    let millis = since.elapsed().as_millis();
                    println!("{:4} {millis:6} ms  {}", row.id, result.observed());
                    results.insert(row.id.clone(), result);
                }
                Err(_panic) => failures.push(row.id.clone()),
            }
        }
        daemon.take_everything();
        daemon.end();
    }
    assert!(failures.is_empty(), "rows that failed, as said above: {failures:?}");
    Table::new(&catalogue, &results).compare();
}

/// Sends a row and asserts the five.
fn meet(daemon: &WatchedDaemon, bystander: &Bystander, row: &Row) -> RowResult {
    let before = daemon.observe();
    let (observed, num_requests) = bystander.meanwhile(&row.id, || {
        let mut observed = Vec::new();
        let mut num_requests = 0;
        for case in &row.cases {
            daemon.forget_peak();
            for (request, answer) in send(&daemon.client, case, daemon.trap()) {
                let place = format!("{}: {:.160}", row.id, request.name);
                let outcome = case.expectation(&request).met_by(&answer, &place);
                check_body(&answer, &place);
                if !observed.contains(&outcome) {
                    observed.push(outcome);
                }
                num_requests += 1;
            }
            daemon.check_peak(&before, case.peak_mib, &row.id);
        }
        (observed, num_requests)
    });
    daemon.check_restored(&before, &row.id);
    RowResult { observed, num_requests }
}

/// What a case consists of, sent.
fn send(client: &Client, case: &Case, trap: u16) -> Vec<(Request, Answer)> {
    match &case.program {
        Some(name) => programs::run(name, client),
        None => {
            let asked = |request: Request| {
                let answer = client.send(&request);
                (request, answer)
            };
            case.requests(trap).into_iter().map(asked).collect()
        }
    }
}

/// An error has OpenAI's body, and says nothing of this place or of what was sent.
fn check_body(answer: &Answer, place: &str) {
    if answer.status < 400 || answer.status == 431 {
        return;
    }
    let error = &answer.json()["error"];
    for field in ["message", "type", "code"] {
        assert!(error[field].is_string(), "{place}: no `{field}` in {}", answer.text());
    }
    assert!(!answer.request_id.is_empty(), "{place}: no request id");
    let text = answer.text();
    assert!(text.len() < 1000, "{place}: {text:.300}");
    let here = env!("CARGO_MANIFEST_DIR");
    for leak in [CANARY, here, "panicked", "src/", ".rs:", "Os {", "os error", "/proc"] {
        assert!(!text.contains(leak), "{place}: `{leak}` in {text}");
    }
}

impl Expectation {
    /// The alternative that `answer` is.
    fn met_by(&self, answer: &Answer, place: &str) -> String {
        let found = self.alternatives.iter().find(|wanted| wanted.is(answer));
        match found {
            Some(wanted) => wanted.to_string(),
            None => panic!("{place}: wanted {self}, got {} {:.500}", answer.status, answer.text()),
        }
    }
}

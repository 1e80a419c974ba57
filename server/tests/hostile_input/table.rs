//! What was found, as a table for people. The same run, the same table: no times and no counts that machines differ in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::catalogue::{Catalogue, Row, root};

const PATH: &str = "docs/hostile-input.md";
/// Set, it writes the table instead of comparing it.
const WRITE: &str = "REVERIE_UPDATE_DOCS";
const HEAD: &str = "# Hostile input

Each row of [the catalogue](../tests/hostile/catalogue.toml) is sent to the real binary with the embedded model by
`cargo test -p reverie-server --test hostile_input`, which writes this table (`REVERIE_UPDATE_DOCS=1`) and fails where it is
another one. Of every row five things are asserted: status, code and parameter of each answer; descriptors, memory, places,
room for bodies and the KV cache given back; a stream beside it the same bytes as alone; the same processes; no canary in an
error or in the log at level debug. Where a peer, a model or an engine has to misbehave, the row names the tests that make it.

| row | what is sent | requests | answers | besides |
| --- | --- | --- | --- | --- |
";

/// What a row's requests were answered.
pub(crate) struct RowResult {
    /// Outcomes, in the order in which they first came.
    pub(crate) observed: Vec<String>,
    pub(crate) num_requests: usize,
}

impl RowResult {
    pub(crate) fn observed(&self) -> String {
        let mut observed = self.observed.clone();
        observed.sort();
        observed.join(", ")
    }
}

pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(catalogue: &Catalogue, results: &BTreeMap<String, RowResult>) -> Self {
        let mut text = HEAD.to_owned();
        for row in &catalogue.rows {
            let (requests, answers) = results.get(&row.id).map_or_else(
                || (String::new(), String::new()),
                |result| (result.num_requests.to_string(), result.observed()),
            );
            let besides = besides(row);
            writeln!(text, "| {} | {} | {requests} | {answers} | {besides} |", row.id, row.what)
                .expect("memory is enough");
        }
        Self(text)
    }

    /// Fails if the file says anything else.
    pub(crate) fn compare(&self) {
        let path = root().join(PATH);
        if std::env::var_os(WRITE).is_some() {
            fs::write(path, &self.0).expect("a written table");
            return;
        }
        let kept = fs::read_to_string(path).unwrap_or_default();
        assert!(kept == self.0, "{PATH} is not what was found; {WRITE}=1 writes it:\n{}", self.0);
    }
}

fn besides(row: &Row) -> String {
    let tests = row.elsewhere.iter().map(|test| {
        let (file, name) = test.split_once("::").unwrap_or((test, ""));
        format!("[{}](../{file})", name.replace('_', " "))
    });
    let apart = row.apart.iter().map(|reason| format!("not here: {reason}"));
    tests.chain(apart).collect::<Vec<_>>().join("; ")
}

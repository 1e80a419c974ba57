//! What a run or a scenario found: figures for programs, a table for people, curves. Knows no server and no
//! clock.

mod chart;
mod check;
mod table;

use serde_json::{Value, json};

use crate::bounds::Bounds;
use crate::record::Record;
use crate::summary::Summary;

pub use chart::{Chart, Line, svg};
pub use check::Check;
pub use table::table;

/// A stretch of a run under one load.
#[derive(Debug, Clone)]
pub struct Part {
    /// What load it was.
    pub name: String,
    /// All requests.
    pub records: Vec<Record>,
    /// What they come to.
    pub summary: Summary,
}

impl Part {
    /// Of these records.
    pub fn new(name: String, records: Vec<Record>, bounds: Option<&Bounds>) -> Self {
        let summary = Summary::of(&records, bounds);
        Self { name, records, summary }
    }
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What was measured, in order.
    pub parts: Vec<Part>,
    /// What was to be shown, and whether it was.
    pub checks: Vec<Check>,
    /// Curves, to be drawn below each other.
    pub charts: Vec<Chart>,
}

impl Report {
    /// For programs, `notes` (an object: when, where, what was asked for) first.
    pub fn to_json(&self, notes: &Value) -> Value {
        let parts =
            self.parts.iter().map(|part| json!({"name": part.name, "figures": part.summary}));
        let mut report = notes.clone();
        report["scenario"] = json!(self.scenario);
        report["checks"] = json!(self.checks);
        report["parts"] = parts.collect();
        report
    }

    /// Every request as a line of JSON, with its part's name.
    pub fn record_lines(&self) -> String {
        #[derive(serde::Serialize)]
        struct RecordLine<'a> {
            part: &'a str,
            #[serde(flatten)]
            record: &'a Record,
        }
        let lines = self.parts.iter().flat_map(|part| {
            part.records.iter().map(|record| RecordLine { part: &part.name, record })
        });
        let lines =
            lines.map(|line| serde_json::to_string(&line).expect("our own types serialise"));
        lines.map(|line| line + "\n").collect()
    }
}

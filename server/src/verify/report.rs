//! What `reverie verify` found, as text and as JSON.

use std::fmt::{self, Write as _};

use reverie_model::parity::{Check, Measure};
use serde_json::{Value, json};

use super::benchmark::Timing;
use super::invariance::Invariance;
use crate::device::peak_resident_memory;

/// Memory: what was promised and what was taken, bytes.
#[derive(Debug, Clone, Copy)]
pub struct MemoryUse {
    /// The estimate by which `serve` refuses models that cannot fit.
    pub estimate: u64,
    /// The process's peak, once everything ran; `None` where the system does not say.
    pub peak: Option<u64>,
}

impl MemoryUse {
    pub(super) fn with_peak(self) -> Self {
        Self { peak: peak_resident_memory(), ..self }
    }
}

/// Everything that was measured.
#[derive(Debug, Clone)]
pub struct Report {
    /// Each comparison with the reference.
    pub checks: Vec<Check>,
    /// Rows alone against rows together.
    pub invariance: Vec<Invariance>,
    /// How long stages take.
    pub timings: Vec<Timing>,
    /// Estimate and peak.
    pub memory: MemoryUse,
}

impl Report {
    /// Whether every comparison is within its tolerance.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(Check::passed) && self.invariance.iter().all(Invariance::passed)
    }

    /// The whole report, every check with its own numbers.
    pub fn to_json(&self) -> Value {
        let checks: Vec<_> = self
            .checks
            .iter()
            .map(|check| {
                json!({"stage": check.stage, "name": check.name, "error": finite(check.error),
                       "tolerance": check.tolerance, "measure": measure_name(check.measure),
                       "passed": check.passed()})
            })
            .collect();
        let invariance: Vec<_> = self
            .invariance
            .iter()
            .map(|row| json!({"name": row.name, "error": finite(row.error), "bit_equal": row.bit_equal, "passed": row.passed()}))
            .collect();
        let timings: Vec<_> = self
            .timings
            .iter()
            .map(|row| json!({"name": row.name, "median_ms": row.median_ms, "min_ms": row.min_ms, "max_ms": row.max_ms}))
            .collect();
        json!({"passed": self.passed(), "checks": checks, "batch_invariance": invariance, "timings": timings,
               "memory": {"estimate_bytes": self.memory.estimate, "peak_bytes": self.memory.peak}})
    }

    /// One row for each stage and measure: the worst of its checks.
    fn worst(&self) -> Vec<(&Check, usize, usize)> {
        let mut rows: Vec<(&Check, usize, usize)> = Vec::new();
        for check in &self.checks {
            let place = rows
                .iter_mut()
                .find(|(worst, ..)| worst.stage == check.stage && worst.measure == check.measure);
            let failed = usize::from(!check.passed());
            if let Some((worst, count, failures)) = place {
                *count += 1;
                *failures += failed;
                if worst.error.partial_cmp(&check.error) != Some(std::cmp::Ordering::Greater) {
                    *worst = check;
                }
            } else {
                rows.push((check, 1, failed));
            }
        }
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<14} {:>6}  {:<11} {:>12} {:>12}  result",
            "stage", "checks", "measure", "worst error", "tolerance"
        )?;
        for (worst, count, failures) in self.worst() {
            let result =
                if failures == 0 { "ok".to_owned() } else { format!("FAILED ({failures})") };
            writeln!(
                formatter,
                "{:<14} {count:>6}  {:<11} {:>12} {:>12}  {result}",
                worst.stage,
                measure_name(worst.measure),
                number(worst.error),
                number(worst.tolerance)
            )?;
        }
        for check in self.checks.iter().filter(|check| !check.passed()) {
            writeln!(
                formatter,
                "  FAILED {} {}: {} > {}",
                check.stage,
                check.name,
                number(check.error),
                number(check.tolerance)
            )?;
        }
        writeln!(formatter, "\nbatch invariance (rows together against rows alone)")?;
        for row in &self.invariance {
            let equal = if row.bit_equal {
                "bit-equal".to_owned()
            } else {
                format!("within {}", number(row.error))
            };
            writeln!(
                formatter,
                "  {:<32} {equal}{}",
                row.name,
                if row.passed() { "" } else { "  FAILED" }
            )?;
        }
        writeln!(formatter, "\nspeed, milliseconds: median (min … max)")?;
        for row in &self.timings {
            writeln!(
                formatter,
                "  {:<40} {:>9.2} ({:.2} … {:.2})",
                row.name, row.median_ms, row.min_ms, row.max_ms
            )?;
        }
        let mut memory = format!("\nmemory: estimated {} MiB", self.memory.estimate >> 20);
        if let Some(peak) = self.memory.peak {
            write!(memory, ", peak {} MiB", peak >> 20)?;
        }
        writeln!(formatter, "{memory}")?;
        let passed = self.checks.iter().filter(|check| check.passed()).count();
        write!(formatter, "\n{passed} passed, {} failed", self.checks.len() - passed)
    }
}

fn number(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.2e}") }
}

/// JSON has no infinity.
fn finite(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!("not finite") }
}

fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::Mismatches => "mismatches",
        Measure::Absolute => "absolute",
        Measure::Relative => "relative",
        Measure::Levels => "8-bit levels",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: f64) -> Check {
        Check {
            stage: "unet",
            name: "t500".to_owned(),
            error,
            tolerance: 1e-3,
            measure: Measure::Absolute,
        }
    }

    #[test]
    fn a_report_with_one_bad_check_fails_and_names_it() {
        let memory = MemoryUse { estimate: 1 << 20, peak: None };
        let mut report = Report {
            checks: vec![check(1e-6)],
            invariance: Vec::new(),
            timings: Vec::new(),
            memory,
        };
        assert!(report.passed());
        report.checks.push(check(f64::INFINITY));
        assert!(!report.passed());
        let text = report.to_string();
        assert!(
            text.contains("FAILED unet t500") && text.ends_with("1 passed, 1 failed"),
            "{text}"
        );
        assert_eq!(report.to_json()["checks"][1]["error"], "not finite");
    }
}

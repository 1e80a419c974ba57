//! A report for people: a line a part, waiting times, claims. Knows text.

use std::fmt::Write as _;

use super::{Part, Report};

/// All of a report in plain text.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    let width = report.parts.iter().map(|part| part.name.chars().count()).max().unwrap_or(0).max(4);
    let _ = writeln!(
        text,
        "{:width$}  {:>8} {:>6} {:>6} {:>8} {:>8} {:>8} {:>8}",
        "part", "seconds", "asked", "whole", "req/s", "tok/s", "pic/s", "good/s"
    );
    for Part { name, summary, .. } in &report.parts {
        let good = summary.goodput_per_second.map_or("-".to_owned(), |good| format!("{good:.2}"));
        let _ = writeln!(
            text,
            "{name:width$}  {:8.1} {:6} {:6} {:8.2} {:8.1} {:8.2} {good:>8}",
            summary.seconds,
            summary.requests,
            summary.completed,
            summary.requests_per_second,
            summary.text_tokens_per_second,
            summary.images_per_second,
        );
    }
    let _ = writeln!(
        text,
        "\n{:width$}  {:26} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "part", "milliseconds", "count", "p50", "p90", "p99", "max"
    );
    for Part { name, summary, .. } in &report.parts {
        let all = summary.times.named();
        for (number, (times, distribution)) in all.iter().enumerate() {
            let Some(found) = distribution.quantiles() else { continue };
            // One picture an answer, or no picture load at all: the same figures again.
            if all[..number].iter().any(|(_, earlier)| earlier == distribution) {
                continue;
            }
            let _ = writeln!(
                text,
                "{name:width$}  {times:26} {:7} {:9.1} {:9.1} {:9.1} {:9.1}",
                found.count, found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms
            );
        }
    }
    for Part { name, summary, .. } in &report.parts {
        for (error, count) in &summary.errors {
            let _ = writeln!(text, "{name}: {count} without a whole answer, {error}");
        }
    }
    if !report.checks.is_empty() {
        text.push('\n');
    }
    for check in &report.checks {
        let _ = writeln!(text, "{check}");
    }
    text
}

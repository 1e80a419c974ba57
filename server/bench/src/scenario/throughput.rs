//! Many requests at a time against one at a time: tokens of text, and pictures. The parts alternate, so that a
//! machine that slows down slows both.

use super::{Bench, median};
use crate::report::{Chart, Check, Line, Part, Report};
use crate::summary::Summary;
use crate::workload::{Kind, Mix};

/// Tokens of a text where the length is not given: the same for all, so that no lane runs dry at the end.
const OUTPUT_LEN: u64 = 64;

/// One comparison.
struct Comparison {
    kind: Kind,
    together: usize,
    claim: &'static str,
    least: f64,
    rate: fn(&Summary) -> f64,
}

const COMPARISONS: [Comparison; 2] = [
    Comparison {
        kind: Kind::Text,
        together: 16,
        claim: "tokens a second, 16 texts at a time over one",
        least: 4.0,
        rate: |summary| summary.text_tokens_per_second,
    },
    Comparison {
        kind: Kind::Picture,
        together: 8,
        claim: "pictures a second, 8 at a time over one",
        least: 1.5,
        rate: |summary| summary.images_per_second,
    },
];

pub(super) async fn run(bench: &Bench<'_>) -> Report {
    let mut parts: Vec<Part> = Vec::new();
    let mut rates = COMPARISONS.map(|_| Vec::new());
    for round in 0..bench.rounds {
        for (comparison, rates) in COMPARISONS.iter().zip(&mut rates) {
            let mut pair = [0.0; 2];
            for (concurrency, rate) in [1, comparison.together].into_iter().zip(&mut pair) {
                // Each part asks what no other did, or a prefix cache would answer.
                let seed = bench.workload.seed.wrapping_add(1 + parts.len() as u64);
                let mut workload = bench.workload.seeded(seed).of(Mix::only(comparison.kind));
                workload.output_len = workload.output_len.or(Some(OUTPUT_LEN));
                let name = format!("{} × {concurrency}, round {}", comparison.kind, round + 1);
                let part = bench.closed_part(name, &workload, concurrency).await;
                *rate = (comparison.rate)(&part.summary);
                parts.push(part);
            }
            rates.push(pair);
        }
    }
    let compared = || COMPARISONS.iter().zip(&rates);
    let checks = compared().map(|(comparison, rates)| {
        let ratios = rates.iter().filter(|pair| pair[0] > 0.0).map(|[one, many]| many / one);
        Check::at_least(comparison.claim, median(ratios.collect()), comparison.least)
    });
    let charts = compared().map(|(comparison, rates)| chart(comparison, rates)).collect();
    Report { scenario: "throughput", checks: checks.collect(), parts, charts }
}

fn chart(comparison: &Comparison, rates: &[[f64; 2]]) -> Chart {
    let line = |number: usize, concurrency: usize| {
        let rounds = rates.iter().enumerate();
        let points = rounds.map(|(round, pair)| ((round + 1) as f64, pair[number])).collect();
        Line { name: format!("{concurrency} at a time"), points }
    };
    Chart {
        title: comparison.claim.to_owned(),
        x: "round",
        y: "a second",
        is_logarithmic: false,
        lines: vec![line(0, 1), line(1, comparison.together)],
    }
}

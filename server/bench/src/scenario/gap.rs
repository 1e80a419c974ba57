//! What pictures do to texts: the gap between tokens of running texts, without and with pictures being drawn
//! beside them, alternating.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Bench;
use crate::distribution::Distribution;
use crate::generator::Until;
use crate::record::Record;
use crate::report::{Chart, Check, Part, Report};
use crate::summary::Summary;
use crate::workload::{Kind, Mix};

/// Tokens of a text where the length is not given.
const OUTPUT_LEN: u64 = 64;
/// Texts under way, and pictures beside them.
const NUM_TEXTS: usize = 4;
const NUM_PICTURES: usize = 2;
/// The gap that is never too long, milliseconds.
const ALWAYS_ALLOWED: f64 = 30.0;

pub(super) async fn run(bench: &Bench<'_>) -> Report {
    let mut parts = Vec::new();
    for round in 1..=bench.rounds {
        for with_pictures in [false, true] {
            let seed = bench.workload.seed.wrapping_add(1 + parts.len() as u64);
            parts.push(run_part(bench, round, seed, with_pictures).await);
        }
    }
    let all: Vec<Record> = parts.iter().flat_map(|part: &Part| part.records.clone()).collect();
    let times = Summary::of(&all, None).times;
    let p99 = |gaps: &Distribution| gaps.quantiles().map(|gaps| gaps.p99_ms);
    let bound = p99(&times.gap_without_pictures).map_or(0.0, |gap| (2.0 * gap).max(ALWAYS_ALLOWED));
    let checks = vec![Check::at_most(
        "p99 gap between tokens with picture load, ms; twice that without, or 30",
        p99(&times.gap_with_pictures),
        bound,
    )];
    let charts = vec![Chart::of_times(
        format!("Gap between pieces of text, {NUM_TEXTS} texts at a time"),
        [
            ("without pictures".to_owned(), &times.gap_without_pictures),
            (format!("{NUM_PICTURES} pictures at a time beside them"), &times.gap_with_pictures),
        ],
    )];
    Report { scenario: "gap", parts, checks, charts }
}

async fn run_part(bench: &Bench<'_>, round: usize, seed: u64, with_pictures: bool) -> Part {
    let workload = bench.workload.seeded(seed);
    let mut texts = workload.of(Mix::only(Kind::Text));
    texts.output_len = texts.output_len.or(Some(OUTPUT_LEN));
    let pictures = workload.of(Mix::only(Kind::Picture));
    let generator = &bench.generator;
    let enough = Arc::new(AtomicBool::new(false));
    let asking = async {
        let until = Until::Moment(generator.watch.now().plus(bench.part));
        let records = generator.closed_loop(&texts, NUM_TEXTS, until).await;
        enough.store(true, Ordering::Relaxed);
        records
    };
    let drawing = async {
        let concurrency = if with_pictures { NUM_PICTURES } else { 0 };
        generator.closed_loop(&pictures, concurrency, Until::Told(Arc::clone(&enough))).await
    };
    let (mut records, drawn) = tokio::join!(asking, drawing);
    let name = if with_pictures { "texts and pictures" } else { "texts alone" };
    let first = records.len();
    records
        .extend(drawn.into_iter().map(|record| Record { index: first + record.index, ..record }));
    bench.part(format!("{name}, round {round}"), records)
}

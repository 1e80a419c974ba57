//! The same requests at the same times, three times, at half of what can be served: the answers must be the
//! same and the waiting alike. For setting beside other load generators.

use super::{Bench, ScenarioError};
use crate::arrivals::{Extent, Rate, poisson};
use crate::distribution::Distribution;
use crate::micros::Micros;
use crate::report::{Chart, Check, Part, Report};
use crate::summary::{Summary, Times};

/// How often.
const RUNS: usize = 3;
/// Of what a closed loop got.
const SHARE: f64 = 0.5;
/// A run sends requests for so many parts, or it has too few for a median to be steady.
const RUN_PARTS: u64 = 2;
/// Medians may differ by so much, of the smallest.
const SPREAD: f64 = 0.15;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Report, ScenarioError> {
    let (closed, capacity) = bench.capacity().await?;
    let workload = bench.workload.seeded(bench.workload.seed.wrapping_add(2));
    let rate = Rate::PerSecond(SHARE * capacity);
    let arrivals = poisson(workload.seed, rate, Extent::Time(Micros(bench.part.0 * RUN_PARTS)));
    let mut runs = Vec::new();
    for run in 1..=RUNS {
        let name = format!("{:.2} a second, run {run}", SHARE * capacity);
        runs.push(bench.open_part(name, &workload, &arrivals).await);
    }
    let checks = checks(&runs);
    let curves = |title: &str, times: Waiting| {
        let runs = runs.iter().enumerate();
        let named =
            runs.map(|(run, part)| (format!("run {}", run + 1), times(&part.summary.times)));
        Chart::of_times(title, named)
    };
    let charts = vec![
        curves("First text", |times| &times.first_text),
        curves("Gap between pieces of text", |times| &times.gap),
        curves("Whole answer", |times| &times.latency),
    ];
    let parts = std::iter::once(closed).chain(runs).collect();
    Ok(Report { scenario: "half-load", parts, checks, charts })
}

/// What is counted in a run, and what its clients waited for.
type Count = fn(&Summary) -> u64;
type Waiting = fn(&Times) -> &Distribution;

fn checks(runs: &[Part]) -> Vec<Check> {
    let counts: [(&str, Count); 4] = [
        ("requests without a whole answer, at most in a run", |it| {
            (it.requests - it.completed) as u64
        }),
        ("whole answers, difference between runs", |it| it.completed as u64),
        ("tokens of text, difference between runs", |it| it.text_tokens),
        ("pictures, difference between runs", |it| it.images as u64),
    ];
    let counted = counts.into_iter().enumerate().map(|(number, (claim, count))| {
        let values = runs.iter().map(|part| count(&part.summary));
        let most = values.clone().max();
        let least = if number == 0 { Some(0) } else { values.min() };
        let difference = most.zip(least).map(|(most, least)| (most - least) as f64);
        Check::at_most(claim, difference, 0.0)
    });
    let medians: [(&str, Waiting); 4] = [
        ("median to the first text, spread between runs", |it| &it.first_text),
        ("median gap between pieces of text, spread between runs", |it| &it.gap),
        ("median to the last picture, spread between runs", |it| &it.last_image),
        ("median to the end, spread between runs", |it| &it.latency),
    ];
    let spread = medians.into_iter().filter_map(|(claim, times)| {
        let medians = runs.iter().map(|part| times(&part.summary.times).quantile(0.5));
        // What no run has (a mix without pictures) is not claimed of any.
        let medians: Vec<_> = medians.flatten().map(Micros::millis).collect();
        let least = medians.iter().copied().reduce(f64::min)?;
        let most = medians.iter().copied().reduce(f64::max)?;
        Some(Check::at_most(claim, (least > 0.0).then(|| most / least - 1.0), SPREAD))
    });
    counted.chain(spread).collect()
}

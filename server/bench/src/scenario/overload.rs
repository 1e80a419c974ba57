//! More requests than can be served: whether what is served stays good, and whether the rest learns it at once.
//! Steps up to find the best goodput, then asks for five times as much.

use super::{Bench, ScenarioError};
use crate::arrivals::{Extent, Rate, poisson};
use crate::distribution::Distribution;
use crate::micros::Micros;
use crate::report::{Chart, Check, Line, Part, Report};

/// The first rate that is tried, of what a closed loop got; then each so many times the last.
const FIRST_STEP: f64 = 0.75;
const STEP: f64 = 1.3;
/// After so many rates in a row without a better goodput the best is found. A server that takes what it can do in
/// time and refuses the rest has its best far beyond what a closed loop gets: thirty times as much is tried.
const MAX_WORSE: usize = 2;
const MAX_STEPS: i32 = 15;
/// How many times the best goodput is asked for then.
const OVERLOAD: f64 = 5.0;
/// The overload lasts so many parts.
const OVERLOAD_PARTS: u64 = 2;
/// Small questions to the idle server.
const ROUND_TRIPS: usize = 50;
/// A refusal may take so long, milliseconds, or so many idle round trips.
const REFUSAL_MS: f64 = 50.0;
const REFUSAL_ROUND_TRIPS: f64 = 5.0;

pub(super) async fn run(bench: &Bench<'_>) -> Result<Report, ScenarioError> {
    let idle = idle_round_trip(bench).await?;
    let (closed, capacity) = bench.capacity().await?;
    let mut parts = vec![closed];
    let mut points = Vec::new();
    let (mut peak, mut worse) = (0.0, 0);
    for step in 0..MAX_STEPS {
        let rate = capacity * FIRST_STEP * STEP.powi(step);
        let part = offered(bench, rate, bench.part).await;
        let found = goodput(&part);
        points.push((rate, found));
        parts.push(part);
        worse = if found > peak { 0 } else { worse + 1 };
        peak = found.max(peak);
        if worse == MAX_WORSE {
            break;
        }
    }
    let rate = OVERLOAD * peak.max(capacity);
    let overloaded = offered(bench, rate, Micros(bench.part.0 * OVERLOAD_PARTS)).await;
    points.push((rate, goodput(&overloaded)));

    let share = (peak > 0.0).then(|| goodput(&overloaded) / peak);
    let refusal = &overloaded.summary.times.refusal;
    let bound = REFUSAL_MS.max(REFUSAL_ROUND_TRIPS * idle.millis());
    let checks = vec![
        Check::at_least("goodput under overload, of the best", share, 0.95),
        Check::at_most(
            "p99 until a refusal, ms; 50, or five idle round trips",
            refusal.quantile(0.99).map(Micros::millis),
            bound,
        ),
    ];
    let charts = vec![
        Chart {
            title: format!("Whole answers within {}", bench.bounds.unwrap_or_default()),
            x: "requests a second",
            y: "good answers a second",
            is_logarithmic: false,
            lines: vec![Line { name: "goodput".to_owned(), points }],
        },
        Chart::of_times(
            "Waiting under overload",
            [("refusal", refusal), ("whole answer", &overloaded.summary.times.latency)],
        ),
    ];
    parts.push(overloaded);
    Ok(Report { scenario: "overload", parts, checks, charts })
}

async fn offered(bench: &Bench<'_>, rate: f64, span: Micros) -> Part {
    // The same requests at every rate, so that none has the easier ones.
    let workload = bench.workload.seeded(bench.workload.seed.wrapping_add(2));
    let arrivals = poisson(workload.seed, Rate::PerSecond(rate), Extent::Time(span));
    bench.open_part(format!("{rate:.1} a second"), &workload, &arrivals).await
}

/// Without bounds every whole answer is good.
fn goodput(part: &Part) -> f64 {
    part.summary.goodput_per_second.unwrap_or(part.summary.requests_per_second)
}

/// The median of some small questions, one after the other.
async fn idle_round_trip(bench: &Bench<'_>) -> Result<Micros, ScenarioError> {
    let mut times = Vec::new();
    for _question in 0..ROUND_TRIPS {
        let start = bench.generator.watch.now();
        let answer = bench.generator.client.round_trip().await;
        answer.map_err(|reason| ScenarioError::NoRoundTrip { reason })?;
        times.push(bench.generator.watch.now().since(start));
    }
    Ok(times.into_iter().collect::<Distribution>().quantile(0.5).unwrap_or_default())
}

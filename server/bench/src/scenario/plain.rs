//! One load, as it was asked for: what its clients got. Claims nothing.

use super::{Bench, Load};
use crate::arrivals::Extent;
use crate::generator::Until;
use crate::report::{Chart, Part, Report};

pub(super) async fn run(bench: &Bench<'_>, load: Load) -> Report {
    let part = match load {
        Load::Open { rate, extent } => {
            let arrivals = bench.workload.arrivals(rate, extent);
            bench.open_part("open loop", &bench.workload, &arrivals).await
        }
        Load::Closed { concurrency, extent } => {
            let until = match extent {
                Extent::Requests(count) => Until::Requests(count),
                Extent::Time(span) => Until::Moment(bench.generator.watch.now().plus(span)),
            };
            let records = bench.generator.closed_loop(&bench.workload, concurrency, until).await;
            bench.part(format!("closed loop, {concurrency} at a time"), records)
        }
    };
    let charts = charts(&part);
    Report { scenario: "plain", parts: vec![part], checks: Vec::new(), charts }
}

/// All waiting times, those within texts apart.
fn charts(part: &Part) -> Vec<Chart> {
    let times = &part.summary.times;
    vec![
        Chart::of_times(
            "Waiting, from when the request was to be sent",
            [
                ("first text", &times.first_text),
                ("first picture", &times.first_image),
                ("last picture", &times.last_image),
                ("whole answer", &times.latency),
            ],
        ),
        Chart::of_times(
            "Gap between pieces of text",
            [
                ("no picture load", &times.gap_without_pictures),
                ("picture load", &times.gap_with_pictures),
            ],
        ),
    ]
}

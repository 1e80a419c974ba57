//! Curves as one SVG. Knows points and names; nothing of what they mean.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _};
use plotters::prelude::*;

use crate::distribution::Distribution;

const WIDTH: u32 = 900;
const HEIGHT: u32 = 360;
/// As short as a time gets on a logarithmic axis, milliseconds.
const SHORTEST: f64 = 0.01;

/// A diagram.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Above it.
    pub title: String,
    /// What goes to the right.
    pub x: &'static str,
    /// What goes up.
    pub y: &'static str,
    /// Whether the way to the right is in powers of ten.
    pub is_logarithmic: bool,
    /// Its curves.
    pub lines: Vec<Line>,
}

/// A curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// In the legend.
    pub name: String,
    /// (x, y), from left to right.
    pub points: Vec<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Failure = DrawingAreaErrorKind<std::io::Error>;

impl Chart {
    /// Which share of times was no longer than what stands below; empty distributions are left out.
    pub fn of_times<'a>(
        title: impl Into<String>,
        times: impl IntoIterator<Item = (impl Into<String>, &'a Distribution)>,
    ) -> Self {
        let lines = times.into_iter();
        let lines = lines.map(|(name, times)| Line { name: name.into(), points: times.curve() });
        Self {
            title: title.into(),
            x: "milliseconds",
            y: "share",
            is_logarithmic: true,
            lines: lines.filter(|line| !line.points.is_empty()).collect(),
        }
    }

    fn draw(&self, area: &Area<'_>) -> Result<(), Failure> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let highest = points().map(|(_, y)| *y).fold(0.0, f64::max);
        let right = points().map(|(x, _)| *x).fold(SHORTEST, f64::max);
        let up = 0.0..if highest > 0.0 { highest * 1.05 } else { 1.0 };
        if self.is_logarithmic {
            let left = points().map(|(x, _)| x.max(SHORTEST)).fold(right, f64::min);
            self.draw_on(area, (left * 0.9..right * 1.1).log_scale(), up)
        } else {
            self.draw_on(area, 0.0..right * 1.05, up)
        }
    }

    fn draw_on<X>(&self, area: &Area<'_>, across: X, up: Range<f64>) -> Result<(), Failure>
    where
        X: AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(across, up)?;
        chart.configure_mesh().x_desc(self.x).y_desc(self.y).draw()?;
        for (number, line) in self.lines.iter().enumerate() {
            let colour = Palette99::pick(number).to_rgba();
            let points = line.points.iter().map(|(x, y)| (x.max(SHORTEST), *y));
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(&line.name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()
    }
}

/// All charts that have a curve, below each other.
pub fn svg(charts: &[Chart]) -> String {
    let charts: Vec<_> = charts.iter().filter(|chart| !chart.lines.is_empty()).collect();
    let count = u32::try_from(charts.len()).expect("a handful of charts");
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (WIDTH, HEIGHT * count.max(1)));
        let root = root.into_drawing_area();
        let drawn = root.fill(&WHITE).and_then(|()| {
            let areas = root.split_evenly((charts.len().max(1), 1));
            charts.iter().zip(&areas).try_for_each(|(chart, area)| chart.draw(area))
        });
        drawn.and_then(|()| root.present()).expect("a string takes every line");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::micros::Micros;

    #[test]
    fn every_chart_and_curve_is_in_the_picture() {
        let times: Distribution = (1..500).map(|time| Micros(time * time)).collect();
        let empty = Distribution::default();
        let curves = [("some", &times), ("absent", &empty)];
        let log = Chart::of_times("Waiting", curves);
        assert_eq!(log.lines.len(), 1, "what was not measured has no curve");
        let line =
            |name: &str| Line { name: name.to_owned(), points: vec![(1.0, 3.0), (2.0, 4.0)] };
        let plain = Chart {
            title: "Rates <1".to_owned(),
            x: "round",
            y: "a second",
            is_logarithmic: false,
            lines: vec![line("one"), line("two")],
        };
        let drawn = svg(&[log.clone(), plain, Chart { lines: Vec::new(), ..log }]);
        assert!(drawn.starts_with("<svg ") && drawn.trim_end().ends_with("</svg>"));
        for name in
            ["Waiting", "Rates &lt;1", "some", "one", "two", "milliseconds", "height=\"720\""]
        {
            assert!(drawn.contains(name), "{name} is not in:\n{drawn}");
        }
        assert!(!drawn.contains("absent"));
        assert!(svg(&[]).starts_with("<svg "));
    }

    #[test]
    fn a_single_point_is_drawn_too() {
        let times: Distribution = [Micros(0)].into_iter().collect();
        let chart = Chart::of_times("One", [("one", &times)]);
        assert!(svg(&[chart]).contains("one"));
    }
}

//! What a client would call good enough: bounds on its waiting. Knows one record at a time.

use std::fmt;
use std::str::FromStr;

use crate::micros::Micros;
use crate::record::Record;

/// Bounds that an answer must keep to count as good: `ttft=0.5,gap=0.1,picture=5,latency=20`, seconds. A bound
/// on what an answer has none of is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// From the scheduled moment to the first text.
    pub ttft: Option<Micros>,
    /// The longest gap between pieces of text that follow each other.
    pub gap: Option<Micros>,
    /// From the scheduled moment to the last picture.
    pub picture: Option<Micros>,
    /// From the scheduled moment to the end.
    pub latency: Option<Micros>,
}

impl Bounds {
    /// Whether the whole answer came within all bounds.
    pub fn are_kept_by(&self, record: &Record) -> bool {
        let within = |bound: Option<Micros>, span: Option<Micros>| match (bound, span) {
            (Some(bound), Some(span)) => span <= bound,
            (None, _) | (_, None) => true,
        };
        let gap = record.text_gaps().map(|(from, to)| to.since(from)).max();
        let waited = |moment: Option<&Micros>| moment.map(|moment| record.waited(*moment));
        record.is_complete()
            && within(self.ttft, waited(record.texts.first()))
            && within(self.gap, gap)
            && within(self.picture, waited(record.images.last()))
            && within(self.latency, Some(record.waited(record.end)))
    }
}

impl FromStr for Bounds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bounds = Self::default();
        for part in text.split(',') {
            let wrong =
                || format!("{part}: wanted ttft, gap, picture or latency, = seconds above 0");
            let (name, seconds) = part.split_once('=').ok_or_else(wrong)?;
            let seconds: f64 = seconds.trim().parse().map_err(|_not_a_number| wrong())?;
            if !(seconds > 0.0 && seconds.is_finite()) {
                return Err(wrong());
            }
            let bound = match name.trim() {
                "ttft" => &mut bounds.ttft,
                "gap" => &mut bounds.gap,
                "picture" => &mut bounds.picture,
                "latency" => &mut bounds.latency,
                _ => return Err(wrong()),
            };
            *bound = Some(Micros::from_seconds(seconds));
        }
        Ok(bounds)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = [
            ("ttft", self.ttft),
            ("gap", self.gap),
            ("picture", self.picture),
            ("latency", self.latency),
        ];
        let parts = bounds
            .iter()
            .filter_map(|(name, bound)| bound.map(|bound| format!("{name}={}", bound.seconds())));
        formatter.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Fault, Outcome};
    use crate::workload::Kind;

    fn record() -> Record {
        Record {
            index: 0,
            kind: Kind::Document,
            scheduled: Micros(1_000_000),
            sent: Micros(1_500_000),
            first_byte: Some(Micros(1_600_000)),
            texts: [2, 3, 8, 9].map(|second| Micros(second * 1_000_000)).to_vec(),
            images: vec![Micros(7_000_000)],
            end: Micros(9_000_000),
            outcome: Outcome::Completed { finish_reason: None },
            usage: None,
        }
    }

    #[test]
    fn waiting_counts_from_when_a_request_was_to_be_sent() {
        let kept = |bounds: &str| bounds.parse::<Bounds>().unwrap().are_kept_by(&record());
        assert!(kept("ttft=1,gap=1,picture=6,latency=8"));
        for missed in ["ttft=0.9", "gap=0.9", "picture=5.9", "latency=7.9"] {
            assert!(!kept(missed), "{missed}");
        }
        assert!(kept("gap=1"), "a picture lies in the long gap");
    }

    #[test]
    fn what_did_not_come_whole_is_not_good() {
        let outcome = Outcome::Failed { fault: Fault::CutOff, message: String::new() };
        assert!(!Bounds::default().are_kept_by(&Record { outcome, ..record() }));
        assert!(Bounds::default().are_kept_by(&record()));
        let silent = Record { texts: Vec::new(), images: Vec::new(), ..record() };
        assert!("ttft=0.1,picture=0.1,gap=0.1".parse::<Bounds>().unwrap().are_kept_by(&silent));
    }

    #[test]
    fn bounds_are_read_as_they_are_written() {
        let bounds: Bounds = "latency=20, ttft=0.5".parse().unwrap();
        assert_eq!(bounds.to_string(), "ttft=0.5,latency=20");
        for wrong in ["", "ttft", "ttft=0", "ttft=-1", "ttft=inf", "ttft=nan", "speed=1"] {
            assert!(wrong.parse::<Bounds>().is_err(), "{wrong}");
        }
    }
}

//! What a run's records come to: rates, waiting times, errors, goodput. Pure; knows no server.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::bounds::Bounds;
use crate::distribution::Distribution;
use crate::micros::Micros;
use crate::record::{Outcome, Record};

/// A run in figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// From the first scheduled moment to the last end.
    pub seconds: f64,
    /// All requests.
    pub requests: usize,
    /// Those with a whole answer.
    pub completed: usize,
    /// Whole answers by kind.
    pub completed_by_kind: BTreeMap<&'static str, usize>,
    /// Those without, by status or fault.
    pub errors: BTreeMap<String, usize>,
    /// Tokens of text in whole answers.
    pub text_tokens: u64,
    /// Tokens of answers as servers count them, dream queries among them.
    pub completion_tokens: u64,
    /// Positions of prompts, as far as servers count them.
    pub prompt_tokens: u64,
    /// Pictures in whole answers.
    pub images: usize,
    /// Whole answers a second.
    pub requests_per_second: f64,
    /// Tokens of text a second.
    pub text_tokens_per_second: f64,
    /// Pictures a second.
    pub images_per_second: f64,
    /// Whole answers within the bounds; nothing where there is no bound.
    pub good: Option<usize>,
    /// The same, a second.
    pub goodput_per_second: Option<f64>,
    /// Waiting times.
    pub times: Times,
}

/// Waiting times of whole answers, from the moment a request was to be sent; in JSON as quantiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Times {
    /// To the first text.
    #[serde(serialize_with = "quantiles")]
    pub first_text: Distribution,
    /// Between pieces of text that follow each other, in answers without pictures.
    #[serde(serialize_with = "quantiles")]
    pub gap: Distribution,
    /// Those of them in which nobody waited for a picture.
    #[serde(serialize_with = "quantiles")]
    pub gap_without_pictures: Distribution,
    /// Those in which somebody did.
    #[serde(serialize_with = "quantiles")]
    pub gap_with_pictures: Distribution,
    /// To the first picture.
    #[serde(serialize_with = "quantiles")]
    pub first_image: Distribution,
    /// To the last picture.
    #[serde(serialize_with = "quantiles")]
    pub last_image: Distribution,
    /// To the end.
    #[serde(serialize_with = "quantiles")]
    pub latency: Distribution,
    /// To the end of a refusal for want of room (429 and 503).
    #[serde(serialize_with = "quantiles")]
    pub refusal: Distribution,
    /// How much later than scheduled requests were sent: the generator's own fault.
    #[serde(serialize_with = "quantiles")]
    pub lateness: Distribution,
}

fn quantiles<S: Serializer>(times: &Distribution, serializer: S) -> Result<S::Ok, S::Error> {
    times.quantiles().serialize(serializer)
}

impl Times {
    /// All of them, with a name for people.
    pub fn named(&self) -> [(&'static str, &Distribution); 9] {
        [
            ("first text", &self.first_text),
            ("text gap", &self.gap),
            ("text gap, no picture load", &self.gap_without_pictures),
            ("text gap, picture load", &self.gap_with_pictures),
            ("first picture", &self.first_image),
            ("last picture", &self.last_image),
            ("whole answer", &self.latency),
            ("refusal (429, 503)", &self.refusal),
            ("sent late", &self.lateness),
        ]
    }

    fn of(records: &[Record]) -> Self {
        let whole = || records.iter().filter(|record| record.is_complete());
        let waited = |moment: fn(&Record) -> Option<&Micros>| {
            whole().filter_map(|it| moment(it).map(|moment| it.waited(*moment))).collect()
        };
        let load = PictureLoad::of(records);
        let gaps = |wanted: &[bool]| {
            let texts = whole().filter(|record| !record.kind.draws());
            let gaps = texts.flat_map(Record::text_gaps);
            let gaps = gaps.filter(|gap| wanted.contains(&load.overlaps(*gap)));
            gaps.map(|(from, to)| to.since(from)).collect()
        };
        Self {
            first_text: waited(|record| record.texts.first()),
            gap: gaps(&[false, true]),
            gap_without_pictures: gaps(&[false]),
            gap_with_pictures: gaps(&[true]),
            first_image: waited(|record| record.images.first()),
            last_image: waited(|record| record.images.last()),
            latency: whole().map(|record| record.waited(record.end)).collect(),
            refusal: records
                .iter()
                .filter(|record| {
                    matches!(record.outcome, Outcome::Refused { status: 429 | 503, .. })
                })
                .map(|record| record.waited(record.end))
                .collect(),
            lateness: records.iter().map(|record| record.waited(record.sent)).collect(),
        }
    }
}

/// When requests that draw were under way: spans that do not touch, in order.
struct PictureLoad(Vec<(Micros, Micros)>);

impl PictureLoad {
    fn of(records: &[Record]) -> Self {
        let drawing = records.iter().filter(|record| record.kind.draws());
        let mut spans: Vec<_> = drawing.map(|record| (record.sent, record.end)).collect();
        spans.sort_unstable();
        let mut merged: Vec<(Micros, Micros)> = Vec::new();
        for (from, to) in spans {
            match merged.last_mut() {
                Some((_, end)) if from <= *end => *end = to.max(*end),
                Some(_) | None => merged.push((from, to)),
            }
        }
        Self(merged)
    }

    fn overlaps(&self, (from, to): (Micros, Micros)) -> bool {
        let first = self.0.partition_point(|(_, end)| *end <= from);
        self.0.get(first).is_some_and(|(start, _)| *start < to)
    }
}

impl Summary {
    /// Of these records; what is good by `bounds`, if there are any.
    pub fn of(records: &[Record], bounds: Option<&Bounds>) -> Self {
        let start = records.iter().map(|record| record.scheduled).min().unwrap_or_default();
        let end = records.iter().map(|record| record.end).max().unwrap_or_default();
        let seconds = end.since(start).seconds();
        let rate = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        let (mut completed_by_kind, mut errors) = (BTreeMap::new(), BTreeMap::new());
        for record in records {
            match &record.outcome {
                Outcome::Completed { .. } => {
                    *completed_by_kind.entry(record.kind.name()).or_default() += 1;
                }
                Outcome::Refused { status, .. } => {
                    *errors.entry(format!("status {status}")).or_default() += 1;
                }
                Outcome::Failed { fault, .. } => *errors.entry(fault.to_string()).or_default() += 1,
            }
        }
        let whole = || records.iter().filter(|record| record.is_complete());
        let completed = whole().count();
        let text_tokens = whole().map(Record::text_tokens).sum();
        let usages = || whole().filter_map(|it| it.usage);
        let images = whole().map(|record| record.images.len()).sum();
        let good = bounds.map(|bounds| whole().filter(|it| bounds.are_kept_by(it)).count());
        Self {
            seconds,
            requests: records.len(),
            completed,
            completed_by_kind,
            errors,
            text_tokens,
            completion_tokens: usages().map(|usage| usage.completion_tokens).sum(),
            prompt_tokens: usages().map(|usage| usage.prompt_tokens).sum(),
            images,
            requests_per_second: rate(completed as f64),
            text_tokens_per_second: rate(text_tokens as f64),
            images_per_second: rate(images as f64),
            good,
            goodput_per_second: good.map(|good| rate(good as f64)),
            times: Times::of(records),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Fault, Usage};
    use crate::workload::Kind;

    /// Moments are milliseconds.
    fn record(kind: Kind, scheduled: u64, texts: &[u64], images: &[u64], end: u64) -> Record {
        let moments = |millis: &[u64]| millis.iter().map(|it| Micros(it * 1000)).collect();
        Record {
            index: 0,
            kind,
            scheduled: Micros(scheduled * 1000),
            sent: Micros(scheduled * 1000 + 500),
            first_byte: None,
            texts: moments(texts),
            images: moments(images),
            end: Micros(end * 1000),
            outcome: Outcome::Completed { finish_reason: Some("stop".to_owned()) },
            usage: None,
        }
    }

    fn millis(times: &Distribution) -> Vec<f64> {
        let quantiles = times.quantiles();
        quantiles.map_or(Vec::new(), |it| vec![it.count as f64, it.p50_ms, it.max_ms])
    }

    #[test]
    fn rates_are_of_whole_answers_over_the_whole_run() {
        let mut counted = record(Kind::Text, 1000, &[1100, 1200], &[], 1200);
        let usage = Usage { prompt_tokens: 5, completion_tokens: 90, image_tokens: 70 };
        counted.usage = Some(usage);
        let mut cut_off = record(Kind::Picture, 1500, &[], &[2000], 3000);
        cut_off.outcome = Outcome::Failed { fault: Fault::CutOff, message: String::new() };
        let mut full = record(Kind::Text, 2000, &[], &[], 2004);
        full.outcome = Outcome::Refused { status: 429, message: String::new() };
        let whole = record(Kind::Document, 2000, &[2500, 2600], &[3000, 4000], 5000);
        let records = [counted, cut_off, full.clone(), whole, full];
        let summary = Summary::of(&records, Some(&"latency=1".parse().unwrap()));
        assert_eq!((summary.seconds, summary.requests, summary.completed), (4.0, 5, 2));
        assert_eq!((summary.text_tokens, summary.prompt_tokens, summary.images), (22, 5, 2));
        assert_eq!(summary.completion_tokens, 90);
        assert_eq!(summary.text_tokens_per_second, 5.5, "20 by the server's count, 2 by ours");
        assert_eq!((summary.requests_per_second, summary.images_per_second), (0.5, 0.5));
        assert_eq!((summary.good, summary.goodput_per_second), (Some(1), Some(0.25)));
        assert_eq!(
            summary.errors,
            [("cut off".to_owned(), 1), ("status 429".to_owned(), 2)].into()
        );
        assert_eq!(summary.completed_by_kind, [("document", 1), ("text", 1)].into());
        assert_eq!(millis(&summary.times.refusal), [2.0, 4.0, 4.0]);
        assert_eq!(millis(&summary.times.first_text), [2.0, 100.0, 500.0]);
        assert_eq!(millis(&summary.times.first_image), [1.0, 1000.0, 1000.0]);
        assert_eq!(millis(&summary.times.last_image), [1.0, 2000.0, 2000.0]);
        assert_eq!(millis(&summary.times.latency), [2.0, 200.0, 3000.0]);
        assert_eq!(millis(&summary.times.lateness), [5.0, 0.5, 0.5]);
    }

    #[test]
    fn gaps_are_told_apart_by_whether_anybody_waits_for_a_picture() {
        let text = record(Kind::Text, 0, &[10, 20, 40, 70, 110, 160], &[], 160);
        // From 30.5 to 45, and from 40.5 to 60: one span, 30.5 to 60; and another, from 110.5 to 112.
        let drawn = [(30, 45), (40, 60), (110, 112)];
        let drawn = drawn.map(|(from, to)| record(Kind::Picture, from, &[], &[], to));
        let times = Summary::of(&[&[text][..], &drawn[..]].concat(), None).times;
        assert_eq!(millis(&times.gap_without_pictures), [2.0, 10.0, 40.0], "10, 40");
        assert_eq!(millis(&times.gap_with_pictures), [3.0, 30.0, 50.0], "20, 30, 50");
        assert_eq!(millis(&times.gap), [5.0, 30.0, 50.0]);
    }

    #[test]
    fn gaps_of_illustrated_documents_are_not_those_of_texts() {
        let document = record(Kind::Document, 0, &[10, 20, 900], &[500], 1000);
        assert_eq!(document.text_gaps().collect::<Vec<_>>(), [(Micros(10_000), Micros(20_000))]);
        let times = Summary::of(&[document], None).times;
        assert_eq!(times.gap, Distribution::default());
    }

    #[test]
    fn no_record_comes_to_nothing() {
        let summary = Summary::of(&[], Some(&Bounds::default()));
        assert_eq!((summary.seconds, summary.requests_per_second), (0.0, 0.0));
        let json = serde_json::to_value(&summary).unwrap();
        assert!(json["times"]["latency"].is_null());
    }
}

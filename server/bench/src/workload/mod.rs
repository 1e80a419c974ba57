//! What a run asks for: requests of four kinds, each decided by the seed and its number alone, so that two
//! runs, or two servers, are asked the same. Knows the wire; sends nothing.

mod kind;
mod prompt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde_json::{Map, Value, json};

pub use kind::{Kind, Mix};

use crate::arrivals::{Extent, Rate, poisson};
use crate::micros::Micros;

/// No text of the toy world is longer, and a document of five pictures is not either.
const MAX_TOKENS: u64 = 300;

/// How the requests of a run come about.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Keys everything.
    pub seed: u64,
    /// How much of each kind.
    pub mix: Mix,
    /// The model's name in requests.
    pub model: String,
    /// So many tokens in every text and every answer about a picture, neither fewer nor more.
    pub output_len: Option<u64>,
    /// Fields that every request gets besides, over those of its own.
    pub extra_body: Map<String, Value>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its number, from 0.
    pub index: usize,
    /// What it asks for.
    pub kind: Kind,
    /// The chat request, JSON.
    pub body: String,
}

impl Workload {
    /// The request of that number.
    pub fn request(&self, index: usize) -> Planned {
        let mut draws = ChaCha8Rng::seed_from_u64(self.seed);
        draws.set_stream(index as u64);
        let kind = self.mix.pick(draws.next_u64());
        let content = prompt::content(kind, &mut draws);
        let mut body = json!({
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "stream": true,
            "stream_options": {"include_usage": true},
            "temperature": 0.0,
            // Within what every server's integers hold.
            "seed": draws.next_u32() >> 1,
            "max_tokens": MAX_TOKENS,
        });
        match kind {
            Kind::Text | Kind::Vqa => {
                body["modalities"] = json!(["text"]);
                if let Some(length) = self.output_len {
                    body["max_tokens"] = json!(length);
                    body["min_tokens"] = json!(length);
                    body["ignore_eos"] = json!(true);
                }
            }
            Kind::Picture => body["modalities"] = json!(["image"]),
            Kind::Document => {}
        }
        if let Value::Object(fields) = &mut body {
            fields.extend(self.extra_body.clone());
        }
        Planned { index, kind, body: body.to_string() }
    }

    /// When its requests are sent in an open loop.
    pub fn arrivals(&self, rate: Rate, extent: Extent) -> Vec<Micros> {
        poisson(self.seed, rate, extent)
    }

    /// The requests of these numbers.
    pub fn requests(&self, count: usize) -> Vec<Planned> {
        (0..count).map(|index| self.request(index)).collect()
    }

    /// The same with another mix.
    #[must_use]
    pub fn of(&self, mix: Mix) -> Self {
        Self { mix, ..self.clone() }
    }

    /// The same with another seed, so that nothing of it is asked again.
    #[must_use]
    pub fn seeded(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(mix: &str) -> Workload {
        Workload {
            seed: 3,
            mix: mix.parse().unwrap(),
            model: "m".to_owned(),
            output_len: None,
            extra_body: Map::new(),
        }
    }

    fn body(planned: &Planned) -> Value {
        serde_json::from_str(&planned.body).unwrap()
    }

    #[test]
    fn a_request_is_decided_by_its_seed_and_number_alone() {
        let workload = workload("text=4,vqa=2,picture=1,document=1");
        let requests = workload.requests(400);
        assert_eq!(requests[17], workload.request(17), "whatever is asked before it");
        assert_ne!(requests[17].body, workload.seeded(4).request(17).body);
        let count = |kind| requests.iter().filter(|request| request.kind == kind).count();
        assert!((160..240).contains(&count(Kind::Text)), "{}", count(Kind::Text));
        assert!((70..130).contains(&count(Kind::Vqa)), "{}", count(Kind::Vqa));
        assert!((30..70).contains(&count(Kind::Picture)), "{}", count(Kind::Picture));
        assert!((30..70).contains(&count(Kind::Document)), "{}", count(Kind::Document));
        let bodies: std::collections::HashSet<_> = requests.iter().map(|it| &it.body).collect();
        assert_eq!(bodies.len(), 400, "no two are the same");
    }

    #[test]
    fn every_request_is_one_that_the_wire_knows() {
        let workload = Workload { output_len: Some(9), ..workload("text,vqa,picture,document") };
        for planned in workload.requests(60) {
            let parsed: reverie_proto::ChatCompletionRequest =
                serde_json::from_str(&planned.body).expect("a chat request");
            let has_picture = planned.body.contains("data:image/png;base64,");
            assert_eq!(has_picture, planned.kind == Kind::Vqa, "{}", planned.body);
            let fixed = matches!(planned.kind, Kind::Text | Kind::Vqa);
            assert_eq!(parsed.ignore_eos == Some(true), fixed);
            assert_eq!(parsed.min_tokens, fixed.then_some(9));
        }
    }

    #[test]
    fn fields_of_ones_own_go_over_the_workloads() {
        let mut workload = workload("picture=1");
        workload.extra_body.insert("num_inference_steps".to_owned(), json!(4));
        workload.extra_body.insert("temperature".to_owned(), json!(1.0));
        let body = body(&workload.request(0));
        assert_eq!((&body["num_inference_steps"], &body["temperature"]), (&json!(4), &json!(1.0)));
        assert_eq!(body["modalities"], json!(["image"]));
    }
}

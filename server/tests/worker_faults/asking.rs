//! Requests to a served process, and answers made comparable. Judges nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Served, mini};

/// Nothing takes so long, even on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer: its status, and its body without what differs from one asking to the next.
#[derive(Clone, PartialEq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Pictures are too long to be looked at as text.
impl fmt::Debug for Answered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.body["choices"][0]["message"];
        let images = message["images"].to_string();
        let digest =
            images.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let (text, error) = (&message["content"], &self.body["error"]);
        let usage = &self.body["usage"];
        write!(formatter, "{} {text} images {digest:08x} {error} {usage}", self.status)
    }
}

impl Answered {
    /// The code of an error.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

/// A document with a picture, whose seed is `seed`.
pub(crate) fn picture_story(seed: u64) -> Value {
    json!({
        "model": "mini", "seed": seed, "image_choice": "required", "num_inference_steps": 8,
        "messages": [{"role": "user", "content": "Tell a picture story."}],
    })
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(PATIENCE)).build().into()
}

/// Asks, with headers.
pub(crate) fn ask_with(address: &str, request: &Value, headers: &[(&str, &str)]) -> (u16, Value) {
    post(address, "/v1/chat/completions", request, headers)
}

/// The same at any path.
pub(crate) fn post(
    address: &str,
    path: &str,
    request: &Value,
    headers: &[(&str, &str)],
) -> (u16, Value) {
    let url = format!("http://{address}{path}");
    let mut asking = agent().post(url).content_type("application/json");
    for (name, value) in headers {
        asking = asking.header(*name, *value);
    }
    let mut response = asking.send(request.to_string()).expect("an answer");
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(1 << 30).read_to_string().expect("a body");
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

/// Asks.
pub(crate) fn ask(address: &str, request: &Value) -> Answered {
    let (status, mut body) = ask_with(address, request, &[]);
    if let Some(body) = body.as_object_mut() {
        body.remove("id");
        body.remove("created");
        // How much of the prompt a worker had computed before is the worker's, not the answer's.
        let details = body.get_mut("usage").map(|usage| &mut usage["prompt_tokens_details"]);
        if let Some(Value::Object(details)) = details {
            details.remove("cached_tokens");
        }
    }
    Answered { status, body }
}

/// Asks while the test goes on.
pub(crate) fn ask_meanwhile(address: &str, request: Value) -> JoinHandle<Answered> {
    let address = address.to_owned();
    std::thread::spawn(move || ask(&address, &request))
}

/// The status of a path.
pub(crate) fn status_of(address: &str, path: &str) -> u16 {
    let url = format!("http://{address}{path}");
    agent().get(url).call().expect("an answer").status().as_u16()
}

/// What a server that nothing happens to answers.
pub(crate) fn undisturbed(requests: &[Value]) -> Vec<Answered> {
    let served = Served::start(&mini());
    let answers: Vec<Answered> =
        requests.iter().map(|request| ask(&served.address, request)).collect();
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
    answers
}

/// Processes of its workers, from what it says; of each place the last, for the system gives the numbers of older ones to
/// others.
pub(crate) fn worker_pids(lines: &[Value]) -> Vec<u32> {
    let started = lines.iter().filter(|line| line["message"] == "worker is started");
    let latest: BTreeMap<u64, u64> = started
        .filter_map(|line| Some((line["worker"].as_u64()?, line["pid"].as_u64()?)))
        .collect();
    latest.into_values().map(|pid| pid as u32).collect()
}

/// Lines that say so.
pub(crate) fn count(lines: &[Value], message: &str) -> usize {
    lines.iter().filter(|line| line["message"] == message).count()
}

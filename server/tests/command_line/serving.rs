//! A served process and its end: probes, draining on SIGTERM, ending at once on the second.

use std::io::{BufRead, BufReader, Lines};

use serde_json::{Value, json};

use crate::process::{Served, mini, run};

/// A stream of events, read line by line.
struct Stream(Lines<BufReader<ureq::BodyReader<'static>>>);

impl Stream {
    /// The document that `request` asks for.
    fn open(address: &str, request: &Value) -> Self {
        let response = ureq::post(format!("http://{address}/v1/chat/completions"))
            .content_type("application/json")
            .send(request.to_string())
            .expect("an accepted request");
        Self(BufReader::new(response.into_body().into_reader()).lines())
    }

    /// The next event's data, or why there is none.
    fn next(&mut self) -> Option<String> {
        loop {
            let line = self.0.next()?.ok()?;
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(data.to_owned());
            }
        }
    }

    /// Reads until a piece of text came.
    fn first_text(&mut self) {
        loop {
            let data = self.next().expect("the document goes on");
            let chunk: Value = serde_json::from_str(&data).expect("a chunk");
            let text = chunk["choices"][0]["delta"]["content"].as_str();
            if text.is_some_and(|text| !text.is_empty()) {
                return;
            }
        }
    }

    /// Everything that is still to come.
    fn rest(mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

fn request(fields: &Value) -> Value {
    let mut request = json!({
        "model": "mini", "stream": true, "seed": 1,
        "messages": [{"role": "user", "content": "Tell a picture story."}],
    });
    request
        .as_object_mut()
        .expect("an object")
        .extend(fields.as_object().cloned().expect("fields"));
    request
}

#[test]
fn health_tells_a_live_server_from_none() {
    let served = Served::start(&mini());
    let (_, port) = served.address.rsplit_once(':').expect("a port");
    assert_eq!(run(&["health", "--port", port]).code, Some(0));
    let url = format!("http://{}/livez", served.address);
    assert_eq!(run(&["health", "--url", &url]).code, Some(0));
    let absent = format!("http://{}/absent", served.address);
    assert_eq!(run(&["health", "--url", &absent]).code, Some(69));
    let port = port.to_owned();
    served.terminate();
    assert_eq!(served.wait().code(), Some(0), "nothing is running, so it ends in peace");
    let dead = run(&["health", "--port", &port]);
    assert_eq!(dead.code, Some(69));
    assert!(dead.stderr.contains(&format!("127.0.0.1:{port}")), "{}", dead.stderr);
}

#[test]
fn probes_have_a_port_that_a_full_house_leaves_open() {
    let served = Served::start_with(&mini(), &["--probe-port", "0", "--max-connections", "1"]);
    let probes_at = served.listening["probes_at"].as_str().expect("an address");
    let (_, port) = probes_at.rsplit_once(':').expect("a port");
    let _the_only_place = std::net::TcpStream::connect(&served.address).expect("a connection");
    assert_eq!(run(&["health", "--probe-port", port]).code, Some(0));
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn sigterm_lets_a_running_document_end_and_then_ends_with_0() {
    let served = Served::start(&mini());
    let long = request(&json!({"max_tokens": 300, "ignore_eos": true, "image_choice": "none"}));
    let mut stream = Stream::open(&served.address, &long);
    stream.first_text();
    served.terminate();
    served.wait_for("draining");
    let rest = stream.rest();
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"), "the stream runs to its end");
    let finish: Value = serde_json::from_str(&rest[rest.len() - 2]).expect("a chunk");
    assert_eq!(finish["choices"][0]["finish_details"]["type"], "max_tokens", "{finish}");
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let served = Served::start(&mini());
    let endless = request(&json!({
        "max_tokens": 1, "image_choice": 16, "num_inference_steps": 200,
    }));
    let mut stream = Stream::open(&served.address, &endless);
    stream.first_text();
    served.terminate();
    served.wait_for("draining");
    served.terminate();
    served.wait_for("ending at once");
    let status = served.wait();
    assert_eq!(status.code(), Some(75), "something was cut off: {status}");
    let rest = stream.rest();
    assert!(rest.iter().all(|data| data != "[DONE]"), "the document was not finished");
}

/// What a server with so many threads answers to a text and a picture, both drawn at random.
fn answers(threads: &str) -> Vec<Value> {
    let served = Served::start_in(&mini(), &[], &[("RAYON_NUM_THREADS", threads)]);
    let fields = [
        json!({"temperature": 1.0, "max_tokens": 60, "image_choice": "none"}),
        json!({"image_choice": 1, "num_inference_steps": 6, "sampler": "euler_ancestral"}),
    ];
    let answer = |fields: &Value| -> Value {
        let mut request = request(fields);
        request["stream"] = json!(false);
        let response = ureq::post(format!("http://{}/v1/chat/completions", served.address))
            .content_type("application/json")
            .send(request.to_string())
            .expect("an answer");
        let text = response.into_body().read_to_string().expect("text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["choices"].clone()
    };
    fields.iter().map(answer).collect()
}

#[test]
fn answers_are_the_same_bytes_on_one_thread_and_on_two() {
    let alone = answers("1");
    let pictures = |answer: &Value| answer[0]["message"]["images"].as_array().map(Vec::len);
    assert_eq!((alone.len(), pictures(&alone[1])), (2, Some(1)));
    assert_eq!(answers("2"), alone);
}

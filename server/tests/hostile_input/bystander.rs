//! Somebody else's stream, which must not notice.

use std::io::{BufRead as _, BufReader};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::client::{Client, Request};

/// A document with a picture in it, streamed.
pub(crate) struct Bystander {
    client: Client,
    /// Its deltas, alone.
    alone: Vec<Value>,
}

impl Bystander {
    /// Watches the stream once with nobody else there.
    pub(crate) fn new(client: &Client) -> Self {
        let client = client.clone();
        let alone = deltas(&client);
        let pictures = alone.iter().filter(|delta| delta["images"].is_array()).count();
        assert!(alone.len() > 10 && pictures == 1, "text and a picture: {}", alone.len());
        Self { client, alone }
    }

    /// Watches the stream while `work` goes on.
    pub(crate) fn meanwhile<T>(&self, row: &str, work: impl FnOnce() -> T) -> T {
        let client = self.client.clone();
        let stream: JoinHandle<_> = std::thread::spawn(move || deltas(&client));
        let result = work();
        let seen = stream.join().expect("a stream to its end");
        assert!(seen == self.alone, "{row}: somebody else's stream changed");
        result
    }
}

/// Text and pictures of the stream, delta by delta put together: how text is cut is not the document's.
fn deltas(client: &Client) -> Vec<Value> {
    let request = Request::chat(json!({
        "stream": true, "seed": 11, "temperature": 1.0, "image_choice": "required", "max_images": 1,
        "num_inference_steps": 4, "max_tokens": 40, "ignore_eos": true,
        "messages": [{"role": "user", "content": "Tell a picture story."}],
    }));
    let answer = client.send(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let mut lines = BufReader::new(text.as_bytes()).lines().map_while(Result::ok);
    let mut deltas = Vec::new();
    let mut ended = false;
    for data in lines.by_ref().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)) {
        if data == "[DONE]" {
            ended = true;
            break;
        }
        let chunk: Value = serde_json::from_str(&data).expect("a chunk");
        deltas.push(chunk["choices"][0]["delta"].clone());
    }
    assert!(ended, "the stream ends as it should: {text:.200}");
    deltas
}

//! Streams of events as they are written, whatever the engine says: a strict reader gets back exactly that.

use std::sync::Arc;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_server::engine::event::{EngineError, EngineEvent, FinishReason};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::http_kit::{Afterwards, ScriptedEngine, app, asking, chat, drawn, finished, text};

/// How the script ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Finished,
    Failed,
    /// In the middle.
    Torn,
}

/// A script for the engine: texts of any kind, pictures, an end.
struct Script {
    events: Vec<EngineEvent>,
    text: String,
    shades: Vec<u8>,
    ending: Ending,
}

impl Script {
    fn read(mut input: &[u8]) -> Self {
        let mut script = Self {
            events: Vec::new(),
            text: String::new(),
            shades: Vec::new(),
            ending: Ending::Torn,
        };
        while let Some((tag, rest)) = input.split_first() {
            input = rest;
            match tag % 16 {
                0 => script.end(finished(FinishReason::EndOfText), Ending::Finished),
                1 => script.end(finished(FinishReason::MaxTokens), Ending::Finished),
                2 => script.end(EngineEvent::Failed(EngineError::Deadline), Ending::Failed),
                3 if script.shades.len() < 8 => {
                    let shade = input.first().copied().unwrap_or(7);
                    script.events.extend(drawn(script.shades.len(), shade));
                    script.shades.push(shade);
                }
                length => {
                    let length = usize::from(length).min(input.len());
                    let delta = String::from_utf8_lossy(&input[..length]).into_owned();
                    input = &input[length..];
                    script.text.push_str(&delta);
                    script.events.push(text(&delta));
                }
            }
            if script.ending != Ending::Torn {
                break;
            }
        }
        script
    }

    fn end(&mut self, event: EngineEvent, ending: Ending) {
        self.events.push(event);
        self.ending = ending;
    }
}

/// A server, made once: what is fuzzed is what it writes.
struct Served {
    runtime: Runtime,
    engine: Arc<ScriptedEngine>,
    app: Router,
}

impl Served {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let engine = ScriptedEngine::new(Vec::new(), Afterwards::End);
        let app = app(&engine);
        Self { runtime, engine, app }
    }
}

thread_local! {
    static SERVED: Served = Served::new();
}

/// A streamed chat of the script.
pub(crate) fn chat_stream(input: &[u8]) {
    let script = Script::read(input);
    let answer = SERVED.with(|served| {
        served.engine.play(script.events.clone());
        served.runtime.block_on(chat(&served.app, &asking(json!({"stream": true}))))
    });
    assert_eq!(answer.status, 200);
    let body = std::str::from_utf8(&answer.body).expect("an event stream is UTF-8");
    let events = events(body);
    let (last, before) = events.split_last().expect("a stream says something");
    let mut chunks: Vec<Value> = Vec::new();
    for event in before {
        assert_eq!(event.name, "message", "only the last may be an error: {event:?}");
        chunks.push(serde_json::from_str(&event.data).expect("a chunk"));
    }
    match script.ending {
        Ending::Finished => {
            assert_eq!((last.name.as_str(), last.data.as_str()), ("message", "[DONE]"))
        }
        Ending::Failed | Ending::Torn => {
            assert_eq!(last.name, "error");
            let error: Value = serde_json::from_str(&last.data).expect("an error");
            assert!(error["error"]["code"].is_string());
        }
    }
    let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
    let texts: String = deltas.clone().filter_map(|delta| delta["content"].as_str()).collect();
    assert_eq!(texts, script.text, "every letter at its place");
    let pictures = deltas.filter_map(|delta| delta["images"][0]["image_url"]["url"].as_str());
    let shades: Vec<u8> = pictures.map(shade).collect();
    assert_eq!(shades, script.shades, "every picture at its place");
}

fn shade(url: &str) -> u8 {
    let (_, data) = url.split_once(',').expect("a data URL");
    let file = STANDARD.decode(data).expect("base64");
    image::load_from_memory(&file).expect("a picture").into_rgb8().into_raw()[0]
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

/// Reads a stream as the standard says (WHATWG HTML, 9.2.6), and refuses what the standard only passes over.
fn events(body: &str) -> Vec<Event> {
    assert!(!body.contains('\r'), "one kind of line end");
    assert!(body.ends_with("\n\n"), "whole events");
    let mut events = Vec::new();
    let (mut name, mut data) = (String::new(), Vec::new());
    for line in body.split('\n') {
        match line.split_once(':') {
            None if line.is_empty() => {
                if !data.is_empty() {
                    let name = if name.is_empty() {
                        "message".to_owned()
                    } else {
                        std::mem::take(&mut name)
                    };
                    events.push(Event { name, data: std::mem::take(&mut data).join("\n") });
                }
                assert!(name.is_empty(), "a name with no data: {name}");
            }
            Some(("", _comment)) => {}
            Some(("event", value)) => value.trim_start_matches(' ').clone_into(&mut name),
            Some(("data", value)) => data.push(value.strip_prefix(' ').unwrap_or(value).to_owned()),
            _ => panic!("no line of an event: {line:.200}"),
        }
    }
    events
}

//! The client, runs and batches against a server of a few lines: what is retried, what is counted.

use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::thread;

use reverie_eval::batch::{self, Output, RequestLine};
use reverie_eval::client::Client;
use reverie_eval::evaluation::Evaluation;
use reverie_eval::suite::{Case, CaseLine, Content};
use serde_json::{Value, json};

/// What the server does with a request: a status and a body, or nothing at all.
type Reaction = Option<(u16, String)>;

/// A server that reacts to each body as it is told. It lives as long as the test's process.
fn serve(
    react: impl Fn(&Value) -> Reaction + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a server of this test");
    let url = format!("http://{}/v1/", listener.local_addr().expect("a server of this test"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a server of this test");
            let body =
                body(&mut BufReader::new(stream.try_clone().expect("a server of this test")));
            let reaction = react(&body);
            requests.lock().expect("a server of this test").push(body);
            let Some((status, text)) = reaction else { continue };
            let length = text.len();
            let _client_may_leave = write!(
                stream,
                "HTTP/1.1 {status} x\r\nretry-after: 0\r\nx-request-id: r-1\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{text}"
            );
        }
    });
    (url, seen)
}

fn body(reader: &mut impl std::io::BufRead) -> Value {
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a server of this test");
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a server of this test");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a server of this test");
    serde_json::from_slice(&body).unwrap_or(Value::Null)
}

fn said(text: &str) -> Reaction {
    Some((200, json!({"choices": [{"message": {"content": text}}]}).to_string()))
}

#[test]
fn a_full_server_is_asked_again() {
    let count = Mutex::new(0);
    let (url, seen) = serve(move |_| {
        *count.lock().unwrap() += 1;
        if *count.lock().unwrap() < 3 { Some((429, "{}".to_owned())) } else { said("yes") }
    });
    let reply = Client::new(&url, None).post("/v1/chat/completions", "{}").unwrap();
    assert_eq!((reply.status, reply.request_id.as_str()), (200, "r-1"));
    assert_eq!(seen.lock().unwrap().len(), 3);
}

fn case(name: &str, expect: &Value, door: &str) -> Case {
    let line = json!({
        "name": name, "task": "t", "content": [{"type": "text", "text": name}], "expect": expect, "door": door,
    });
    let line: CaseLine = serde_json::from_value(line).expect("a case");
    let expected = line.expect.clone().try_into().expect("a case");
    Case { content: vec![Content::Text(name.to_owned())], expected, line }
}

#[test]
fn every_case_is_asked_once_with_its_own_seed_and_door() {
    let (url, seen) = serve(|body| match body["messages"][0]["content"][0]["text"].as_str() {
        Some("hangs up") => None,
        Some("breaks") => Some((500, "oh".to_owned())),
        _ => said(" yes "),
    });
    let cases = [
        case("right", &json!({"answer": "yes"}), "chat"),
        case("hangs up", &json!({"answer": "yes"}), "chat"),
        case("tells", &json!({"story": null}), "chat"),
        case("breaks", &json!({"answer": "yes"}), "chat"),
        case("draws", &json!({"picture": true}), "picture"),
    ];
    let client = Client::new(&url, None);
    let concurrency = NonZeroUsize::new(3).unwrap();
    let evaluation = Evaluation { client: &client, model: "m", seed: 0, concurrency };
    let mut done = 0;
    let outcomes = evaluation.run(&cases, |_| done += 1);
    assert_eq!(done, 5);
    let names: Vec<&str> = outcomes.iter().map(|one| one.case.line.name.as_str()).collect();
    assert_eq!(names, ["right", "hangs up", "tells", "breaks", "draws"], "in the cases' order");
    let right: Vec<bool> = outcomes.iter().map(|one| one.verdict.is_right()).collect();
    assert_eq!(right, [true, false, false, false, false]);
    assert!(outcomes[1].answer.is_err() && outcomes[3].answer.is_err());

    let seen = seen.lock().unwrap().clone();
    let request = |name: &str| {
        let wanted = json!(name);
        seen.iter().find(|body| body["messages"][0]["content"][0]["text"] == wanted).unwrap()
    };
    assert_eq!(request("right")["temperature"], 0.0);
    assert_eq!(request("tells")["temperature"], 0.8, "stories are sampled");
    assert_eq!(request("draws")["modalities"], json!(["image"]));
    assert_ne!(request("right")["seed"], request("tells")["seed"]);
    let again = Evaluation { seed: 1, ..evaluation }.run(&cases[..1], |_| ());
    assert_ne!(again[0].parameters["seed"], outcomes[0].parameters["seed"], "--seed keys them all");
}

#[test]
fn a_request_without_an_answer_is_noted_and_does_not_end_the_batch() {
    let (url, _) = serve(|body| match body["n"].as_u64() {
        Some(1) => None,
        Some(2) => Some((400, "not JSON".to_owned())),
        _ => said("yes"),
    });
    let request = |number: usize| RequestLine {
        custom_id: format!("id {number}"),
        method: "POST".to_owned(),
        url: "/v1/chat/completions".to_owned(),
        body: json!({"n": number}),
        number,
    };
    let requests = [request(1), request(2), request(3)];
    let path = std::env::temp_dir().join(format!("reverie-noted-{}.jsonl", std::process::id()));
    let mut output = Output::open(&path).unwrap();
    let client = Client::new(&url, None);
    let summary = batch::run(&client, &requests, &mut output, NonZeroUsize::MIN, |_| ()).unwrap();
    assert_eq!((summary.answered, summary.refused, summary.unanswered), (2, 1, 1));
    let lines: Vec<Value> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["response"], Value::Null);
    assert_eq!(lines[0]["error"]["code"], "no_answer");
    assert_eq!(lines[1]["response"]["body"], "not JSON");
    assert_eq!(lines[2]["id"], "batch_req_3");
    assert_eq!(lines[2]["error"], Value::Null);
    std::fs::remove_file(&path).unwrap();
}

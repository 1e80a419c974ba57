//! The files of a batch: what is refused before anything runs, and how a cut-off run goes on.

use std::fs;
use std::path::PathBuf;

use reverie_eval::batch::{AnswerLine, LineError, LineResponse, Output, read_requests, remaining};
use reverie_eval::file_error::FileError;
use serde_json::json;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("reverie-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir_all(&self.0);
    }
}

fn request(id: &str) -> String {
    json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}})
        .to_string()
}

fn answer(id: &str) -> AnswerLine {
    let response =
        LineResponse { status_code: 200, request_id: "r".to_owned(), body: json!({"said": "hi"}) };
    AnswerLine {
        id: "batch_req_1".to_owned(),
        custom_id: id.to_owned(),
        response: Some(response),
        error: None,
    }
}

#[test]
fn a_batch_is_refused_whole_for_one_line() {
    let scratch = Scratch::new("batch-lines");
    let path = scratch.0.join("in.jsonl");
    let stream = request("b").replace(r#""model":"m""#, r#""stream":true"#);
    for (second, reason) in [
        (request("a"), "custom_id a stands in line 1 already"),
        (request("b").replace("POST", "GET"), "method is not POST"),
        (request("b").replace("/v1/chat", "http://elsewhere/v1/chat"), "not a path below /v1/"),
        (request(""), "custom_id is empty"),
        (stream, "stream"),
        ("{".to_owned(), "EOF"),
    ] {
        fs::write(&path, format!("{}\n{second}\n", request("a"))).unwrap();
        let error = read_requests(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains(reason), "{error}");
    }
}

#[test]
fn what_is_answered_is_not_asked_again_and_a_torn_line_is_cut() {
    let scratch = Scratch::new("batch-resumed");
    let (input, path) = (scratch.0.join("in.jsonl"), scratch.0.join("out.jsonl"));
    let lines = ["a", "b", "c", "d"].map(request);
    fs::write(&input, lines.join("\n")).unwrap();
    let requests = read_requests(&input).unwrap();

    let mut output = Output::open(&path).unwrap();
    assert_eq!(remaining(requests.clone(), &output).unwrap().len(), 4);
    output.append(&answer("b")).unwrap();
    let error = LineError { code: "no_answer".to_owned(), message: "gone".to_owned() };
    output.append(&AnswerLine { response: None, error: Some(error), ..answer("c") }).unwrap();
    output.append(&answer("d")).unwrap();
    drop(output);
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();

    let output = Output::open(&path).unwrap();
    let left = remaining(requests.clone(), &output).unwrap();
    let ids: Vec<&str> = left.iter().map(|request| request.custom_id.as_str()).collect();
    assert_eq!(ids, ["a", "c", "d"], "no answer and half an answer are both asked again");
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(kept, whole.lines().next().unwrap().to_owned() + "\n");

    let error = remaining(requests[2..].to_vec(), &output).unwrap_err();
    assert!(error.to_string().contains("answers b, which the batch does not ask"), "{error}");
}

#[test]
fn a_file_of_requests_is_not_taken_for_one_of_answers() {
    let scratch = Scratch::new("batch-swapped");
    let path = scratch.0.join("in.jsonl");
    fs::write(&path, request("a") + "\n").unwrap();
    assert!(matches!(Output::open(&path), Err(FileError::Line { number: 1, .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), request("a") + "\n", "nothing was touched");
}

//! The verbs that ask a server: what they count, what they write, how a batch that was cut off goes on.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::{Scratch, Served, argument, mini, reverie, run, succeed};

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

fn suite(scratch: &Scratch) -> String {
    let square = json!({"top left": {"shape": "square", "colour": "red", "size": "large"}});
    let scene = json!({"type": "scene", "scene": {"background": "white", "things": square}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let lines = [
        json!({"name": "words", "task": "questions", "content": [scene, text("What color is the square?")],
               "expect": {"words": ["red", "green", "blue", "yellow", "no", "yes"]}}),
        json!({"name": "drawn", "task": "drawing", "split": "other", "door": "picture",
               "content": [text("a large red circle")], "expect": {"picture": true}}),
        json!({"name": "another shape", "task": "drawing", "door": "picture", "content": [text("a red circle")],
               "expect": {"scene": {"background": "white", "things": square}}}),
        json!({"name": "refused", "task": "questions", "content": vec![scene; 17], "expect": {"answer": "red"}}),
    ];
    let text = lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    });
    let path = scratch.join("suite.jsonl");
    fs::write(&path, text).expect("a written suite");
    argument(&path).to_owned()
}

#[test]
fn eval_counts_every_case_and_is_reproducible() {
    let scratch = Scratch::new();
    let suite = suite(&scratch);
    let (json, sheet, pictures) =
        (scratch.join("run.json"), scratch.join("sheet.html"), scratch.join("pictures"));
    let model = mini();
    let judge = |more: &[&str]| {
        let common = [
            "eval",
            "--device",
            "cpu",
            "--model",
            argument(&model),
            "--suite",
            &suite,
            "--json",
            argument(&json),
            "--sheet",
            argument(&sheet),
            "--save-pictures",
            argument(&pictures),
        ];
        run(&[&common, more].concat())
    };
    let ran = judge(&[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for word in
        ["| questions", "| drawing", "own", "other", "all tasks", "1 requests got no answer"]
    {
        assert!(ran.stdout.contains(word), "`{word}` is not in:\n{}", ran.stdout);
    }
    let first = read(&json);
    let cases = first["cases"].as_array().expect("cases");
    assert_eq!(cases.len(), 4);
    assert_eq!(cases[1]["right"], true, "any picture is right: {}", cases[1]);
    assert_eq!(cases[2]["right"], false, "a circle is no square");
    let pictures_of = |case: &Value| {
        let pieces = case["answer"].as_array().expect("pieces").iter();
        pieces.filter(|piece| piece["type"] == "picture").cloned().collect::<Vec<_>>()
    };
    for case in &cases[1..3] {
        let drawn = pictures_of(case);
        assert_eq!(drawn.len(), 1, "the door demands one: {case}");
        assert!(drawn[0]["reading"].is_object(), "the reader looked at it: {}", drawn[0]);
    }
    let error = cases[3]["error"].as_str().expect("an error");
    assert!(error.contains("400"), "{error}");
    assert_eq!(first["errors"], 1);
    let saved: Vec<_> = fs::read_dir(&pictures).expect("a folder").collect();
    assert_eq!(saved.len(), 2);
    let page = fs::read_to_string(&sheet).expect("a page");
    assert_eq!(page.matches("<article").count(), 4);
    assert!(!page.contains("http://") && !page.contains("https://"), "it needs no network");

    let floors = scratch.join("floors.json");
    let floor = |floors_of: &Value, more: &[&str]| {
        fs::write(&floors, floors_of.to_string()).expect("written floors");
        judge(&[&["--floor", argument(&floors)], more].concat())
    };
    let reached = json!({"other": {"right": {"drawing": 1.0}}, "own": {"all_tasks": 0.0}});
    assert_eq!(floor(&reached, &["--concurrency", "1"]).code, Some(0));
    assert_eq!(read(&json)["cases"], first["cases"], "every case has its seed");

    let missed = json!({"own": {"right": {"drawing": 0.5}}});
    let ran = floor(&missed, &["--only", "drawing", "--limit", "1"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("missed: own drawing: 0.0 %, wanted 50.0 %"), "{}", ran.stderr);
    assert_eq!(read(&json)["cases"].as_array().map(Vec::len), Some(2), "one a split");
}

#[test]
fn eval_says_why_it_cannot_run() {
    let scratch = Scratch::new();
    let suite = suite(&scratch);
    let unknown = run(&["eval", "--suite", "no-such-suite"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("held-out, test") || unknown.stderr.contains("test"));
    let nobody = run(&["eval", "--suite", &suite, "--url", "http://127.0.0.1:9"]);
    assert_eq!(nobody.code, Some(69), "{}", nobody.stderr);
    let empty = run(&["eval", "--suite", &suite, "--only", "nothing"]);
    assert_eq!(empty.code, Some(2), "{}", empty.stderr);
}

fn request(id: &str, body: &Value) -> String {
    let line =
        json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body});
    format!("{line}\n")
}

fn question(seed: u64, tokens: u64) -> Value {
    json!({
        "model": "mini", "seed": seed, "temperature": 1.0, "max_tokens": tokens,
        "ignore_eos": true, "image_choice": "none",
        "messages": [{"role": "user", "content": "Tell a picture story."}],
    })
}

/// The answers by the client's name: status and text.
fn answers(path: &Path) -> std::collections::BTreeMap<String, (u64, String)> {
    let text = fs::read_to_string(path).expect("answers");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an answer"));
    lines
        .map(|line| {
            let response = &line["response"];
            let content = &response["body"]["choices"][0]["message"]["content"];
            let id = line["custom_id"].as_str().expect("a name").to_owned();
            let status = response["status_code"].as_u64().expect("a status");
            (id, (status, content.as_str().unwrap_or_default().to_owned()))
        })
        .collect()
}

#[test]
fn a_batch_goes_on_where_it_was_cut_off() {
    let scratch = Scratch::new();
    let (input, output) = (scratch.join("in.jsonl"), scratch.join("out.jsonl"));
    let refused = json!({"model": "mini", "messages": []});
    let lines = [
        request("first", &question(1, 8)),
        request("refused", &refused),
        request("last", &question(2, 8)),
    ];
    fs::write(&input, lines.concat()).expect("a batch");
    let model = mini();
    let arguments = [
        "batch",
        argument(&input),
        argument(&output),
        "--device",
        "cpu",
        "--model",
        argument(&model),
    ];
    let ran = succeed(&arguments);
    assert!(
        ran.stderr.contains("3 answered (1 of them refused), 0 answered before"),
        "{}",
        ran.stderr
    );
    let whole = answers(&output);
    assert_eq!(whole["refused"].0, 400);
    assert!(whole["first"].0 == 200 && !whole["first"].1.is_empty());

    let text = fs::read_to_string(&output).expect("answers");
    let torn = text.lines().next().expect("a line").len() + 20;
    fs::write(&output, &text[..torn]).expect("a torn file");
    let served = Served::start(&model);
    let url = format!("http://{}", served.address);
    let ran = succeed(&["batch", argument(&input), argument(&output), "--url", &url]);
    assert!(ran.stderr.contains("1 answered before"), "{}", ran.stderr);
    assert_eq!(answers(&output), whole, "another server gives the same answers");

    let ran = succeed(&arguments);
    assert!(ran.stderr.contains("answered already"), "nothing is left to do: {}", ran.stderr);
}

#[test]
fn a_batch_that_is_interrupted_leaves_whole_lines() {
    let scratch = Scratch::new();
    let (input, output) = (scratch.join("in.jsonl"), scratch.join("out.jsonl"));
    let quick = (0..3).map(|number| request(&format!("quick {number}"), &question(number, 4)));
    let slow = (0..9).map(|number| request(&format!("slow {number}"), &question(number, 900)));
    fs::write(&input, quick.chain(slow).collect::<String>()).expect("a batch");
    let served = Served::start(&mini());
    let url = format!("http://{}", served.address);
    let arguments =
        ["batch", argument(&input), argument(&output), "--concurrency", "1", "--url", &url];
    let mut child = reverie(&arguments).stderr(Stdio::null()).spawn().expect("the binary runs");
    while !output.is_file()
        || BufReader::new(fs::File::open(&output).expect("answers")).lines().count() < 1
    {
        assert!(child.try_wait().expect("a child").is_none(), "it is at work");
        std::thread::yield_now();
    }
    // Not SIGINT: whoever was started in the background of a script ignores it.
    let kill = format!("kill -TERM {}", child.id());
    assert!(Command::new("/bin/sh").args(["-c", &kill]).status().expect("a shell").success());
    assert!(!child.wait().expect("a child").success());
    let before = answers(&output);
    assert!((1..12).contains(&before.len()), "{before:?}");
    succeed(&arguments);
    let after = answers(&output);
    assert_eq!(after.len(), 12);
    assert!(before.iter().all(|(id, answer)| after[id] == *answer), "what was answered stays");
}

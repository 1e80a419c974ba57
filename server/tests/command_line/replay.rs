//! `reverie replay`: what is the same, what is not, and what cannot be told, by the exit code and by a line.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{
    Ran, Scratch, Served, argument, golden_checkpoint, golden_vectors, mini, run, succeed,
};

/// Something done to a recorded answer.
type Change = fn(&mut Value);

const STORY: &str = "Tell a picture story about a red circle.";

/// A request whose answer has two pictures.
fn request() -> Value {
    json!({
        "model": "mini", "seed": 3, "temperature": 0.8, "num_inference_steps": 4, "image_choice": 2,
        "max_images": 2, "messages": [{"role": "user", "content": STORY}],
    })
}

/// The server's answer, with provenance, in a file.
fn answered(served: &Served, scratch: &Scratch, wish: &Value) -> PathBuf {
    let (input, output) = (scratch.join("in.jsonl"), scratch.join("out.jsonl"));
    let mut body = request();
    body["provenance"] = wish.clone();
    let line =
        json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body});
    fs::write(&input, format!("{line}\n")).expect("a batch");
    let _none_at_first = fs::remove_file(&output);
    let url = format!("http://{}", served.address);
    succeed(&["batch", argument(&input), argument(&output), "--url", &url]);
    let line = fs::read_to_string(&output).expect("an answer");
    let answer = serde_json::from_str::<Value>(&line).expect("JSON")["response"]["body"].clone();
    let path = scratch.join("answer.json");
    fs::write(&path, answer.to_string()).expect("a written answer");
    path
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    change(&mut value);
    let edited = path.with_extension("edited.json");
    fs::write(&edited, value.to_string()).expect("a written file");
    edited
}

/// What was found of `what`.
#[track_caller]
fn finding<'r>(ran: &'r Ran, what: &str) -> &'r str {
    let line = ran.stdout.lines().find(|line| line.starts_with(what));
    let line = line.unwrap_or_else(|| panic!("no {what}: {}{}", ran.stdout, ran.stderr));
    line[what.len()..].split_whitespace().next().expect("a word")
}

#[test]
fn an_answer_is_the_same_again_and_every_change_in_it_is_found() {
    let (served, scratch) = (Served::start(&mini()), Scratch::new());
    let url = format!("http://{}", served.address);
    let replay = |file: &Path, more: &[&str]| {
        run(&[&["replay", argument(file), "--url", &url], more].concat())
    };
    let answer = answered(&served, &scratch, &json!("full"));
    let same = replay(&answer, &[]);
    assert_eq!(same.code, Some(0), "{}{}", same.stdout, same.stderr);
    for what in
        ["model", "numerics", "question", "parameters", "text", "tokens", "picture 0", "picture 1"]
    {
        assert_eq!(finding(&same, what), "same", "{what}");
    }
    let report = replay(&answer, &["--json"]);
    let report: Value = serde_json::from_str(&report.stdout).expect("JSON");
    assert_eq!(
        (&report["verdict"], report["compared"].as_array().map(Vec::len)),
        (&json!("same"), Some(8))
    );

    let changes: [(&str, Change); 5] = [
        ("picture 1", |answer| {
            answer["provenance"]["pictures"][1]["pixels_sha256"] = json!("0".repeat(64));
        }),
        ("picture 0", |answer| {
            let images = &mut answer["choices"][0]["message"]["images"];
            images[0]["image_url"]["url"] = images[1]["image_url"]["url"].clone();
        }),
        ("text", |answer| {
            answer["choices"][0]["message"]["content_parts"][0] =
                json!({"type": "text", "text": "No."});
        }),
        ("question", |answer| {
            answer["provenance"]["request"]["messages"][0]["content"] = json!("Draw a red circle.");
        }),
        ("parameters", |answer| answer["provenance"]["request"]["seed"] = json!(4)),
    ];
    for (what, change) in changes {
        let ran = replay(&edit(&answer, change), &[]);
        assert_eq!((ran.code, finding(&ran, what)), (Some(1), "differs"), "{what}: {}", ran.stdout);
    }
    let other =
        edit(&answer, |answer| answer["provenance"]["model_sha256"] = json!("0".repeat(64)));
    assert_eq!(replay(&other, &[]).code, Some(78));
    let compared = replay(&other, &["--any-model"]);
    assert_eq!((compared.code, finding(&compared, "model")), (Some(0), "other"));
}

#[test]
fn an_answer_without_its_question_needs_the_request() {
    let (served, scratch) = (Served::start(&mini()), Scratch::new());
    let url = format!("http://{}", served.address);
    let answer = answered(&served, &scratch, &json!(true));
    let alone = run(&["replay", argument(&answer), "--url", &url]);
    assert_eq!(alone.code, Some(65), "{}", alone.stderr);
    assert!(alone.stderr.contains("--request"), "{}", alone.stderr);

    let asked = scratch.join("request.json");
    let mut unseeded = request();
    unseeded.as_object_mut().expect("an object").remove("seed");
    fs::write(&asked, unseeded.to_string()).expect("a request");
    succeed(&["replay", argument(&answer), "--url", &url, "--request", argument(&asked)]);

    unseeded["num_inference_steps"] = json!(5);
    fs::write(&asked, unseeded.to_string()).expect("a request");
    let other = run(&["replay", argument(&answer), "--url", &url, "--request", argument(&asked)]);
    assert_eq!((other.code, finding(&other, "parameters")), (Some(1), "differs"));
    assert_eq!(finding(&other, "question"), "same");
}

#[test]
fn a_picture_that_keeps_its_request_is_drawn_again_by_itself() {
    let (scratch, model) = (Scratch::new(), mini());
    let draw = |folder: &str, more: &[&str]| {
        let out = scratch.join(folder);
        let common = [
            "complete",
            STORY,
            "--device",
            "cpu",
            "--model",
            argument(&model),
            "--seed",
            "3",
            "--steps",
            "4",
            "--max-images",
            "2",
            "--out",
            argument(&out),
        ];
        succeed(&[&common, more].concat());
        fs::read(out.join("picture-2.png")).expect("two pictures")
    };
    let drawn = draw("kept", &["--keep-request"]);
    assert_eq!(draw("again", &["--keep-request"]), drawn, "nothing of the day is in a file");
    let file = scratch.join("kept").join("picture-2.png");
    let here = ["--device", "cpu", "--model", argument(&model)];
    let replay = |more: &[&str]| run(&[&["replay", argument(&file)], &here[..], more].concat());
    let same = replay(&[]);
    assert_eq!((same.code, finding(&same, "picture 1")), (Some(0), "same"), "{}", same.stderr);

    // candle rounds otherwise: another class, and a tolerance that is said.
    let across = replay(&["--kernels", "candle"]);
    assert_eq!(finding(&across, "numerics"), "other", "{}", across.stdout);
    assert!(["same", "alike"].contains(&finding(&across, "picture 1")), "{}", across.stdout);
    assert_eq!(across.code, Some(0));

    let golden = golden_checkpoint();
    let other = run(&["replay", argument(&file), "--device", "cpu", "--model", argument(&golden)]);
    assert_eq!((other.code, finding(&other, "model")), (Some(78), "other"), "{}", other.stderr);

    draw("private", &[]);
    let private = scratch.join("private").join("picture-2.png");
    let bare = run(&[&["replay", argument(&private)], &here[..]].concat());
    assert_eq!(bare.code, Some(65), "it does not hold what was asked: {}", bare.stdout);
    let text = String::from_utf8_lossy(&fs::read(private).expect("a picture")).into_owned();
    assert!(!text.contains(STORY) && text.contains("trainedAlgorithmicMedia"));
}

#[test]
fn a_file_that_holds_no_record_is_named_with_the_reason() {
    let scratch = Scratch::new();
    let made = |name: &str, bytes: &[u8]| {
        fs::write(scratch.join(name), bytes).expect("a file");
        scratch.join(name)
    };
    let cases = [
        (made("text.txt", b"hello"), "neither an answer"),
        (made("other.json", b"{}"), "no answer of a chat"),
        (made("torn.png", b"\x89PNG\r\n\x1a\n\0\0"), "cannot be read"),
    ];
    for (file, reason) in cases {
        let ran = run(&["replay", argument(&file)]);
        assert_eq!(ran.code, Some(65), "{}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{reason}: {}", ran.stderr);
    }
    let picture = golden_vectors().join("..").join("..").join("pictures/inputs/rgb8.png");
    let foreign = run(&["replay", argument(&picture)]);
    assert_eq!(foreign.code, Some(65), "{}", foreign.stderr);
    assert!(foreign.stderr.contains("not drawn by Reverie"), "{}", foreign.stderr);
    assert_eq!(run(&["replay", "/no/such/file"]).code, Some(71));
}

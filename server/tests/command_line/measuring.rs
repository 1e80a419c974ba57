//! `reverie bench` against the real model: what it counts and writes. No test looks at how long anything took.

use std::fs;

use serde_json::{Value, json};

use crate::asking::read;
use crate::process::{Scratch, Served, argument, mini, run, succeed};

#[test]
fn bench_counts_every_answer_and_gets_the_same_again() {
    let scratch = Scratch::new();
    // Ten at once are more than a server lets in that has not seen yet how long an answer takes.
    let served = Served::start_with(&mini(), &["--max-num-seqs", "4", "--max-wait", "0"]);
    let url = format!("http://{}", served.address);
    let measure = |more: &[&str]| {
        let common = [
            "bench",
            "--url",
            &url,
            "--mix",
            "text,vqa,picture,document",
            "--num-requests",
            "10",
            "--warm-up",
            "1",
            "--extra-body",
            r#"{"num_inference_steps": 2}"#,
            "--slo",
            "latency=3600",
            "--records",
            "--out",
            argument(scratch.path()),
        ];
        let ran = succeed(&[&common, more].concat());
        let report = read(&scratch.join("plain.json"));
        let part = &report["parts"][0];
        for word in ["tok/s", "first picture", "whole answer", part["name"].as_str().expect("one")]
        {
            assert!(ran.stdout.contains(word), "`{word}` is not in:\n{}", ran.stdout);
        }
        (report["model"].clone(), part["figures"].clone())
    };
    let (model, figures) = measure(&["--request-rate", "inf"]);
    assert_eq!(model, "mini");
    let count = |name: &str| figures[name].as_u64().expect("a count");
    assert_eq!((count("requests"), count("completed"), count("good")), (10, 10, 10));
    assert_eq!(figures["errors"], json!({}));
    assert!(count("text_tokens") > 0 && count("images") > 0, "{figures}");

    let lines = fs::read_to_string(scratch.join("plain.jsonl")).expect("records");
    let records: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    assert_eq!(records.len(), 10);
    let images = records.iter().map(|record| record["images"].as_array().map_or(0, Vec::len));
    assert_eq!(images.sum::<usize>() as u64, count("images"));
    for record in records.iter().filter(|record| record["kind"] == "picture") {
        assert_eq!(record["images"].as_array().map(Vec::len), Some(1), "{record}");
    }
    let plot = fs::read_to_string(scratch.join("plain.svg")).expect("a plot");
    assert!(plot.contains("picture load") && !plot.contains("href"), "it needs nothing else");

    let (_, alone) = measure(&["--max-concurrency", "1"]);
    for name in ["completed", "completed_by_kind", "text_tokens", "prompt_tokens", "images"] {
        assert_eq!(alone[name], figures[name], "{name}: the same answers, one at a time");
    }
}

#[test]
fn a_scenario_ends_as_its_claims_do() {
    let scratch = Scratch::new();
    let out = scratch.join("results");
    let ran = run(&[
        "bench",
        "--scenario",
        "gap",
        "--device",
        "cpu",
        "--model",
        argument(&mini()),
        "--duration",
        "0.5",
        "--rounds",
        "1",
        "--output-len",
        "4",
        "--extra-body",
        r#"{"num_inference_steps": 1}"#,
        "--out",
        argument(&out),
    ]);
    let report = read(&out.join("gap.json"));
    let check = &report["checks"][0];
    let held = check["held"].as_bool().expect("a verdict");
    assert_eq!(ran.code, Some(i32::from(!held)), "{}", ran.stderr);
    assert!(ran.stdout.contains(check["claim"].as_str().expect("a claim")), "{}", ran.stdout);
    assert!(ran.stdout.contains(if held { "held" } else { "MISSED" }), "{}", ran.stdout);
    assert!(report["machine"]["threads"].is_u64() && report["date"].is_string());
    for part in report["parts"].as_array().expect("parts") {
        let figures = &part["figures"];
        assert_eq!(figures["completed"], figures["requests"], "{part}");
        let texts = figures["completed_by_kind"]["text"].as_u64().expect("texts");
        assert!(figures["text_tokens"].as_u64() >= Some(4 * texts), "four tokens each: {part}");
    }
    assert!(fs::read_to_string(out.join("gap.svg")).expect("a plot").contains("</svg>"));
    assert!(!out.join("gap.jsonl").exists(), "only where it is asked for");
}

#[test]
fn bench_says_why_it_cannot_run() {
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--request-rate", "inf", "--duration", "5"], 2, "--num-requests"),
        (&["--duration", "0"], 2, "--duration"),
        (&["--slo", "speed=1"], 2, "ttft"),
        (&["--mix", "film=1"], 2, "document"),
        (&["--extra-body", "[]"], 2, "--extra-body"),
        (&["--url", "https://127.0.0.1"], 2, "TLS"),
        (&["--url", "http://127.0.0.1:9"], 69, "127.0.0.1:9"),
    ];
    for (arguments, code, word) in cases {
        let ran = run(&[&["bench"], arguments].concat());
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(word), "`{word}` is not in: {}", ran.stderr);
    }
}

//! Workers that die in a certain phase of a certain request, in every way: the answer is the same.

use serde_json::json;

use crate::asking::{ask, ask_meanwhile, count, picture_story, undisturbed};
use crate::process::{Scratch, Served, argument, mini};

/// The request whose worker dies.
const VICTIM: u64 = 666;

/// Where and how, under which roles.
const DEATHS: [(&str, &str, &str); 14] = [
    ("cpu,cpu", "prefill", "kill"),
    ("cpu,cpu", "decode", "kill"),
    ("cpu,cpu", "denoise", "kill"),
    ("cpu,cpu", "render", "kill"),
    ("cpu,cpu", "decode", "segv"),
    ("cpu,cpu", "prefill", "bus"),
    ("cpu,cpu", "denoise", "abort"),
    ("cpu,cpu", "denoise", "panic"),
    ("cpu,cpu", "denoise", "exit"),
    ("cpu,cpu", "denoise", "stop"),
    ("cpu,cpu", "denoise", "garbage"),
    ("cpu", "denoise", "kill"),
    ("cpu:decode,cpu:denoise", "decode", "kill"),
    ("cpu:decode,cpu:denoise", "denoise", "segv"),
];

#[test]
fn whichever_way_a_worker_dies_in_whatever_phase_the_answers_are_the_same_bytes() {
    let requests = [picture_story(VICTIM), picture_story(5)];
    let wanted = undisturbed(&requests);
    for (devices, phase, how) in DEATHS {
        let scratch = Scratch::new();
        let once = scratch.join("once");
        let failpoint = format!("{phase}:{VICTIM}:{how}:{}", argument(&once));
        let flags = ["--devices", devices, "--worker-timeout", "2", "--max-num-seqs", "2"];
        let mut served = Served::launch(&mini(), &flags, &[("REVERIE_FAILPOINT", &failpoint)]);
        served.wait_until_ready();
        let asked: Vec<_> = requests
            .iter()
            .map(|request| ask_meanwhile(&served.address, request.clone()))
            .collect();
        let answers: Vec<_> = asked.into_iter().map(|asked| asked.join().expect("asks")).collect();
        assert!(once.exists(), "nobody died by {how} in {phase} on {devices}");
        assert_eq!(answers, wanted, "{devices}: {how} in {phase}");
        served.terminate();
        assert_eq!(served.wait().code(), Some(0), "{devices}: {how} in {phase}");
    }
}

#[test]
fn a_request_that_kills_two_workers_is_quarantined_and_its_neighbours_finish() {
    let neighbours = [picture_story(1), picture_story(2)];
    let wanted = undisturbed(&neighbours);
    for (devices, phase) in [("cpu,cpu", "denoise"), ("cpu:decode,cpu:denoise", "decode")] {
        let failpoint = format!("{phase}:{VICTIM}:abort");
        let flags = ["--devices", devices, "--max-num-seqs", "3"];
        let mut served = Served::launch(&mini(), &flags, &[("REVERIE_FAILPOINT", &failpoint)]);
        served.wait_until_ready();
        let poison = ask_meanwhile(&served.address, picture_story(VICTIM));
        let asked = neighbours.clone().map(|request| ask_meanwhile(&served.address, request));
        let poisoned = poison.join().expect("asks");
        assert_eq!((poisoned.status, poisoned.code()), (500, "request_quarantined"));
        let answers = asked.map(|asked| asked.join().expect("asks"));
        assert_eq!(answers.as_slice(), wanted, "neighbours on {devices}");
        let again = ask(&served.address, &picture_story(VICTIM));
        assert_eq!((again.status, again.code()), (500, "request_quarantined"));
        served.terminate();
        let (status, log) = served.wait_with_log();
        assert_eq!(status.code(), Some(0));
        let deaths = count(&log, "worker has ended");
        assert_eq!(deaths, 2, "what the poison costs on {devices}; again it is not even tried");
    }
}

/// What was written before the death counts after it: for penalties, and for what is told of tokens.
#[test]
fn what_shapes_the_choice_of_tokens_survives_a_death() {
    let mut shaped = picture_story(VICTIM);
    for (name, value) in [
        ("frequency_penalty", json!(1.5)),
        ("presence_penalty", json!(0.5)),
        ("repetition_penalty", json!(1.2)),
        ("logit_bias", json!({"300": 1.0})),
        ("logprobs", json!(true)),
        ("top_logprobs", json!(2)),
        ("max_images", json!(1)),
        ("min_tokens", json!(60)),
        ("max_tokens", json!(80)),
        ("n", json!(2)),
    ] {
        shaped[name] = value;
    }
    let card = json!({"type": "object", "additionalProperties": false, "required": ["color", "size"],
        "properties": {"color": {"enum": ["red", "blue"]}, "size": {"type": "integer", "maximum": 9}}});
    let json = json!({
        "model": "mini", "seed": VICTIM, "temperature": 1.2, "max_tokens": 60,
        "messages": [{"role": "user", "content": "Describe a red circle as JSON."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "card", "schema": card}},
    });
    let wanted = undisturbed(&[shaped.clone(), json.clone()]);
    let told = wanted[0].body["choices"][0]["logprobs"]["content"].as_array().map(Vec::len);
    assert!(told.is_some_and(|told| told >= 59), "the text goes on after its picture: {told:?}");
    for phase in ["decode", "denoise", "grammar"] {
        let scratch = Scratch::new();
        let once = scratch.join("once");
        // A text in a grammar dies where every text does.
        let place = if phase == "grammar" { "decode" } else { phase };
        let failpoint = format!("{place}:{VICTIM}:kill:{}", argument(&once));
        let mut served = Served::launch(&mini(), &[], &[("REVERIE_FAILPOINT", &failpoint)]);
        served.wait_until_ready();
        let (request, wanted) = match phase {
            "grammar" => (&json, &wanted[1]),
            _ => (&shaped, &wanted[0]),
        };
        let answer = ask(&served.address, request);
        assert!(once.exists(), "nobody died in {phase}");
        assert_eq!(answer, *wanted, "{phase}");
        served.terminate();
        assert_eq!(served.wait().code(), Some(0), "{phase}");
    }
}

#[test]
fn a_worker_that_many_requests_are_not_finite_on_is_replaced_and_its_other_requests_go_on() {
    let neighbour = picture_story(5);
    let wanted = undisturbed(std::slice::from_ref(&neighbour));
    let failpoint = format!("decode:{VICTIM}:nan");
    let flags = ["--devices", "cpu", "--max-num-seqs", "2"];
    let mut served = Served::launch(&mini(), &flags, &[("REVERIE_FAILPOINT", &failpoint)]);
    served.wait_until_ready();
    // The same seed in different words: each is a request of its own.
    let poisoned = |number: usize| {
        let mut request = picture_story(VICTIM);
        request["messages"][0]["content"] = format!("Tell picture story {number}.").into();
        request
    };
    let ask_poisoned = |number| {
        let answer = ask(&served.address, &poisoned(number));
        assert_eq!((answer.status, answer.code()), (500, "model_numerical_error"), "{number}");
    };
    (0..8).for_each(&ask_poisoned);
    // A request that is not finite again says nothing new of its worker.
    ask_poisoned(0);
    let beside = ask_meanwhile(&served.address, neighbour);
    served.wait_for("worker has work");
    ask_poisoned(8);
    served.wait_for("worker has ended");
    served.wait_for("worker is ready");
    assert_eq!([beside.join().expect("asks")].as_slice(), wanted);
    served.terminate();
    let (status, log) = served.wait_with_log();
    assert_eq!(status.code(), Some(0));
    assert_eq!(count(&log, "worker has ended"), 1, "the eighth request that is not finite");
}

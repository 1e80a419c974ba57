//! The daemon while its workers come and go: probes, crash loops, drains, missing folders, its own death.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::asking::{
    Answered, ask, ask_meanwhile, ask_with, count, picture_story, status_of, undisturbed,
    worker_pids,
};
use crate::process::{Served, mini, signal};

/// What does not happen by now will not.
const PATIENCE: Duration = Duration::from_secs(60);

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ready, with the processes of its workers.
fn start(devices: &str, flags: &[&str]) -> (Served, Vec<u32>) {
    let mut all = vec!["--devices", devices];
    all.extend(flags);
    let served = Served::launch(&mini(), &all, &[]);
    let mut lines = Vec::new();
    let num_workers = devices.split(',').count();
    wait_until("every worker", || {
        lines.extend(served.news());
        lines.iter().filter(|line: &&Value| line["message"] == "worker is ready").count()
            == num_workers
    });
    let pids = worker_pids(&lines);
    (served, pids)
}

fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    !matches!(state.flatten(), None | Some('Z' | 'X'))
}

#[test]
fn probes_tell_a_daemon_that_recovers_from_one_that_serves_and_requests_wait_meanwhile() {
    let (served, pids) = start("cpu", &[]);
    assert_eq!(status_of(&served.address, "/readyz"), 200);
    assert!(signal("KILL", pids[0]));
    wait_until("news of the death", || status_of(&served.address, "/readyz") == 503);
    assert_eq!(status_of(&served.address, "/livez"), 200);
    assert_eq!(ask(&served.address, &picture_story(1)).status, 200);
    assert_eq!(status_of(&served.address, "/readyz"), 200);
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn workers_that_never_start_leave_a_live_daemon_that_is_not_ready_and_gives_up_in_the_end() {
    let failpoint = [("REVERIE_FAILPOINT", "start::exit")];
    let served = Served::launch(&mini(), &["--devices", "cpu,cpu"], &failpoint);
    assert_eq!(status_of(&served.address, "/readyz"), 503);
    assert_eq!(status_of(&served.address, "/livez"), 200);
    let refused = ask(&served.address, &picture_story(1));
    assert_eq!((refused.status, refused.code()), (503, "model_loading"));
    let address = served.address.clone();
    let watched = std::thread::spawn(move || served.wait().code());
    wait_until("the end", || TcpStream::connect(&address).is_err());
    assert_eq!(watched.join().expect("waits"), Some(70));
}

#[test]
fn a_daemon_that_is_told_to_end_while_its_worker_is_replaced_finishes_first() {
    let wanted = undisturbed(&[picture_story(3)]);
    let (served, pids) = start("cpu", &[]);
    let asked = ask_meanwhile(&served.address, picture_story(3));
    served.wait_for("worker has work");
    assert!(signal("KILL", pids[0]));
    served.wait_for("worker has ended");
    served.terminate();
    assert_eq!([asked.join().expect("asks")].as_slice(), wanted);
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn workers_do_not_outlive_their_daemon() {
    let (served, pids) = start("cpu,cpu", &[]);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    let asked = ask_in_vain(&served);
    served.wait_for("worker has work");
    assert!(signal("KILL", served.pid()));
    wait_until("their end", || !pids.iter().any(|pid| is_alive(*pid)));
    asked.join().expect("hears that nobody is there");
}

/// Asks a server that is going to be killed.
fn ask_in_vain(served: &Served) -> std::thread::JoinHandle<()> {
    let url = format!("http://{}/v1/chat/completions", served.address);
    let request = picture_story(1).to_string();
    std::thread::spawn(move || {
        let answer = ureq::post(url).content_type("application/json").send(request);
        assert!(answer.is_err(), "nobody answers");
    })
}

#[test]
fn a_daemon_serves_without_a_folder_to_write_to() {
    let nowhere = [("TMPDIR", "/nowhere"), ("HOME", "/nowhere"), ("XDG_CACHE_HOME", "/nowhere")];
    let mut served = Served::launch(&mini(), &["--devices", "cpu"], &nowhere);
    served.wait_until_ready();
    assert_eq!(ask(&served.address, &picture_story(1)).status, 200);
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

/// Refusals are said this far apart at least, by whoever waits in between.
const BETWEEN_REFUSALS: Duration = Duration::from_millis(100);

#[test]
fn a_daemon_without_a_free_descriptor_waits_for_one_and_serves_again() {
    let since = Instant::now();
    let mut served = Served::launch_within("ulimit -n 64", &mini(), &["--devices", "cpu"]);
    served.wait_until_ready();
    // More than there are descriptors for; the system keeps those that are not taken.
    let connections: Vec<TcpStream> = (0..96)
        .map(|_| TcpStream::connect(&served.address).expect("room in the backlog"))
        .collect();
    served.wait_for("the system refuses connections");
    served.wait_for("the system refuses connections");
    let num_refusals = count(&served.lines(), "the system refuses connections");
    let at_most = since.elapsed().as_millis() / BETWEEN_REFUSALS.as_millis() + 1;
    assert!(num_refusals as u128 <= at_most, "{num_refusals}: it does not wait");
    drop(connections);
    assert_eq!(ask(&served.address, &picture_story(1)).status, 200);
    assert_eq!(status_of(&served.address, "/livez"), 200);
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn a_client_that_leaves_while_a_worker_is_replaced_is_forgotten() {
    let (served, pids) = start("cpu", &[]);
    let address = served.address.clone();
    let mut stream = TcpStream::connect(&address).expect("a connection");
    let body = picture_story(1).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("a request that is sent");
    served.wait_for("worker has work");
    assert!(signal("STOP", pids[0]));
    drop(stream);
    served.wait_for("given up by its client");
    assert!(signal("KILL", pids[0]));
    served.wait_for("worker is ready");
    assert_eq!(ask(&served.address, &picture_story(2)).status, 200);
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn an_idempotency_key_attaches_and_replays_the_same_bytes_also_over_a_workers_death() {
    let (served, pids) = start("cpu", &[]);
    let key = [("idempotency-key", "one")];
    let (address, request) = (served.address.clone(), picture_story(4));
    let first = {
        let (address, request) = (address.clone(), request.clone());
        std::thread::spawn(move || ask_with(&address, &request, &key))
    };
    served.wait_for("worker has work");
    let second = {
        let (address, request) = (address.clone(), request.clone());
        std::thread::spawn(move || ask_with(&address, &request, &key))
    };
    assert!(signal("KILL", pids[0]));
    let first = first.join().expect("asks");
    assert_eq!(first.0, 200);
    assert_eq!(first, second.join().expect("asks"), "attached");
    assert_eq!(first, ask_with(&address, &request, &key), "replayed");
    let (status, body) = ask_with(&address, &picture_story(5), &key);
    let other = Answered { status, body };
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reuse"));
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

/// Kilobytes of a process that its maps named `name` take: in all, and its own part where several share them.
fn mapped(pid: u32, name: &str) -> (u64, u64) {
    let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).expect("its maps");
    let (mut is_named, mut resident, mut own) = (false, 0, 0);
    for line in smaps.lines() {
        let number = || line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
        match line.split_once(':') {
            Some(("Rss", _)) if is_named => resident += number().expect("a number"),
            Some(("Pss", _)) if is_named => own += number().expect("a number"),
            Some(_) if line.contains('-') && line.contains(" r") => is_named = line.contains(name),
            Some(_) | None => {}
        }
    }
    (resident, own)
}

#[test]
fn workers_on_one_cpu_share_their_weights_also_with_their_successors() {
    let wanted = undisturbed(&[picture_story(5)]);
    let (served, mut pids) = start("cpu,cpu", &[]);
    assert!(signal("KILL", pids[0]));
    let mut lines = Vec::new();
    wait_until("a successor", || {
        lines.extend(served.news());
        lines.iter().any(|line: &Value| line["message"] == "worker is ready")
    });
    pids[0] = worker_pids(&lines)[0];
    // Each has all of it at hand, and memory holds it once.
    for pid in pids {
        let (resident, own) = mapped(pid, "reverie-weights");
        assert!(resident > 20_000, "{resident} KiB of weights");
        assert!(own * 10 < resident * 6, "{own} of {resident} KiB are not shared");
    }
    assert_eq!(ask(&served.address, &picture_story(5)), wanted[0]);
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn the_next_turn_goes_to_the_worker_that_knows_its_beginning_although_another_is_idle() {
    let (served, _pids) = start("cpu,cpu", &[]);
    let question =
        "Please tell me, in as many words as you like, what you can see and do. ".repeat(6);
    let turn = |messages: Value| {
        let request = json!({
            "model": "mini", "max_tokens": 8, "ignore_eos": true, "image_choice": "none",
            "messages": messages,
        });
        let (status, answer) = ask_with(&served.address, &request, &[]);
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let cached = |answer: &Value| {
        answer["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().expect("a number")
    };
    let first = turn(json!([{"role": "user", "content": question}]));
    assert_eq!(cached(&first), 0);
    // The first worker is taken whenever both are idle; now it is not.
    served.news();
    let busy = json!({
        "model": "mini", "max_tokens": 400, "ignore_eos": true, "image_choice": "none",
        "messages": [{"role": "user", "content": "Hello!"}],
    });
    let busy = ask_meanwhile(&served.address, busy);
    served.wait_for("worker has work");
    let said = first["choices"][0]["message"]["content"].clone();
    let second = turn(json!([
        {"role": "user", "content": question},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "Go on."},
    ]));
    assert!(!busy.is_finished(), "the other request was there all the time");
    assert!(cached(&second) >= 64, "{}", cached(&second));
    assert_eq!(busy.join().expect("asks").status, 200);
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

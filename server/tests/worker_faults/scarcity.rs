//! The daemon where there is no disk to write to, and nobody who reads its log.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::asking::{
    ask, ask_meanwhile, ask_with, count, picture_story, post, status_of, undisturbed, worker_pids,
};
use crate::process::{Scratch, Served, argument, mini, reverie, signal};

/// Files can be made and nothing written to them, as on a full disk.
const FULL_DISK: &str = "trap '' XFSZ && ulimit -f 0";
const NOWHERE: &str = "/nonexistent";

fn respond(address: &str, store: bool) -> (u16, Value) {
    let request =
        json!({"model": "mini", "input": "Hello!", "max_output_tokens": 16, "store": store});
    post(address, "/v1/responses", &request, &[])
}

#[test]
fn on_a_full_disk_everything_is_served_but_what_has_to_be_stored() {
    let wanted = undisturbed(&[picture_story(1)]);
    let scratch = Scratch::new();
    let store = scratch.join("store");
    let flags = ["--devices", "cpu", "--store-dir", argument(&store)];
    let mut served = Served::launch_within(FULL_DISK, &mini(), &flags);
    served.wait_until_ready();
    assert_eq!(ask(&served.address, &picture_story(1)), wanted[0]);
    let (status, answer) = respond(&served.address, true);
    assert_eq!((status, answer["error"]["code"].as_str()), (500, Some("internal_error")));
    served.wait_for("the store failed");
    assert_eq!(respond(&served.address, false).0, 200);
    let left: Vec<_> = std::fs::read_dir(&store).expect("a folder").collect();
    assert!(left.is_empty(), "unfinished: {left:?}");
    assert_eq!(ask(&served.address, &picture_story(1)), wanted[0]);
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

#[test]
fn neither_a_home_nor_a_folder_for_temporary_files_is_needed() {
    let places = [("HOME", NOWHERE), ("TMPDIR", NOWHERE), ("XDG_CACHE_HOME", NOWHERE)];
    let mut served = Served::launch(&mini(), &["--devices", "cpu,cpu"], &places);
    served.wait_until_ready();
    assert_eq!(ask(&served.address, &picture_story(1)), undisturbed(&[picture_story(1)])[0]);
    served.terminate();
    assert_eq!(served.wait().code(), Some(0));
}

/// Another user than root, who may have as many threads as there are; nobody else is this one. It reads what
/// root may, for the binary and the model may lie in a folder of root's own.
const SOMEBODY: &str = "setpriv --reuid 64999 --regid 64999 --clear-groups \
    --inh-caps=+dac_read_search --ambient-caps=+dac_read_search";

#[test]
fn where_the_system_gives_no_more_threads_work_waits_for_those_there_are() {
    let requests: Vec<Value> = (1..=4).map(picture_story).collect();
    let wanted = undisturbed(&requests);
    let become_somebody = format!("exec {SOMEBODY} \"$0\" \"$@\"");
    let mut served = Served::launch_within(&become_somebody, &mini(), &["--devices", "cpu"]);
    served.wait_until_ready();
    let limit = format!("{SOMEBODY} prlimit --pid {} --nproc=1:1", served.pid());
    let limited = Command::new("/bin/sh").args(["-c", &limit]).status();
    assert!(limited.expect("a shell").success());
    let asked: Vec<_> =
        requests.iter().map(|request| ask_meanwhile(&served.address, request.clone())).collect();
    let answers: Vec<_> = asked.into_iter().map(|asked| asked.join().expect("asks")).collect();
    assert_eq!(answers, wanted);
    served.terminate();
    let (status, log) = served.wait_with_log();
    assert_eq!(status.code(), Some(0));
    assert_eq!(count(&log, "a handler panicked"), 0);
}

#[test]
fn a_log_that_nobody_takes_is_lost_and_nothing_else() {
    let arguments =
        ["serve", "--port", "0", "--log-format", "json", "--devices", "cpu,cpu", "--model"];
    let mut command = reverie(&arguments);
    let mut child = command.arg(mini()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let (mut lines, mut address) = (Vec::new(), String::new());
    loop {
        let line = log.next().expect("a line").expect("text");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        address = line["address"].as_str().map_or(address, str::to_owned);
        let is_ready = line["message"].as_str().is_some_and(|text| text.starts_with("ready at"));
        lines.push(line);
        if is_ready && worker_pids(&lines).len() == 2 {
            break;
        }
    }
    drop(log);
    // The front and a worker have something to say of each of these.
    for pid in worker_pids(&lines) {
        assert!(signal("KILL", pid));
        let (status, answer) = ask_with(&address, &picture_story(1), &[]);
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(status_of(&address, "/livez"), 200);
    assert!(signal("TERM", child.id()));
    assert_eq!(child.wait().expect("a child of ours").code(), Some(0));
}

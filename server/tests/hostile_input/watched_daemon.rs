//! A daemon under observation: its processes, descriptors and memory as the system sees them, everything it logs, and
//! a port that it must never connect to.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::CANARY;
use crate::catalogue::Options;
use crate::client::{Client, Request};
use crate::expansion::expand;
use crate::process::{mini, reverie, signal};

/// What is not given back by now is kept.
const PATIENCE: Duration = Duration::from_secs(20);
/// What an allocator keeps for the threads that have read pictures.
const SLACK_MIB: u64 = 96;
/// Requests that may be on their way to the queue at a time, as the flag below says.
const WAITING: usize = 8;
/// So little of everything that what is not given back is missed: two contexts of the KV cache, one largest body.
const TIGHT: [(&str, &str); 5] = [
    ("--max-num-seqs", "4"),
    ("--max-waiting", "8"),
    ("--kv-cache-bytes", "25165824"),
    ("--max-held-body-bytes", "67108864"),
    ("--log", "debug"),
];

/// What the system says of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observation {
    descriptors: usize,
    rss_mib: u64,
    workers: Vec<u32>,
}

pub(crate) struct WatchedDaemon {
    pub(crate) client: Client,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    trap: TcpListener,
}

impl WatchedDaemon {
    /// Starts one, and waits until it can serve.
    pub(crate) fn start(options: &Options) -> Self {
        let trap = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        trap.set_nonblocking(true).expect("a listener");
        let port = trap.local_addr().expect("an address").port();
        let flags: Vec<_> = options.flags.iter().map(|flag| expand(flag, port)).collect();
        let tight = TIGHT.iter().filter(|(flag, _)| !flags.iter().any(|given| given == flag));
        let tight = tight.flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]);
        let mut all: Vec<String> = ["serve", "--port", "0", "--device", "cpu", "--api-key", CANARY]
            .map(str::to_owned)
            .to_vec();
        all.extend(["--model".to_owned(), mini().to_string_lossy().into_owned()]);
        all.extend(tight.chain(flags.iter().cloned()));
        let mut command = reverie(&all);
        for variable in &options.environment {
            let variable = expand(variable, port);
            let (name, value) = variable.split_once('=').expect("NAME=VALUE");
            command.env(name, value);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().expect("unpoisoned").push(line);
            }
        });
        let client = Client { address: String::new() };
        let mut daemon = Self { client, child, log, reader: Some(reader), trap };
        daemon.client.address = daemon.wait_for("ready at http://");
        // Once around, so that what is taken once and for all is taken.
        let request = Request::chat(json!({"max_tokens": 2, "image_choice": "none"}));
        assert_eq!(daemon.client.send(&request).status, 200);
        daemon
    }

    /// What follows `message` in the log, up to the next blank.
    fn wait_for(&self, message: &str) -> String {
        let since = Instant::now();
        loop {
            let log = self.log.lock().expect("unpoisoned");
            let found = log.iter().find_map(|line| line.split_once(message));
            if let Some((_, rest)) = found {
                return rest.split(' ').next().unwrap_or_default().to_owned();
            }
            assert!(since.elapsed() < PATIENCE * 3, "never said `{message}`: {log:#?}");
            drop(log);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The port that nobody may connect to.
    pub(crate) fn trap(&self) -> u16 {
        self.trap.local_addr().expect("an address").port()
    }

    pub(crate) fn observe(&self) -> Observation {
        let pid = self.child.id();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("a live daemon").count();
        Observation { descriptors, rss_mib: self.memory("VmRSS"), workers: children(pid) }
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a live daemon");
        let line = status.lines().find(|line| line.starts_with(field)).expect("a size");
        let kib = line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
        kib.expect("a size in KiB") / 1024
    }

    /// From now on the largest size counts anew.
    pub(crate) fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(path, "5").expect("a process of ours");
    }

    /// The front grew by no more than `limit` MiB since its peak was forgotten.
    pub(crate) fn check_peak(&self, before: &Observation, limit: u64, row: &str) {
        let peak = self.memory("VmHWM");
        let grown = peak.saturating_sub(before.rss_mib);
        assert!(grown <= limit, "{row}: the front grew by {grown} MiB");
    }

    /// Everything is as before: descriptors and memory given back, the same processes, nothing leaked, nothing dialled.
    pub(crate) fn check_restored(&self, before: &Observation, row: &str) {
        let since = Instant::now();
        loop {
            let now = self.observe();
            let restored = now.descriptors <= before.descriptors
                && now.rss_mib <= before.rss_mib + SLACK_MIB
                && now.workers == before.workers;
            if restored {
                break;
            }
            assert!(since.elapsed() < PATIENCE, "{row}: {before:?} became {now:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut log = self.log.lock().expect("unpoisoned");
        for line in log.drain(..) {
            assert!(!line.contains(CANARY), "{row}: in the log: {line}");
            assert!(!line.contains("panicked"), "{row}: {line}");
        }
        assert!(self.trap.accept().is_err(), "{row}: somebody connected where nobody may");
    }

    /// Whatever was taken can be taken again, all of it: every place, the room of the largest body, a whole context.
    pub(crate) fn take_everything(&self) {
        let short = Request::chat(json!({"max_tokens": 1, "image_choice": "none"}));
        std::thread::scope(|scope| {
            let asked: Vec<_> =
                (0..WAITING).map(|_| scope.spawn(|| self.client.send(&short).status)).collect();
            for status in asked {
                assert_eq!(status.join().expect("asks"), 200, "a place for each");
            }
        });
        let largest = Request::raw("/v1/chat/completions", largest_body());
        assert_eq!(self.client.send(&largest).status, 200, "room for the largest body");
        let whole =
            json!({"model": "mini", "prompt": "Once", "max_tokens": 2000, "ignore_eos": true});
        let answer = self.client.send(&Request::to("/v1/completions", &whole));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.json()["usage"]["total_tokens"],
            1024,
            "a whole context: {}",
            answer.json()["usage"]
        );
    }

    /// Ends in peace.
    pub(crate) fn end(mut self) {
        assert!(signal("TERM", self.child.id()));
        assert_eq!(self.child.wait().expect("a child of ours").code(), Some(0));
        self.reader.take().expect("once").join().expect("reads to the end");
    }
}

impl Drop for WatchedDaemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.lock().expect("unpoisoned");
            for line in log.iter().rev().take(30).rev() {
                eprintln!("{line:.400}");
            }
        }
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

/// A request padded to as many bytes as a body may have.
pub(crate) fn largest_body() -> Vec<u8> {
    let request = Request::chat(json!({"max_tokens": 1, "image_choice": "none"}));
    let mut body = request.body;
    body.resize(64 << 20, b' ');
    body
}

/// Processes that `pid` started.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a live daemon");
    let mut children: Vec<u32> = tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()
        })
        .collect();
    children.sort_unstable();
    children
}

/// A chat answer's document.
pub(crate) fn document(value: &Value) -> String {
    value["choices"][0]["message"].to_string()
}

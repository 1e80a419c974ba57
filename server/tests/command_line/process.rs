//! Runs the binary and keeps what it said; folders to run it on. Judges nothing.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// A line that has not come by now will not come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How a daemon is started; its model follows.
const SERVE: [&str; 6] = ["serve", "--port", "0", "--log-format", "json", "--model"];
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

pub(crate) fn golden_checkpoint() -> PathBuf {
    Path::new(ROOT).join("tests/goldens/checkpoint")
}

pub(crate) fn golden_vectors() -> PathBuf {
    Path::new(ROOT).join("tests/goldens/vectors")
}

pub(crate) fn mini() -> PathBuf {
    Path::new(ROOT).join("assets/mini")
}

/// The binary with these arguments and nothing of this process's environment.
pub(crate) fn reverie<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reverie"));
    command.args(arguments).env_clear();
    command
}

/// How a run of the binary ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Runs to the end.
pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ran {
    reverie(arguments).output().expect("the binary runs").into()
}

/// Runs to the end, which must be a good one.
#[track_caller]
pub(crate) fn succeed<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Ran {
    let ran = run(arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran
}

/// `path` as an argument.
pub(crate) fn argument(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}

/// A folder that is removed at the end of the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("reverie-command-line-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// A copy of the golden checkpoint.
    pub(crate) fn golden() -> Self {
        let scratch = Self::new();
        copy(&golden_checkpoint(), &scratch.0);
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Changes one JSON file.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let text = std::fs::read(self.join(name)).expect("a JSON file");
        let mut value = serde_json::from_slice(&text).expect("JSON");
        change(&mut value);
        std::fs::write(self.join(name), value.to_string()).expect("a written file");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

fn copy(source: &Path, destination: &Path) {
    std::fs::create_dir_all(destination).expect("a folder");
    for entry in std::fs::read_dir(source).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let target = destination.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copied file");
        }
    }
}

/// A running `reverie serve` on a free port; killed if the test ends before it.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
    /// What it said of itself before it loaded the model.
    pub(crate) listening: Value,
    log: Receiver<Value>,
    /// Every line that was looked at.
    heard: RefCell<Vec<Value>>,
    reader: Option<JoinHandle<()>>,
}

impl Served {
    /// Starts it and waits until it can serve.
    pub(crate) fn start(model: &Path) -> Self {
        Self::start_with(model, &[])
    }

    /// The same with more flags.
    pub(crate) fn start_with(model: &Path, flags: &[&str]) -> Self {
        Self::start_in(model, flags, &[])
    }

    /// The same in another environment.
    pub(crate) fn start_in(model: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut all = vec!["--device", "cpu"];
        all.extend(flags);
        let mut served = Self::launch(model, &all, variables);
        served.wait_until_ready();
        served
    }

    /// Starts it with these flags and variables; it listens, and may not be ready.
    pub(crate) fn launch(model: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = reverie::<&str>(&[]);
        command.args(SERVE).arg(model).args(flags).envs(variables.iter().copied());
        Self::spawn(command)
    }

    /// The same after `limits`, which are words of a shell.
    pub(crate) fn launch_within(limits: &str, model: &Path, flags: &[&str]) -> Self {
        let limited = format!("{limits} && exec \"$0\" \"$@\"");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &limited, env!("CARGO_BIN_EXE_reverie")]).env_clear();
        command.args(SERVE).arg(model).args(flags);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        // Room for every line of a test, so that the server never waits for its reader.
        let (sender, log) = sync_channel(10_000);
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let (address, listening) = (String::new(), Value::Null);
        let heard = RefCell::default();
        let mut served = Self { child, address, listening, log, heard, reader: Some(reader) };
        served.listening = served.wait_for("listening; loading the model");
        served.address = served.listening["address"].as_str().expect("an address").to_owned();
        served
    }

    /// Waits until it can serve.
    pub(crate) fn wait_until_ready(&mut self) {
        self.wait_for("ready at http://");
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said since it was asked last.
    pub(crate) fn news(&self) -> Vec<Value> {
        let news: Vec<Value> = self.log.try_iter().collect();
        self.heard.borrow_mut().extend_from_slice(&news);
        news
    }

    /// Everything that it has said so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.news();
        self.heard.borrow().clone()
    }

    /// The next log line whose message begins so.
    pub(crate) fn wait_for(&self, message: &str) -> Value {
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            self.heard.borrow_mut().push(line.clone());
            let found = line["message"].as_str();
            if found.is_some_and(|found| found.starts_with(message)) {
                return line;
            }
            seen.push(line);
        }
        panic!("did not say `{message}`: {seen:#?}");
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        assert!(signal("TERM", self.child.id()), "the process is there");
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> ExitStatus {
        self.wait_with_log().0
    }

    /// Waits for its end; also every line that it ever said.
    pub(crate) fn wait_with_log(mut self) -> (ExitStatus, Vec<Value>) {
        let status = self.child.wait().expect("a child of ours");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader that reads to the end");
        }
        (status, self.lines())
    }
}

/// Sends a signal by its name; whether there was somebody to get it.
pub(crate) fn signal(name: &str, pid: u32) -> bool {
    let kill = format!("kill -{name} {pid} 2>/dev/null");
    Command::new("/bin/sh").args(["-c", &kill]).status().expect("a shell").success()
}

impl Drop for Served {
    fn drop(&mut self) {
        // Only a test that fails leaves something to kill.
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

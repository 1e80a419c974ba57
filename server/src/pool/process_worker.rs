//! Workers as processes of their own, on the other side of a socket. A thread for each of them starts it,
//! listens to it, and says how it ended; another one writes to it. Knows no model.

use std::io::{self, BufReader, BufWriter};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reverie_scheduler::dispatcher::DownCause;

use super::frame::{FrameError, FrameReader, FrameWriter};
use super::inbox::{WorkerEnd, WorkerLine};
use super::memory_file::MemoryFile;
use super::vocabulary::{PROTOCOL, Setup, Speech};
use super::worker_port::{ORDERS, TellError, WorkerPlace, WorkerPort};
use crate::control_group::ControlGroups;
use crate::engine::order::{EngineOrder, Outbox as _};

/// This very binary, even if the file that it was started from has been replaced.
const THIS_BINARY: &str = "/proc/self/exe";
/// A system without a free descriptor or process is asked again after this.
const RETRY_SPAWN: Duration = Duration::from_millis(500);
/// A process that has closed its socket has so long to end by itself.
const LAST_BREATH: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(2);
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// How a worker's process is started.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    /// What it is told first.
    pub setup: Setup,
    /// The file that `setup` names, kept open.
    pub weight_arena: Option<Arc<MemoryFile>>,
    /// Threads that it computes with; `None` leaves that to it.
    pub num_threads: Option<usize>,
    /// As `--log-format` takes it.
    pub log_format: String,
    /// As `--log` takes it.
    pub log_filter: String,
}

/// A place whose workers are processes.
#[derive(Debug)]
pub struct ProcessPlace(WorkerProgram);

impl ProcessPlace {
    /// Workers that run `program`.
    pub fn new(program: WorkerProgram) -> Self {
        Self(program)
    }
}

impl WorkerPlace for ProcessPlace {
    fn start(&mut self, line: WorkerLine) -> io::Result<Box<dyn WorkerPort>> {
        let (sender, orders) = sync_channel(ORDERS);
        let life = Arc::new(Life::default());
        let keeper = Keeper { program: self.0.clone(), line, life: Arc::clone(&life) };
        // The kernel ends a worker together with the thread that started it: this one outlives it.
        std::thread::Builder::new().name("keeper".to_owned()).spawn(move || keeper.keep(orders))?;
        Ok(Box::new(ProcessPort { orders: sender, life }))
    }
}

/// One life of a process, as both its keeper and the front see it.
#[derive(Debug, Default)]
struct Life {
    child: Mutex<Option<Child>>,
    is_killed: AtomicBool,
}

impl Life {
    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) {
        self.is_killed.store(true, Ordering::Release);
        if let Some(child) = &mut *self.child() {
            // One that has ended already is none the worse.
            let _ended = child.kill();
        }
    }
}

struct ProcessPort {
    orders: SyncSender<EngineOrder>,
    life: Arc<Life>,
}

impl WorkerPort for ProcessPort {
    fn tell(&mut self, order: EngineOrder) -> Result<(), TellError> {
        Ok(self.orders.try_send(order)?)
    }

    fn kill(&mut self) {
        self.life.kill();
    }
}

impl Drop for ProcessPort {
    fn drop(&mut self) {
        self.life.is_killed.store(true, Ordering::Release);
    }
}

struct Keeper {
    program: WorkerProgram,
    line: WorkerLine,
    life: Arc<Life>,
}

impl Keeper {
    /// From its beginning to its end.
    fn keep(mut self, orders: Receiver<EngineOrder>) {
        let groups = ControlGroups::of_this_process();
        let kills_before = groups.num_memory_kills();
        let end = match self.spawn() {
            Ok(Some(stream)) => {
                let said = self.converse(&stream, orders);
                let status = self.bury();
                let is_memory = groups.num_memory_kills() > kills_before;
                end(&said, status, is_memory)
            }
            Ok(None) => WorkerEnd {
                cause: DownCause::Killed,
                reason: "given up before it began".to_owned(),
                failure: None,
            },
            Err(error) => WorkerEnd {
                cause: DownCause::Crashed,
                reason: format!("cannot be started: {error}"),
                failure: None,
            },
        };
        self.line.down(end);
    }

    /// Starts the process; `None` if it was given up meanwhile.
    fn spawn(&self) -> io::Result<Option<UnixStream>> {
        loop {
            if self.life.is_killed.load(Ordering::Acquire) {
                return Ok(None);
            }
            let error = match self.try_spawn() {
                Ok(stream) => return Ok(Some(stream)),
                Err(error) => error,
            };
            let passes = matches!(error.raw_os_error(), Some(11 | 12 | 23 | 24)); // EAGAIN, ENOMEM, ENFILE, EMFILE
            if !passes {
                return Err(error);
            }
            tracing::warn!(worker = self.line.worker().0, %error, "worker cannot be started yet");
            std::thread::sleep(RETRY_SPAWN);
        }
    }

    fn try_spawn(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(THIS_BINARY);
        command
            .arg0("reverie")
            .args(["worker", "--log-format", &self.program.log_format])
            .args(["--log", &self.program.log_filter])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .process_group(0);
        if let Some(num_threads) = self.program.num_threads {
            command.env("RAYON_NUM_THREADS", num_threads.to_string());
        }
        let child = command.spawn()?;
        let (worker, pid) = (self.line.worker().0, child.id());
        tracing::info!(worker, pid, "worker is started");
        *self.life.child() = Some(child);
        if self.life.is_killed.load(Ordering::Acquire) {
            self.life.kill();
        }
        Ok(ours)
    }

    /// Passes on what the process says, until it says nothing more or nothing sensible.
    fn converse(&mut self, stream: &UnixStream, orders: Receiver<EngineOrder>) -> FrameError {
        let written = stream.try_clone().and_then(|ours| {
            let setup = self.program.setup.clone();
            let name = "orders".to_owned();
            std::thread::Builder::new().name(name).spawn(move || write(&ours, &setup, &orders))
        });
        if let Err(error) = written {
            return error.into();
        }
        let mut frames = FrameReader::new(BufReader::new(stream));
        let mut is_known = false;
        let error = loop {
            match (frames.read::<Speech>(), is_known) {
                (Ok(Speech::Hello { protocol: PROTOCOL, build }), false)
                    if build == self.program.setup.build =>
                {
                    is_known = true;
                }
                (Ok(Speech::Engine(message)), true) => {
                    let mut said = self.line.say(message);
                    // What has come together goes on together.
                    if frames.stream().buffer().is_empty() {
                        said = said.and_then(|()| self.line.flush());
                    }
                    if said.is_err() {
                        break FrameError::Closed;
                    }
                }
                (Ok(Speech::Hello { .. } | Speech::Engine(_)), _) => break FrameError::Skewed,
                (Err(error), _) => break error,
            }
        };
        // Ends the writer, and the process if it still listens.
        let _closed_already = stream.shutdown(Shutdown::Both);
        error
    }

    /// Waits for the end of a process that has nothing more to say, and brings it about in the end.
    fn bury(&self) -> io::Result<ExitStatus> {
        let since = Instant::now();
        loop {
            if let Some(child) = &mut *self.life.child() {
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
                if since.elapsed() > LAST_BREATH {
                    child.kill()?;
                }
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn write(stream: &UnixStream, setup: &Setup, orders: &Receiver<EngineOrder>) {
    let mut frames = FrameWriter::new(BufWriter::new(stream));
    let mut written = frames.write(setup).and_then(|()| frames.flush());
    while written.is_ok() {
        let Ok(order) = orders.recv() else { break };
        written = frames.write(&order).and_then(|()| frames.flush());
    }
    // Whoever reads notices; an unwritable order is a broken conversation, too.
    let _closed_already =
        stream.shutdown(if written.is_ok() { Shutdown::Write } else { Shutdown::Both });
}

/// How it ended, and who is to blame.
fn end(said: &FrameError, status: io::Result<ExitStatus>, is_memory: bool) -> WorkerEnd {
    let is_sane = matches!(said, FrameError::Closed | FrameError::Stream(_));
    let (cause, ending) = match status {
        Ok(status) => match status.signal() {
            Some(SIGKILL | SIGTERM) if is_sane && !is_memory => {
                (DownCause::Killed, status.to_string())
            }
            Some(_) | None => (DownCause::Crashed, status.to_string()),
        },
        Err(error) => (DownCause::Crashed, error.to_string()),
    };
    let reason = if is_sane { ending } else { format!("{said}; then {ending}") };
    WorkerEnd { cause, reason, failure: None }
}

//! A worker's process from inside: orders from a socket to an engine, its messages back. Knows how to speak
//! with a front; which model is loaded comes in as an argument.

use std::io::{self, BufReader, BufWriter};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::frame::{FrameError, FrameReader, FrameWriter};
use super::vocabulary::{PROTOCOL, Setup, Speech};
use super::worker_port::ORDERS;
use crate::engine::order::{EngineMessage, EngineOrder, FrontGone, Outbox};
use crate::engine::runner::ModelRunner;
use crate::engine::{EngineFailure, EngineSetup, LoadError, serve};

/// Why a worker ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerFailure {
    /// The front said nothing sensible.
    #[error("the front: {0}")]
    Front(#[from] FrameError),
    /// The front is another build.
    #[error("the front is {found}, this is {}", build())]
    Skewed {
        /// Its version.
        found: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineFailure),
    /// The system refused.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// What tells this build from others.
pub fn build() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// A front's conversation, of which the beginning has been heard.
#[derive(Debug)]
pub struct Conversation {
    /// What the front wants.
    pub setup: Setup,
    frames: FrameReader<BufReader<UnixStream>>,
    writer: FrameWriter<BufWriter<UnixStream>>,
}

impl Conversation {
    /// Hears what the front wants on `stream`, and says hello.
    ///
    /// # Errors
    /// [`WorkerFailure`] if the front is another build, or none.
    pub fn open(stream: UnixStream) -> Result<Self, WorkerFailure> {
        let mut writer = FrameWriter::new(BufWriter::new(stream.try_clone()?));
        let mut frames = FrameReader::new(BufReader::new(stream));
        writer.write(&Speech::Hello { protocol: PROTOCOL, build: build().to_owned() })?;
        writer.flush()?;
        let setup: Setup = frames.read()?;
        if setup.protocol != PROTOCOL || setup.build != build() {
            return Err(WorkerFailure::Skewed { found: setup.build });
        }
        Ok(Self { setup, frames, writer })
    }

    /// Loads by `load` and works until the front says that it is enough. A front that is gone ends the
    /// process, whatever it is at.
    ///
    /// # Errors
    /// [`WorkerFailure`].
    pub fn work(
        self,
        load: impl FnOnce() -> Result<Box<dyn ModelRunner>, LoadError>,
        setup: &EngineSetup,
    ) -> Result<(), WorkerFailure> {
        let Self { setup: _, frames, writer } = self;
        let (sender, orders) = sync_channel(ORDERS);
        std::thread::Builder::new()
            .name("orders".to_owned())
            .spawn(move || listen(frames, &sender))?;
        let mut outbox = SocketOutbox(writer);
        Ok(serve(load, setup, &orders, &mut outbox)?)
    }
}

/// Passes orders on until there are none any more; then nobody needs this process.
fn listen(mut frames: FrameReader<BufReader<UnixStream>>, orders: &SyncSender<EngineOrder>) {
    let error = loop {
        match frames.read() {
            Ok(order) => {
                if orders.send(order).is_err() {
                    return; // the engine has ended, and says why itself
                }
            }
            Err(error) => break error,
        }
    };
    match error {
        FrameError::Closed => std::process::exit(0),
        error => {
            tracing::error!(%error, "the front does not speak sense");
            std::process::exit(70)
        }
    }
}

struct SocketOutbox(FrameWriter<BufWriter<UnixStream>>);

impl Outbox for SocketOutbox {
    fn say(&mut self, message: EngineMessage) -> Result<(), FrontGone> {
        self.0.write(&Speech::Engine(message)).map_err(|_gone| FrontGone)
    }

    fn flush(&mut self) -> Result<(), FrontGone> {
        self.0.flush().map_err(|_gone| FrontGone)
    }
}

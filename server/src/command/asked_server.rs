//! The server that a verb asks over HTTP: a running one, or one of this process on a free port, which
//! goes the whole way of `serve`.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use reverie_eval::client::{Client, ClientError};
use reverie_model::noise::CounterNoise;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Failure, SOFTWARE, SYSTEM, UNAVAILABLE, USAGE, cache_dir};
use crate::args::{ModelArgs, ServerArgs};
use crate::config::Config;
use crate::daemon::Daemon;
use crate::engine::document_engine::EngineStatus;
use crate::listener;
use crate::startup::PreparedModel;

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(UNAVAILABLE, error)
    }
}

/// A server that can be asked.
pub(super) struct AskedServer {
    pub(super) client: Client,
    own: Option<OwnServer>,
}

/// A server of this process.
struct OwnServer {
    runtime: Runtime,
    daemon: Daemon,
    serving: JoinHandle<()>,
    stop: CancellationToken,
}

impl AskedServer {
    /// The one at `--url`, or one that is started and ready.
    pub(super) fn open(args: &ServerArgs) -> Result<Self, Failure> {
        if let Some(url) = &args.url {
            if !url.starts_with("http://") {
                let reason = format!("--url {url}: wanted http://…; this client has no TLS");
                return Err(Failure::new(USAGE, reason));
            }
            let key = args.api_key_file.as_ref().map(|path| {
                let text = fs::read_to_string(path);
                let text = text.map_err(|error| {
                    Failure::new(SYSTEM, format_args!("{}: {error}", path.display()))
                })?;
                Ok::<_, Failure>(text.lines().next().unwrap_or_default().trim().to_owned())
            });
            return Ok(Self { client: Client::new(url, key.transpose()?), own: None });
        }
        let (own, port) = OwnServer::start(&args.model)?;
        let client = Client::new(&format!("http://127.0.0.1:{port}"), None);
        Ok(Self { client, own: Some(own) })
    }

    /// Ends what was started.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.own.map_or(Ok(()), OwnServer::end)
    }
}

impl OwnServer {
    fn start(model: &ModelArgs) -> Result<(Self, u16), Failure> {
        let config = Config::for_one_document(model);
        let cache = cache_dir(model.cache_dir.clone());
        let prepared =
            PreparedModel::open(model.model.as_deref(), &cache, model.device, model.dtype)?
                .with_kernels(model.kernels);
        let daemon =
            Daemon::start(&config, prepared, Box::new(CounterNoise), Arc::new(Instant::now))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        if runtime.block_on(daemon.engine().loaded()) != EngineStatus::Ready {
            daemon.join()?;
            return Err(Failure::new(SOFTWARE, "the model could not be loaded"));
        }
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let stop = CancellationToken::new();
        let serving = runtime.spawn(listener::serve(
            listener,
            daemon.router(),
            config.connections,
            stop.clone(),
        ));
        Ok((Self { runtime, daemon, serving, stop }, port))
    }

    fn end(self) -> Result<(), Failure> {
        self.daemon.engine().drain();
        self.stop.cancel();
        self.runtime
            .block_on(self.serving)
            .map_err(|error| Failure::new(SOFTWARE, format_args!("the listener ended: {error}")))?;
        Ok(self.daemon.join()?)
    }
}

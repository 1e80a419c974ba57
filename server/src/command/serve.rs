//! `reverie serve`: from flags to a daemon that answers until it is told to end.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::{Failure, SYSTEM, TEMPORARY, cache_dir};
use crate::args::{DeviceChoice, ServeArgs};
use crate::config::{Config, ModelConfig};
use crate::daemon::{Daemon, Ended, serve_until};
use crate::engine::document_engine::EngineStatus;
use crate::http::probe_router;
use crate::probe_listener::ProbeListener;
use crate::shutdown::Signals;
use crate::startup::{PreparedModel, StartupError};
use crate::telemetry;

pub(super) fn run(args: ServeArgs) -> Result<ExitCode, Failure> {
    let config = Config::try_from(args)?;
    telemetry::log_to_stderr(config.log_format, &config.log_filter)?;
    let cache = cache_dir(config.model.cache_dir.clone());
    let prepared = open(&config, &cache)?;
    let no_threads = |_| Failure::new(SYSTEM, "the system gives no threads");
    let runtime = std::panic::catch_unwind(runtime).map_err(no_threads)??;
    runtime.block_on(listen(&config, prepared))
}

/// Threads for work that takes long; more of it waits. They are kept, so that there are no more than a daemon can bear when
/// it is idle: each has some tens of KiB.
const MAX_BLOCKING_THREADS: usize = 64;

/// Longer than a daemon runs.
const FOR_GOOD: Duration = Duration::from_secs(u32::MAX as u64);

/// What requests run on, with a first thread for work that takes long, which is kept: where the system gives no thread and
/// there is none, tokio panics; where there is one, work waits for it.
fn runtime() -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().max_blocking_threads(MAX_BLOCKING_THREADS).thread_keep_alive(FOR_GOOD);
    let runtime = builder.build()?;
    runtime.block_on(runtime.spawn_blocking(|| ()))?;
    Ok(runtime)
}

/// Everything about the model but its weights, which workers load. What a CPU cannot hold or do is refused
/// here; a GPU is opened by the worker that has it.
fn open(config: &Config, cache: &Path) -> Result<PreparedModel, StartupError> {
    let ModelConfig { folder, devices, dtype, kernels, .. } = &config.model;
    let folder = folder.as_deref();
    let is_cpu = devices.iter().all(|worker| match worker.device {
        DeviceChoice::Cpu => true,
        DeviceChoice::Auto => !cfg!(feature = "cuda"),
        DeviceChoice::Cuda(_) => false,
    });
    let prepared = if is_cpu {
        PreparedModel::open(folder, cache, DeviceChoice::Cpu, *dtype)?
    } else {
        PreparedModel::describe(folder, cache, *dtype)?
    };
    Ok(prepared.with_kernels(*kernels))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(SYSTEM, format_args!("{address}: {error}"))
}

async fn listen(config: &Config, prepared: PreparedModel) -> Result<ExitCode, Failure> {
    let signals = Signals::listen()?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| cannot_listen(config.listen, &error))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && config.http.api_keys.is_empty() {
        tracing::warn!(%address, "anybody who reaches this address can use the model: set --api-key");
    }
    let model = prepared.name.clone();
    let devices: Vec<String> = config.model.devices.iter().map(ToString::to_string).collect();
    let devices = devices.join(",");
    let started = Instant::now();
    let daemon = Daemon::start_processes(config, &prepared, Arc::new(Instant::now))?;
    let probes = match config.probe_listen {
        Some(address) => Some(
            ProbeListener::start(address, probe_router(daemon.state().clone()))
                .map_err(|error| cannot_listen(address, &error))?,
        ),
        None => None,
    };
    let probes_at = probes.as_ref().map(|probes| tracing::field::display(probes.address()));
    tracing::info!(%address, probes_at, model, devices, "listening; loading the model");
    let engine = daemon.engine();
    let announce = async {
        match engine.loaded().await {
            EngineStatus::Ready => {
                let seconds = started.elapsed().as_secs_f64();
                tracing::info!(seconds, "ready at http://{address}");
            }
            EngineStatus::Loading
            | EngineStatus::Recovering
            | EngineStatus::Draining
            | EngineStatus::Failed => {}
        }
    };
    let serving =
        serve_until(listener, &daemon, config.connections, signals, config.shutdown_timeout);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = announce => serving.await,
    };
    match ended {
        Ended::Drained | Ended::Failed => {
            daemon.join()?;
            Ok(ExitCode::SUCCESS)
        }
        // The engine's thread is still at work; it ends with the process.
        Ended::NeverServed => Ok(ExitCode::SUCCESS),
        Ended::Cut => Ok(ExitCode::from(TEMPORARY)),
    }
}

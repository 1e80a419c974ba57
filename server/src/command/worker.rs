//! `reverie worker`: one worker of a daemon that has started it, and speaks to it over standard input. Not
//! for people.

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use reverie_model::noise::CounterNoise;
use reverie_model::{Kernels, WeightArena};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use super::{DATA, Failure, SOFTWARE, SYSTEM, USAGE};
use crate::args::{DeviceChoice, DtypeChoice, WorkerArgs};
use crate::capacity::Capacity;
use crate::engine::candle_runner::CandleRunner;
use crate::engine::{EngineDuty, EngineSetup, LoadError};
use crate::pool::vocabulary::WorkerModel;
use crate::pool::worker_process::{Conversation, WorkerFailure};
use crate::startup::PreparedModel;
use crate::telemetry;

impl From<WorkerFailure> for Failure {
    fn from(failure: WorkerFailure) -> Self {
        match failure {
            WorkerFailure::Engine(failure) => failure.into(),
            WorkerFailure::Front(_) => Self::new(DATA, failure),
            WorkerFailure::Skewed { .. } => Self::new(SOFTWARE, failure),
            WorkerFailure::System(_) => Self::new(SYSTEM, failure),
        }
    }
}

pub(super) fn run(args: &WorkerArgs) -> Result<ExitCode, Failure> {
    telemetry::log_to_stderr(args.log_format, &args.log)?;
    // Nobody else would end it, should the daemon be killed in the middle of a step.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from)?;
    let _no_signal_but_kill = ignore_signals()?;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let conversation = Conversation::open(UnixStream::from(stdin))?;
    let model = conversation.setup.model.clone();
    let role = conversation.setup.role;
    let mut prepared = open(&model)?;
    if let Some(path) = &conversation.setup.weight_arena {
        prepared = prepared.sharing(WeightArena::open(path.as_ref())?);
    }
    let class = prepared.numerics_class();
    let needs = prepared.kv_needs(model.max_model_len, conversation.setup.num_sharing);
    let limits = conversation.setup.limits;
    let config = Capacity::new(&limits, needs).engine_config(&limits);
    let load = move || {
        let runner = CandleRunner::new(prepared.load()?, Box::new(CounterNoise))?;
        Ok::<Box<_>, LoadError>(Box::new(runner.with_max_model_len(model.max_model_len)) as Box<_>)
    };
    let setup =
        EngineSetup { config, duty: EngineDuty { role, class }, clock: Arc::new(Instant::now) };
    conversation.work(load, &setup)?;
    Ok(ExitCode::SUCCESS)
}

/// A supervisor that sends SIGTERM to every process means the daemon, which drains and then ends its workers.
fn ignore_signals() -> std::io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    {
        let _inside = runtime.enter();
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
            let _handled_and_not_looked_at = signal(kind)?;
        }
    }
    Ok(runtime)
}

fn open(model: &WorkerModel) -> Result<PreparedModel, Failure> {
    let folder = std::path::Path::new(&model.folder);
    let device: DeviceChoice = parse(&model.device)?;
    let dtype: DtypeChoice = parse(&model.dtype)?;
    let kernels: Kernels = parse(&model.kernels)?;
    Ok(PreparedModel::open(Some(folder), folder, device, dtype)?.with_kernels(kernels))
}

fn parse<T: FromStr<Err = String>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::new(USAGE, format_args!("{text}: {error}")))
}

//! `reverie bench`: loads a server and says what its clients got.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use reverie_bench::arrivals::{Extent, Rate};
use reverie_bench::bounds::Bounds;
use reverie_bench::client::{Client, ClientError};
use reverie_bench::generator::{Generator, MAX_IN_FLIGHT};
use reverie_bench::micros::Micros;
use reverie_bench::report::{Part, Report, svg, table};
use reverie_bench::scenario::{Bench, Load, Scenario, ScenarioError};
use reverie_bench::stopwatch::Stopwatch;
use reverie_bench::trace::mooncake_lines;
use reverie_bench::workload::Workload;
use serde_json::{Map, Value, json};

use super::asked_server::AskedServer;
use super::{Failure, SYSTEM, UNAVAILABLE, USAGE};
use crate::args::{BenchArgs, ScenarioName};

/// Requests of a run where nothing says how many.
const NUM_REQUESTS: usize = 64;
/// Requests under way while a server's capacity is found.
const CAPACITY_CONCURRENCY: usize = 16;
/// Seconds of a scenario's part.
const PART_SECONDS: f64 = 10.0;
/// A day: more is a slip of the keyboard.
const MAX_SECONDS: f64 = 86_400.0;
/// What counts as good under overload where nothing is said, seconds.
const OVERLOAD_LATENCY: f64 = 10.0;
/// A claim was not held.
const MISSED: u8 = 1;

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit_code = match &error {
            ClientError::Url { .. } | ClientError::Key => USAGE,
            ClientError::Answer { .. } => UNAVAILABLE,
        };
        Self::new(exit_code, error)
    }
}

impl From<ScenarioError> for Failure {
    fn from(error: ScenarioError) -> Self {
        Self::new(UNAVAILABLE, error)
    }
}

pub(super) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let scenario = scenario(args)?;
    let extra_body = extra_body(args)?;
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    }
    let (mut max_waiting, mut max_wait) = (0, 0);
    let server = AskedServer::open(&args.server, |serve| {
        serve.max_num_seqs = Some(args.max_num_seqs);
        serve.max_waiting = args.max_waiting.unwrap_or(serve.max_waiting);
        (max_waiting, max_wait) = (serve.max_waiting, serve.max_wait);
    })?;
    let timeout = Duration::from_secs(args.timeout.get() as u64);
    let client = Client::new(&server.url, server.key.as_deref(), timeout)?;
    // One thread: the server may have to share the machine's cores with it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let model = match &args.served_model_name {
        Some(name) => name.clone(),
        None => runtime.block_on(client.model())?,
    };
    let mut notes = notes(args, &model);
    if server.is_own() {
        notes["max_num_seqs"] = json!(args.max_num_seqs);
        notes["max_waiting"] = json!(max_waiting);
        notes["max_wait"] = json!(max_wait);
    }
    let bench = Bench {
        generator: Generator { client, watch: Stopwatch::start(), max_in_flight: MAX_IN_FLIGHT },
        workload: Workload {
            seed: args.seed,
            mix: args.mix,
            model,
            output_len: args.output_len,
            extra_body,
        },
        bounds: bounds(args),
        concurrency: args.max_concurrency.map_or(CAPACITY_CONCURRENCY, Into::into),
        part: Micros::from_seconds(args.duration.unwrap_or(PART_SECONDS)),
        rounds: args.rounds.get(),
        warm_up: args.warm_up,
        on_part: &say,
    };
    if let (Some(path), Scenario::Plain(Load::Open { rate, extent })) = (&args.save_trace, scenario)
    {
        save_trace(path, &bench.workload, &bench.workload.arrivals(rate, extent))?;
    }
    let report = runtime.block_on(bench.run(scenario))?;
    notes["slo"] = json!(bench.bounds.map(|bounds| bounds.to_string()));
    write_files(args, &report, &notes)?;
    std::io::stdout().lock().write_all(table(&report).as_bytes())?;
    drop(bench); // its connections, which a server that drains would wait for
    drop(runtime);
    server.close()?;
    let is_held = report.checks.iter().all(|check| check.held);
    Ok(if is_held { ExitCode::SUCCESS } else { ExitCode::from(MISSED) })
}

/// The load or scenario that was asked for.
fn scenario(args: &BenchArgs) -> Result<Scenario, Failure> {
    let usage = |reason: &str| Err(Failure::new(USAGE, reason));
    if args.duration.is_some_and(|seconds| !(seconds > 0.0 && seconds <= MAX_SECONDS)) {
        return usage("--duration: wanted seconds, above 0 and at most a day");
    }
    let extent = args.duration.map_or_else(
        || Extent::Requests(args.num_requests.unwrap_or(NUM_REQUESTS)),
        |seconds| Extent::Time(Micros::from_seconds(seconds)),
    );
    Ok(match args.scenario {
        Some(ScenarioName::Throughput) => Scenario::Throughput,
        Some(ScenarioName::Gap) => Scenario::Gap,
        Some(ScenarioName::Overload) => Scenario::Overload,
        Some(ScenarioName::HalfLoad) => Scenario::HalfLoad,
        None => Scenario::Plain(match (args.max_concurrency, args.request_rate, extent) {
            (Some(concurrency), _, extent) => {
                Load::Closed { concurrency: concurrency.into(), extent }
            }
            (None, Rate::Infinite, Extent::Time(_)) => {
                return usage("--request-rate inf has no end by --duration: give --num-requests");
            }
            (None, rate, extent) => Load::Open { rate, extent },
        }),
    })
}

fn bounds(args: &BenchArgs) -> Option<Bounds> {
    let usual = || {
        let latency = Some(Micros::from_seconds(OVERLOAD_LATENCY));
        let is_overload = args.scenario == Some(ScenarioName::Overload);
        is_overload.then(|| Bounds { latency, ..Bounds::default() })
    };
    args.slo.or_else(usual)
}

fn extra_body(args: &BenchArgs) -> Result<Map<String, Value>, Failure> {
    let Some(text) = &args.extra_body else { return Ok(Map::new()) };
    serde_json::from_str(text)
        .map_err(|error| Failure::new(USAGE, format_args!("--extra-body: {error}")))
}

/// When, where and with what: what figures mean nothing without.
fn notes(args: &BenchArgs, model: &str) -> Value {
    let threads = std::thread::available_parallelism().map(usize::from);
    json!({
        "reverie": env!("CARGO_PKG_VERSION"),
        "date": httpdate::fmt_http_date(SystemTime::now()),
        "machine": {"cpu": cpu_model(), "threads": threads.ok(), "debug_build": cfg!(debug_assertions)},
        "server": args.server.url.as_deref().unwrap_or("of this process"),
        "model": model,
        "mix": args.mix.to_string(),
        "seed": args.seed,
        "output_len": args.output_len,
        "extra_body": args.extra_body,
    })
}

/// As Linux names it.
fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

fn say(part: &Part) {
    let summary = &part.summary;
    eprintln!("{}: {} of {} whole", part.name, summary.completed, summary.requests);
}

fn write_files(args: &BenchArgs, report: &Report, notes: &Value) -> Result<(), Failure> {
    let Some(folder) = &args.out else { return Ok(()) };
    let write = |suffix: &str, text: String| {
        let path = folder.join(report.scenario).with_extension(suffix);
        fs::write(&path, text).map_err(|error| unusable(&path, &error))
    };
    write("json", format!("{:#}\n", report.to_json(notes)))?;
    write("svg", svg(&report.charts))?;
    if args.records {
        write("jsonl", report.record_lines())?;
    }
    Ok(())
}

fn save_trace(path: &Path, workload: &Workload, arrivals: &[Micros]) -> Result<(), Failure> {
    let lines = mooncake_lines(&workload.requests(arrivals.len()), arrivals);
    fs::write(path, lines).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(SYSTEM, format_args!("{}: {error}", path.display()))
}

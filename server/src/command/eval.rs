//! `reverie eval`: a server judged on suites, as a table, and as files for programs and people.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use reverie_eval::evaluation::{Evaluation, Outcome};
use reverie_eval::report::{Figures, Floors, RunNotes, page, picture_name, record, table};
use reverie_eval::suite::{self, Case, SuiteError};

use super::asked_server::AskedServer;
use super::{DATA, Failure, SYSTEM, UNAVAILABLE, USAGE};
use crate::args::EvalArgs;

/// What is run where no suite is named.
const DEFAULT_SUITES: [&str; 2] = ["test", "held-out"];
/// A floor was missed.
const MISSED: u8 = 1;

impl From<SuiteError> for Failure {
    fn from(error: SuiteError) -> Self {
        match error {
            SuiteError::Unknown { .. } => Self::new(USAGE, error),
            SuiteError::File(error) => error.into(),
        }
    }
}

pub(super) fn run(args: &EvalArgs) -> Result<ExitCode, Failure> {
    let suites = if args.suite.is_empty() {
        DEFAULT_SUITES.map(str::to_owned).to_vec()
    } else {
        args.suite.clone()
    };
    let cases = cases(args, &suites)?;
    let floors = args.floor.as_deref().map(read_floors).transpose()?;
    let server = AskedServer::open(&args.server, |serve| {
        serve.max_wait = 0; // nobody is in a hurry
    })?;
    let client = server.client();
    let model = client.model()?;
    let model = model.ok_or_else(|| Failure::new(UNAVAILABLE, "the server names no model"))?;
    let evaluation = Evaluation {
        client: &client,
        model: &model,
        seed: args.seed,
        concurrency: args.concurrency,
    };
    let outcomes = run_with_progress(&evaluation, &cases);
    let figures = Figures::of(&outcomes);
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let notes = RunNotes { model: model.clone(), suites, seed: args.seed, version };
    write_files(args, &notes, &figures, &outcomes)?;
    io::stdout().lock().write_all(table(&figures).as_bytes())?;
    server.close()?;
    let missed = floors.map(|floors| floors.missed(&figures)).unwrap_or_default();
    for floor in &missed {
        eprintln!("missed: {floor}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(MISSED) })
}

/// The cases of all suites that are asked for.
fn cases(args: &EvalArgs, suites: &[String]) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    let mut counts: HashMap<(String, String), usize> = HashMap::new();
    for name in suites {
        for case in suite::open(name)? {
            if !args.only.is_empty() && !args.only.contains(&case.line.task) {
                continue;
            }
            let count =
                counts.entry((case.line.split.clone(), case.line.task.clone())).or_default();
            *count += 1;
            if args.limit.is_none_or(|limit| *count <= limit) {
                cases.push(case);
            }
        }
    }
    if cases.is_empty() {
        return Err(Failure::new(USAGE, "no case is left to run"));
    }
    Ok(cases)
}

fn read_floors(path: &Path) -> Result<Floors, Failure> {
    let text = fs::read(path).map_err(|error| unusable(path, &error))?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(DATA, format_args!("{}: {error}", path.display())))
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(SYSTEM, format_args!("{}: {error}", path.display()))
}

fn run_with_progress<'c>(evaluation: &Evaluation<'_>, cases: &'c [Case]) -> Vec<Outcome<'c>> {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (eta {eta}) {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(cases.len() as u64).with_style(style);
    let (mut wrong, mut unanswered) = (0, 0);
    let outcomes = evaluation.run(cases, |outcome| {
        wrong += usize::from(!outcome.verdict.is_right());
        unanswered += usize::from(outcome.answer.is_err());
        bar.inc(1);
        bar.set_message(format!("{wrong} wrong, {unanswered} unanswered"));
    });
    bar.finish();
    outcomes
}

fn write_files(
    args: &EvalArgs,
    notes: &RunNotes,
    figures: &Figures,
    outcomes: &[Outcome<'_>],
) -> Result<(), Failure> {
    if let Some(path) = &args.json {
        let text = format!("{}\n", record(notes, figures, outcomes));
        fs::write(path, text).map_err(|error| unusable(path, &error))?;
    }
    if let Some(path) = &args.sheet {
        fs::write(path, page(notes, figures, outcomes)).map_err(|error| unusable(path, &error))?;
    }
    if let Some(folder) = &args.save_pictures {
        save_pictures(folder, outcomes).map_err(|error| unusable(folder, &error))?;
    }
    Ok(())
}

fn save_pictures(folder: &Path, outcomes: &[Outcome<'_>]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for outcome in outcomes {
        let answer = outcome.answer.iter();
        for (index, picture) in answer.flat_map(|answer| answer.pictures()).enumerate() {
            let name = picture_name(&outcome.case.line.name, index, &picture.file);
            fs::write(folder.join(name), &picture.file)?;
        }
    }
    Ok(())
}

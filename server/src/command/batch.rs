//! `reverie batch`: the requests of a file answered into another. However it is ended, the next run goes on.

use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use reverie_eval::batch::{self, Output};
use reverie_eval::file_error::FileError;

use super::asked_server::AskedServer;
use super::{DATA, Failure, SYSTEM, UNAVAILABLE};
use crate::args::BatchArgs;

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let exit_code = match &error {
            FileError::Io { .. } => SYSTEM,
            FileError::Line { .. } => DATA,
        };
        Self::new(exit_code, error)
    }
}

pub(super) fn run(args: &BatchArgs) -> Result<ExitCode, Failure> {
    let requests = batch::read_requests(&args.input)?;
    let mut output = Output::open(&args.output)?;
    let num_requests = requests.len();
    let remaining = batch::remaining(requests, &output)?;
    let num_before = num_requests - remaining.len();
    if remaining.is_empty() {
        eprintln!("all {num_requests} requests are answered already");
        return Ok(ExitCode::SUCCESS);
    }
    let server = AskedServer::open(&args.server, |serve| {
        serve.max_wait = 0; // nobody is in a hurry
    })?;
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (eta {eta})")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(num_requests as u64).with_style(style);
    bar.set_position(num_before as u64);
    bar.reset_eta();
    let concurrency = args.concurrency;
    let summary =
        batch::run(&server.client(), &remaining, &mut output, concurrency, |_| bar.inc(1))?;
    bar.finish();
    server.close()?;
    eprintln!(
        "{} answered ({} of them refused), {num_before} answered before",
        summary.answered, summary.refused
    );
    if summary.unanswered > 0 {
        let unanswered = summary.unanswered;
        let reason = format!("{unanswered} requests got no answer; run it again to ask them again");
        return Err(Failure::new(UNAVAILABLE, reason));
    }
    Ok(ExitCode::SUCCESS)
}

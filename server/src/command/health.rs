//! `reverie health`: ask a running server's probe; for containers that have no other client.

use std::process::ExitCode;
use std::time::Duration;

use super::{Failure, UNAVAILABLE};
use crate::args::HealthArgs;

/// A probe that takes longer is as good as none.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn run(args: &HealthArgs) -> Result<ExitCode, Failure> {
    let port = args.probe_port.unwrap_or(args.port);
    let url = args.url.clone().unwrap_or_else(|| format!("http://127.0.0.1:{port}/readyz"));
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into();
    match agent.get(&url).call() {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::new(UNAVAILABLE, format_args!("{url}: {error}"))),
    }
}

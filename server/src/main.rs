//! The command line: parse, run, exit code. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use reverie_server::args::Cli;
use reverie_server::command;

fn main() -> ExitCode {
    match command::run(Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("reverie: {failure}");
            ExitCode::from(failure.exit_code)
        }
    }
}

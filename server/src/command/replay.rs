//! `reverie replay`: an answer or a picture written again, and compared with what its file recorded.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use reverie_proto::ErrorBody;
use serde_json::Value;

use super::asked_server::AskedServer;
use super::{CONFIGURATION, DATA, Failure, SYSTEM, UNAVAILABLE};
use crate::args::ReplayArgs;
use crate::replay::{Comparison, Record, RecordError, Verdict};

const DOOR: &str = "/v1/chat/completions";
/// Something differs.
const DIFFERS: u8 = 1;

pub(super) fn run(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let unusable = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::new(DATA, format_args!("{}: {error}", path.display()))
    };
    let recorded =
        Record::read(&read(&args.file)?).map_err(|error| unusable(&args.file, &error))?;
    let given = match &args.request {
        Some(path) => {
            let request = serde_json::from_slice::<Value>(&read(path)?);
            Some(request.map_err(|error| unusable(path, &error))?)
        }
        None if recorded.request.is_none() => {
            return Err(unusable(&args.file, &RecordError::NoRequest));
        }
        None => None,
    };
    let server = AskedServer::open(&args.server, |_serve| {})?;
    // Which model it is the digests say; names are each server's own.
    let client = server.client();
    let model = client.model()?.unwrap_or_else(|| recorded.recipe.model.clone());
    let question = recorded.question(given, &model);
    let question =
        question.map_err(|error| unusable(args.request.as_ref().unwrap_or(&args.file), &error))?;
    let reply = client.post(DOOR, &question.to_string());
    server.close()?;
    let reply = reply?;
    if reply.status != 200 {
        let body: Option<ErrorBody> = serde_json::from_str(&reply.body).ok();
        let message = body.map_or(reply.body, |body| body.error.message);
        let (status, exit_code) =
            (reply.status, if reply.status < 500 { DATA } else { UNAVAILABLE });
        return Err(Failure::new(
            exit_code,
            format_args!("the server answers {status}: {message}"),
        ));
    }
    let comparison = Record::read(reply.body.as_bytes()).map(|now| Comparison::of(&recorded, &now));
    let comparison = comparison
        .map_err(|error| {
            Failure::new(UNAVAILABLE, format_args!("what the server answers: {error}"))
        })?
        .ok_or_else(|| Failure::new(UNAVAILABLE, "what the server answers is a picture"))?;
    report(args, &comparison)
}

fn report(args: &ReplayArgs, comparison: &Comparison) -> Result<ExitCode, Failure> {
    let verdict = comparison.verdict(args.any_model);
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", comparison.to_json(verdict))?;
    } else {
        writeln!(out, "{comparison}{verdict}")?;
    }
    Ok(match verdict {
        Verdict::Same | Verdict::Alike => ExitCode::SUCCESS,
        Verdict::Differs => ExitCode::from(DIFFERS),
        Verdict::OtherModel => ExitCode::from(CONFIGURATION),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::new(SYSTEM, format_args!("{}: {error}", path.display())))
}

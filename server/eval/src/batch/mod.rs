//! Many requests from a file, their answers into another, in OpenAI's batch format. What the output file
//! already answers is not asked again, so a run that was cut off goes on. Knows no suite.

mod output;
mod request_line;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use serde_json::Value;

use crate::client::Client;
use crate::file_error::FileError;

pub use output::{AnswerLine, LineError, LineResponse, Output};
pub use request_line::{RequestLine, read_requests};

/// What came of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines answered, whatever the status.
    pub answered: usize,
    /// Of these, lines with a status that is no success.
    pub refused: usize,
    /// Lines that got no answer; the next run asks them again.
    pub unanswered: usize,
}

/// The requests that `output` does not answer yet.
///
/// # Errors
/// If `output` answers something that was not asked: it belongs to another batch.
pub fn remaining(
    requests: Vec<RequestLine>,
    output: &Output,
) -> Result<Vec<RequestLine>, FileError> {
    let asked: HashSet<&str> = requests.iter().map(|request| request.custom_id.as_str()).collect();
    if let Some((number, id)) = output.answered().find(|(_, id)| !asked.contains(id)) {
        let reason = format!("answers {id}, which the batch does not ask");
        return Err(FileError::Line { path: output.path().to_owned(), number, reason });
    }
    let answered: HashSet<String> = output.answered().map(|(_, id)| id.to_owned()).collect();
    let unanswered = |request: &RequestLine| !answered.contains(&request.custom_id);
    Ok(requests.into_iter().filter(unanswered).collect())
}

/// Asks `requests`, `concurrency` at a time, writes each answer as it comes, and calls `each` after it.
///
/// # Errors
/// If an answer cannot be written; nothing is asked after that.
pub fn run(
    client: &Client,
    requests: &[RequestLine],
    output: &mut Output,
    concurrency: NonZeroUsize,
    mut each: impl FnMut(&AnswerLine),
) -> Result<Summary, FileError> {
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    // As many as can be on their way at a time: answers are written faster than they come.
    let (sender, receiver) = sync_channel(concurrency.get());
    let mut summary = Summary::default();
    thread::scope(|scope| {
        for _ in 0..concurrency.get().min(requests.len()) {
            let (sender, next, stopped) = (sender.clone(), &next, &stopped);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(request) = requests.get(number) else { return };
                    if sender.send(ask(client, request)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for line in receiver {
            // Leaving the loop drops the receiver, and with it every answer still on its way.
            output.append(&line).inspect_err(|_| stopped.store(true, Ordering::Relaxed))?;
            match &line.response {
                Some(response) => {
                    summary.answered += 1;
                    summary.refused += usize::from(!(200..300).contains(&response.status_code));
                }
                None => summary.unanswered += 1,
            }
            each(&line);
        }
        Ok(summary)
    })
}

fn ask(client: &Client, request: &RequestLine) -> AnswerLine {
    let (response, error) = match client.post(&request.url, &request.body.to_string()) {
        Ok(reply) => {
            let body = serde_json::from_str(&reply.body).unwrap_or(Value::String(reply.body));
            let (status_code, request_id) = (reply.status, reply.request_id);
            (Some(LineResponse { status_code, request_id, body }), None)
        }
        Err(error) => {
            let error = LineError { code: "no_answer".to_owned(), message: error.to_string() };
            (None, Some(error))
        }
    };
    let id = format!("batch_req_{}", request.number);
    AnswerLine { id, custom_id: request.custom_id.clone(), response, error }
}

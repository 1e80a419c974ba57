//! A run of a suite against a server: every case asked once, its answer judged. Knows no report.

mod exchange;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::client::{Client, ClientError};
use crate::suite::Case;
use crate::verdict::{Answer, Verdict, judge};

/// How a suite is run.
#[derive(Debug, Clone, Copy)]
pub struct Evaluation<'a> {
    /// Who is judged.
    pub client: &'a Client,
    /// The model's name in requests.
    pub model: &'a str,
    /// Keys the seeds of all cases.
    pub seed: u64,
    /// Cases asked at a time.
    pub concurrency: NonZeroUsize,
}

/// What came of a case.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The case.
    pub case: &'a Case,
    /// What was sent beside the conversation.
    pub parameters: Value,
    /// What came back.
    pub answer: Result<Answer, Fault>,
    /// What it is worth; nothing where no answer came.
    pub verdict: Verdict,
}

/// No answer to judge. It counts as a wrong one.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The server did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It answered with an error.
    #[error("status {status}: {message}")]
    Status {
        /// HTTP's.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// It answered something else than a chat completion.
    #[error("not a chat completion: {0}")]
    Shape(String),
    /// A picture that is none.
    #[error("picture {index}: {reason}")]
    Picture {
        /// Counted from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Evaluation<'_> {
    /// Asks all cases, `concurrency` at a time, and calls `each` after each in the order of completion. The
    /// outcomes are in the order of the cases.
    pub fn run<'c>(
        &self,
        cases: &'c [Case],
        mut each: impl FnMut(&Outcome<'c>),
    ) -> Vec<Outcome<'c>> {
        let next = AtomicUsize::new(0);
        // As many as can be on their way at a time: an asker never waits long for the one who counts.
        let (sender, receiver) = sync_channel(self.concurrency.get());
        let mut outcomes: Vec<(usize, Outcome<'c>)> = Vec::with_capacity(cases.len());
        thread::scope(|scope| {
            for _ in 0..self.concurrency.get().min(cases.len()) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(case) = cases.get(number) else { return };
                        if sender.send((number, self.ask(case))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (number, outcome) in receiver {
                each(&outcome);
                outcomes.push((number, outcome));
            }
        });
        outcomes.sort_by_key(|(number, _)| *number);
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    fn ask<'c>(&self, case: &'c Case) -> Outcome<'c> {
        let parameters = exchange::parameters(case, case_seed(self.seed, &case.line.name));
        let body = exchange::body(case, self.model, &parameters);
        let answer = self
            .client
            .post("/v1/chat/completions", &body.to_string())
            .map_err(Fault::from)
            .and_then(|reply| exchange::answer(&reply));
        let verdict = match &answer {
            Ok(answer) => judge(&case.expected, answer),
            Err(_) => Verdict::NONE,
        };
        Outcome { case, parameters, answer, verdict }
    }
}

/// A case's own seed: the same whichever cases are run beside it. Below 2^53, so that it survives
/// JavaScript's numbers.
fn case_seed(seed: u64, name: &str) -> u64 {
    let digest = Sha256::digest(format!("{seed}/{name}"));
    let first = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    first >> 11
}

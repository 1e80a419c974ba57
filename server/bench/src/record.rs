//! What happened to one request, as its client saw it: a line of JSON. Knows no summary.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::micros::Micros;
use crate::workload::Kind;

/// One request of a run. Moments count from the run's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts the requests of a run from 0; with the seed it says what was asked.
    pub index: usize,
    /// What was asked for.
    pub kind: Kind,
    /// When it was to be sent. All waiting counts from here, also the generator's own.
    pub scheduled: Micros,
    /// When it was sent.
    pub sent: Micros,
    /// When the answer's status came.
    pub first_byte: Option<Micros>,
    /// When each piece of text came.
    pub texts: Vec<Micros>,
    /// When each picture came, whole.
    pub images: Vec<Micros>,
    /// When it was over.
    pub end: Micros,
    /// How it ended.
    pub outcome: Outcome,
    /// What the server counted, if it did.
    pub usage: Option<Usage>,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// With a whole answer.
    Completed {
        /// The server's word for why the answer ended.
        finish_reason: Option<String>,
    },
    /// With a status that is no success.
    Refused {
        /// HTTP's.
        status: u16,
        /// The begin of the body.
        message: String,
    },
    /// Without a whole answer.
    Failed {
        /// What went wrong.
        fault: Fault,
        /// In words.
        message: String,
    },
}

/// Why there is no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It was not sent: too many were under way.
    Unsent,
    /// No connection, or one that broke.
    Connection,
    /// The answer is not what was agreed on.
    Shape,
    /// The server said in the middle of the answer that it failed.
    Error,
    /// The answer stopped before its end.
    CutOff,
    /// It took longer than anybody waits.
    TimedOut,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unsent => "unsent",
            Self::Connection => "connection",
            Self::Shape => "shape",
            Self::Error => "error",
            Self::CutOff => "cut off",
            Self::TimedOut => "timed out",
        })
    }
}

/// What the server counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Positions of the prompt.
    pub prompt_tokens: u64,
    /// Positions of the answer.
    pub completion_tokens: u64,
    /// Of the answer's, those of pictures.
    #[serde(default)]
    pub image_tokens: u64,
}

impl Record {
    /// Whether the whole answer came.
    pub fn is_complete(&self) -> bool {
        match self.outcome {
            Outcome::Completed { .. } => true,
            Outcome::Refused { .. } | Outcome::Failed { .. } => false,
        }
    }

    /// Tokens of text in the answer: by the server's count, else one for each piece.
    pub fn text_tokens(&self) -> u64 {
        self.usage.map_or(self.texts.len() as u64, |usage| {
            usage.completion_tokens.saturating_sub(usage.image_tokens)
        })
    }

    /// The gaps between pieces of text that follow each other with no picture between, as (from, to).
    pub fn text_gaps(&self) -> impl Iterator<Item = (Micros, Micros)> {
        let pairs = self.texts.windows(2).map(|pair| (pair[0], pair[1]));
        pairs.filter(|(from, to)| !self.images.iter().any(|image| (from..to).contains(&image)))
    }

    /// How long its client waited for what came at `moment`.
    pub fn waited(&self, moment: Micros) -> Micros {
        moment.since(self.scheduled)
    }

    /// The same request had it never been sent.
    pub(crate) fn unsent(index: usize, kind: Kind, scheduled: Micros, now: Micros) -> Self {
        let fault = Fault::Unsent;
        let message = "too many requests were under way".to_owned();
        Self {
            index,
            kind,
            scheduled,
            sent: now,
            first_byte: None,
            texts: Vec::new(),
            images: Vec::new(),
            end: now,
            outcome: Outcome::Failed { fault, message },
            usage: None,
        }
    }
}

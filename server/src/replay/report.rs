//! A comparison as a table for people and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::comparison::{Comparison, Finding, Verdict};

impl Verdict {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Alike => "alike",
            Self::Differs => "differs",
            Self::OtherModel => "other_model",
        }
    }
}

impl Finding {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Alike => "alike",
            Self::Differs => "differs",
            Self::Other => "other",
        }
    }
}

/// A sentence.
impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Same => "the same",
            Self::Alike => "alike: other numerics, compared with a tolerance",
            Self::Differs => "not the same",
            Self::OtherModel => "other weights are served (compare all the same: --any-model)",
        })
    }
}

/// A line for each thing that was compared.
impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let finding = line.finding.name();
            writeln!(formatter, "{:<12} {finding:<8} {}", line.what, line.detail)?;
        }
        Ok(())
    }
}

impl Comparison {
    /// For programs.
    pub fn to_json(&self, verdict: Verdict) -> Value {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                json!({"what": line.what, "finding": line.finding.name(), "detail": line.detail})
            })
            .collect();
        json!({"verdict": verdict.name(), "compared": lines})
    }
}

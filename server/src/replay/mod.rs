//! Writing an answer again: what a file recorded of it, what is asked for anew, and whether the two are the
//! same. Knows no server; whoever asks one hands in what it answered.

mod comparison;
mod likeness;
mod record;
mod report;

pub use comparison::{Comparison, Finding, Line, Verdict};
pub use likeness::{LEAST_PSNR, Likeness};
pub use record::{Record, RecordError, RecordedAnswer, RecordedPicture, Subject};

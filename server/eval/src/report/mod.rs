//! What a run came to: figures, and their forms as a table, as JSON and as a page. Sends nothing.

mod figures;
mod floors;
mod interval;
mod page;
mod record;
mod table;

pub use figures::{Figures, Tally, TaskFigures};
pub use floors::{Floors, Missed};
pub use interval::Interval;
pub use page::page;
pub use record::{picture_name, record};
pub use table::table;

/// How a run was made, for whoever reads its report.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RunNotes {
    /// The model's name.
    pub model: String,
    /// The suites.
    pub suites: Vec<String>,
    /// Keys the seeds of all cases.
    pub seed: u64,
    /// Who judged.
    pub version: String,
}

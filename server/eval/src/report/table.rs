//! The figures as Markdown tables, for a terminal and for a document alike. Counts nothing.

use std::fmt::Write as _;

use super::{Figures, Tally};
use crate::world::Attribute;

const ATTRIBUTES: [(Attribute, &str); 7] = [
    (Attribute::Background, "background"),
    (Attribute::Places, "places"),
    (Attribute::Shape, "shape"),
    (Attribute::Colour, "colour"),
    (Attribute::Size, "size"),
    (Attribute::Clean, "clean"),
    (Attribute::All, "all"),
];

/// Shares with 95 % intervals (Wilson), a column a split; then the attributes of single pictures.
pub fn table(figures: &Figures) -> String {
    let mut text = tasks(figures);
    let attributes = attributes(figures);
    if !attributes.is_empty() {
        text.push('\n');
        text.push_str(&attributes);
    }
    let errors = figures.errors();
    if errors > 0 {
        let _ = writeln!(text, "\n{errors} requests got no answer and count as wrong.");
    }
    text
}

fn tasks(figures: &Figures) -> String {
    let splits = figures.splits();
    let mut header = vec!["right, %".to_owned()];
    for split in &splits {
        header.extend([(*split).to_owned(), "n".to_owned()]);
    }
    let mut rows = vec![header];
    let mut row = |name: &str, tally: &dyn Fn(&str) -> Option<Tally>| {
        let mut cells = vec![name.to_owned()];
        for split in &splits {
            match tally(split) {
                Some(tally) => cells.extend([with_interval(tally), tally.n().to_string()]),
                None => cells.extend([String::new(), String::new()]),
            }
        }
        rows.push(cells);
    };
    for task in figures.task_names() {
        row(task, &|split| figures.task(split, task).map(|one| one.right));
    }
    row("all tasks", &|split| Some(figures.right(split)));
    row("pictures when and only when asked", &|split| Some(figures.pictures_as_asked(split)));
    markdown(&rows)
}

fn attributes(figures: &Figures) -> String {
    let mut header = vec!["attributes of single pictures, %".to_owned()];
    header.extend(ATTRIBUTES.map(|(_, name)| name.to_owned()));
    let mut rows = vec![header];
    for one in figures.tasks.iter().filter(|one| !one.attributes.is_empty()) {
        let mut cells = vec![format!("{} ({})", one.task, one.split)];
        cells.extend(ATTRIBUTES.map(|(attribute, _)| {
            one.attributes
                .get(&attribute)
                .and_then(|tally| tally.share())
                .map_or_else(String::new, percent)
        }));
        rows.push(cells);
    }
    if rows.len() == 1 { String::new() } else { markdown(&rows) }
}

fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

fn with_interval(tally: Tally) -> String {
    let interval = tally.interval();
    tally.share().map_or_else(String::new, |share| {
        format!("{} ({}–{})", percent(share), percent(interval.low), percent(interval.high))
    })
}

/// Rows of equal length as a table; the first is the header. Figures are set to the right.
fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default().max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column == 0 { "-" } else { ":" };
                let _ = write!(text, "| {}{end} ", "-".repeat(width - 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

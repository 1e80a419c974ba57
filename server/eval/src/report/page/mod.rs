//! A run as one self-contained page: figures, then cases as cards, with what was asked, what was wanted, what
//! came and what the reader saw in it. Counts nothing; needs no network.

mod card;
mod markup;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use markup::escape;

use super::{Figures, RunNotes, Tally};
use crate::evaluation::Outcome;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Cards of one task and split: enough to see what goes wrong, few enough for a page of some megabytes.
const WRONG_CARDS: usize = 36;
const RIGHT_CARDS: usize = 12;

/// The page.
pub fn page(notes: &RunNotes, figures: &Figures, outcomes: &[Outcome<'_>]) -> String {
    let shown = chosen(outcomes);
    let mut page = String::new();
    let title = format!("Reverie: {} judged", escape(&notes.model));
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    page.push_str(&header(notes, figures, outcomes.len()));
    page.push_str(&summary(figures));
    page.push_str(&filters(figures));
    let _ = writeln!(
        page,
        "<p class=\"count\" aria-live=\"polite\"><b id=\"count\">{}</b> cards shown. Of each task and split: the first \
         {WRONG_CARDS} wrong answers and the first {RIGHT_CARDS} right ones.</p>\n<main id=\"cards\">",
        shown.len()
    );
    for outcome in shown {
        page.push_str(&card::card(outcome));
    }
    let _ = write!(page, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

/// The first wrong and the first right cases of each task and split.
fn chosen<'a, 'c>(outcomes: &'a [Outcome<'c>]) -> Vec<&'a Outcome<'c>> {
    let mut taken: BTreeMap<(&str, &str, bool), usize> = BTreeMap::new();
    let mut choose = |outcome: &&Outcome<'_>, line: (&'c str, &'c str)| {
        let is_right = outcome.verdict.is_right();
        let count = taken.entry((line.0, line.1, is_right)).or_default();
        *count += 1;
        *count <= if is_right { RIGHT_CARDS } else { WRONG_CARDS }
    };
    outcomes
        .iter()
        .filter(|outcome| choose(outcome, (&outcome.case.line.split, &outcome.case.line.task)))
        .collect()
}

fn header(notes: &RunNotes, figures: &Figures, num_cases: usize) -> String {
    let suites = escape(&notes.suites.join(", "));
    let errors = match figures.errors() {
        0 => String::new(),
        errors => format!(
            " <span class=\"bad\">{errors} requests got no answer and count as wrong.</span>"
        ),
    };
    format!(
        "<header>\n<h1>{}</h1>\n<p>{num_cases} cases of <b>{suites}</b>, asked over HTTP; pictures read by a program, \
         not by the model. Seed {}, Reverie {}.{errors}</p>\n</header>\n",
        escape(&notes.model),
        notes.seed,
        escape(&notes.version),
    )
}

fn summary(figures: &Figures) -> String {
    let splits = figures.splits();
    let mut text = String::from(
        "<table class=\"summary\">\n<caption>Wholly right, with 95 % intervals</caption>\n<thead><tr><th scope=\"col\">task</th>",
    );
    for split in &splits {
        let _ = write!(text, "<th scope=\"col\">{}</th>", escape(split));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for task in figures.task_names() {
        let tallies = splits.iter().map(|split| figures.task(split, task).map(|one| one.right));
        text.push_str(&summary_row(task, "", tallies));
    }
    let all = splits.iter().map(|split| Some(figures.right(split)));
    text.push_str(&summary_row("all tasks", " class=\"total\"", all));
    let asked = splits.iter().map(|split| Some(figures.pictures_as_asked(split)));
    text.push_str(&summary_row("pictures when and only when asked", "", asked));
    text.push_str("</tbody>\n</table>\n");
    text
}

fn summary_row(name: &str, class: &str, tallies: impl Iterator<Item = Option<Tally>>) -> String {
    let mut row = format!("<tr{class}><th scope=\"row\">{}</th>", escape(name));
    for tally in tallies {
        let Some((tally, share)) = tally.and_then(|tally| Some((tally, tally.share()?))) else {
            row.push_str("<td></td>");
            continue;
        };
        let interval = tally.interval();
        let (low, high, share) = (interval.low * 100.0, interval.high * 100.0, share * 100.0);
        let _ = write!(
            row,
            "<td><span class=\"bar\" style=\"--share:{share:.1}%;--low:{low:.1}%;--high:{high:.1}%\"></span>\
             <span class=\"figure\">{share:.1} %</span> <small>{low:.1}–{high:.1}, n {}</small></td>",
            tally.n()
        );
    }
    row.push_str("</tr>\n");
    row
}

fn filters(figures: &Figures) -> String {
    let mut text = String::from("<nav class=\"filters\" aria-label=\"Filter\">\n");
    text.push_str(&chips("right", &["right", "wrong"], "any verdict"));
    let splits = figures.splits();
    if splits.len() > 1 {
        text.push_str(&chips("split", &splits, "all splits"));
    }
    text.push_str(&chips("task", &figures.task_names(), "all tasks"));
    text.push_str("</nav>\n");
    text
}

fn chips(group: &str, names: &[&str], any: &str) -> String {
    let mut text = format!("<div role=\"group\" aria-label=\"{group}\">");
    let all = [("", any)].into_iter().chain(names.iter().map(|name| (*name, *name)));
    for (value, label) in all {
        let pressed = value.is_empty();
        let _ = write!(
            text,
            "<button type=\"button\" data-group=\"{group}\" data-value=\"{}\" aria-pressed=\"{pressed}\">{}</button>",
            escape(value),
            escape(label)
        );
    }
    text.push_str("</div>\n");
    text
}

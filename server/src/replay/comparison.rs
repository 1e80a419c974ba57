//! What was recorded against what was written anew, line by line. Within a numerics class only equality
//! counts; across classes pictures may differ a little, and texts, in which one other token changes all that
//! follows, may not.

use reverie_proto::OrderedPart;

use super::likeness::Likeness;
use super::record::{Record, RecordedAnswer, RecordedPicture, Subject};

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is the same.
    Same,
    /// Other numerics drew pictures that are nearly the same; all else is the same.
    Alike,
    /// Something differs.
    Differs,
    /// Other weights are served: nothing was to be expected.
    OtherModel,
}

/// How one thing compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Equal.
    Same,
    /// Not equal, but close enough for other numerics.
    Alike,
    /// Not equal.
    Differs,
    /// Not equal, and no fault by itself.
    Other,
}

/// One thing that was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What.
    pub what: String,
    /// How it compares.
    pub finding: Finding,
    /// What there is to know besides.
    pub detail: String,
}

/// Everything that was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// In the order of a report.
    pub lines: Vec<Line>,
    /// Whether the same weights were served.
    pub is_same_model: bool,
}

impl Comparison {
    /// Compares a record with the answer to the same question: `None` if that is no whole answer.
    pub fn of(recorded: &Record, replayed: &Record) -> Option<Self> {
        let Subject::Answer(answer) = &replayed.subject else { return None };
        let (before, after) = (&recorded.recipe, &replayed.recipe);
        let is_same_model = before.model_sha256 == after.model_sha256;
        let is_same_class = before.numerics_class == after.numerics_class;
        let mut lines = vec![
            unequal(
                "model",
                (&short(&before.model_sha256), &short(&after.model_sha256)),
                if is_same_model { Finding::Same } else { Finding::Other },
            ),
            unequal(
                "numerics",
                (&before.numerics_class, &after.numerics_class),
                if is_same_class { Finding::Same } else { Finding::Other },
            ),
        ];
        if let (Some(asked), Some(again)) = (&recorded.context_sha256, &replayed.context_sha256) {
            lines.push(equal("question", &short(asked), &short(again)));
        }
        let parameters = |record: &Record| {
            let parameters = serde_json::to_string(&record.recipe.parameters);
            parameters.expect("our own types always serialise")
        };
        lines.push(equal("parameters", &parameters(recorded), &parameters(replayed)));
        match &recorded.subject {
            Subject::Answer(before) => compare_answers(&mut lines, before, answer, is_same_class),
            Subject::Picture(before) => {
                let index = usize::try_from(before.said.index).ok();
                let after = index.and_then(|index| answer.pictures.get(index));
                lines.push(compare_pictures(before, after, is_same_class));
            }
        }
        Some(Self { lines, is_same_model })
    }

    /// What follows from the lines; other weights count only where `any_model` is false.
    pub fn verdict(&self, any_model: bool) -> Verdict {
        let has = |wanted: Finding| self.lines.iter().any(|line| line.finding == wanted);
        if !self.is_same_model && !any_model {
            Verdict::OtherModel
        } else if has(Finding::Differs) {
            Verdict::Differs
        } else if has(Finding::Alike) {
            Verdict::Alike
        } else {
            Verdict::Same
        }
    }
}

fn compare_answers(
    lines: &mut Vec<Line>,
    before: &RecordedAnswer,
    after: &RecordedAnswer,
    is_same_class: bool,
) {
    let detail = match first_difference(&before.parts, &after.parts) {
        None => format!("{} characters", num_chars(&before.parts)),
        Some(place) => format!("from character {place} on"),
    };
    let finding = if before.parts == after.parts { Finding::Same } else { Finding::Differs };
    lines.push(Line { what: "text".to_owned(), finding, detail });
    let tokens = (before.completion_tokens.to_string(), after.completion_tokens.to_string());
    lines.push(equal("tokens", &tokens.0, &tokens.1));
    for (index, picture) in before.pictures.iter().enumerate() {
        lines.push(compare_pictures(picture, after.pictures.get(index), is_same_class));
    }
    for extra in after.pictures.iter().skip(before.pictures.len()) {
        let what = format!("picture {}", extra.said.index);
        let detail = "drawn now, and not before".to_owned();
        lines.push(Line { what, finding: Finding::Differs, detail });
    }
}

/// Characters of text before the first thing that differs; `None` if nothing does.
fn first_difference(before: &[OrderedPart], after: &[OrderedPart]) -> Option<usize> {
    if before == after {
        return None;
    }
    let (before, after) = (symbols(before), symbols(after));
    Some(before.zip(after).take_while(|(a, b)| a == b).filter(|(a, _)| a.is_some()).count())
}

/// Characters, and nothing at the place of a picture.
fn symbols(parts: &[OrderedPart]) -> impl Iterator<Item = Option<char>> {
    parts.iter().flat_map(|part| match part {
        OrderedPart::Text { text } => text.chars().map(Some).collect::<Vec<_>>(),
        OrderedPart::ImageRef { index: _ } => vec![None],
    })
}

fn num_chars(parts: &[OrderedPart]) -> usize {
    symbols(parts).flatten().count()
}

fn compare_pictures(
    before: &RecordedPicture,
    after: Option<&RecordedPicture>,
    is_same_class: bool,
) -> Line {
    let what = format!("picture {}", before.said.index);
    let line = |finding, detail: String| Line { what: what.clone(), finding, detail };
    if !before.is_as_drawn() {
        let detail = "the file's pixels are not those it says were drawn";
        return line(Finding::Differs, detail.to_owned());
    }
    let Some(after) = after else {
        return line(Finding::Differs, "not drawn again".to_owned());
    };
    if before.said.pixels_sha256 == after.said.pixels_sha256 {
        return line(Finding::Same, short(&before.said.pixels_sha256));
    }
    let Some(likeness) = Likeness::of(&before.held, &after.held) else {
        return line(Finding::Differs, "of another size".to_owned());
    };
    let detail = format!("up to {} levels, PSNR {:.1} dB", likeness.worst_levels, likeness.psnr);
    if !is_same_class && likeness.is_close() {
        line(Finding::Alike, detail)
    } else {
        line(Finding::Differs, detail)
    }
}

fn equal(what: &str, before: &str, after: &str) -> Line {
    let finding = if before == after { Finding::Same } else { Finding::Differs };
    unequal(what, (before, after), finding)
}

fn unequal(what: &str, (before, after): (&str, &str), finding: Finding) -> Line {
    let detail = if before == after { before.to_owned() } else { format!("{before}, now {after}") };
    Line { what: what.to_owned(), finding, detail }
}

/// Enough of a digest to tell it by.
fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}

//! One case as a card: what was asked, what was wanted, what came, and what the reader saw. Judges nothing.

use std::fmt::Write as _;
use std::io::Cursor;

use image::ImageFormat;

use super::markup::{escape, picture};
use crate::evaluation::Outcome;
use crate::suite::Content;
use crate::verdict::{AnswerPiece, DrawnPicture, Expectation};
use crate::world::{Reading, Scene, caption, draw, honest_sentences};

pub(super) fn card(outcome: &Outcome<'_>) -> String {
    let line = &outcome.case.line;
    let verdict = if outcome.verdict.is_right() { "right" } else { "wrong" };
    let kind = if line.kind.is_empty() { String::new() } else { format!(" · {}", line.kind) };
    format!(
        "<article class=\"{verdict}\" data-right=\"{verdict}\" data-split=\"{split}\" data-task=\"{task}\">\n\
         <h2><span class=\"mark\">{verdict}</span> {task}{kind} <small>{name}</small></h2>\n\
         <section><h3>asked</h3><div>{asked}</div></section>\n<section><h3>wanted</h3><div>{wanted}</div></section>\n\
         <section><h3>answered</h3><div>{answered}</div></section>\n</article>\n",
        split = escape(&line.split),
        task = escape(&line.task),
        kind = escape(&kind),
        name = escape(&line.name),
        asked = asked(&outcome.case.content),
        wanted = wanted(&outcome.case.expected),
        answered = answered(outcome),
    )
}

fn asked(content: &[Content]) -> String {
    let piece = |piece: &Content| match piece {
        Content::Text(text) => format!("<p>{}</p>", escape(text)),
        Content::Picture(file) => picture(file, "a picture given"),
    };
    content.iter().map(piece).collect()
}

fn wanted(expected: &Expectation) -> String {
    let words = |text: &str| format!("<p>{}</p>", escape(text));
    let note = |text: &str| format!("<p class=\"note\">{}</p>", escape(text));
    match expected {
        Expectation::Answer(text) => words(text),
        Expectation::Answers(people) => words(&people.join(" · ")),
        Expectation::Words { any_of, none_of } => words(&any_of.join(" or ")) + &without(none_of),
        Expectation::Mentions { groups, none_of } => {
            let groups: Vec<String> = groups.iter().map(|group| group.join(" ")).collect();
            words(&groups.join(" and ")) + &without(none_of)
        }
        Expectation::Scene { scene, anywhere: false } => drawn(scene),
        Expectation::Scene { scene, anywhere: true } => drawn(scene) + &note("at any places"),
        Expectation::Plan(Some(scene)) => words(&caption(scene)) + &drawn(scene),
        Expectation::Plan(None) => note("a description, and a picture of just that"),
        Expectation::Steps { texts, scenes } => {
            let mut shown = String::new();
            for (number, text) in texts.iter().enumerate() {
                shown.push_str(&words(text));
                shown.extend(scenes.get(number).map(drawn));
            }
            shown
        }
        Expectation::Story(hero) => note(&hero.map_or_else(
            || "a story whose pictures show what it tells".to_owned(),
            |hero| format!("such a story about a {} {}", hero.colour.name(), hero.shape.name()),
        )),
        Expectation::Honest => {
            note(&format!("an honest sentence, such as “{}”", honest_sentences()[5]))
        }
        Expectation::Picture => note("any picture"),
    }
}

fn without(none_of: &[String]) -> String {
    if none_of.is_empty() {
        return String::new();
    }
    format!("<p class=\"note\">and not {}</p>", escape(&none_of.join(", ")))
}

fn drawn(scene: &Scene) -> String {
    let mut file = Cursor::new(Vec::new());
    match draw(scene, [(0, 0); 4]).write_to(&mut file, ImageFormat::Png) {
        Ok(()) => picture(&file.into_inner(), &caption(scene)),
        Err(_) => format!("<p>{}</p>", escape(&caption(scene))),
    }
}

fn answered(outcome: &Outcome<'_>) -> String {
    let answer = match &outcome.answer {
        Ok(answer) => answer,
        Err(fault) => return format!("<p class=\"bad\">{}</p>", escape(&fault.to_string())),
    };
    if answer.pieces.is_empty() {
        return "<p class=\"note\">nothing</p>".to_owned();
    }
    let mut text = String::new();
    for piece in &answer.pieces {
        let _ = match piece {
            AnswerPiece::Text(words) => write!(text, "<p>{}</p>", escape(words)),
            AnswerPiece::Picture(drawn) => write!(text, "{}", figure(drawn)),
        };
    }
    text
}

fn figure(drawn: &DrawnPicture) -> String {
    let seen = match &drawn.reading {
        Some(reading) => saw(reading),
        None => "not of the world’s size".to_owned(),
    };
    let image = picture(&drawn.file, "a picture drawn");
    format!("<figure>{image}<figcaption>{}</figcaption></figure>", escape(&seen))
}

/// `large red circle top left; white; clean (error 0.03)`
fn saw(reading: &Reading) -> String {
    let mut seen: Vec<String> = reading
        .scene
        .things
        .iter()
        .map(|(place, thing)| {
            let (size, colour) = (thing.size.name(), thing.colour.name());
            format!("{size} {colour} {} {}", thing.shape.name(), place.name())
        })
        .collect();
    seen.push(reading.scene.background.name().to_owned());
    let clean = if reading.is_clean { "clean" } else { "not clean" };
    seen.push(format!("{clean} (error {:.2})", reading.error));
    seen.join("; ")
}

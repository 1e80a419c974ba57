//! Whether an answer is right: pure, from what was expected and what came. The rules are those of
//! `training/reverie_training/suite.py`, and a few more for prompts and answers of one's own.

mod answer;
mod mention;
mod vqa;

use serde::Serialize;

use crate::world::{
    Attribute, Hit, Scene, Story, Thing, attributes, attributes_anywhere, honest_sentences,
    scene_of_caption,
};

pub use answer::{Answer, AnswerPiece, DrawnPicture};
pub use vqa::soft_accuracy;

/// What a right answer is.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// Exactly these words, and no picture.
    Answer(String),
    /// Answers of several people to a question: soft accuracy as in VQAv2, and no picture.
    Answers(Vec<String>),
    /// Words in which one of `any_of` comes up, and none of `none_of`; no picture.
    Words {
        /// Acceptable alternatives, each one or more whole words.
        any_of: Vec<String>,
        /// What would be wrong.
        none_of: Vec<String>,
    },
    /// Words in which all of every group come up, and none of `none_of`; no picture.
    Mentions {
        /// What belongs together.
        groups: Vec<Vec<String>>,
        /// What would be wrong.
        none_of: Vec<String>,
    },
    /// One picture that shows this.
    Scene {
        /// What is to be seen.
        scene: Scene,
        /// Only the things count, not their places.
        anywhere: bool,
    },
    /// A description and one picture of it: of this scene, or of any.
    Plan(Option<Scene>),
    /// These texts, and these pictures in order.
    Steps {
        /// Word for word.
        texts: Vec<String>,
        /// What is to be seen.
        scenes: Vec<Scene>,
    },
    /// A story in which every sentence follows and every picture shows what was just told; about a thing, if
    /// given.
    Story(Option<Thing>),
    /// One of the honest sentences about what the model can do, and no picture.
    Honest,
    /// Any picture: judged elsewhere.
    Picture,
}

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// 1 is wholly right, 0 is wrong; between them only soft accuracy.
    pub score: f64,
    /// Pictures came when, and only when, they were asked for.
    pub pictures_as_asked: bool,
    /// The attributes of the one picture that was wanted.
    pub attributes: Vec<Hit>,
}

impl Verdict {
    /// What an answer that never came is worth.
    pub const NONE: Self = Self { score: 0.0, pictures_as_asked: false, attributes: Vec::new() };

    fn new(is_right: bool, pictures_as_asked: bool) -> Self {
        let score = if is_right { 1.0 } else { 0.0 };
        Self { score, pictures_as_asked, attributes: Vec::new() }
    }

    /// Wholly right.
    pub fn is_right(&self) -> bool {
        self.score >= 1.0
    }
}

/// The verdict on an answer.
pub fn judge(expected: &Expectation, answer: &Answer) -> Verdict {
    match expected {
        Expectation::Answer(wanted) => in_words(answer, |said| said == wanted),
        Expectation::Answers(people) => {
            let mut verdict = in_words(answer, |_| true);
            verdict.score *= soft_accuracy(&answer.said(), people);
            verdict
        }
        Expectation::Words { any_of, none_of } => {
            in_words(answer, |said| mention::any(said, any_of) && !mention::any(said, none_of))
        }
        Expectation::Mentions { groups, none_of } => in_words(answer, |said| {
            groups.iter().all(|group| mention::all(said, group)) && !mention::any(said, none_of)
        }),
        Expectation::Honest => {
            in_words(answer, |said| honest_sentences().iter().any(|sentence| sentence == said))
        }
        Expectation::Scene { scene, anywhere } => one_picture(answer, scene, *anywhere),
        Expectation::Plan(wanted) => plan(answer, wanted.as_ref()),
        Expectation::Steps { texts, scenes } => steps(answer, texts, scenes),
        Expectation::Story(hero) => story(answer, hero.as_ref()),
        Expectation::Picture => {
            let drawn = answer.pictures().next().is_some();
            Verdict::new(drawn, drawn)
        }
    }
}

fn in_words(answer: &Answer, is_right: impl Fn(&str) -> bool) -> Verdict {
    let no_picture = answer.pictures().next().is_none();
    Verdict::new(no_picture && is_right(&answer.said()), no_picture)
}

fn one_picture(answer: &Answer, wanted: &Scene, anywhere: bool) -> Verdict {
    let mut pictures = answer.pictures();
    let (Some(picture), None) = (pictures.next(), pictures.next()) else {
        return Verdict::new(false, false);
    };
    let Some(reading) = &picture.reading else { return Verdict::new(false, true) };
    let compare = if anywhere { attributes_anywhere } else { attributes };
    let attributes = compare(reading, wanted);
    let is_right = attributes.contains(&(Attribute::All, true));
    Verdict { attributes, ..Verdict::new(is_right, true) }
}

fn plan(answer: &Answer, wanted: Option<&Scene>) -> Verdict {
    let told = answer.texts().next().and_then(scene_of_caption);
    let Some(scene) = wanted.or(told.as_ref()) else {
        return Verdict::new(false, answer.pictures().count() == 1);
    };
    let verdict = one_picture(answer, scene, false);
    let agrees = told.as_ref() == Some(scene);
    Verdict { score: if agrees { verdict.score } else { 0.0 }, ..verdict }
}

fn steps(answer: &Answer, texts: &[String], scenes: &[Scene]) -> Verdict {
    let drawn: Vec<&DrawnPicture> = answer.pictures().collect();
    let shown = drawn.len() == scenes.len()
        && drawn.iter().zip(scenes).all(|(picture, scene)| picture.shows(scene));
    Verdict::new(shown && answer.texts().eq(texts), !drawn.is_empty())
}

/// How every story ends.
const END: &str = "The end.";

fn story(answer: &Answer, hero: Option<&Thing>) -> Verdict {
    let mut story = Story::default();
    let mut pictures = 0;
    let mut is_right = matches!(answer.pieces.last(), Some(AnswerPiece::Text(text)) if text == END);
    for piece in &answer.pieces {
        match piece {
            AnswerPiece::Text(text) if text == END => {}
            AnswerPiece::Text(text) => {
                story = story.told(text);
                let is_about = |scene: &Scene| hero.is_none_or(|hero| has(scene, hero));
                is_right &= story.scene().is_some_and(|scene| pictures > 0 || is_about(scene));
            }
            AnswerPiece::Picture(picture) => {
                pictures += 1;
                is_right &= story.scene().is_some_and(|scene| picture.shows(scene));
            }
        }
    }
    Verdict::new(is_right && pictures >= 2, pictures >= 1)
}

/// Whether a thing of this shape and colour is in the scene; nobody said how large.
fn has(scene: &Scene, hero: &Thing) -> bool {
    scene.things.values().any(|thing| (thing.shape, thing.colour) == (hero.shape, hero.colour))
}

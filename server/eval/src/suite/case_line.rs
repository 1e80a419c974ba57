//! A line of a suite, as it is written. Knows fields, and which of them belong together.

use serde::{Deserialize, Deserializer, Serialize};

use super::Door;
use crate::verdict::Expectation;
use crate::world::{Scene, Thing};

/// A line of a suite. What Python's `suite.write` writes, or a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseLine {
    /// Unique in its suite.
    pub name: String,
    /// What is asked for.
    pub task: String,
    /// Which sort of the task.
    #[serde(default)]
    pub kind: String,
    /// Which part of the data.
    #[serde(default = "own")]
    pub split: String,
    /// How the answer is asked for.
    #[serde(default)]
    pub door: Door,
    /// Text and pictures in order.
    pub content: Vec<ContentLine>,
    /// What a right answer is.
    pub expect: ExpectLine,
}

/// The split of cases that name none: a person's own.
fn own() -> String {
    "own".to_owned()
}

/// A piece of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum ContentLine {
    /// Words.
    Text {
        /// What is said.
        text: String,
    },
    /// A picture file beside the suite, sent as it is; or one tile of a sheet.
    Image {
        /// Relative to the suite.
        file: String,
        /// Which tile of 64×64, in reading order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tile: Option<usize>,
    },
    /// A picture of the toy world, drawn here.
    Scene {
        /// What it shows.
        scene: Scene,
    },
}

/// What a right answer is: exactly one of the fields, and what belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mentions: Option<Vec<Vec<String>>>,
    /// Beside `words` or `mentions`: what would be wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scene: Option<Scene>,
    /// Beside `scene`: only the things count, not their places.
    #[serde(skip_serializing_if = "is_false")]
    scene_anywhere: bool,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    plan: Option<Option<Scene>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<StepsLine>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    story: Option<Option<Thing>>,
    #[serde(skip_serializing_if = "is_false")]
    honest: bool,
    #[serde(skip_serializing_if = "is_false")]
    picture: bool,
}

/// What each step says and shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepsLine {
    texts: Vec<String>,
    scenes: Vec<Scene>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A field that may be null, told from one that is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<ExpectLine> for Expectation {
    type Error = String;

    fn try_from(line: ExpectLine) -> Result<Self, String> {
        let ExpectLine { not, scene_anywhere, .. } = line;
        if !not.is_empty() && line.words.is_none() && line.mentions.is_none() {
            return Err("`not` belongs beside `words` or `mentions`".to_owned());
        }
        if scene_anywhere && line.scene.is_none() {
            return Err("`scene_anywhere` belongs beside `scene`".to_owned());
        }
        let mut given: Vec<Self> = [
            line.answer.map(Self::Answer),
            line.answers.map(Self::Answers),
            line.words.map(|any_of| Self::Words { any_of, none_of: not.clone() }),
            line.mentions.map(|groups| Self::Mentions { groups, none_of: not.clone() }),
            line.scene.map(|scene| Self::Scene { scene, anywhere: scene_anywhere }),
            line.plan.map(Self::Plan),
            line.steps.map(|StepsLine { texts, scenes }| Self::Steps { texts, scenes }),
            line.story.map(Self::Story),
            line.honest.then_some(Self::Honest),
            line.picture.then_some(Self::Picture),
        ]
        .into_iter()
        .flatten()
        .collect();
        match (given.pop(), given.is_empty()) {
            (Some(expectation), true) => Ok(expectation),
            (Some(_), false) => Err("`expect` has two kinds of right answer".to_owned()),
            (None, _) => Err(
                "`expect` needs one of answer, answers, words, mentions, scene, plan, steps, story, \
                 honest, picture"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(text: &str) -> Result<Expectation, String> {
        let line: ExpectLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
        line.try_into()
    }

    #[test]
    fn one_kind_of_right_answer_is_wanted() {
        assert_eq!(expectation(r#"{"answer": "red"}"#), Ok(Expectation::Answer("red".to_owned())));
        assert_eq!(expectation(r#"{"story": null}"#), Ok(Expectation::Story(None)));
        assert_eq!(expectation(r#"{"plan": null}"#), Ok(Expectation::Plan(None)));
        assert_eq!(expectation(r#"{"honest": true}"#), Ok(Expectation::Honest));
        for wrong in [
            "{}",
            r#"{"honest": false}"#,
            r#"{"answer": "red", "picture": true}"#,
            r#"{"answer": "red", "not": ["blue"]}"#,
            r#"{"answer": "red", "scene_anywhere": true}"#,
            r#"{"anser": "red"}"#,
            r#"{"scene": {"background": "teal", "things": {}}}"#,
        ] {
            assert!(expectation(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_is_written_as_it_was_read() {
        let text = r#"{"name":"a","task":"story","kind":"","split":"own","door":"chat","content":[{"type":"image","file":"a.png"}],"expect":{"story":null}}"#;
        let line: CaseLine = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
    }
}

//! Counting: shares by split, task, kind and attribute, in the order in which they come up. Knows no form.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::Interval;
use crate::evaluation::Outcome;
use crate::suite::Door;
use crate::world::Attribute;

/// How many of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    sum: f64,
    n: usize,
}

impl Tally {
    /// Counts one more, worth 0 to 1.
    pub fn add(&mut self, score: f64) {
        self.sum += score;
        self.n += 1;
    }

    fn add_all(&mut self, other: Self) {
        self.sum += other.sum;
        self.n += other.n;
    }

    /// How many there were.
    pub fn n(self) -> usize {
        self.n
    }

    /// The mean score, 0 to 1; nothing where there were none.
    pub fn share(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }

    /// Where the true share lies.
    pub fn interval(self) -> Interval {
        Interval::wilson(self.share().unwrap_or_default(), self.n)
    }
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Tally", 4)?;
        fields.serialize_field("share", &self.share())?;
        fields.serialize_field("n", &self.n)?;
        fields.serialize_field("low", &self.interval().low)?;
        fields.serialize_field("high", &self.interval().high)?;
        fields.end()
    }
}

/// One task of one split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskFigures {
    /// Which part of the data.
    pub split: String,
    /// What was asked for.
    pub task: String,
    /// Wholly right answers.
    pub right: Tally,
    /// Pictures that came when, and only when, they were asked for.
    pub pictures_as_asked: Tally,
    /// Answers that never came; each counts as wrong.
    pub errors: usize,
    /// Wholly right answers by kind.
    pub kinds: BTreeMap<String, Tally>,
    /// Attributes of single pictures.
    pub attributes: BTreeMap<Attribute, Tally>,
}

impl TaskFigures {
    fn new(split: &str, task: &str) -> Self {
        Self {
            split: split.to_owned(),
            task: task.to_owned(),
            right: Tally::default(),
            pictures_as_asked: Tally::default(),
            errors: 0,
            kinds: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }

    fn add(&mut self, outcome: &Outcome<'_>) {
        let verdict = &outcome.verdict;
        self.right.add(verdict.score);
        match outcome.case.line.door {
            Door::Chat => {
                self.pictures_as_asked.add(f64::from(u8::from(verdict.pictures_as_asked)))
            }
            Door::Picture => {} // the request decided, not the model
        }
        self.errors += usize::from(outcome.answer.is_err());
        let kind = &outcome.case.line.kind;
        if !kind.is_empty() {
            self.kinds.entry(kind.clone()).or_default().add(verdict.score);
        }
        for (attribute, hit) in &verdict.attributes {
            self.attributes.entry(*attribute).or_default().add(f64::from(u8::from(*hit)));
        }
    }
}

/// All figures of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    /// By split and task, in the order in which they came up.
    pub tasks: Vec<TaskFigures>,
}

impl Figures {
    /// Counts a run.
    pub fn of(outcomes: &[Outcome<'_>]) -> Self {
        let mut figures = Self::default();
        for outcome in outcomes {
            let (split, task) = (&outcome.case.line.split, &outcome.case.line.task);
            let known =
                figures.tasks.iter().position(|one| one.split == *split && one.task == *task);
            let place = known.unwrap_or_else(|| {
                figures.tasks.push(TaskFigures::new(split, task));
                figures.tasks.len() - 1
            });
            figures.tasks[place].add(outcome);
        }
        figures
    }

    /// One task of one split.
    pub fn task(&self, split: &str, task: &str) -> Option<&TaskFigures> {
        self.tasks.iter().find(|one| one.split == split && one.task == task)
    }

    /// The splits, in order.
    pub fn splits(&self) -> Vec<&str> {
        distinct(self.tasks.iter().map(|one| one.split.as_str()))
    }

    /// The tasks of all splits, in order.
    pub fn task_names(&self) -> Vec<&str> {
        distinct(self.tasks.iter().map(|one| one.task.as_str()))
    }

    /// Wholly right answers of a split, all tasks together.
    pub fn right(&self, split: &str) -> Tally {
        self.sum(split, |one| one.right)
    }

    /// Pictures when and only when asked, all tasks of a split together.
    pub fn pictures_as_asked(&self, split: &str) -> Tally {
        self.sum(split, |one| one.pictures_as_asked)
    }

    /// Answers that never came.
    pub fn errors(&self) -> usize {
        self.tasks.iter().map(|one| one.errors).sum()
    }

    fn sum(&self, split: &str, tally: impl Fn(&TaskFigures) -> Tally) -> Tally {
        let mut sum = Tally::default();
        self.tasks.iter().filter(|one| one.split == split).for_each(|one| sum.add_all(tally(one)));
        sum
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

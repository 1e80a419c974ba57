//! Floors: what figures must reach. Knows no suite.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{Figures, Tally};
use crate::world::Attribute;

/// What each split must reach, 0 to 1.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Floors {
    splits: BTreeMap<String, SplitFloors>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SplitFloors {
    /// Wholly right, by task.
    right: BTreeMap<String, f64>,
    /// Wholly right, all tasks together.
    all_tasks: Option<f64>,
    /// Attributes of single pictures, by task.
    attributes: BTreeMap<String, BTreeMap<Attribute, f64>>,
    /// Pictures when and only when asked.
    pictures_as_asked: Option<f64>,
}

/// A floor that was not reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    what: String,
    floor: f64,
    /// Nothing where it was not measured.
    found: Option<f64>,
}

impl fmt::Display for Missed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, floor, found } = self;
        match found {
            Some(found) => {
                write!(formatter, "{what}: {:.1} %, wanted {:.1} %", found * 100.0, floor * 100.0)
            }
            None => write!(formatter, "{what}: not measured, wanted {:.1} %", floor * 100.0),
        }
    }
}

impl Floors {
    /// The floors that `figures` do not reach; what was not measured is not reached.
    pub fn missed(&self, figures: &Figures) -> Vec<Missed> {
        let mut missed = Vec::new();
        let mut check = |what: String, floor: f64, tally: Option<Tally>| {
            let found = tally.and_then(Tally::share);
            if found.is_none_or(|found| found < floor) {
                missed.push(Missed { what, floor, found });
            }
        };
        for (split, floors) in &self.splits {
            for (task, floor) in &floors.right {
                let tally = figures.task(split, task).map(|one| one.right);
                check(format!("{split} {task}"), *floor, tally);
            }
            for (task, attributes) in &floors.attributes {
                for (attribute, floor) in attributes {
                    let one = figures.task(split, task);
                    let tally = one.and_then(|one| one.attributes.get(attribute)).copied();
                    check(format!("{split} {task} {attribute:?}").to_lowercase(), *floor, tally);
                }
            }
            if let Some(floor) = floors.all_tasks {
                check(format!("{split} all tasks"), floor, Some(figures.right(split)));
            }
            if let Some(floor) = floors.pictures_as_asked {
                let tally = figures.pictures_as_asked(split);
                check(format!("{split} pictures as asked"), floor, Some(tally));
            }
        }
        missed
    }
}

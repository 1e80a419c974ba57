//! The kinds of requests, and how many there are of each. Knows no prompt.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Words for words.
    Text,
    /// Words about a picture.
    Vqa,
    /// One picture.
    Picture,
    /// A story with pictures.
    Document,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Text, Self::Vqa, Self::Picture, Self::Document];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Vqa => "vqa",
            Self::Picture => "picture",
            Self::Document => "document",
        }
    }

    /// Whether its answers hold pictures.
    pub const fn draws(self) -> bool {
        match self {
            Self::Picture | Self::Document => true,
            Self::Text | Self::Vqa => false,
        }
    }
}

/// How many of each kind there are, by weight: `text=4,vqa=2,picture=1,document=1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    weights: [u32; Kind::ALL.len()],
}

impl Mix {
    /// One kind alone.
    pub const fn only(kind: Kind) -> Self {
        let mut weights = [0; Kind::ALL.len()];
        weights[kind as usize] = 1;
        Self { weights }
    }

    /// The kinds that occur.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| self.weights[*kind as usize] > 0)
    }

    /// The kind that an even draw falls on.
    pub(super) fn pick(&self, draw: u64) -> Kind {
        let total: u64 = self.weights.iter().copied().map(u64::from).sum();
        let mut left = draw % total;
        for (kind, weight) in Kind::ALL.into_iter().zip(self.weights) {
            match left.checked_sub(weight.into()) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        unreachable!("what is left of a total is below it")
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut weights = [0; Kind::ALL.len()];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name.trim());
            let kind =
                kind.ok_or_else(|| format!("no kind {name}: text, vqa, picture, document"))?;
            let weight: u16 = weight
                .trim()
                .parse()
                .map_err(|_not_a_number| format!("{part}: wanted a weight of at most 65535"))?;
            weights[kind as usize] += u32::from(weight);
        }
        if weights == [0; Kind::ALL.len()] {
            return Err("nothing is left to ask for".to_owned());
        }
        Ok(Self { weights })
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.kinds().map(|kind| format!("{kind}={}", self.weights[kind as usize]));
        formatter.write_str(&parts.collect::<Vec<_>>().join(","))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_as_it_is_written() {
        let mix: Mix = "picture=1, text=4".parse().unwrap();
        assert_eq!(mix.to_string(), "text=4,picture=1");
        assert_eq!("vqa".parse(), Ok(Mix::only(Kind::Vqa)));
        assert_eq!((0..10).filter(|draw| mix.pick(*draw) == Kind::Picture).count(), 2);
        assert_eq!(mix.pick(u64::MAX), mix.pick(u64::MAX % 5));
        for wrong in ["", "text=0", "film=1", "text=-1", "text=many", "text=70000", "text,,vqa"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }
}

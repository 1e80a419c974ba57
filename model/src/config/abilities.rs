//! What a model was trained for: `reverie_abilities` of `config.json`. Knows neither parts nor requests.

use std::fmt;

/// One thing a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// Reads pictures and answers in text.
    Comprehension,
    /// Draws pictures.
    Creation,
}

impl fmt::Display for Ability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Comprehension => "comprehension",
            Self::Creation => "creation",
        })
    }
}

/// Everything a model can do: never nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Abilities {
    /// Text and pictures in, text and pictures out, as every published file.
    #[default]
    Both,
    /// Text and pictures in, text out: no dream queries, no UNet, no VAE.
    ComprehensionOnly,
    /// Text in, one picture out, which is not fed back: no CLIP tower.
    CreationOnly,
}

impl Abilities {
    /// Each of them, in the order in which they are listed everywhere.
    pub fn list(self) -> &'static [Ability] {
        match self {
            Self::Both => &[Ability::Comprehension, Ability::Creation],
            Self::ComprehensionOnly => &[Ability::Comprehension],
            Self::CreationOnly => &[Ability::Creation],
        }
    }

    /// Whether `ability` is one of them.
    pub fn has(self, ability: Ability) -> bool {
        self.list().contains(&ability)
    }
}

impl fmt::Display for Abilities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.list().iter().map(Ability::to_string).collect();
        formatter.pad(&words.join(", "))
    }
}

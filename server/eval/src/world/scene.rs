//! Scenes: a background and at most one thing in each quarter. Knows names; not how anything looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Diamond,
    Cross,
}

/// A thing's colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Colour {
    Red,
    Green,
    Blue,
    Yellow,
    Purple,
    Orange,
    Cyan,
    Pink,
}

/// What is behind the things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Background {
    White,
    Black,
    Gray,
    Tan,
    Navy,
}

/// How large a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Size {
    Small,
    Large,
}

/// A quarter of the picture, in reading order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Place {
    #[serde(rename = "top left")]
    TopLeft,
    #[serde(rename = "top right")]
    TopRight,
    #[serde(rename = "bottom left")]
    BottomLeft,
    #[serde(rename = "bottom right")]
    BottomRight,
}

/// A closed list of names: all values in the order of their codes, and what each is called.
macro_rules! vocabulary {
    ($kind:ident: $($value:ident = $name:literal),+) => {
        impl $kind {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// What it is called.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name),+
                }
            }

            /// The one that is called so.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}

vocabulary!(Shape: Circle = "circle", Square = "square", Triangle = "triangle", Star = "star",
    Diamond = "diamond", Cross = "cross");
vocabulary!(Colour: Red = "red", Green = "green", Blue = "blue", Yellow = "yellow",
    Purple = "purple", Orange = "orange", Cyan = "cyan", Pink = "pink");
vocabulary!(Background: White = "white", Black = "black", Gray = "gray", Tan = "tan", Navy = "navy");
vocabulary!(Size: Small = "small", Large = "large");
vocabulary!(Place: TopLeft = "top left", TopRight = "top right", BottomLeft = "bottom left",
    BottomRight = "bottom right");

/// One coloured shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thing {
    /// Its outline.
    pub shape: Shape,
    /// Its colour.
    pub colour: Colour,
    /// How large it is.
    pub size: Size,
}

/// What is in a picture. Where exactly in its quarter a thing lies is not content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// What is behind.
    pub background: Background,
    /// What is where.
    pub things: BTreeMap<Place, Thing>,
}

impl Scene {
    /// The scene with its things dealt to other quarters: the thing of the i-th quarter goes to `order[i]`.
    #[must_use]
    pub fn rearranged(&self, order: [Place; 4]) -> Self {
        let things = self.things.iter().map(|(place, thing)| (order[*place as usize], *thing));
        Self { background: self.background, things: things.collect() }
    }
}

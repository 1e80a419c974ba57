//! The toy world: what can be in a picture, how it is drawn, read and spoken of. Knows no server and no
//! suite. Everything here equals `training/reverie_training` (`scenes`, `reader`, `words`, `stories`).

mod drawing;
mod reader;
mod scene;
mod story;
mod words;

pub use drawing::{Jitter, coverages, draw};
pub use reader::{Attribute, Hit, Reading, attributes, attributes_anywhere, read};
pub use scene::{Background, Colour, Place, Scene, Shape, Size, Thing};
pub use story::Story;
pub use words::{caption, honest_sentences, scene_of_caption};

/// Pixels of a picture's side.
pub const SIDE: u32 = 64;

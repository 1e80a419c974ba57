//! The assistant's one way of saying things: captions, and its honest sentences about what it can do.
//! Knows no task. Equal to `training/reverie_training/words.py` and `tasks/outside.py`.

use std::collections::BTreeMap;

use super::scene::{Background, Colour, Place, Scene, Shape, Size, Thing};

/// One, two and three.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The canonical description of a scene.
pub fn caption(scene: &Scene) -> String {
    let ground = format!("The background is {}.", scene.background.name());
    if scene.things.is_empty() {
        return format!("There is nothing in the picture. {ground}");
    }
    let verb = if scene.things.len() == 1 { "is" } else { "are" };
    let placed = scene.things.iter().map(|(place, thing)| {
        let (size, colour) = (thing.size.name(), thing.colour.name());
        format!("a {size} {colour} {} at the {}", thing.shape.name(), place.name())
    });
    format!("There {verb} {}. {ground}", listed(&placed.collect::<Vec<_>>()))
}

/// The scene that a canonical description tells of; nothing where the text is not one.
pub fn scene_of_caption(text: &str) -> Option<Scene> {
    let text = text.trim();
    let (told, ground) = text.split_once(". The background is ")?;
    let background = Background::named(ground.strip_suffix('.')?)?;
    let told = told.strip_prefix("There is ").or_else(|| told.strip_prefix("There are "))?;
    let mut things = BTreeMap::new();
    if told != "nothing in the picture" {
        for item in told.split(" and ").flat_map(|items| items.split(", ")) {
            let (place, thing) = placed_thing(item)?;
            things.insert(place, thing);
        }
    }
    let scene = Scene { background, things };
    // What was skipped or doubled on the way shows here.
    (caption(&scene) == text).then_some(scene)
}

/// `a large red circle at the top left`
fn placed_thing(text: &str) -> Option<(Place, Thing)> {
    let (name, place) = text.strip_prefix("a ")?.split_once(" at the ")?;
    Some((Place::named(place)?, full_name(name)?))
}

/// `large red circle`
pub(super) fn full_name(text: &str) -> Option<Thing> {
    let (size, rest) = text.split_once(' ')?;
    let (colour, shape) = rest.split_once(' ')?;
    Some(Thing {
        shape: Shape::named(shape)?,
        colour: Colour::named(colour)?,
        size: Size::named(size)?,
    })
}

/// What it says instead of drawing or answering what lies outside its world.
pub fn honest_sentences() -> [String; 6] {
    let plural = |shape: &Shape| match shape {
        Shape::Cross => "crosses".to_owned(),
        Shape::Circle | Shape::Square | Shape::Triangle | Shape::Star | Shape::Diamond => {
            format!("{}s", shape.name())
        }
    };
    let shapes = listed(&Shape::ALL.iter().map(plural).collect::<Vec<_>>());
    let colours = alternatives(Colour::ALL.iter().map(|colour| colour.name()));
    let backgrounds = alternatives(Background::ALL.iter().map(|background| background.name()));
    [
        format!("I can only draw {shapes}."),
        format!("I can only draw shapes in {colours}."),
        format!("I can only make the background {backgrounds}."),
        "I can only place shapes at the top left, top right, bottom left or bottom right."
            .to_owned(),
        "I can only draw up to four shapes in a picture.".to_owned(),
        "I do not know that. I can only talk about and draw pictures of simple shapes.".to_owned(),
    ]
}

/// One, two or three.
fn alternatives(names: impl Iterator<Item = &'static str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.split_last() {
        Some((last, most)) => format!("{} or {last}", most.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_tells_its_scene_and_nothing_else_does() {
        let scene = Scene {
            background: Background::Navy,
            things: BTreeMap::from([
                (Place::TopLeft, full_name("large red circle").unwrap()),
                (Place::TopRight, full_name("small blue star").unwrap()),
                (Place::BottomRight, full_name("small pink cross").unwrap()),
            ]),
        };
        let text = caption(&scene);
        assert_eq!(scene_of_caption(&format!(" {text}\n")), Some(scene));
        for wrong in [
            text.replace("are", "is"),
            text.replace(", ", " and "),
            text.replace("navy", "teal"),
            text.replace("star at", "star in"),
            text.replace("top right", "top left"),
            text.replace("navy.", "navy. Good."),
            format!("{text} {text}"),
            String::new(),
        ] {
            assert_eq!(scene_of_caption(&wrong), None, "{wrong}");
        }
        let empty = Scene { background: Background::Tan, things: BTreeMap::new() };
        assert_eq!(scene_of_caption(&caption(&empty)), Some(empty));
    }
}

//! A story as it is told: what is in the scene after each sentence. Knows the grammar of stories, equal to
//! `training/reverie_training/tasks/stories.py`; no picture.

use std::collections::BTreeMap;

use super::scene::{Background, Colour, Place, Scene, Shape, Size, Thing};
use super::words::full_name;

/// The state of a story: nothing before its first sentence, and nothing after one that does not follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    scene: Option<Scene>,
}

impl Story {
    /// What is to be seen now.
    pub fn scene(&self) -> Option<&Scene> {
        self.scene.as_ref()
    }

    /// The story after one more sentence.
    #[must_use]
    pub fn told(self, sentence: &str) -> Self {
        Self { scene: after(self.scene, sentence.trim()) }
    }
}

fn after(scene: Option<Scene>, sentence: &str) -> Option<Scene> {
    let sentence = sentence.strip_suffix('.')?;
    if let Some(rest) = sentence.strip_prefix("Once there was a ") {
        return begin(rest);
    }
    let mut scene = scene?;
    if let Some(ground) = sentence.strip_prefix("Then the background turns ") {
        scene.background = Background::named(ground)?;
    } else if let Some(rest) = sentence.strip_prefix("Then a ") {
        let (name, place) = rest.split_once(" comes to the ")?;
        put(&mut scene.things, Place::named(place)?, full_name(name)?)?;
    } else {
        change(&mut scene.things, sentence.strip_prefix("Then the ")?)?;
    }
    Some(scene)
}

/// `large red circle at the top left on a white background`
fn begin(text: &str) -> Option<Scene> {
    let (name, rest) = text.split_once(" at the ")?;
    let (place, ground) = rest.strip_suffix(" background")?.split_once(" on a ")?;
    let things = BTreeMap::from([(Place::named(place)?, full_name(name)?)]);
    Some(Scene { background: Background::named(ground)?, things })
}

/// `red circle turns blue`, `red circle becomes a star`, `red circle becomes small`, `red circle moves to the
/// top right`; the name must be that of exactly one thing.
fn change(things: &mut BTreeMap<Place, Thing>, text: &str) -> Option<()> {
    let (colour, rest) = text.split_once(' ')?;
    let (shape, change) = rest.split_once(' ')?;
    let (colour, shape) = (Colour::named(colour)?, Shape::named(shape)?);
    let mut named =
        things.iter().filter(|(_, thing)| (thing.colour, thing.shape) == (colour, shape));
    let (&place, &thing) = named.next()?;
    if named.next().is_some() {
        return None;
    }
    things.remove(&place);
    if let Some(value) = change.strip_prefix("turns ") {
        put(things, place, Thing { colour: Colour::named(value)?, ..thing })
    } else if let Some(value) = change.strip_prefix("becomes a ") {
        put(things, place, Thing { shape: Shape::named(value)?, ..thing })
    } else if let Some(value) = change.strip_prefix("becomes ") {
        put(things, place, Thing { size: Size::named(value)?, ..thing })
    } else {
        put(things, Place::named(change.strip_prefix("moves to the ")?)?, thing)
    }
}

/// Nothing where the place is taken.
fn put(things: &mut BTreeMap<Place, Thing>, place: Place, thing: Thing) -> Option<()> {
    things.insert(place, thing).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{caption, scene_of_caption};

    fn tell(sentences: &[&str]) -> Option<String> {
        let story = sentences.iter().fold(Story::default(), |story, one| story.told(one));
        story.scene().map(caption)
    }

    const BEGIN: &str = "Once there was a large red circle at the top left on a white background.";

    #[test]
    fn every_kind_of_sentence_changes_the_scene() {
        let sentences = [
            BEGIN,
            "Then a small blue star comes to the bottom right.",
            "Then the red circle turns green.",
            "Then the green circle becomes a cross.",
            "Then the green cross becomes small.",
            "Then the green cross moves to the top right.",
            "Then the background turns navy.",
        ];
        let told = tell(&sentences).unwrap();
        assert_eq!(
            told,
            "There are a small green cross at the top right and a small blue star at the bottom \
             right. The background is navy."
        );
        assert!(scene_of_caption(&told).is_some());
    }

    #[test]
    fn what_contradicts_the_story_ends_it() {
        for wrong in [
            "Then the blue circle turns green.",
            "Then a small blue star comes to the top left.",
            "Then the red circle turns brown.",
            "Then the red circle becomes large red.",
            "The red circle turns green.",
            "Then the red circle turns green",
            "Then the background turns red.",
        ] {
            assert_eq!(tell(&[BEGIN, wrong]), None, "{wrong}");
        }
        assert_eq!(tell(&["Then the background turns navy."]), None, "nothing has begun");
        let twins = "Then a small red circle comes to the top right.";
        assert_eq!(tell(&[BEGIN, twins, "Then the red circle turns green."]), None, "which one?");
    }
}

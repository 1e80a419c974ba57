//! What requests say: the language that the built-in model was taught, and plain enough for any other. Knows no
//! parameter of the wire.

use std::collections::BTreeMap;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore as _;
use reverie_eval::world::{Background, Colour, Place, Scene, Shape, Size, Thing, caption, draw};
use reverie_proto::{ContentPart, ImageUrl};

use super::Kind;

const SMALL_TALK: [&str; 8] = [
    "Hello there.",
    "Who are you?",
    "What can you do?",
    "What colors do you know?",
    "Which shapes can you draw?",
    "What backgrounds are there?",
    "Thank you very much.",
    "How are you doing?",
];
const QUESTIONS: [&str; 5] = [
    "Describe the picture.",
    "How many shapes are there?",
    "Which color is the background?",
    "What shapes are in the picture?",
    "List the colors of the shapes.",
];

/// The content of one request.
pub(super) fn content(kind: Kind, draws: &mut ChaCha8Rng) -> Vec<ContentPart> {
    match kind {
        Kind::Text => vec![text(words(draws))],
        Kind::Vqa => vec![picture(draws), text((*pick(draws, &QUESTIONS)).to_owned())],
        Kind::Picture => vec![text(told(&scene(draws)))],
        Kind::Document => {
            let thing = thing(draws);
            let (colour, shape) = (thing.colour.name(), thing.shape.name());
            vec![text(format!("Tell a picture story about a {colour} {shape}."))]
        }
    }
}

/// One in four is small talk, the rest wants a description.
fn words(draws: &mut ChaCha8Rng) -> String {
    if draws.next_u32().is_multiple_of(4) {
        return (*pick(draws, &SMALL_TALK)).to_owned();
    }
    format!("Describe {} in words, do not draw it.", told(&scene(draws)))
}

/// `a large red circle at the top left. The background is tan.` as one noun.
fn told(scene: &Scene) -> String {
    let caption = caption(scene);
    let things = caption.strip_prefix("There is ").or_else(|| caption.strip_prefix("There are "));
    let things = things.and_then(|rest| rest.split_once(". ")).map_or("nothing", |(it, _)| it);
    format!("{things} on a {} background", scene.background.name())
}

fn scene(draws: &mut ChaCha8Rng) -> Scene {
    let count = 1 + draws.next_u32() as usize % Place::ALL.len();
    let mut things = BTreeMap::new();
    while things.len() < count {
        things.insert(*pick(draws, Place::ALL), thing(draws));
    }
    Scene { background: *pick(draws, Background::ALL), things }
}

fn thing(draws: &mut ChaCha8Rng) -> Thing {
    Thing {
        shape: *pick(draws, Shape::ALL),
        colour: *pick(draws, Colour::ALL),
        size: *pick(draws, Size::ALL),
    }
}

fn picture(draws: &mut ChaCha8Rng) -> ContentPart {
    let mut file = Cursor::new(Vec::new());
    draw(&scene(draws), [(0, 0); 4])
        .write_to(&mut file, ImageFormat::Png)
        .expect("a picture of 64×64 is written to memory");
    let url = format!("data:image/png;base64,{}", STANDARD.encode(file.into_inner()));
    ContentPart::ImageUrl { image_url: ImageUrl { url, detail: None } }
}

fn text(text: String) -> ContentPart {
    ContentPart::Text { text }
}

/// The lists are short: the remainder's bias is below 1e-8.
fn pick<'a, T>(draws: &mut ChaCha8Rng, list: &'a [T]) -> &'a T {
    &list[draws.next_u32() as usize % list.len()]
}

//! The world and the judge against what Python recorded (`python -m reverie_training vectors`): drawings to
//! the byte, readings of clean and of blemished pictures, verdicts on right and on spoilt answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use image::imageops::crop_imm;
use reverie_eval::suite::CaseLine;
use reverie_eval::verdict::{Answer, AnswerPiece, DrawnPicture, Expectation, judge};
use reverie_eval::world::{
    Attribute, Background, Colour, Hit, Jitter, Place, Reading, SIDE, Scene, Shape, Size, Thing,
    attributes, coverages, draw, honest_sentences, read,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[derive(Deserialize)]
struct Readings {
    masks: String,
    honest: Vec<String>,
    clean: Vec<Recorded>,
    blemished: Vec<Recorded>,
}

/// A scene, and what Python's reader saw in a picture of it.
#[derive(Deserialize)]
struct Recorded {
    #[serde(flatten)]
    packed: Packed,
    seen: Vec<usize>,
    error: f64,
    is_clean: bool,
    #[serde(default)]
    sha256: String,
    #[serde(default)]
    hits: BTreeMap<Attribute, Vec<bool>>,
}

/// A scene by its codes: shape, colour and size of each quarter, one past the last where it is empty.
#[derive(Deserialize)]
struct Packed {
    codes: Vec<usize>,
    jitter: [Jitter; 4],
}

fn scene(codes: &[usize]) -> Scene {
    let thing = |place: &Place| {
        let [shape, colour, size] = [0, 1, 2].map(|part| codes[3 * *place as usize + part]);
        let shape = *Shape::ALL.get(shape)?;
        Some((*place, Thing { shape, colour: Colour::ALL[colour], size: Size::ALL[size] }))
    };
    Scene {
        background: Background::ALL[codes[12]],
        things: Place::ALL.iter().filter_map(thing).collect(),
    }
}

fn drawn(packed: &Packed) -> RgbImage {
    draw(&scene(&packed.codes), packed.jitter)
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn readings() -> Readings {
    let text = std::fs::read(path("readings.json")).expect("recorded readings");
    serde_json::from_slice(&text).expect("readings")
}

struct Sheet(RgbImage);

impl Sheet {
    fn open() -> Self {
        Self(image::open(path("blemished.png")).expect("a sheet").into_rgb8())
    }

    fn tile(&self, number: usize) -> RgbImage {
        let columns = (self.0.width() / SIDE) as usize;
        let (left, top) = ((number % columns) as u32 * SIDE, (number / columns) as u32 * SIDE);
        crop_imm(&self.0, left, top, SIDE, SIDE).to_image()
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn assert_reading(found: &Reading, wanted: &Recorded, number: usize) {
    assert_eq!(found.scene, scene(&wanted.seen), "picture {number}");
    assert!((found.error - wanted.error).abs() < 1e-9, "picture {number}: {}", found.error);
    assert_eq!(found.is_clean, wanted.is_clean, "picture {number}");
}

#[test]
fn every_look_of_every_shape_is_covered_as_in_python() {
    let all: Vec<u8> = coverages().flat_map(|(_, counts)| counts).copied().collect();
    assert_eq!(digest(&all), readings().masks);
}

#[test]
fn drawings_are_byte_equal_and_read_the_same() {
    let clean = readings().clean;
    assert_eq!(clean.len(), 600);
    for (number, recorded) in clean.iter().enumerate() {
        let picture = drawn(&recorded.packed);
        assert_eq!(digest(picture.as_raw()), recorded.sha256, "picture {number}");
        let reading = read(&picture).expect("64×64");
        assert_reading(&reading, recorded, number);
        assert!(reading.shows(&scene(&recorded.packed.codes)), "what is drawn is what is read");
    }
}

#[test]
fn blemished_pictures_are_read_and_judged_the_same() {
    let (blemished, sheet) = (readings().blemished, Sheet::open());
    assert_eq!(blemished.len(), 400);
    for (number, recorded) in blemished.iter().enumerate() {
        let reading = read(&sheet.tile(number)).expect("64×64");
        assert_reading(&reading, recorded, number);
        let hits = attributes(&reading, &scene(&recorded.packed.codes));
        assert_eq!(grouped(&hits), recorded.hits, "picture {number}");
    }
    let clean = blemished.iter().filter(|recorded| recorded.is_clean).count();
    assert!((100..300).contains(&clean), "some are clean and some are not: {clean}");
}

fn grouped(hits: &[Hit]) -> BTreeMap<Attribute, Vec<bool>> {
    // Python names every attribute that a picture can have, also where there is no thing to have it.
    let each = [Attribute::Shape, Attribute::Colour, Attribute::Size];
    let mut groups: BTreeMap<_, Vec<bool>> = each.map(|one| (one, Vec::new())).into();
    for (attribute, hit) in hits {
        groups.entry(*attribute).or_default().push(*hit);
    }
    groups
}

#[test]
fn honest_sentences_are_the_ones_that_are_taught() {
    assert_eq!(honest_sentences().to_vec(), readings().honest);
}

#[derive(Deserialize)]
struct RecordedVerdict {
    expect: Value,
    answer: Vec<Value>,
    right: bool,
    pictures_as_asked: bool,
    attributes: BTreeMap<Attribute, Vec<bool>>,
}

fn expectation(expect: &Value) -> Expectation {
    let line = json!({"name": "", "task": "", "content": [], "expect": expect});
    let line: CaseLine = serde_json::from_value(line).expect("a case");
    line.expect.try_into().expect("an expectation")
}

fn piece(value: &Value, sheet: &Sheet) -> AnswerPiece {
    let picture = match (value.as_str(), value["tile"].as_u64()) {
        (Some(text), _) => return AnswerPiece::Text(text.trim().to_owned()),
        (None, Some(tile)) => sheet.tile(tile as usize),
        (None, None) => drawn(&Packed::deserialize(value).expect("a scene")),
    };
    AnswerPiece::Picture(DrawnPicture::new(Vec::new(), &picture))
}

#[test]
fn verdicts_are_those_of_python() {
    let text = std::fs::read_to_string(path("verdicts.jsonl")).expect("recorded verdicts");
    let sheet = Sheet::open();
    let (mut right, mut wrong) = (0, 0);
    for (number, line) in text.lines().enumerate() {
        let recorded: RecordedVerdict = serde_json::from_str(line).expect("a verdict");
        let pieces = recorded.answer.iter().map(|value| piece(value, &sheet)).collect();
        let verdict = judge(&expectation(&recorded.expect), &Answer { pieces });
        assert_eq!(verdict.is_right(), recorded.right, "line {}: {line}", number + 1);
        assert_eq!(verdict.pictures_as_asked, recorded.pictures_as_asked, "line {}", number + 1);
        if verdict.attributes.is_empty() {
            assert!(recorded.attributes.is_empty(), "line {}", number + 1);
        } else {
            assert_eq!(grouped(&verdict.attributes), recorded.attributes, "line {}", number + 1);
        }
        if recorded.right { right += 1 } else { wrong += 1 }
    }
    assert!(right > 400 && wrong > 400, "both kinds are there: {right} and {wrong}");
}

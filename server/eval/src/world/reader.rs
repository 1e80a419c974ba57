//! The reader: attributes back from any picture of the world's size. Knows nothing of who drew it, and
//! always answers; `is_clean` says whether the picture really looks like what was read.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use super::SIDE;
use super::drawing::{CELL, POINTS, background_rgb, colour_rgb, corner, coverages};
use super::scene::{Background, Colour, Place, Scene, Shape, Size, Thing};

/// A pixel farther than this (RGB, Euclidean, squared) from the background belongs to a thing.
const FOREGROUND_DISTANCE_SQUARED: i32 = 55 * 55;
/// A quarter with fewer such pixels is empty.
const FEWEST_PIXELS: usize = 30;
/// Worst root mean square between the coverage read and the template's.
const CLEAN_TEMPLATE_ERROR: f64 = 0.15;
/// Most foreground pixels that an empty quarter of a clean picture has.
const CLEAN_STRAY_PIXELS: usize = 12;

/// What the reader saw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    /// What it takes the picture for.
    pub scene: Scene,
    /// The worst template error of the things found.
    pub error: f64,
    /// Whether the picture really looks like that.
    pub is_clean: bool,
}

impl Reading {
    /// Clean, and everything as wanted.
    pub fn shows(&self, wanted: &Scene) -> bool {
        self.is_clean && self.scene == *wanted
    }
}

/// What is counted of a picture by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attribute {
    /// What is behind, once a picture.
    Background,
    /// Which quarters are filled, once a picture.
    Places,
    /// Of each wanted thing.
    Shape,
    /// Of each wanted thing.
    Colour,
    /// Of each wanted thing.
    Size,
    /// Whether the picture looks like what was read, once a picture.
    Clean,
    /// All of it, once a picture.
    All,
}

/// One attribute, and whether it is as wanted.
pub type Hit = (Attribute, bool);

struct Template {
    look: (Shape, Size),
    /// Shares, row by row.
    cover: Vec<f64>,
}

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let share = |count: &u8| f64::from(*count) / f64::from(POINTS);
    coverages()
        .map(|(look, counts)| Template { look, cover: counts.iter().map(share).collect() })
        .collect()
});

/// Reads a picture; nothing where it is not 64×64.
pub fn read(picture: &RgbImage) -> Option<Reading> {
    if picture.dimensions() != (SIDE, SIDE) {
        return None;
    }
    let ground = ground(picture);
    let mut things = BTreeMap::new();
    let (mut worst, mut stray) = (0.0_f64, 0);
    for place in Place::ALL {
        let part = part(picture, *place);
        match thing_in(&part, ground) {
            Quarter::Empty { stray: pixels } => stray = stray.max(pixels),
            Quarter::Filled { thing, error } => {
                worst = worst.max(error);
                things.insert(*place, thing);
            }
        }
    }
    let background = nearest(Background::ALL, background_rgb, ground);
    let is_clean = worst < CLEAN_TEMPLATE_ERROR && stray <= CLEAN_STRAY_PIXELS;
    Some(Reading { scene: Scene { background, things }, error: worst, is_clean })
}

/// The colour of the picture's frame and of the lines between the quarters.
fn ground(picture: &RgbImage) -> [i32; 3] {
    let mut pixels = Vec::with_capacity(8 * SIDE as usize);
    for line in [0, SIDE - 1, CELL - 1, CELL] {
        for step in 0..SIDE {
            pixels.push(channels(*picture.get_pixel(step, line)));
            pixels.push(channels(*picture.get_pixel(line, step)));
        }
    }
    median_colour(&pixels)
}

fn channels(Rgb(pixel): Rgb<u8>) -> [i32; 3] {
    pixel.map(i32::from)
}

/// The pixels of a quarter, row by row.
fn part(picture: &RgbImage, place: Place) -> Vec<[i32; 3]> {
    let (left, top) = corner(place);
    let rows = (0..CELL).flat_map(|y| (0..CELL).map(move |x| (x, y)));
    rows.map(|(x, y)| channels(*picture.get_pixel(left + x, top + y))).collect()
}

enum Quarter {
    Empty { stray: usize },
    Filled { thing: Thing, error: f64 },
}

fn thing_in(part: &[[i32; 3]], ground: [i32; 3]) -> Quarter {
    let squared: Vec<i32> = part.iter().map(|pixel| distance_squared(*pixel, ground)).collect();
    let is_front = |distance: &&i32| **distance > FOREGROUND_DISTANCE_SQUARED;
    let front: Vec<i32> = squared.iter().filter(is_front).copied().collect();
    if front.len() < FEWEST_PIXELS {
        return Quarter::Empty { stray: front.len() };
    }
    // The pixels farthest from the background are the ones that no edge has mixed with it. Their least
    // distance is that of a foreground pixel, so none of them is background.
    let core_distance = upper_median(front);
    let core: Vec<[i32; 3]> = part
        .iter()
        .zip(&squared)
        .filter(|(_, distance)| **distance >= core_distance)
        .map(|(pixel, _)| *pixel)
        .collect();
    let colour = nearest(Colour::ALL, colour_rgb, median_colour(&core));
    let cover = cover(part, ground, colour_rgb(colour).map(i32::from));
    let ((shape, size), error) = best_template(&cover);
    Quarter::Filled { thing: Thing { shape, colour, size }, error }
}

/// How far each pixel is on the way from the background to the colour, 0 to 1.
fn cover(part: &[[i32; 3]], ground: [i32; 3], colour: [i32; 3]) -> Vec<f64> {
    let axis = difference(colour, ground);
    let length = dot(axis, axis);
    let share = |pixel: &[i32; 3]| {
        // A background of exactly a thing's colour has no way from one to the other: nothing is covered.
        if length == 0 {
            return 0.0;
        }
        let along = dot(difference(*pixel, ground), axis);
        (f64::from(along) / f64::from(length)).clamp(0.0, 1.0)
    };
    part.iter().map(share).collect()
}

/// The first of the templates with the least root mean square error.
fn best_template(cover: &[f64]) -> ((Shape, Size), f64) {
    let mut best = (TEMPLATES[0].look, f64::INFINITY);
    for template in TEMPLATES.iter() {
        let squares = template.cover.iter().zip(cover).map(|(a, b)| (a - b) * (a - b));
        let error = squares.sum::<f64>() / cover.len() as f64;
        if error < best.1 {
            best = (template.look, error);
        }
    }
    (best.0, best.1.sqrt())
}

fn difference(a: [i32; 3], b: [i32; 3]) -> [i32; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: [i32; 3], b: [i32; 3]) -> i32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn distance_squared(a: [i32; 3], b: [i32; 3]) -> i32 {
    let apart = difference(a, b);
    dot(apart, apart)
}

fn median_colour(pixels: &[[i32; 3]]) -> [i32; 3] {
    [0, 1, 2].map(|channel| upper_median(pixels.iter().map(|pixel| pixel[channel]).collect()))
}

/// The upper median: no averaging, so that every language gets the same number. `values` is not empty.
fn upper_median(mut values: Vec<i32>) -> i32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable(middle).1
}

/// The first of the nearest.
fn nearest<T: Copy>(all: &[T], rgb: impl Fn(T) -> [u8; 3], colour: [i32; 3]) -> T {
    let distance = |value: &T| distance_squared(rgb(*value).map(i32::from), colour);
    let mut best = all[0];
    for value in all {
        if distance(value) < distance(&best) {
            best = *value;
        }
    }
    best
}

/// Every attribute of a reading against the scene that was wanted.
pub fn attributes(reading: &Reading, wanted: &Scene) -> Vec<Hit> {
    let seen = &reading.scene;
    let mut hits = vec![
        (Attribute::Background, seen.background == wanted.background),
        (Attribute::Places, seen.things.keys().eq(wanted.things.keys())),
    ];
    for (place, thing) in &wanted.things {
        let found = seen.things.get(place);
        let has = |same: fn(&Thing, &Thing) -> bool| found.is_some_and(|found| same(found, thing));
        hits.push((Attribute::Shape, has(|a, b| a.shape == b.shape)));
        hits.push((Attribute::Colour, has(|a, b| a.colour == b.colour)));
        hits.push((Attribute::Size, has(|a, b| a.size == b.size)));
    }
    hits.push((Attribute::Clean, reading.is_clean));
    hits.push((Attribute::All, reading.shows(wanted)));
    hits
}

/// The same where only the things count, not their places: those of the arrangement that fits best.
pub fn attributes_anywhere(reading: &Reading, wanted: &Scene) -> Vec<Hit> {
    let score = |hits: &Vec<Hit>| hits.iter().filter(|(_, hit)| *hit).count();
    let mut best = attributes(reading, wanted);
    for order in orders() {
        let hits = attributes(reading, &wanted.rearranged(order));
        if score(&hits) > score(&best) {
            best = hits;
        }
    }
    best
}

/// The 24 ways to deal four quarters.
fn orders() -> impl Iterator<Item = [Place; 4]> {
    (0..256_usize)
        .map(|number| [0, 2, 4, 6].map(|shift| Place::ALL[(number >> shift) & 3]))
        .filter(|order| Place::ALL.iter().all(|place| order.contains(place)))
}

//! How a scene is drawn: analytic, by point tests on an 8×8 sub-grid of every pixel, so that any language
//! draws the same bytes. Knows colours and outlines; no reader.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::sync::LazyLock;

use image::{Rgb, RgbImage};

use super::SIDE;
use super::scene::{Background, Colour, Place, Scene, Shape, Size};

/// Pixels of a quarter's side.
pub(super) const CELL: u32 = SIDE / 2;
/// Points tested along a pixel's side.
const SUBPIXELS: u32 = 8;
/// Points tested in a pixel.
pub(super) const POINTS: i32 = (SUBPIXELS * SUBPIXELS) as i32;

/// How far a thing is from its quarter's centre, whole pixels to the right and down.
pub type Jitter = (i8, i8);

/// Which of each pixel's 64 points a shape covers: counts, row by row, of one quarter.
pub(super) type Coverage = Vec<u8>;

pub(super) const fn colour_rgb(colour: Colour) -> [u8; 3] {
    match colour {
        Colour::Red => [215, 35, 40],
        Colour::Green => [40, 165, 65],
        Colour::Blue => [45, 85, 230],
        Colour::Yellow => [245, 215, 45],
        Colour::Purple => [135, 50, 185],
        Colour::Orange => [245, 130, 25],
        Colour::Cyan => [55, 205, 220],
        Colour::Pink => [245, 135, 195],
    }
}

pub(super) const fn background_rgb(background: Background) -> [u8; 3] {
    match background {
        Background::White => [246, 246, 246],
        Background::Black => [16, 16, 18],
        Background::Gray => [128, 128, 130],
        Background::Tan => [205, 180, 140],
        Background::Navy => [22, 32, 88],
    }
}

fn radius(size: Size) -> f64 {
    match size {
        Size::Small => 8.5,
        Size::Large => 13.0,
    }
}

/// A thing is off its quarter's centre by at most so many pixels.
fn reach(size: Size) -> i8 {
    match size {
        Size::Small => 2,
        Size::Large => 1,
    }
}

/// The upper left pixel of a quarter, (x, y).
pub(super) fn corner(place: Place) -> (u32, u32) {
    let cell = place as u32;
    ((cell % 2) * CELL, (cell / 2) * CELL)
}

/// Every look of every shape: each size, each jitter.
static LOOKS: LazyLock<BTreeMap<(Shape, Size, Jitter), Coverage>> = LazyLock::new(|| {
    let mut looks = BTreeMap::new();
    for &shape in Shape::ALL {
        for &size in Size::ALL {
            let range = -reach(size)..=reach(size);
            for jitter in range.clone().flat_map(|dx| range.clone().map(move |dy| (dx, dy))) {
                looks.insert((shape, size, jitter), coverage(shape, size, jitter));
            }
        }
    }
    looks
});

/// The picture of a scene, 64×64. `jitter` is by quarter, in reading order; what would take a thing too near
/// its quarter's edge is cut down.
pub fn draw(scene: &Scene, jitter: [Jitter; 4]) -> RgbImage {
    let mut picture = RgbImage::from_pixel(SIDE, SIDE, Rgb(background_rgb(scene.background)));
    for (place, thing) in &scene.things {
        let colour = colour_rgb(thing.colour);
        let (left, top) = corner(*place);
        let reach = reach(thing.size);
        let (dx, dy) = jitter[*place as usize];
        let jitter = (dx.clamp(-reach, reach), dy.clamp(-reach, reach));
        let cover = &LOOKS[&(thing.shape, thing.size, jitter)];
        for (number, count) in (0..).zip(cover) {
            let Rgb(pixel) = picture.get_pixel_mut(left + number % CELL, top + number / CELL);
            for (channel, ink) in pixel.iter_mut().zip(colour) {
                *channel = blend(*channel, ink, *count);
            }
        }
    }
    picture
}

/// `count` of 64 parts ink, the rest paper, rounded half up.
fn blend(paper: u8, ink: u8, count: u8) -> u8 {
    let (paper, ink, count) = (i32::from(paper), i32::from(ink), i32::from(count));
    let mixed = (paper * (POINTS - count) + ink * count + POINTS / 2) / POINTS;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}

/// Every look of every shape, in the order of Python's `_templates`.
pub fn coverages() -> impl Iterator<Item = ((Shape, Size), &'static [u8])> {
    LOOKS.iter().map(|((shape, size, _), cover)| ((*shape, *size), cover.as_slice()))
}

fn coverage(shape: Shape, size: Size, (dx, dy): Jitter) -> Coverage {
    let radius = radius(size);
    let corners = outline(shape, radius);
    let point = |step: u32, off: i8| {
        (f64::from(step) + 0.5) / f64::from(SUBPIXELS) - f64::from(CELL) / 2.0 - f64::from(off)
    };
    let mut counts = vec![0; (CELL * CELL) as usize];
    for row in 0..CELL * SUBPIXELS {
        let y = point(row, dy);
        for column in 0..CELL * SUBPIXELS {
            let x = point(column, dx);
            let inside = match shape {
                Shape::Circle => x * x + y * y <= (0.97 * radius).powi(2),
                Shape::Square | Shape::Triangle | Shape::Star | Shape::Diamond | Shape::Cross => {
                    is_inside(&corners, x, y)
                }
            };
            let pixel = (row / SUBPIXELS) * CELL + column / SUBPIXELS;
            counts[pixel as usize] += u8::from(inside);
        }
    }
    counts
}

/// Even-odd rule. The order of operations is Python's: a point on an edge must fall on the same side.
fn is_inside(corners: &[(f64, f64)], x: f64, y: f64) -> bool {
    let mut inside = false;
    for (number, &(xa, ya)) in corners.iter().enumerate() {
        let (xb, yb) = corners[(number + 1) % corners.len()];
        if (ya > y) != (yb > y) {
            inside ^= x < (xb - xa) * (y - ya) / (yb - ya) + xa;
        }
    }
    inside
}

/// Corners around the origin, y downwards; a circle has none.
fn outline(shape: Shape, radius: f64) -> Vec<(f64, f64)> {
    match shape {
        Shape::Circle => Vec::new(),
        Shape::Square => {
            let a = radius * 0.9;
            vec![(-a, -a), (a, -a), (a, a), (-a, a)]
        }
        Shape::Triangle => {
            vec![(0.0, -radius), (radius, radius * 0.85), (-radius, radius * 0.85)]
        }
        Shape::Diamond => {
            vec![(0.0, -radius), (radius * 0.78, 0.0), (0.0, radius), (-radius * 0.78, 0.0)]
        }
        Shape::Star => (0..10).map(|corner| star_corner(corner, radius)).collect(),
        Shape::Cross => {
            let (a, b) = (radius * 0.34, radius);
            let right = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a)];
            let left = [(a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)];
            [right, left].concat()
        }
    }
}

fn star_corner(corner: i32, radius: f64) -> (f64, f64) {
    let reach = radius * if corner % 2 == 0 { 1.08 } else { 0.45 };
    let angle = -PI / 2.0 + f64::from(corner) * PI / 5.0;
    (reach * angle.cos(), reach * angle.sin())
}

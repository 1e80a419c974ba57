//! What the gate before the decoders costs, counted in bytes that were asked for. A binary of its own, for the counter
//! sees everything that the process does.

#[path = "../../tests/pictures/picture_headers.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod picture_headers;

use std::alloc::System;
use std::hint::black_box;
use std::time::Instant;

use picture_headers::{gif_header, jpeg_header, png_header, riff, vp8l};
use reverie_model::PictureError;
use reverie_model::picture_codec::{PictureLimits, decode};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The daemon's own.
const LIMITS: PictureLimits =
    PictureLimits { max_pixels: 1 << 25, max_side: 16_384, max_aspect_ratio: 200 };
/// Enough to see the clock's tick.
const ROUNDS: u32 = 1000;

/// Thirty-eight bytes that promise 13,000 x 13,000 pixels: 1.1 GiB in a decoder that believes them.
fn webp() -> Vec<u8> {
    let mut data = vp8l(13_000, 13_000);
    data.resize(18, 0);
    riff(&[(b"VP8L", data)])
}

/// A PNG; whatever follows its header is not looked at.
fn png() -> Vec<u8> {
    let mut file = png_header(20_000, 20_000);
    file.resize(1 << 20, 0x5a);
    file
}

/// A JPEG whose frame comes behind ten megabytes of other segments.
fn jpeg() -> Vec<u8> {
    let mut file = b"\xff\xd8".to_vec();
    for _ in 0..160 {
        file.extend(b"\xff\xe2\xff\xff");
        file.resize(file.len() + 0xfffd, 0);
    }
    file.extend(&jpeg_header(65_535, 65_535)[2..]);
    file
}

#[test]
fn a_bomb_costs_no_memory_at_all() {
    for (name, file) in
        [("webp", webp()), ("png", png()), ("jpeg", jpeg()), ("gif", gif_header(65_535, 65_535))]
    {
        let region = Region::new(ALLOCATOR);
        let refused = decode(black_box(&file), &LIMITS);
        let taken = region.change();
        assert!(matches!(refused, Err(PictureError::TooLarge { .. })), "{name}: {refused:?}");
        assert_eq!((taken.allocations, taken.bytes_allocated), (0, 0), "{name}");
        let since = Instant::now();
        for _ in 0..ROUNDS {
            let _refused = black_box(decode(black_box(&file), &LIMITS));
        }
        println!("{name}: {:?} each", since.elapsed() / ROUNDS);
    }
}

//! Pictures that wait are held as the vision tower will see them: this must change no number.

use candle_core::Device;
use reverie_model::Picture;
use reverie_model::config::PreprocessConfig;
use reverie_model::vision::{as_seen, preprocess};

/// Every byte from a linear congruential generator, so that no resize is trivial.
fn noisy(width: u32, height: u32) -> Picture {
    let mut state = width.wrapping_mul(31).wrapping_add(height);
    let bytes = (0..width * height * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Picture::new(width, height, bytes.collect())
}

fn values(picture: &Picture, config: &PreprocessConfig) -> Vec<f32> {
    let pixels = preprocess(picture, config, &Device::Cpu).expect("the CPU takes any picture");
    pixels.flatten_all().and_then(|flat| flat.to_vec1()).expect("floats")
}

const SIZES: [(u32, u32); 10] = [
    (1, 1),
    (28, 28),
    (28, 29),
    (57, 28),
    (3, 200),
    (200, 3),
    (101, 77),
    (77, 101),
    (300, 299),
    (27, 1),
];

#[test]
fn the_tower_sees_the_same_bits_of_a_picture_and_of_what_is_kept_of_it() {
    let square = PreprocessConfig::for_side(28);
    let small_crop = PreprocessConfig { shortest_edge: 33, ..square.clone() };
    let large_crop = PreprocessConfig { shortest_edge: 20, ..square.clone() };
    let flat_crop = PreprocessConfig { crop_height: 14, ..square.clone() };
    for config in [square, small_crop, large_crop, flat_crop] {
        for (width, height) in SIZES {
            let picture = noisy(width, height);
            let kept = as_seen(&picture, &config);
            assert_eq!(
                values(&kept, &config),
                values(&picture, &config),
                "{width}x{height}, {config:?}"
            );
            assert_eq!(as_seen(&kept, &config), kept, "shrinking twice changes nothing");
        }
    }
}

#[test]
fn what_is_kept_of_a_picture_does_not_grow_with_it() {
    let config = PreprocessConfig::for_side(28);
    for (width, height) in SIZES {
        let kept = as_seen(&noisy(width, height), &config);
        assert_eq!((kept.width(), kept.height()), (28, 28));
    }
}

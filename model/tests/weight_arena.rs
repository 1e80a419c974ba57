//! Weights that are kept once for all who want the same: what comes out is the same, and so is the memory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reverie_kernels::{Conv2d, ConvGeometry, Cpu, Line, Linear, Padding, SharedLines, Store};
use reverie_model::WeightArena;

const SHAPE: (usize, usize) = (33, 300);

/// An empty file of its own, gone with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("reverie-{name}-{}", std::process::id()));
        File::create(&path).expect("a file");
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn len(&self) -> u64 {
        self.0.metadata().expect("a file").len()
    }

    fn arena(&self) -> WeightArena {
        WeightArena::open(&self.0).expect("an arena")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("a file");
    }
}

/// The way into `arena`.
fn keep(arena: &WeightArena) -> impl FnOnce(&[Line]) -> io::Result<Option<Arc<dyn SharedLines>>> {
    |lines| arena.keep(lines).map(Some)
}

fn weight(seed: usize) -> Vec<f32> {
    (0..SHAPE.0 * SHAPE.1).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 1000.0).collect()
}

fn layer(seed: usize) -> Linear {
    Linear::new(&weight(seed), Some(vec![0.5; SHAPE.0]), SHAPE)
}

fn forward(layer: &Linear) -> Vec<u32> {
    let xs: Vec<f32> = (0..3 * SHAPE.1).map(|i| (i % 17) as f32 - 8.0).collect();
    let mut out = vec![0.0; 3 * SHAPE.0];
    layer.forward(Cpu::detect(), &xs, Store::Overwrite, &mut out);
    out.into_iter().map(f32::to_bits).collect()
}

#[test]
fn what_is_kept_computes_the_same_and_equal_weights_are_kept_once() {
    let place = Place::new("arena-once");
    let (one, other) = (place.arena(), place.arena());
    let first = layer(1).shared(keep(&one)).expect("kept");
    let len = place.len();
    assert!(len > (SHAPE.0 * SHAPE.1 * 4) as u64);
    let again = layer(1).shared(keep(&one)).expect("kept");
    let elsewhere = layer(1).shared(keep(&other)).expect("kept");
    assert_eq!(place.len(), len, "nothing is written a second time");
    let different = layer(2).shared(keep(&other)).expect("kept");
    assert!(place.len() > len);
    for kept in [first, again, elsewhere] {
        assert_eq!(forward(&kept), forward(&layer(1)));
    }
    assert_eq!(forward(&different), forward(&layer(2)));
    assert_ne!(forward(&different), forward(&layer(1)));
    assert_eq!(
        forward(&layer(2).shared(|_| Ok::<_, io::Error>(None)).expect("its own")),
        forward(&layer(2))
    );

    // Whoever comes later finds both; maps outlive the arenas.
    let late = place.arena();
    let len = place.len();
    let found = [1, 2].map(|seed| layer(seed).shared(keep(&late)).expect("kept"));
    drop((one, other, late));
    assert_eq!(place.len(), len);
    assert_eq!(forward(&found[0]), forward(&layer(1)));
    assert_eq!(forward(&found[1]), forward(&layer(2)));
}

#[test]
fn convolutions_are_kept_too() {
    let place = Place::new("arena-convolution");
    let arena = place.arena();
    let geometry = ConvGeometry { kernel: 3, stride: 1, padding: Padding { near: 1, far: 1 } };
    let convolution = || Conv2d::new(&weight(3)[..33 * 9 * 9], None, (33, 9), geometry);
    convolution().shared(keep(&arena)).expect("kept");
    let len = place.len();
    convolution().shared(keep(&arena)).expect("kept");
    assert_eq!(place.len(), len);
}

#[test]
fn what_a_process_left_unfinished_is_overwritten() {
    let place = Place::new("arena-unfinished");
    layer(1).shared(keep(&place.arena())).expect("kept");
    let end = place.len().next_multiple_of(4096);
    let file = OpenOptions::new().write(true).open(place.path()).expect("a file");
    // Lines and the number of their bytes, but no name yet: more of them than what is written next.
    file.write_all_at(&[0xff; 8], end + 32).expect("written");
    file.write_all_at(&[0xff; 1 << 20], end + 4096).expect("written");
    let arena = place.arena();
    for seed in [2, 3] {
        assert_eq!(
            forward(&layer(seed).shared(keep(&arena)).expect("kept")),
            forward(&layer(seed))
        );
    }
    let late = place.arena();
    let len = place.len();
    for seed in [1, 2, 3] {
        assert_eq!(forward(&layer(seed).shared(keep(&late)).expect("kept")), forward(&layer(seed)));
    }
    assert_eq!(place.len(), len);
}

#[test]
fn many_at_once_keep_each_matrix_once() {
    let place = Place::new("arena-many");
    let alone = Place::new("arena-alone");
    for seed in 0..8 {
        layer(seed).shared(keep(&alone.arena())).expect("kept");
    }
    std::thread::scope(|scope| {
        for start in 0..4 {
            let arena = place.arena();
            scope.spawn(move || {
                for seed in (0..8).map(|seed| (start * 2 + seed) % 8) {
                    let kept = layer(seed).shared(keep(&arena)).expect("kept");
                    assert_eq!(forward(&kept), forward(&layer(seed)));
                }
            });
        }
    });
    assert_eq!(place.len(), alone.len());
}

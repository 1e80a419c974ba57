//! Every target with what it is fed at first, and with nothing: so that a target which no longer holds is seen without
//! a fuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use reverie_fuzz::TARGETS;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).map(|entries| entries.map(|entry| entry.expect("an entry").path()));
    let mut files: Vec<PathBuf> = entries.map(Iterator::collect).unwrap_or_default();
    files.sort();
    files
}

#[test]
fn every_target_takes_its_seeds_and_half_of_each() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, target) in TARGETS {
        target(b"");
        let mut seeds = files(&here.join("seeds").join(name));
        if name.starts_with("picture_") && name != "picture_url" {
            seeds.extend(files(&here.join("../pictures/inputs")));
        }
        assert!(!seeds.is_empty(), "{name} has seeds");
        for seed in seeds {
            let bytes = fs::read(&seed).expect("a seed");
            println!("{name} {}", seed.display());
            target(&bytes);
            target(&bytes[..bytes.len() / 2]);
        }
    }
}

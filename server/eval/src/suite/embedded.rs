//! The suites inside the binary, so that any copy of it can judge itself and any server. Knows files only.

use std::io;

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "suites/"]
struct Suites;

/// What the suites inside the binary are called.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = Suites::iter()
        .filter_map(|path| path.strip_suffix("/suite.jsonl").map(str::to_owned))
        .collect();
    names.sort();
    names
}

pub(super) fn read(name: &str, file: &str) -> io::Result<Vec<u8>> {
    let path = format!("{name}/{file}");
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    Suites::get(&path).map(|file| file.data.into_owned()).ok_or_else(missing)
}

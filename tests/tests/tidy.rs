//! The rules of ARCHITECTURE.md that a machine can keep. Knows text, runs nothing.

use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILE_LINES: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

/// All files below `folder` (relative to the root) whose name ends with `suffix`.
fn files(folder: &str, suffix: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, suffix: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the folder is readable") {
            let path = entry.expect("the entry is readable").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, suffix, found);
            } else if name.ends_with(suffix) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), suffix, &mut found);
    found.sort();
    found
}

fn rust_files() -> Vec<(PathBuf, String)> {
    ["proto", "model", "server", "tests"]
        .iter()
        .flat_map(|folder| files(folder, ".rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("the file is UTF-8");
            (path.strip_prefix(root()).expect("below the root").to_owned(), text)
        })
        .collect()
}

fn assert_none(what: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

/// Names below `[dependencies]`-like tables of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    dependencies_of(manifest, "dependencies")
}

/// Names below the tables of a manifest whose headings contain `heading`.
fn dependencies_of(manifest: &str, heading: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).expect("the manifest is readable");
    let mut inside = false;
    let mut names = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.contains(heading);
        } else if let Some((name, _)) = line.split_once(['=', '.']).filter(|_| inside) {
            names.push(name.trim().to_owned());
        }
    }
    names
}

#[test]
fn every_file_says_what_it_is() {
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("files without a `//!` header", &offenders);
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > MAX_FILE_LINES)
        .map(|(path, text)| format!("{} has {} lines", path.display(), text.lines().count()))
        .collect();
    assert_none("files over the limit", &offenders);
}

#[test]
fn every_file_of_the_page_says_what_it_is_and_writes_no_markup() {
    let page: Vec<_> = ["server/playground", "server/api_page", "tests/browser"]
        .iter()
        .flat_map(|folder| files(folder, ".js"))
        .filter(|path| !path.components().any(|part| part.as_os_str() == "node_modules"))
        .collect();
    assert!(page.len() > 12, "the page has its files");
    let mut offenders = Vec::new();
    for path in page {
        let text = fs::read_to_string(&path).expect("the file is UTF-8");
        let markup = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("];
        if !text.starts_with("// ")
            || text.lines().count() > MAX_FILE_LINES
            || markup.iter().any(|way| text.contains(way))
        {
            offenders.push(path.display().to_string());
        }
    }
    assert_none("headless, too long, or making markup of strings", &offenders);
}

#[test]
fn files_are_named_by_a_noun_of_the_field() {
    let banned = ["utils", "util", "common", "helpers", "misc", "types", "shared"];
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(path, _)| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            banned.contains(&stem) || stem.ends_with("_utils")
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("files with a name that says nothing", &offenders);
}

#[test]
fn leaf_crates_do_not_know_each_other_or_the_trunk() {
    let wire = ["schemars", "serde", "serde_json", "serde_path_to_error", "thiserror"];
    for name in dependencies("proto/Cargo.toml") {
        assert!(wire.contains(&name.as_str()), "proto must not depend on {name}");
    }
    assert_eq!(
        dependencies("server/scheduler/Cargo.toml"),
        Vec::<String>::new(),
        "the scheduler has no dependency"
    );
    let trunk =
        ["reverie-model", "reverie-kernels", "reverie-scheduler", "reverie-server", "candle"];
    for (leaf, more) in [("eval", "tokio"), ("bench", "axum")] {
        // What a leaf's tests need is no matter of its own.
        for name in dependencies_of(&format!("server/{leaf}/Cargo.toml"), "[dependencies]") {
            assert!(
                !trunk.iter().chain(&[more]).any(|prefix| name.starts_with(prefix)),
                "{leaf} must not depend on {name}"
            );
        }
    }
    assert_eq!(dependencies("model/kernels/Cargo.toml"), ["rayon"], "kernels know slices only");
    let banned = ["tokio", "futures", "axum", "tower", "hyper", "reverie", "reqwest", "async"];
    for name in dependencies("model/Cargo.toml") {
        assert!(
            name == "reverie-kernels" || !banned.iter().any(|prefix| name.starts_with(prefix)),
            "model must not depend on {name}"
        );
    }
}

#[test]
fn folders_import_only_what_the_map_allows() {
    let rules: [(&str, &[&str]); 5] = [
        ("server/src/http/", &["candle_core", "candle_nn", "reverie_scheduler"]),
        ("server/src/engine/", &["axum", "tower", "reverie_proto", "serde"]),
        ("server/scheduler/src/", &["std::time", "std::thread", "std::fs", "std::net", "std::io"]),
        ("model/src/", &["std::thread", "std::net", "reverie_proto", "reverie_server"]),
        ("model/kernels/src/", &["std::thread", "std::fs", "std::net", "std::time", "candle_core"]),
    ];
    // Compiling a schema needs a deeper stack than callers have, and a thread is how one is had.
    let deep_stack = "model/src/json_grammar.rs";
    let mut offenders = Vec::new();
    for (path, text) in rust_files() {
        if path.ends_with(deep_stack) {
            continue;
        }
        let Some((_, banned)) = rules.iter().find(|(folder, _)| path.starts_with(folder)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if banned.iter().any(|name| {
                code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"))
            }) {
                offenders.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert_none("imports against the arrows", &offenders);
}

#[test]
fn unsafe_code_lives_in_the_audited_files() {
    let audited = [
        "model/src/checkpoint/mmap.rs",
        "model/kernels/src/isa/avx2.rs",
        "model/kernels/src/isa/avx512.rs",
        "model/src/weight_arena.rs",
    ];
    let keyword = concat!("uns", "afe ");
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(path, text)| {
            let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            let uses = code.clone().any(|line| {
                line.contains(&format!("{keyword}{{")) || line.contains(&format!("{keyword}fn"))
            });
            uses && !audited.iter().any(|file| path.ends_with(file))
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("unsafe code outside the audited files", &offenders);
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = ["TODO", "FIXME", "XXX", "HACK", "todo!", "unimplemented!", "#[ignore"];
    let offenders: Vec<_> = rust_files()
        .into_iter()
        .filter(|(path, _)| !path.ends_with("tidy.rs"))
        .flat_map(|(path, text)| {
            text.lines()
                .enumerate()
                .filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)))
                .map(|(number, line)| format!("{}:{}: {}", path.display(), number + 1, line.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_none("unfinished marks", &offenders);
}

#[test]
fn the_scheduler_keeps_its_own_banned_calls() {
    // A folder's clippy.toml replaces the root's: the thresholds must be repeated there.
    let own = fs::read_to_string(root().join("server/scheduler/clippy.toml")).expect("it exists");
    for rule in [
        "too-many-lines-threshold = 70",
        "too-many-arguments-threshold = 5",
        "Instant::now",
        "HashMap",
    ] {
        assert!(own.contains(rule), "server/scheduler/clippy.toml lacks {rule}");
    }
}

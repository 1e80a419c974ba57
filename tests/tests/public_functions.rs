//! Keeps `docs/public-functions.md`, the table of public functions, equal to the sources.
//! Run with `REVERIE_UPDATE_DOCS=1` to write it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the entry is readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

struct PublicFunction {
    owner: Option<String>,
    name: String,
    summary: String,
}

/// The type that an `impl` line is about: `impl<'a> Trait for Type<'a> {` → `Type`.
fn impl_owner(line: &str) -> String {
    let subject = line.rsplit(" for ").next().unwrap_or(line);
    let subject = subject.trim_start_matches("impl").trim_start();
    let subject = if let Some(rest) = subject.strip_prefix('<') {
        rest.split_once('>').map_or(rest, |(_, tail)| tail)
    } else {
        subject
    };
    subject.trim().chars().take_while(|symbol| symbol.is_alphanumeric() || *symbol == '_').collect()
}

fn public_functions(text: &str) -> Vec<PublicFunction> {
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    let (mut owner, mut docs, mut found) = (None, Vec::new(), Vec::new());
    for line in code.lines() {
        let trimmed = line.trim_start();
        if line.starts_with("impl") {
            owner = Some(impl_owner(line));
        } else if line.starts_with('}') {
            owner = None;
        }
        if let Some(doc) = trimmed.strip_prefix("///") {
            docs.push(doc.trim().to_owned());
            continue;
        }
        if trimmed.starts_with("#[") {
            continue;
        }
        let signature = trimmed
            .strip_prefix("pub ")
            .map(|rest| rest.trim_start_matches("const ").trim_start_matches("async "));
        if let Some(name) = signature.and_then(|rest| rest.strip_prefix("fn ")) {
            let name = name
                .chars()
                .take_while(|symbol| symbol.is_alphanumeric() || *symbol == '_')
                .collect();
            let paragraph: Vec<_> =
                docs.iter().take_while(|doc| !doc.is_empty()).cloned().collect();
            found.push(PublicFunction {
                owner: owner.clone(),
                name,
                summary: paragraph.join(" ").replace('|', "\\|"),
            });
        }
        docs.clear();
    }
    found
}

fn table() -> String {
    let mut text = String::from(
        "# Public functions\n\nGenerated from the sources (`REVERIE_UPDATE_DOCS=1 cargo test -p reverie-tests --test public_functions`);\n\
         a test keeps it current. Shapes, units, errors and sources stand in full in the docstrings (`cargo doc --open`).\n",
    );
    for (title, folder) in [
        ("reverie-proto", "proto/src"),
        ("reverie-scheduler", "server/scheduler/src"),
        ("reverie-eval", "server/eval/src"),
        ("reverie-bench", "server/bench/src"),
        ("reverie-model", "model/src"),
        ("reverie-kernels", "model/kernels/src"),
        ("reverie-server", "server/src"),
    ] {
        let _ = write!(
            text,
            "\n## {title}\n\n| file | function | what it does |\n| --- | --- | --- |\n"
        );
        let mut files = Vec::new();
        sources(&root().join(folder), &mut files);
        files.sort();
        for file in files {
            let shown = file
                .strip_prefix(root().join(folder))
                .expect("below the folder")
                .display()
                .to_string();
            for function in public_functions(&fs::read_to_string(&file).expect("readable")) {
                let owner = function.owner.map_or_else(String::new, |owner| format!("{owner}::"));
                let _ = writeln!(
                    text,
                    "| {shown} | `{owner}{}` | {} |",
                    function.name, function.summary
                );
            }
        }
    }
    text
}

#[test]
fn the_table_of_public_functions_is_current_and_every_function_is_described() {
    let wanted = table();
    for line in wanted.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        assert!(!line.ends_with("|  |"), "no docstring: {line}");
    }
    let path = root().join("docs/public-functions.md");
    if std::env::var_os("REVERIE_UPDATE_DOCS").is_some() {
        fs::create_dir_all(root().join("docs")).expect("docs/ can be made");
        fs::write(&path, &wanted).expect("the table can be written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "docs/public-functions.md is stale: run with REVERIE_UPDATE_DOCS=1");
}

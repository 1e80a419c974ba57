//! The suites inside the binary, and suites of one's own: what they hold, and what is wrong with broken ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reverie_eval::suite::{Case, Content, SuiteError, names, open};
use reverie_eval::verdict::Expectation;
use reverie_eval::world::read;

/// A folder that is removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("reverie-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a written file");
        path.to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _best_effort = std::fs::remove_dir_all(&self.0);
    }
}

fn counts(cases: &[Case]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    cases.iter().for_each(|case| *counts.entry(case.line.task.as_str()).or_default() += 1);
    counts
}

#[test]
fn the_named_suites_are_large_enough_and_whole() {
    let words = ["caption", "questions", "comparison", "chat", "outside"];
    let drawn = ["drawing", "editing", "subject", "composition", "steps", "story", "planning"];
    for (name, of_words, of_pictures) in [("test", 500, 200), ("held-out", 200, 100)] {
        assert!(names().contains(&name.to_owned()));
        let cases = open(name).unwrap();
        let counts = counts(&cases);
        assert_eq!(counts.len(), words.len() + drawn.len());
        assert!(words.iter().all(|task| counts[task] >= of_words), "{counts:?}");
        assert!(drawn.iter().all(|task| counts[task] >= of_pictures), "{counts:?}");
        assert!(cases.iter().all(|case| case.line.split == name));
    }
}

#[test]
fn pictures_of_the_suites_show_what_captions_say() {
    for case in open("test").unwrap().iter().filter(|case| case.line.task == "caption").take(60) {
        let Expectation::Answer(wanted) = &case.expected else { panic!("a caption is words") };
        let picture = case.content.iter().find_map(|content| match content {
            Content::Picture(file) => Some(image::load_from_memory(file).unwrap().into_rgb8()),
            Content::Text(_) => None,
        });
        let reading = read(&picture.expect("a picture")).unwrap();
        assert_eq!(&reverie_eval::world::caption(&reading.scene), wanted, "{}", case.line.name);
    }
}

const SCENE: &str = r#"{"type":"scene","scene":{"background":"tan","things":{"top left":{"shape":"star","colour":"red","size":"large"}}}}"#;

#[test]
fn a_suite_of_ones_own_names_files_and_scenes() {
    let scratch = Scratch::new("own-suite");
    let file = image::RgbImage::from_pixel(5, 7, image::Rgb([9, 8, 7]));
    file.save(scratch.0.join("mine.png")).unwrap();
    let suite = scratch.write(
        "mine.jsonl",
        &format!(
            "{}\n\n{}\n",
            r#"{"name":"a","task":"vqa","content":[{"type":"image","file":"mine.png"},{"type":"text","text":"What?"}],"expect":{"answers":["a cat","cat","dog"]}}"#,
            format_args!(r#"{{"name":"b","task":"look","content":[{SCENE}],"expect":{{"words":["star"],"not":["circle"]}}}}"#),
        ),
    );
    let cases = open(&suite).unwrap();
    assert_eq!(cases.len(), 2);
    let file = std::fs::read(scratch.0.join("mine.png")).unwrap();
    assert_eq!(cases[0].content[0], Content::Picture(file), "a file is sent as it is");
    assert_eq!(cases[0].line.split, "own");
    assert!(matches!(cases[1].expected, Expectation::Words { .. }));
}

#[test]
fn a_broken_suite_says_in_which_line_and_why() {
    let scratch = Scratch::new("broken-suite");
    let good = r#"{"name":"a","task":"t","content":[],"expect":{"picture":true}}"#;
    for (second, reason) in [
        ("{", "EOF"),
        (good, "a second case called a"),
        (r#"{"name":"b","task":"t","content":[],"expect":{}}"#, "`expect` needs one of"),
        (r#"{"name":"b","task":"t","content":[],"expect":{"answer":"x"},"more":1}"#, "more"),
        (
            r#"{"name":"b","task":"t","content":[{"type":"image","file":"no.png"}],"expect":{"answer":"x"}}"#,
            "no.png",
        ),
        (
            r#"{"name":"b","task":"t","content":[{"type":"image","file":"sheet.png","tile":9}],"expect":{"answer":"x"}}"#,
            "has 2 tiles",
        ),
    ] {
        image::RgbImage::new(128, 64).save(scratch.0.join("sheet.png")).unwrap();
        let suite = scratch.write("broken.jsonl", &format!("{good}\n{second}\n"));
        let error = open(&suite).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains(reason), "{error}");
    }
    assert!(matches!(open("no-such-suite"), Err(SuiteError::Unknown { .. })));
    assert!(Path::new(&scratch.0).exists());
}

#[test]
fn the_freely_written_prompts_are_enough() {
    let cases = open("free").unwrap();
    let of = |split: &str| cases.iter().filter(|case| case.line.split == split).count();
    assert!(of("free") >= 150 && of("outside") >= 100);
    assert_eq!(of("free") + of("outside"), cases.len());
}

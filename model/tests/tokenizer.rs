//! The tokenizer against the reference's vectors and against sentencepiece itself. Knows no model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use reverie_model::tokenizer::Tokenizer;
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const CONTROL: [&str; 11] = [
    "<unk>",
    "<s>",
    "</s>",
    "[PAD]",
    "<image>",
    "<im_patch>",
    "<im_start>",
    "<im_end>",
    "<dream>",
    "<dream_start>",
    "<dream_end>",
];

fn path(relative: &str) -> PathBuf {
    Path::new(ROOT).join(relative)
}

fn json(relative: &str) -> Value {
    serde_json::from_slice(&std::fs::read(path(relative)).unwrap()).unwrap()
}

fn golden() -> Tokenizer {
    Tokenizer::load(&path("tests/goldens/checkpoint"), 488).unwrap()
}

fn mini() -> Tokenizer {
    Tokenizer::load(&path("assets/mini"), 1536).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn check_rows(tokenizer: &Tokenizer) {
    let cases = json("tests/goldens/vectors/tokenizer_cases.json");
    let rows = cases["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 42);
    for row in rows {
        let text = row["text"].as_str().unwrap();
        let expected = ids(&row["ids"]);
        assert_eq!(tokenizer.encode_with_control(text), expected, "ids of {text:?}");
        let tokens: Vec<String> = expected.iter().map(|id| tokenizer.token(*id).unwrap()).collect();
        assert_eq!(row["tokens"], serde_json::json!(tokens), "tokens of {text:?}");
        assert_eq!(row["decode"], tokenizer.decode(&expected, false).as_str(), "{text:?}");
        assert_eq!(
            row["decode_skip_special"],
            tokenizer.decode(&expected, true).as_str(),
            "{text:?}"
        );
    }
}

#[test]
fn every_golden_row_is_reproduced() {
    check_rows(&golden());
}

#[test]
fn a_tokenizer_json_alone_gives_the_golden_rows() {
    let folder = Folder::new("json-alone");
    folder.copy("tests/goldens/extras/tokenizer.json", "tokenizer.json");
    folder.copy("tests/goldens/checkpoint/tokenizer_config.json", "tokenizer_config.json");
    check_rows(&Tokenizer::load(&folder.0, 488).unwrap());
}

#[test]
fn a_written_tokenizer_json_gives_the_same_ids() {
    let folder = Folder::new("round-trip");
    std::fs::write(folder.0.join("tokenizer.json"), golden().to_json()).unwrap();
    check_rows(&Tokenizer::load(&folder.0, 488).unwrap());
    let bare = tokenizers::Tokenizer::from_file(folder.0.join("tokenizer.json")).unwrap();
    for row in json("tests/goldens/vectors/tokenizer_cases.json")["rows"].as_array().unwrap() {
        let encoding = bare.encode(row["text"].as_str().unwrap(), true).unwrap();
        assert_eq!(encoding.get_ids(), ids(&row["ids"]));
    }
}

#[test]
fn the_golden_batches_hold_the_same_ids_and_padding() {
    let tokenizer = golden();
    let cases = json("tests/goldens/vectors/tokenizer_cases.json");
    for (name, left) in [("batch_left", true), ("batch_right", false)] {
        let batch = &cases[name];
        for (row, text) in batch["texts"].as_array().unwrap().iter().enumerate() {
            let expected = ids(&batch["input_ids"][row]);
            let own = tokenizer.encode_with_control(text.as_str().unwrap());
            let padding = vec![tokenizer.special().pad; expected.len() - own.len()];
            let padded = if left { [padding, own].concat() } else { [own, padding].concat() };
            assert_eq!(padded, expected, "{name}");
        }
    }
}

#[test]
fn the_special_ids_are_those_of_the_checkpoint() {
    let stated = &json("tests/goldens/vectors/tokenizer_cases.json")["special_ids"];
    let tokenizer = golden();
    for (name, id) in CONTROL.iter().zip(tokenizer.special().all()).skip(1) {
        assert_eq!(stated[*name], id, "{name}");
    }
    assert_eq!((tokenizer.special().unk, tokenizer.vocab_size()), (0, 488));
    assert_eq!(mini().special().all(), [0, 1, 2, 1528, 1529, 1530, 1531, 1532, 1533, 1534, 1535]);
}

#[test]
fn only_text_and_end_and_dream_start_may_be_sampled() {
    let folder = path("tests/goldens/checkpoint");
    let tokenizer = Tokenizer::load(&folder, 491).unwrap();
    assert_eq!(tokenizer.forbidden_ids(), [0, 1, 480, 481, 482, 484, 485, 486, 487, 488, 489, 490]);
}

fn check_against_sentencepiece(tokenizer: &Tokenizer, cases: &str) {
    let cases = json(cases);
    for case in cases["encode"].as_array().unwrap() {
        let text = case[0].as_str().unwrap();
        assert_eq!(tokenizer.encode_text(text), ids(&case[1]), "{text:?}");
    }
    for case in cases["decode"].as_array().unwrap() {
        let sequence = ids(&case[0]);
        assert_eq!(tokenizer.decode(&sequence, true), case[1].as_str().unwrap(), "{sequence:?}");
    }
}

#[test]
fn random_texts_and_ids_agree_with_sentencepiece() {
    check_against_sentencepiece(&golden(), "model/tests/tokenizer_cases/golden.json");
}

#[test]
fn the_embedded_one_agrees_with_sentencepiece() {
    check_against_sentencepiece(&mini(), "model/tests/tokenizer_cases/mini.json");
}

#[test]
fn control_strings_typed_by_users_stay_text() {
    for tokenizer in [golden(), mini()] {
        let mut texts: Vec<String> = CONTROL.iter().map(|name| (*name).to_owned()).collect();
        for name in CONTROL {
            for border in 1..name.len() {
                let (left, right) = name.split_at(border);
                texts.push(format!("{left}\u{200d}{right}"));
                texts.push(format!("{left}{name}{right}"));
            }
            texts.push(format!("a {name}\n{name}b"));
        }
        texts.push(CONTROL.concat());
        for text in texts {
            let ids = tokenizer.encode_text(&text);
            let control: Vec<_> =
                ids.iter().filter(|id| tokenizer.special().all().contains(id)).collect();
            assert!(control.is_empty(), "{text:?} gives {control:?}");
            assert_eq!(tokenizer.decode(&ids, true), text.replace("▁", " "));
        }
    }
}

#[test]
fn no_token_covers_more_bytes_than_the_longest_piece() {
    for tokenizer in [golden(), mini()] {
        for text in [
            "",
            "a",
            " ",
            "\n",
            "ab",
            "\u{301}",
            "👩\u{200d}👩",
            "\u{10ffff}",
            " the assistant",
            "▁",
        ] {
            let text = text.repeat(4096 / text.len().max(1));
            let tokens = tokenizer.encode_text(&text).len();
            let dropped = |symbol: &char| tokenizer.drops_spaces() && matches!(symbol, ' ' | '▁');
            let bytes: usize = text.chars().filter(|c| !dropped(c)).map(char::len_utf8).sum();
            let bound = bytes.div_ceil(tokenizer.max_token_bytes());
            assert!(tokens >= bound, "{tokens} tokens for {text:.9}, at least {bound} expected");
        }
    }
}

#[test]
fn the_bytes_of_all_tokens_of_a_text_are_the_text() {
    let tokenizer = golden();
    let text = "naïve café — “quotes” €5, 🦊 fox\n";
    let bytes: Vec<u8> =
        tokenizer.encode_text(text).iter().flat_map(|id| tokenizer.token_bytes(*id)).collect();
    assert_eq!(bytes, format!(" {text}").into_bytes());
    assert!(tokenizer.token_bytes(tokenizer.special().bos).is_empty());
}

/// A folder for one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("reverie-tokenizer-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn copy(&self, from: &str, to: &str) {
        std::fs::copy(path(from), self.0.join(to)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

//! Streaming: ids to text in pieces, and stop strings across them, against batch decoding, sentencepiece's
//! own answers and a naive search. Knows no model.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use reverie_model::tokenizer::{Detokenizer, StopMatcher, Tokenizer};
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn golden() -> Tokenizer {
    Tokenizer::load(&Path::new(ROOT).join("tests/goldens/checkpoint"), 488).unwrap()
}

fn stream(detokenizer: &mut Detokenizer, ids: &[u32]) -> String {
    let mut text: String = ids.iter().map(|id| detokenizer.push(*id)).collect();
    text.push_str(&detokenizer.flush());
    text
}

fn bytes_of(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let id_of = |byte: u8| {
        let name = format!("<0x{byte:02X}>");
        (0..tokenizer.vocab_size() as u32)
            .find(|id| tokenizer.token(*id).as_deref() == Some(name.as_str()))
            .unwrap()
    };
    text.bytes().map(id_of).collect()
}

#[test]
fn deltas_add_up_to_what_sentencepiece_decodes() {
    let tokenizer = golden();
    let cases: Value = serde_json::from_str(include_str!("tokenizer_cases/golden.json")).unwrap();
    let control = [483, 486, 1, 0, 9999];
    for (index, case) in cases["decode"].as_array().unwrap().iter().enumerate() {
        let mut ids: Vec<u32> =
            case[0].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        assert_eq!(stream(&mut tokenizer.detokenizer(), &ids), case[1].as_str().unwrap());
        ids.insert(index % (ids.len() + 1), control[index % control.len()]);
        assert_eq!(stream(&mut tokenizer.detokenizer(), &ids), case[1].as_str().unwrap());
        assert_eq!(tokenizer.decode(&ids, true), case[1].as_str().unwrap());
    }
}

#[test]
fn a_character_spelled_in_bytes_comes_out_whole() {
    let tokenizer = golden();
    let mut detokenizer = tokenizer.detokenizer();
    let deltas: Vec<String> =
        bytes_of(&tokenizer, "🦊é").into_iter().map(|id| detokenizer.push(id)).collect();
    assert_eq!(deltas, ["", "", "", "🦊", "", "é"]);
}

#[test]
fn a_broken_character_becomes_replacement_characters_and_nothing_is_lost() {
    let tokenizer = golden();
    let fox = bytes_of(&tokenizer, "🦊");
    let text = tokenizer.encode_text("fox");
    let mut detokenizer = tokenizer.detokenizer();
    assert_eq!(stream(&mut detokenizer, &fox[..3]), "\u{fffd}\u{fffd}\u{fffd}");
    assert_eq!(
        stream(&mut tokenizer.detokenizer(), &[&fox[..2], &text, &fox].concat()),
        "\u{fffd}\u{fffd} fox🦊"
    );
}

#[test]
fn the_space_after_a_picture_is_kept_unless_nothing_was_written() {
    let tokenizer = golden();
    let hello = tokenizer.encode_text("hello");
    let mut detokenizer = tokenizer.detokenizer();
    assert_eq!(stream(&mut detokenizer, &hello), "hello");
    assert_eq!(detokenizer.start_chunk(false), "");
    assert_eq!(stream(&mut detokenizer, &hello), " hello");
    assert_eq!(detokenizer.start_chunk(true), "");
    assert_eq!(stream(&mut detokenizer, &hello), "hello");

    let mut picture_first = tokenizer.detokenizer();
    assert_eq!(picture_first.start_chunk(false), "");
    assert_eq!(stream(&mut picture_first, &hello), "hello");
}

#[test]
fn a_chunk_gives_up_the_broken_character_before_it() {
    let tokenizer = golden();
    let fox = bytes_of(&tokenizer, "🦊");
    let mut detokenizer = tokenizer.detokenizer();
    assert_eq!(detokenizer.push(fox[0]), "");
    assert_eq!(detokenizer.start_chunk(false), "\u{fffd}");
    let rest: String = fox[1..].iter().map(|id| detokenizer.push(*id)).collect();
    assert_eq!(rest, "\u{fffd}".repeat(3));
}

/// The text before the stop string that is complete first (the longest of equals), and its place.
fn naive(text: &str, stops: &[String]) -> (String, Option<usize>) {
    for end in (1..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let complete = stops.iter().enumerate().filter(|(_, stop)| text[..end].ends_with(*stop));
        // `max_by_key` keeps the last of equals; the first place in the list wins.
        if let Some((place, stop)) = complete.rev().max_by_key(|(_, stop)| stop.len()) {
            return (text[..end - stop.len()].to_owned(), Some(place));
        }
    }
    (text.to_owned(), None)
}

#[test]
fn stop_strings_agree_with_a_naive_search_however_the_text_is_cut() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let alphabet = ["a", "b", "é", "\n", "🦊"];
    let mut random = |longest: u32| -> String {
        let length = rng.next_u32() % (longest + 1);
        (0..length).map(|_| alphabet[(rng.next_u32() % 5) as usize]).collect()
    };
    let mut matches = 0;
    for _ in 0..4000 {
        let stops: Vec<String> =
            [random(3), random(3), random(4)].into_iter().filter(|s| !s.is_empty()).collect();
        let chunks: Vec<String> = (0..8).map(|_| random(4)).collect();
        let text = chunks.concat();
        let (expected, place) = naive(&text, &stops);
        let mut matcher = StopMatcher::new(stops.clone());
        let mut released = String::new();
        let mut matched = None;
        for chunk in &chunks {
            let outcome = matcher.push(chunk);
            released.push_str(&outcome.text);
            assert!(expected.starts_with(&released), "{released:?} leaks of {stops:?}");
            matched = outcome.matched;
        }
        released.push_str(&matcher.flush());
        assert_eq!((released, matched), (expected, place), "{chunks:?} with {stops:?}");
        matches += usize::from(place.is_some());
    }
    assert!((1000..3900).contains(&matches), "{matches} of 4000 texts had a stop string");
}

#[test]
fn a_started_stop_string_is_held_back_until_it_is_decided() {
    let mut matcher = StopMatcher::new(vec!["</end>".to_owned()]);
    assert_eq!(matcher.push("story<").text, "story");
    assert_eq!(matcher.push("/en").text, "");
    assert_eq!(matcher.push("joy").text, "</enjoy");
    let outcome = matcher.push("!</end> and more");
    assert_eq!((outcome.text.as_str(), outcome.matched), ("!", Some(0)));
    assert_eq!(matcher.push("more").text, "");
    assert_eq!(matcher.flush(), "");
}

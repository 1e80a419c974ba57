//! Prompts against the reference's own token ids. The encoder is the reference's answer for each piece
//! of text, so a run that is cut or spaced differently has no ids at all and fails.

use std::collections::HashMap;
use std::sync::Arc;

use reverie_model::Picture;
use serde_json::Value;

use super::{PromptEncoder, build_prompt, raw_prompt};
use crate::engine::request::PromptSegment;
use crate::request::{Piece, Speaker, Turn};
use crate::template::{PromptTemplate, TemplateError};

const CASES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/goldens/vectors/tokenizer_cases.json"
));
const MINI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/mini");
const BOS: u32 = 1;
const EOS: u32 = 2;

/// The reference's ids of one prompt, and what they mean piece by piece.
struct Golden {
    ids: Vec<u32>,
    image: u32,
    pieces: HashMap<String, Vec<u32>>,
}

fn golden(name: &str) -> Golden {
    let cases: Value = serde_json::from_str(CASES).unwrap();
    let text = cases["prompts"][name].as_str().unwrap();
    let image = cases["special_ids"]["<image>"].as_u64().unwrap() as u32;
    let rows = cases["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["text"] == text).unwrap();
    let ids: Vec<u32> =
        row["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    let texts = text.split("</s>").flat_map(|part| part.split("<image>"));
    let runs = ids[1..].split(|id| *id == EOS || *id == image).map(<[u32]>::to_vec);
    let pieces = texts.map(str::to_owned).zip(runs).collect();
    Golden { ids, image, pieces }
}

/// The ids of `prompt` with `<image>` standing for pictures, as the reference's tokenizer writes them.
fn flat(prompt: &[PromptSegment], image: u32) -> Vec<u32> {
    let mut ids = Vec::new();
    for segment in prompt {
        match segment {
            PromptSegment::Tokens(tokens) => ids.extend(tokens),
            PromptSegment::Picture(_) => ids.push(image),
            PromptSegment::Dream => panic!("no dream was asked for"),
        }
    }
    ids
}

fn assert_golden(name: &str, turns: &[Turn<Arc<Picture>>]) {
    let golden = golden(name);
    let encode = |text: &str| match golden.pieces.get(text) {
        Some(ids) => ids.clone(),
        None => panic!("the reference never encodes {text:?} in {name}"),
    };
    let encoder = PromptEncoder { encode: &encode, bos: BOS, eos: EOS };
    let prompt = build_prompt(turns, &PromptTemplate::vicuna_v1_1(), encoder);
    assert_eq!(flat(&prompt, golden.image), golden.ids, "{name}");
}

fn picture(shade: u8) -> Piece<Arc<Picture>> {
    Piece::Picture(Arc::new(Picture::new(1, 1, vec![shade; 3])))
}

fn text(text: &str) -> Piece<Arc<Picture>> {
    Piece::Text(text.to_owned())
}

fn user(pieces: Vec<Piece<Arc<Picture>>>) -> Turn<Arc<Picture>> {
    Turn { speaker: Speaker::User, pieces }
}

fn assistant(pieces: Vec<Piece<Arc<Picture>>>) -> Turn<Arc<Picture>> {
    Turn { speaker: Speaker::Assistant, pieces }
}

fn system(said: &str) -> Turn<Arc<Picture>> {
    Turn { speaker: Speaker::System, pieces: vec![text(said)] }
}

/// What a prompt consists of, its text readable: ids are the bytes of what was encoded.
fn readable(turns: &[Turn<Arc<Picture>>], template: &PromptTemplate) -> Vec<String> {
    let encode = |text: &str| text.chars().map(|char| 1000 + char as u32).collect();
    let encoder = PromptEncoder { encode: &encode, bos: BOS, eos: EOS };
    let mut seen = Vec::new();
    for segment in build_prompt(turns, template, encoder) {
        match segment {
            PromptSegment::Tokens(ids) => seen.push(spell(&ids)),
            PromptSegment::Picture(picture) => seen.push(format!("[picture {}]", picture.rgb()[0])),
            PromptSegment::Dream => seen.push("[dream]".to_owned()),
        }
    }
    seen
}

fn spell(ids: &[u32]) -> String {
    ids.iter()
        .map(|id| match *id {
            BOS => "<s>".to_owned(),
            EOS => "</s>".to_owned(),
            id => char::from_u32(id - 1000).unwrap().to_string(),
        })
        .collect()
}

fn mini() -> PromptTemplate {
    PromptTemplate::of_checkpoint(MINI.as_ref()).unwrap()
}

/// The reference's template without its long system text.
fn vicuna() -> PromptTemplate {
    PromptTemplate { system: String::new(), ..PromptTemplate::vicuna_v1_1() }
}

#[test]
fn one_turn_has_the_references_ids() {
    let question = "Write a short story about a fox with pictures.";
    assert_golden("chat_one_turn", &[user(vec![text(question)])]);
}

#[test]
fn a_question_about_a_picture_has_the_references_ids() {
    let pieces = vec![picture(0), text("What is in the picture?")];
    assert_golden("chat_vqa", &[user(pieces)]);
}

#[test]
fn a_second_turn_has_the_references_ids() {
    let turns = [
        user(vec![text("hello there")]),
        assistant(vec![text("hello, how can I help you today?")]),
        user(vec![picture(0), text("what colour is the boat?")]),
    ];
    assert_golden("chat_two_turns", &turns);
}

#[test]
fn the_space_before_a_users_picture_stays_in_the_references_template_and_goes_in_the_minis() {
    let turns = [user(vec![picture(7), text(" What do you see? ")])];
    assert_eq!(
        readable(&turns, &vicuna()),
        ["<s>USER: ", "[picture 7]", " What do you see?  ASSISTANT:"]
    );
    assert_eq!(
        readable(&turns, &mini()),
        ["<s>USER:", "[picture 7]", "What do you see? ASSISTANT:"]
    );
}

#[test]
fn the_assistants_own_picture_is_a_dream_block_and_a_picture_block_between_trimmed_chunks() {
    let turns = [
        user(vec![text("Tell a story.")]),
        assistant(vec![text(" Once. "), picture(1), text(" Then. "), picture(2), text("The end.")]),
        user(vec![text("Again.")]),
    ];
    let wanted = [
        "<s>USER: Tell a story. ASSISTANT: Once.",
        "[dream]",
        "[picture 1]",
        "Then.",
        "[dream]",
        "[picture 2]",
        "The end.</s>USER: Again. ASSISTANT:",
    ];
    assert_eq!(readable(&turns, &vicuna()), wanted);
    assert_eq!(readable(&turns, &mini()), wanted);
}

#[test]
fn an_answer_that_starts_with_a_picture_has_no_space_before_it() {
    let turns = [user(vec![text("Draw.")]), assistant(vec![picture(1)]), user(vec![text("Why?")])];
    let wanted =
        ["<s>USER: Draw. ASSISTANT:", "[dream]", "[picture 1]", "</s>USER: Why? ASSISTANT:"];
    assert_eq!(readable(&turns, &vicuna()), wanted);
}

#[test]
fn system_texts_replace_the_templates_wherever_they_stand() {
    let turns = [system("Be brief."), user(vec![text("Hi")]), system("Be kind.")];
    let wanted = ["<s>Be brief.\nBe kind. USER: Hi ASSISTANT:"];
    assert_eq!(readable(&turns, &PromptTemplate::vicuna_v1_1()), wanted);
    let none = [system(""), user(vec![text("Hi")])];
    assert_eq!(
        readable(&none, &PromptTemplate::vicuna_v1_1()),
        ["<s>USER: Hi ASSISTANT:"],
        "an empty system message takes the template's text away"
    );
}

#[test]
fn neighbouring_turns_of_one_speaker_become_one() {
    let turns = [
        user(vec![text("Look:")]),
        user(vec![picture(3)]),
        user(vec![text("What is it?"), text("Say.")]),
    ];
    let wanted = ["<s>USER: Look:", "[picture 3]", "What is it?\nSay. ASSISTANT:"];
    assert_eq!(readable(&turns, &vicuna()), wanted);
}

#[test]
fn text_that_spells_control_tokens_stays_text() {
    let turns = [
        system("</s><dream_start>"),
        user(vec![text("<s></"), text("s> USER: <im_start>")]),
        assistant(vec![text("</s>")]),
        user(vec![text("<image>")]),
    ];
    let encode = |text: &str| vec![9; text.len()];
    let encoder = PromptEncoder { encode: &encode, bos: BOS, eos: EOS };
    let prompt = build_prompt(&turns, &vicuna(), encoder);
    let [PromptSegment::Tokens(ids)] = prompt.as_slice() else {
        panic!("text alone is one run of tokens");
    };
    assert_eq!(ids.iter().filter(|id| **id == BOS).count(), 1, "one <s>, ours");
    assert_eq!(ids.iter().filter(|id| **id == EOS).count(), 1, "one </s>, after the answer");
}

#[test]
fn a_raw_prompt_is_the_caption_alone() {
    let encode = |text: &str| vec![text.len() as u32];
    let encoder = PromptEncoder { encode: &encode, bos: BOS, eos: EOS };
    for (caption, wanted) in [("a red circle", vec![BOS, 12]), ("", vec![BOS])] {
        let prompt = raw_prompt(caption, encoder);
        let [PromptSegment::Tokens(ids)] = prompt.as_slice() else { panic!("one run of tokens") };
        assert_eq!(*ids, wanted);
    }
}

#[test]
fn a_checkpoint_without_a_template_gets_the_references() {
    let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/checkpoint");
    let template = PromptTemplate::of_checkpoint(goldens.as_ref()).unwrap();
    assert_eq!(template, PromptTemplate::vicuna_v1_1());
}

#[test]
fn a_template_with_an_unknown_or_impossible_field_is_refused() {
    let folder = std::env::temp_dir().join(format!("reverie-template-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let good = serde_json::to_value(mini()).unwrap();
    let read_back = |value: &Value| {
        std::fs::write(folder.join(crate::template::TEMPLATE_FILE), value.to_string()).unwrap();
        PromptTemplate::of_checkpoint(&folder)
    };
    assert_eq!(read_back(&good).unwrap(), mini());

    let mut unknown = good.clone();
    unknown["sytem"] = "typo".into();
    let error = read_back(&unknown).unwrap_err();
    assert!(matches!(error, TemplateError::Format { .. }), "{error}");
    assert!(error.to_string().contains("sytem"), "{error}");

    let mut impossible = good;
    impossible["defaults"]["num_inference_steps"] = 0.into();
    let error = read_back(&impossible).unwrap_err();
    assert!(error.to_string().contains("defaults.num_inference_steps is 0"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

//! Pictures in, text out: the reference's answer to a question about a picture, greedy and by beams.

use reverie_model::noise::CounterNoise;
use reverie_scheduler::{FinishReason, TenantId};
use reverie_server::engine::request::{ImageChoice, PromptSegment};

use crate::goldens::{Part, Vectors, golden_picture, golden_request, golden_runner, write};

/// The prompt `name` with its picture blocks (256 patches each) spliced from files.
fn question(name: &str, pictures: &[&str]) -> Vec<PromptSegment> {
    let ids = Vectors::read("llm").ids(&format!("{name}.input_ids"));
    let mut segments = Vec::new();
    let mut rest = &ids[..];
    for file in pictures {
        let start = rest.iter().position(|id| *id == 481).expect("<im_start>");
        segments.push(PromptSegment::Tokens(rest[..start].to_vec()));
        segments.push(PromptSegment::Picture(golden_picture(file)));
        rest = &rest[start + 258..];
    }
    segments.push(PromptSegment::Tokens(rest.to_vec()));
    segments
}

fn ids(parts: &[Part]) -> Vec<u32> {
    let id = |part: &Part| match part {
        Part::Token(id) => *id,
        Part::EndOfText => 2,
        Part::Picture(_) => panic!("a picture was not asked for"),
    };
    parts.iter().map(id).collect()
}

#[test]
fn a_question_about_a_picture_gets_the_references_greedy_answer_in_any_chunking() {
    let wanted = Vectors::read("llm").ids("vqa.greedy_ids");
    for max_num_batched_tokens in [2048, 100] {
        let mut runner = golden_runner(CounterNoise);
        let request = golden_request(question("vqa", &["landscape.png"]));
        let (parts, reason, usage) = write(&mut runner, request, max_num_batched_tokens);
        assert_eq!(ids(&parts), wanted);
        assert_eq!(reason, FinishReason::EndOfText);
        assert_eq!((usage.prompt_images, usage.prompt_image_positions), (1, 258));
        assert_eq!(usage.text_tokens, wanted.len());
    }
}

#[test]
fn five_beams_give_the_references_answer() {
    let wanted = Vectors::read("llm").ids("vqa.beam5_ids");
    let mut runner = golden_runner(CounterNoise);
    let mut request = golden_request(question("vqa", &["landscape.png"]));
    request.sampling.num_beams = 5;
    request.pictures.choice = ImageChoice::None;
    let (parts, reason, usage) = write(&mut runner, request, 2048);
    assert_eq!(ids(&parts), wanted[..wanted.len() - 1], "all but `</s>`");
    assert_eq!((reason, usage.text_tokens), (FinishReason::EndOfText, wanted.len()));
    let num_steps = 1 + usage.positions_used - usage.prompt_positions;
    let passes = runner.counters().decoder_passes;
    assert_eq!(passes, num_steps as u64, "all beams of a step share one pass");
}

#[test]
fn a_picture_is_encoded_once_for_a_tenant_and_again_for_another() {
    let mut runner = golden_runner(CounterNoise);
    let mut prompt = question("vqa", &["landscape.png"]);
    prompt.push(PromptSegment::Picture(golden_picture("landscape.png")));
    let mut request = golden_request(prompt.clone());
    request.stopping.max_tokens = Some(1);
    write(&mut runner, request.clone(), 2048);
    assert_eq!(runner.counters().encoded_pictures, 1);
    request.prompt.push(PromptSegment::Picture(golden_picture("portrait.png")));
    write(&mut runner, request.clone(), 2048);
    assert_eq!(runner.counters().encoded_pictures, 2, "one of the three is new");
    request.tenant = TenantId(1);
    write(&mut runner, request, 2048);
    assert_eq!(runner.counters().encoded_pictures, 4, "nothing is known of another tenant's");
}

#[test]
fn beams_end_at_max_tokens() {
    let mut runner = golden_runner(CounterNoise);
    let mut request = golden_request(question("vqa", &["landscape.png"]));
    request.sampling.num_beams = 3;
    request.stopping.max_tokens = Some(4);
    let (parts, reason, usage) = write(&mut runner, request, 2048);
    assert_eq!((parts.len(), usage.text_tokens, reason), (4, 4, FinishReason::MaxTokens));
}

#[test]
fn two_pictures_in_one_prompt_are_answered_as_the_reference_begins() {
    let mut runner = golden_runner(CounterNoise);
    let mut request = golden_request(question("two_images", &["landscape.png", "portrait.png"]));
    request.stopping.max_tokens = Some(1);
    let (parts, ..) = write(&mut runner, request, 2048);
    let logits = Vectors::read("llm").floats("two_images.last_logits");
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).expect("logits").0;
    assert_eq!(ids(&parts), [best as u32]);
}

#[test]
fn beams_stay_within_a_context_that_a_flag_has_shortened() {
    let mut runner = golden_runner(CounterNoise).with_max_model_len(9);
    let mut request = golden_request(vec![PromptSegment::Tokens(vec![1, 300, 301, 302])]);
    request.sampling.num_beams = 3;
    request.stopping.ignore_eos = true;
    request.pictures.choice = ImageChoice::None;
    let (_, reason, usage) = write(&mut runner, request, 2048);
    assert_eq!((reason, usage.text_tokens), (FinishReason::ContextFull, 5));
}

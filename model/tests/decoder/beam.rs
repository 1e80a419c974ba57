//! Beam search: the reference's answer to a picture question, and small searches that transformers' own
//! scorer decided.

use reverie_model::beam_search::{BeamOutcome, BeamSearch, BeamSearchParams, BeamStep};
use reverie_model::decoder::DecoderRow;
use reverie_model::token_sampler::TokenMask;
use serde::Deserialize;

use crate::golden::{Vectors, golden_decoder, last_logits, run_single};

#[test]
fn five_beams_give_the_references_answer_to_a_picture_question() {
    let (decoder, vectors) = (golden_decoder(), Vectors::read("llm"));
    let embeds = vectors.single("vqa.inputs_embeds");
    let mut search = BeamSearch::new(BeamSearchParams {
        num_beams: 5,
        eos: 2,
        max_new_tokens: 64,
        min_new_tokens: 0,
        prompt_len: embeds.dims()[0],
        length_penalty: 1.0,
    })
    .unwrap();
    let allowed = TokenMask::allow_all(decoder.config().vocab_size);
    let mut caches = vec![decoder.new_cache()];
    let mut logits = vec![last_logits(&decoder, &run_single(&decoder, &embeds, &mut caches[0]))];
    let outcome = loop {
        let moves = match search.advance(&logits, &allowed) {
            BeamStep::Finished(outcome) => break outcome,
            BeamStep::Continue(moves) => moves,
        };
        let mut next: Vec<_> = moves.iter().map(|next| caches[next.parent].fork()).collect();
        let embeds: Vec<_> =
            moves.iter().map(|next| decoder.embed(&[next.token]).unwrap()).collect();
        let mut rows: Vec<_> = embeds
            .iter()
            .zip(&mut next)
            .map(|(embeds, cache)| DecoderRow { embeds, cache })
            .collect();
        let hidden = decoder.forward(&mut rows).unwrap();
        logits = hidden.iter().map(|hidden| last_logits(&decoder, hidden)).collect();
        caches = next;
    };
    assert_eq!(outcome.ids, vectors.ids("vqa.beam5_ids"));
    assert!(outcome.ended_by_eos);
}

/// A language in which the next token depends on the last one only, and what transformers 4.35.2 found in it.
#[derive(Deserialize)]
struct Case {
    num_beams: usize,
    eos: u32,
    max_new_tokens: usize,
    min_new_tokens: usize,
    prompt_len: usize,
    length_penalty: f64,
    /// By last token; the prompt ends with token 0.
    logits: Vec<Vec<f32>>,
    ids: Vec<u32>,
    score: f64,
    steps: usize,
}

fn search(case: &Case) -> (BeamOutcome, usize) {
    let mut search = BeamSearch::new(BeamSearchParams {
        num_beams: case.num_beams,
        eos: case.eos,
        max_new_tokens: case.max_new_tokens,
        min_new_tokens: case.min_new_tokens,
        prompt_len: case.prompt_len,
        length_penalty: case.length_penalty,
    })
    .unwrap();
    let allowed = TokenMask::allow_all(case.logits.len());
    let mut last = vec![0];
    for step in 1.. {
        let rows: Vec<_> = last.iter().map(|token| case.logits[*token as usize].clone()).collect();
        match search.advance(&rows, &allowed) {
            BeamStep::Finished(outcome) => return (outcome, step),
            BeamStep::Continue(moves) => last = moves.iter().map(|next| next.token).collect(),
        }
    }
    unreachable!("max_new_tokens ends every search");
}

#[test]
fn small_searches_end_as_transformers_ends_them() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("beam_cases.json")).unwrap();
    assert!(cases.len() > 50);
    for (i, case) in cases.iter().enumerate() {
        let (outcome, steps) = search(case);
        assert_eq!(outcome.ids, case.ids, "case {i}");
        assert_eq!(steps, case.steps, "case {i}");
        assert!((outcome.score - case.score).abs() < 1e-5, "case {i}");
        assert_eq!(outcome.ended_by_eos, case.ids.ends_with(&[case.eos]), "case {i}");
    }
    // The cases tell the rules apart only if both endings and early ends occur.
    assert!(cases.iter().any(|case| !case.ids.ends_with(&[case.eos])));
    assert!(cases.iter().any(|case| case.steps < case.max_new_tokens));
    assert!(cases.iter().any(|case| case.ids.len() < case.steps));
}

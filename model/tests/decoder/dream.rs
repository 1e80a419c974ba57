//! The dream block and the states that condition a picture, as the reference computes them.

use candle_core::{DType, Device, Tensor};
use reverie_model::ModelError;
use reverie_model::decoder::{Decoder, DecoderRow};
use reverie_model::dream::{BlockTokens, ContextPiece, DreamQueries, embed_context, image_block};

use crate::golden::{Vectors, assert_close, golden_decoder, golden_weights, largest_difference};

const TOKENS: BlockTokens =
    BlockTokens { dream_start: 483, dream_end: 482, image_start: 481, image_end: 485 };

fn golden_queries() -> DreamQueries {
    DreamQueries::load(8, 64, golden_weights()).unwrap()
}

/// The states of dream blocks after the given prompts, all prompts in one ragged batch.
fn dream_states(decoder: &Decoder, queries: &DreamQueries, prompts: &[Vec<u32>]) -> Vec<Tensor> {
    let block = queries.dream_block(decoder, &TOKENS).unwrap();
    let embeds: Vec<_> = prompts.iter().map(|ids| decoder.embed(ids).unwrap()).collect();
    let mut caches: Vec<_> = prompts.iter().map(|_| decoder.new_cache()).collect();
    let mut pass = |embeds: Vec<&Tensor>| {
        let mut rows: Vec<_> = embeds
            .into_iter()
            .zip(&mut caches)
            .map(|(embeds, cache)| DecoderRow { embeds, cache })
            .collect();
        decoder.forward(&mut rows).unwrap()
    };
    pass(embeds.iter().collect());
    let states = pass(vec![&block; prompts.len()]);
    states.iter().map(|states| queries.condition_hidden(states).unwrap()).collect()
}

#[test]
fn the_dream_block_holds_the_references_embeddings() {
    let (decoder, vectors) = (golden_decoder(), Vectors::read("dream"));
    let block = golden_queries().dream_block(&decoder, &TOKENS).unwrap();
    assert_close("dream_block_embeds", &block, &vectors.single("dream_block_embeds"));
}

#[test]
fn dream_states_match_for_prompts_the_empty_prompt_and_a_negative_one() {
    let (decoder, queries, vectors) = (golden_decoder(), golden_queries(), Vectors::read("dream"));
    for case in ["prompt0", "prompt1", "uncond", "negative"] {
        let prompt = vectors.ids(&format!("{case}.input_ids"));
        let states = dream_states(&decoder, &queries, &[prompt]).remove(0);
        let name = format!("{case}.dream_hidden");
        assert_close(&name, &states, &vectors.single(&name));
    }
}

#[test]
fn two_prompts_dream_together_as_in_the_references_left_padded_batch() {
    let (decoder, queries, vectors) = (golden_decoder(), golden_queries(), Vectors::read("dream"));
    let prompts = ["prompt0.input_ids", "prompt1.input_ids"].map(|name| vectors.ids(name));
    for (i, states) in dream_states(&decoder, &queries, &prompts).iter().enumerate() {
        let wanted = vectors.get("batch_left.dream_hidden").get(i).unwrap();
        assert_close(&format!("batch_left.dream_hidden row {i}"), states, &wanted);
    }
}

#[test]
fn a_context_is_its_pieces_in_order_and_nothing_else() {
    let (decoder, queries, vectors) = (golden_decoder(), golden_queries(), Vectors::read("llm"));
    let (ids, wanted) = (vectors.ids("vqa.input_ids"), vectors.single("vqa.inputs_embeds"));
    let start = ids.iter().position(|id| *id == TOKENS.image_start).unwrap();
    let end = ids.iter().position(|id| *id == TOKENS.image_end).unwrap();
    let features = wanted.narrow(0, start + 1, end - start - 1).unwrap();
    let picture = [
        ContextPiece::Tokens(&ids[..start]),
        ContextPiece::Picture(&features),
        ContextPiece::Tokens(&[]),
        ContextPiece::Tokens(&ids[end + 1..]),
    ];
    let embeds = embed_context(Some(&queries), &decoder, &TOKENS, &picture).unwrap();
    assert_close("vqa.inputs_embeds", &embeds, &wanted);
    let block = image_block(&decoder, &TOKENS, &features).unwrap();
    let spliced = wanted.narrow(0, start, end + 1 - start).unwrap();
    assert_close("picture block of vqa.inputs_embeds", &block, &spliced);

    let dream = [ContextPiece::Tokens(&ids[..3]), ContextPiece::Dream, ContextPiece::Dream];
    let embeds = embed_context(Some(&queries), &decoder, &TOKENS, &dream).unwrap();
    let block = Vectors::read("dream").single("dream_block_embeds");
    assert_eq!(embeds.dims(), [3 + 10 + 10, 64]);
    for offset in [3, 13] {
        assert_eq!(largest_difference(&embeds.narrow(0, offset, 10).unwrap(), &block), 0.0);
    }
}

#[test]
fn half_a_dream_block_conditions_nothing() {
    let states = Tensor::zeros((9, 64), DType::F32, &Device::Cpu).unwrap();
    let refused = golden_queries().condition_hidden(&states);
    assert!(matches!(refused, Err(ModelError::Parameter { found, .. }) if found == "9"));
}

#[test]
fn queries_of_another_number_or_width_do_not_load() {
    assert!(DreamQueries::load(9, 64, golden_weights()).is_err());
    assert!(DreamQueries::load(8, 32, golden_weights()).is_err());
}

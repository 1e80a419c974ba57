//! Prefill, cached decoding, ragged batches and a picture prompt, as the reference computes them.

use candle_core::Tensor;
use reverie_model::decoder::DecoderRow;

use crate::golden::{Vectors, assert_close, golden_decoder, last_logits, run_single};

#[test]
fn a_text_prefill_matches_every_inner_state() {
    let (decoder, vectors) = (golden_decoder(), Vectors::read("llm"));
    let embeds = decoder.embed(&vectors.ids("text.input_ids")).unwrap();
    assert_close("text.inputs_embeds", &embeds, &vectors.single("text.inputs_embeds"));
    let mut cache = decoder.new_cache();
    let row = DecoderRow { embeds: &embeds, cache: &mut cache };
    let trace = decoder.forward_traced(&mut [row]).unwrap().remove(0);
    assert_eq!(trace.hidden_states.len(), decoder.config().num_hidden_layers + 1);
    for (i, state) in trace.hidden_states.iter().enumerate() {
        let name = format!("text.hidden_states.{i}");
        assert_close(&name, state, &vectors.single(&name));
    }
    let logits = decoder.logits(trace.hidden_states.last().unwrap()).unwrap();
    assert_close("text.logits", &logits, &vectors.single("text.logits"));
    for layer in 0..decoder.config().num_hidden_layers {
        let (key, value) = (format!("text.key_cache.{layer}"), format!("text.value_cache.{layer}"));
        assert_close(&key, &cache.key(layer).unwrap(), &vectors.single(&key));
        assert_close(&value, &cache.value(layer).unwrap(), &vectors.single(&value));
    }
}

#[test]
fn tracing_changes_nothing_and_its_last_state_is_the_output() {
    let (decoder, vectors) = (golden_decoder(), Vectors::read("llm"));
    let embeds = decoder.embed(&vectors.ids("text.input_ids")).unwrap();
    let hidden = run_single(&decoder, &embeds, &mut decoder.new_cache());
    let mut cache = decoder.new_cache();
    let row = DecoderRow { embeds: &embeds, cache: &mut cache };
    let trace = decoder.forward_traced(&mut [row]).unwrap().remove(0);
    let traced = trace.hidden_states.last().unwrap();
    assert_eq!(hidden.to_vec2::<f32>().unwrap(), traced.to_vec2::<f32>().unwrap());
}

/// Decodes greedily from `embeds`; compares ids and the logits behind each of them.
fn assert_greedy(vectors: &Vectors, case: &str, embeds: &Tensor) {
    let decoder = golden_decoder();
    let mut cache = decoder.new_cache();
    let mut logits = last_logits(&decoder, &run_single(&decoder, embeds, &mut cache));
    let (mut ids, mut rows) = (Vec::new(), Vec::new());
    let wanted = vectors.ids(&format!("{case}.greedy_ids"));
    for _ in &wanted {
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        ids.push(best as u32);
        rows.push(logits);
        let embeds = decoder.embed(&[best as u32]).unwrap();
        logits = last_logits(&decoder, &run_single(&decoder, &embeds, &mut cache));
    }
    assert_eq!(ids, wanted);
    let rows = Tensor::new(rows, decoder.device()).unwrap();
    let name = format!("{case}.greedy_logits");
    assert_close(&name, &rows, vectors.get(&name));
}

#[test]
fn greedy_text_has_the_references_tokens_and_logits() {
    let vectors = Vectors::read("llm");
    let embeds = golden_decoder().embed(&vectors.ids("text.input_ids")).unwrap();
    assert_greedy(&vectors, "text", &embeds);
}

#[test]
fn a_picture_question_has_the_references_states_tokens_and_logits() {
    let (decoder, vectors) = (golden_decoder(), Vectors::read("llm"));
    let embeds = vectors.single("vqa.inputs_embeds");
    let hidden = run_single(&decoder, &embeds, &mut decoder.new_cache());
    assert_close("vqa.final_hidden", &hidden, &vectors.single("vqa.final_hidden"));
    let logits = Tensor::new(last_logits(&decoder, &hidden), decoder.device()).unwrap();
    assert_close("vqa.last_logits", &logits, &vectors.single("vqa.last_logits"));
    assert_greedy(&vectors, "vqa", &embeds);
}

/// The reference pads on the left, which rotary positions do not notice; here rows have no padding at all.
#[test]
fn a_ragged_batch_matches_the_references_left_padded_batch() {
    let (decoder, vectors) = (golden_decoder(), Vectors::read("llm"));
    let rows = vectors.unpadded("batch_left");
    let embeds: Vec<_> = rows.iter().map(|(_, ids)| decoder.embed(ids).unwrap()).collect();
    let mut caches: Vec<_> = rows.iter().map(|_| decoder.new_cache()).collect();
    let mut batch: Vec<_> = embeds
        .iter()
        .zip(&mut caches)
        .map(|(embeds, cache)| DecoderRow { embeds, cache })
        .collect();
    let hidden = decoder.forward(&mut batch).unwrap();
    assert_ne!(rows[0].1.len(), rows[1].1.len(), "the rows differ in length");
    for (i, ((first, ids), hidden)) in rows.iter().zip(&hidden).enumerate() {
        let wanted = vectors.get("batch_left.logits").get(i).unwrap();
        let wanted = wanted.narrow(0, *first, ids.len()).unwrap();
        let what = format!("batch_left.logits row {i}");
        assert_close(&what, &decoder.logits(hidden).unwrap(), &wanted);
    }
}

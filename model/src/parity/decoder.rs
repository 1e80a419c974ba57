//! The LLaMA decoder: prefill, cached greedy decoding, ragged batches, pictures, beam search.

use candle_core::{DType, IndexOp, Tensor};

use super::Check;
use super::goldens::{Goldens, ParityError, Tensors, exact, floats, module, module_tensor};
use crate::beam_search::{BeamSearch, BeamSearchParams, BeamStep};
use crate::decoder::{DecoderRow, KvCache};
use crate::dream::ContextPiece;
use crate::dream_model::DreamModel;
use crate::token_sampler::TokenMask;

const STAGE: &str = "llm";

/// Contexts of text alone.
pub(super) fn text(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let vectors = goldens.tensors("llm")?;
    one_text(model, &vectors, on_check)?;
    left_padded_batch(model, &vectors, on_check)
}

/// Contexts with pictures in them.
pub(super) fn pictures(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let vectors = goldens.tensors("llm")?;
    picture_question(model, &vectors, on_check)?;
    two_images(model, &vectors, on_check)
}

fn one_text(
    model: &DreamModel,
    vectors: &Tensors,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let ids = vectors.ids("text.input_ids")?;
    let embeds = model.decoder.embed(&ids)?;
    on_check(module_tensor(
        STAGE,
        "text.inputs_embeds".to_owned(),
        &embeds,
        vectors.get("text.inputs_embeds")?,
    )?);
    let mut cache = model.decoder.new_cache();
    let trace = model
        .decoder
        .forward_traced(&mut [DecoderRow { embeds: &embeds, cache: &mut cache }])?
        .remove(0);
    let hidden = &trace.hidden_states[trace.hidden_states.len() - 1];
    for (index, found) in trace.hidden_states.iter().enumerate() {
        let key = format!("text.hidden_states.{index}");
        on_check(module_tensor(STAGE, key.clone(), found, vectors.get(&key)?)?);
    }
    for layer in 0..model.config.llama.num_hidden_layers {
        for (name, found) in [("key", cache.key(layer)?), ("value", cache.value(layer)?)] {
            let key = format!("text.{name}_cache.{layer}");
            on_check(module_tensor(STAGE, key.clone(), &found, vectors.get(&key)?)?);
        }
    }
    let logits = model.decoder.logits(hidden)?;
    on_check(module_tensor(STAGE, "text.logits".to_owned(), &logits, vectors.get("text.logits")?)?);
    greedy(model, vectors, "text", (&mut cache, logits.i(logits.dim(0)? - 1)?), on_check)
}

/// Cached decoding along the recorded ids, from the logits at a prompt's end: each step's logits, and the
/// choice they give.
fn greedy(
    model: &DreamModel,
    vectors: &Tensors,
    case: &str,
    (cache, mut logits): (&mut KvCache, Tensor),
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let wanted_ids = vectors.ids(&format!("{case}.greedy_ids"))?;
    let (mut found_ids, mut found_logits) = (Vec::new(), Vec::new());
    for (index, id) in wanted_ids.iter().enumerate() {
        let row = floats(&logits)?;
        found_ids.push(argmax(&row));
        found_logits.extend(row);
        if index + 1 < wanted_ids.len() {
            let embeds = model.decoder.embed(&[*id])?;
            let hidden =
                model.decoder.forward(&mut [DecoderRow { embeds: &embeds, cache: &mut *cache }])?;
            logits = model.decoder.logits(&hidden[0])?.i(0)?;
        }
    }
    let wanted = vectors.floats(&format!("{case}.greedy_logits"))?;
    on_check(module(STAGE, format!("{case}.greedy_logits"), &found_logits, &wanted));
    on_check(exact(STAGE, format!("{case}.greedy_ids"), &found_ids, &wanted_ids));
    Ok(())
}

/// The first of the largest values, as `torch.argmax` on the CPU.
pub(super) fn argmax(row: &[f32]) -> u32 {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    u32::try_from(best).unwrap_or(u32::MAX)
}

/// The reference pads on the left; here the rows run ragged, and only real positions are compared.
fn left_padded_batch(
    model: &DreamModel,
    vectors: &Tensors,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let (rows, length) = vectors.get("batch_left.input_ids")?.dims2()?;
    let ids = vectors.ids("batch_left.input_ids")?;
    let mask = vectors.ids("batch_left.attention_mask")?;
    let mut embeds = Vec::new();
    let mut caches = Vec::new();
    for row in 0..rows {
        let real: Vec<u32> = (row * length..(row + 1) * length)
            .filter(|at| mask[*at] == 1)
            .map(|at| ids[at])
            .collect();
        embeds.push(model.decoder.embed(&real)?);
        caches.push(model.decoder.new_cache());
    }
    let mut batch: Vec<_> = embeds
        .iter()
        .zip(&mut caches)
        .map(|(embeds, cache)| DecoderRow { embeds, cache })
        .collect();
    let hidden = model.decoder.forward(&mut batch)?;
    for (row, hidden) in hidden.iter().enumerate() {
        let logits = model.decoder.logits(hidden)?;
        let num_real = logits.dim(0)?;
        let wanted = vectors.get("batch_left.logits")?.i((row, length - num_real..))?;
        on_check(module_tensor(STAGE, format!("batch_left.logits[{row}]"), &logits, &wanted)?);
    }
    Ok(())
}

/// A context of token ids in which each `<im_start>` … `<im_end>` run takes the next picture's features.
pub(super) fn embed_with_pictures(
    model: &DreamModel,
    ids: &[u32],
    pixel_values: &Tensor,
) -> Result<Tensor, ParityError> {
    let features =
        model.vision()?.encode_pixels(&pixel_values.to_device(model.decoder.device())?)?;
    let features =
        (0..features.dim(0)?).map(|picture| features.i(picture)).collect::<Result<Vec<_>, _>>()?;
    let special = model.tokenizer.special();
    let mut pieces = Vec::new();
    let (mut at, mut picture) = (0, 0);
    while at < ids.len() {
        if ids[at] == special.im_start {
            pieces.push(ContextPiece::Picture(&features[picture]));
            picture += 1;
            at += model.config.image_positions();
        } else {
            let end = ids[at..]
                .iter()
                .position(|id| *id == special.im_start)
                .map_or(ids.len(), |run| at + run);
            pieces.push(ContextPiece::Tokens(&ids[at..end]));
            at = end;
        }
    }
    Ok(model.embed(&pieces)?)
}

fn picture_question(
    model: &DreamModel,
    vectors: &Tensors,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let ids = vectors.ids("vqa.input_ids")?;
    let embeds = embed_with_pictures(model, &ids, vectors.get("vqa.pixel_values")?)?;
    on_check(module_tensor(
        STAGE,
        "vqa.inputs_embeds".to_owned(),
        &embeds,
        vectors.get("vqa.inputs_embeds")?,
    )?);
    let mut cache = model.decoder.new_cache();
    let hidden =
        model.decoder.forward(&mut [DecoderRow { embeds: &embeds, cache: &mut cache }])?.remove(0);
    on_check(module_tensor(
        STAGE,
        "vqa.final_hidden".to_owned(),
        &hidden,
        vectors.get("vqa.final_hidden")?,
    )?);
    let last = model.decoder.logits(&hidden.i(hidden.dim(0)? - 1..)?)?.i(0)?;
    on_check(module(
        STAGE,
        "vqa.last_logits".to_owned(),
        &floats(&last)?,
        &vectors.floats("vqa.last_logits")?,
    ));
    greedy(model, vectors, "vqa", (&mut cache.fork(), last.clone()), on_check)?;
    beam_search(model, vectors, cache, floats(&last)?, on_check)
}

/// transformers' beam search as the reference's evaluation runs it: five beams.
fn beam_search(
    model: &DreamModel,
    vectors: &Tensors,
    prompt: KvCache,
    first_logits: Vec<f32>,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let wanted = vectors.ids("vqa.beam5_ids")?;
    let mut search = BeamSearch::new(BeamSearchParams {
        num_beams: 5,
        eos: model.tokenizer.special().eos,
        max_new_tokens: model.config.llama.max_position_embeddings - prompt.len(),
        min_new_tokens: 0,
        prompt_len: prompt.len(),
        length_penalty: 1.0,
    })?;
    let mask = TokenMask::allow_all(model.config.llama.vocab_size);
    let (mut caches, mut logits) = (vec![prompt], vec![first_logits]);
    let found = loop {
        let moves = match search.advance(&logits, &mask) {
            BeamStep::Continue(moves) => moves,
            BeamStep::Finished(outcome) => break outcome.ids,
        };
        caches = moves.iter().map(|step| caches[step.parent].fork()).collect();
        let embeds = moves
            .iter()
            .map(|step| model.decoder.embed(&[step.token]))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rows: Vec<_> = embeds
            .iter()
            .zip(&mut caches)
            .map(|(embeds, cache)| DecoderRow { embeds, cache })
            .collect();
        let hidden = model.decoder.forward(&mut rows)?;
        logits = hidden
            .iter()
            .map(|hidden| Ok(floats(&model.decoder.logits(hidden)?)?))
            .collect::<Result<Vec<_>, ParityError>>()?;
    };
    // The recorded ids end with `</s>` where a beam reached it.
    let text = wanted.strip_suffix(&[model.tokenizer.special().eos]).unwrap_or(&wanted);
    let found = found.strip_suffix(&[model.tokenizer.special().eos]).unwrap_or(&found);
    on_check(exact(STAGE, "vqa.beam5_ids".to_owned(), found, text));
    Ok(())
}

fn two_images(
    model: &DreamModel,
    vectors: &Tensors,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let ids = vectors.ids("two_images.input_ids")?;
    let embeds = embed_with_pictures(model, &ids, vectors.get("two_images.pixel_values")?)?;
    let mut cache = model.decoder.new_cache();
    let hidden =
        model.decoder.forward(&mut [DecoderRow { embeds: &embeds, cache: &mut cache }])?.remove(0);
    let last = model.decoder.logits(&hidden.i(hidden.dim(0)? - 1..)?)?.to_dtype(DType::F32)?;
    let wanted = vectors.floats("two_images.last_logits")?;
    on_check(module(STAGE, "two_images.last_logits".to_owned(), &floats(&last)?, &wanted));
    Ok(())
}

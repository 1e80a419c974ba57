//! Dream blocks: their embeddings, the hidden states at the queries, and the projected condition.

use super::Check;
use candle_core::Tensor;

use super::decoder::embed_with_pictures;
use super::goldens::{Goldens, ParityError, Tensors, module_tensor};
use crate::config::Ability;
use crate::decoder::DecoderRow;
use crate::dream::ContextPiece;
use crate::dream_model::DreamModel;

const STAGE: &str = "dream";

pub(super) fn run(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let vectors = goldens.tensors("dream")?;
    let block = model.embed(&[ContextPiece::Dream])?;
    let wanted = vectors.get("dream_block_embeds")?;
    on_check(module_tensor(STAGE, "dream_block_embeds".to_owned(), &block, wanted)?);
    let queries = block.narrow(0, 1, model.config.num_dream_queries)?;
    let wanted = vectors.get("dream_queries")?;
    on_check(module_tensor(STAGE, "dream_queries".to_owned(), &queries, wanted)?);
    left_padded_batch(model, &vectors, on_check)?;
    for case in vectors.between("", ".input_ids") {
        let ids = vectors.ids(&format!("{case}.input_ids"))?;
        let pixels = format!("{case}.pixel_values");
        if vectors.has(&pixels) && !model.config.abilities.has(Ability::Comprehension) {
            continue;
        }
        let embeds = if vectors.has(&pixels) {
            embed_with_pictures(model, &ids, vectors.get(&pixels)?)?
        } else {
            model.decoder.embed(&ids)?
        };
        let mut cache = model.decoder.new_cache();
        model.decoder.forward(&mut [DecoderRow { embeds: &embeds, cache: &mut cache }])?;
        let hidden = model.dream(&mut cache)?;
        let key = format!("{case}.dream_hidden");
        on_check(module_tensor(STAGE, key.clone(), &hidden, vectors.get(&key)?)?);
        let condition = model.denoiser()?.condition(&hidden)?;
        let key = format!("{case}.condition");
        on_check(module_tensor(STAGE, key.clone(), &condition, vectors.get(&key)?)?);
    }
    Ok(())
}

/// The reference pads its two prompts on the left; here they run ragged, and so do their dream blocks.
fn left_padded_batch(
    model: &DreamModel,
    vectors: &Tensors,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let prompts = ["prompt0", "prompt1"].map(|prompt| vectors.ids(&format!("{prompt}.input_ids")));
    let block = model.embed(&[ContextPiece::Dream])?;
    let mut caches = [model.decoder.new_cache(), model.decoder.new_cache()];
    let embeds = prompts
        .into_iter()
        .map(|ids| Ok(model.decoder.embed(&ids?)?))
        .collect::<Result<Vec<_>, ParityError>>()?;
    let mut rows: Vec<_> = embeds
        .iter()
        .zip(&mut caches)
        .map(|(embeds, cache)| DecoderRow { embeds, cache })
        .collect();
    model.decoder.forward(&mut rows)?;
    let mut rows: Vec<_> =
        caches.iter_mut().map(|cache| DecoderRow { embeds: &block, cache }).collect();
    let states = model
        .decoder
        .forward(&mut rows)?
        .iter()
        .map(|hidden| model.dream_queries()?.condition_hidden(hidden))
        .collect::<Result<Vec<_>, _>>()?;
    let found = Tensor::stack(&states, 0)?;
    let wanted = vectors.get("batch_left.dream_hidden")?;
    on_check(module_tensor(STAGE, "batch_left.dream_hidden".to_owned(), &found, wanted)?);
    Ok(())
}

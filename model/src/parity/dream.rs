//! Dream blocks: their embeddings, the hidden states at the queries, and the projected condition.

use super::Check;
use super::decoder::embed_with_pictures;
use super::goldens::{Goldens, ParityError, module_tensor};
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
    for case in vectors.between("", ".input_ids") {
        let ids = vectors.ids(&format!("{case}.input_ids"))?;
        let pixels = format!("{case}.pixel_values");
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
        let condition = model.denoiser.condition(&hidden)?;
        let key = format!("{case}.condition");
        on_check(module_tensor(STAGE, key.clone(), &condition, vectors.get(&key)?)?);
    }
    Ok(())
}

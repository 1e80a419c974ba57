//! Pixels → CLIP features: preprocessing byte for byte, the tower within float noise.

use candle_core::Device;

use super::Check;
use super::goldens::{Goldens, ParityError, Tensors, exact, module, module_tensor};
use crate::config::PreprocessConfig;
use crate::dream_model::DreamModel;
use crate::picture::Picture;
use crate::vision::{center_crop, preprocess as to_pixel_values, resize_shortest_edge};

/// Resize, crop and normalise. The recorded crops tell each preset's side.
pub(super) fn preprocess(
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    const STAGE: &str = "preprocess";
    let vectors = goldens.tensors("clip_preprocess")?;
    for key in vectors.between("", ".cropped_u8") {
        let Some((image, _)) = key.split_once('.') else { continue };
        let picture = input_picture(&vectors, image)?;
        let (height, width, _) = vectors.get(&format!("{key}.cropped_u8"))?.dims3()?;
        let mut config = PreprocessConfig::for_side(height.min(width));
        (config.crop_height, config.crop_width) = (height, width);
        let resized = resize_shortest_edge(&picture, config.shortest_edge);
        let resized_key = format!("{key}.resized_u8");
        if vectors.has(&resized_key) {
            let wanted = vectors.bytes(&resized_key)?;
            on_check(exact(STAGE, resized_key, resized.rgb(), &wanted));
        }
        let cropped = center_crop(&resized, config.crop_width, config.crop_height);
        let wanted = vectors.bytes(&format!("{key}.cropped_u8"))?;
        on_check(exact(STAGE, format!("{key}.cropped_u8"), cropped.rgb(), &wanted));
        let pixel_key = format!("{key}.pixel_values");
        if vectors.has(&pixel_key) {
            let found = to_pixel_values(&picture, &config, &Device::Cpu)?;
            on_check(module_tensor(STAGE, pixel_key.clone(), &found, vectors.get(&pixel_key)?)?);
        }
    }
    Ok(())
}

/// The picture as the processor saw it: gray repeated, alpha dropped.
fn input_picture(vectors: &Tensors, image: &str) -> Result<Picture, ParityError> {
    let rgb_key = format!("{image}.rgb_u8");
    let key = if vectors.has(&rgb_key) { rgb_key } else { format!("{image}.input_RGB_u8") };
    let (height, width, _) = vectors.get(&key)?.dims3()?;
    #[expect(clippy::cast_possible_truncation, reason = "recorded pictures are small")]
    Ok(Picture::new(width as u32, height as u32, vectors.bytes(&key)?))
}

/// Every hidden state of the tower up to the selected one, the selection and its projection.
pub(super) fn clip(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    const STAGE: &str = "clip";
    let vectors = goldens.tensors("clip_features")?;
    let pixels = vectors.get("pixel_values")?.to_device(model.decoder.device())?;
    let hidden_states = model.vision()?.tower().hidden_states(&pixels)?;
    for index in vectors.between("hidden_states.", "") {
        let Some(found) = index.parse::<usize>().ok().and_then(|index| hidden_states.get(index))
        else {
            continue;
        };
        let key = format!("hidden_states.{index}");
        on_check(module_tensor(STAGE, key.clone(), found, vectors.get(&key)?)?);
    }
    let selected = model.vision()?.tower().forward(&pixels)?;
    on_check(module_tensor(STAGE, "selected".to_owned(), &selected, vectors.get("selected")?)?);
    let projected = model.vision()?.projector().forward(&selected)?;
    on_check(module_tensor(STAGE, "projected".to_owned(), &projected, vectors.get("projected")?)?);
    let embeds = model.vision()?.encode_pixels(&pixels)?;
    let wanted = vectors.floats("image_embeds")?;
    on_check(module(STAGE, "image_embeds".to_owned(), &super::goldens::floats(&embeds)?, &wanted));
    Ok(())
}

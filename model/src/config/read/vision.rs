//! The CLIP tower's `config.json` and `preprocessor_config.json`. Knows transformers' spellings;
//! fields left out take transformers' defaults, files left out the published ones.

use std::path::Path;

use serde_json::json;

use super::fields::{Fields, MAX_LAYERS, MAX_WIDTH, read_object};
use crate::CheckpointError;
use crate::config::{ClipVisionConfig, PreprocessConfig};

/// Largest side of a tower's input, pixels.
const MAX_SIDE: usize = 8192;
/// PIL's number for bicubic resampling.
const BICUBIC: i32 = 3;

/// Reads `clip/config.json` (a vision model's, or a whole CLIP's with `vision_config`), else
/// `clip_vision_config` of the main file, else takes `openai/clip-vit-large-patch14`.
pub(super) fn read_clip(
    root: &Fields<'_>,
    folder: Option<&Path>,
) -> Result<ClipVisionConfig, CheckpointError> {
    let path = folder.map(|folder| folder.join("config.json")).filter(|path| path.exists());
    if let Some(path) = path {
        let object = read_object(&path)?;
        let fields = Fields::new(&path, &object);
        return match fields.child("vision_config")? {
            Some(vision) => read_tower(&vision),
            None => read_tower(&fields),
        };
    }
    root.child("clip_vision_config")?
        .map_or_else(|| Ok(ClipVisionConfig::default()), |fields| read_tower(&fields))
}

fn read_tower(fields: &Fields<'_>) -> Result<ClipVisionConfig, CheckpointError> {
    let activations = [("quick_gelu", "quick_gelu"), ("gelu", "gelu")];
    let hidden_size = fields.count_or("hidden_size", 768, 1..=MAX_WIDTH)?;
    let config = ClipVisionConfig {
        hidden_size,
        intermediate_size: fields.count_or("intermediate_size", 3072, 1..=MAX_WIDTH)?,
        num_hidden_layers: fields.count_or("num_hidden_layers", 12, 1..=MAX_LAYERS)?,
        num_attention_heads: fields.count_or("num_attention_heads", 12, 1..=hidden_size)?,
        num_channels: fields.count_or("num_channels", 3, 3..=3)?,
        image_size: fields.count_or("image_size", 224, 1..=MAX_SIDE)?,
        patch_size: fields.count_or("patch_size", 32, 1..=MAX_SIDE)?,
        hidden_act: fields.choice_or("hidden_act", &activations, "quick_gelu")?.to_owned(),
        layer_norm_eps: fields.number_or("layer_norm_eps", 1e-5, 1e-12..=1e-2)?,
    };
    if !hidden_size.is_multiple_of(config.num_attention_heads) {
        let wanted = format!("a divisor of hidden_size, {hidden_size}");
        return Err(fields.error("num_attention_heads", &config.num_attention_heads, &wanted));
    }
    if !config.image_size.is_multiple_of(config.patch_size) {
        let wanted = format!("a divisor of image_size, {}", config.image_size);
        return Err(fields.error("patch_size", &config.patch_size, &wanted));
    }
    Ok(config)
}

/// Reads `preprocessor_config.json` (`CLIPImageProcessor`) beside the main file or in the CLIP
/// folder, else takes the published values at the tower's side.
pub(super) fn read_preprocess(
    folder: &Path,
    clip_folder: Option<&Path>,
    side: usize,
) -> Result<PreprocessConfig, CheckpointError> {
    let places = [Some(folder), clip_folder];
    let mut paths =
        places.into_iter().flatten().map(|place| place.join("preprocessor_config.json"));
    let Some(path) = paths.find(|path| path.exists()) else {
        return Ok(PreprocessConfig::for_side(side));
    };
    let object = read_object(&path)?;
    let fields = Fields::new(&path, &object);
    for step in ["do_resize", "do_center_crop", "do_rescale", "do_normalize"] {
        fields.only(step, &[json!(true)])?;
    }
    fields.only("resample", &[json!(BICUBIC)])?;
    let published = PreprocessConfig::for_side(side);
    let (crop_height, crop_width) = read_size(&fields, "crop_size", side)?;
    let (shortest_edge, other_edge) = read_size(&fields, "size", side)?;
    if shortest_edge != other_edge {
        let found = format!("{shortest_edge}x{other_edge}");
        return Err(fields.error("size", &found, "one length, the shortest edge"));
    }
    if (crop_height, crop_width) != (side, side) {
        let found = format!("{crop_height}x{crop_width}");
        let wanted = format!("{side}x{side}, the tower's image_size");
        return Err(fields.error("crop_size", &found, &wanted));
    }
    if shortest_edge < side {
        let wanted = format!("at least crop_size, {side}");
        return Err(fields.error("size", &shortest_edge, &wanted));
    }
    Ok(PreprocessConfig {
        shortest_edge,
        crop_height,
        crop_width,
        rescale_factor: fields.number_or("rescale_factor", published.rescale_factor, 1e-9..=1.0)?,
        mean: fields.numbers_or("image_mean", published.mean, -10.0..=10.0)?,
        std: fields.numbers_or("image_std", published.std, 1e-6..=1e3)?,
    })
}

/// A size in any of the forms transformers has written: a number, `{"shortest_edge": …}` or
/// `{"height": …, "width": …}`.
fn read_size(
    fields: &Fields<'_>,
    name: &str,
    default: usize,
) -> Result<(usize, usize), CheckpointError> {
    if fields.is_number(name) || !fields.has(name) {
        let side = fields.count_or(name, default, 1..=MAX_SIDE)?;
        return Ok((side, side));
    }
    let Some(size) = fields.child(name)? else { return Ok((default, default)) };
    if size.has("shortest_edge") {
        let side = size.count("shortest_edge", 1..=MAX_SIDE)?;
        return Ok((side, side));
    }
    Ok((size.count("height", 1..=MAX_SIDE)?, size.count("width", 1..=MAX_SIDE)?))
}

//! The configuration files of a converted folder: copies where the source has the file, else written
//! out from what was read. Knows JSON, not tensors.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::convert::pretty;
use super::{io_error, json};
use crate::config::{
    Ability, BetaSchedule, ClipVisionConfig, ComponentFolders, NoiseScheduleConfig, PerLevel,
    PredictionType, PreprocessConfig, ProjectorConfig, ProjectorKind, TimestepSpacing, UnetConfig,
    VaeConfig,
};
use crate::{CheckpointError, DreamConfig};

/// Fields of the flat form that the published form says elsewhere.
const FLAT_FIELDS: [&str; 3] = ["num_dream_queries", "clip_select_layer", "clip_vision_config"];
/// Where the reference keeps its plugins; a tag that readers compare.
const PLUGIN_MODULE: &str = "omni.models.dreamllm.modeling_plugins";

/// Names and texts of `config.json`, `preprocessor_config.json` and the component configurations.
pub(super) fn config_files(
    source: &Path,
    config: &DreamConfig,
) -> Result<Vec<(String, String)>, CheckpointError> {
    let main: Map<String, Value> = json::read(&source.join("config.json"))?;
    let folders = ComponentFolders::find(source)?;
    let clip_folder = folders.clip.as_deref();
    let preprocess = [Some(source), clip_folder]
        .into_iter()
        .flatten()
        .find(|folder| folder.join("preprocessor_config.json").exists());
    let clip = match main.get("clip_vision_config") {
        Some(given @ Value::Object(_)) => given.clone(),
        _ => clip_json(&config.vision.clip),
    };
    let head = &config.head;
    let (comprehends, creates) =
        (config.abilities.has(Ability::Comprehension), config.abilities.has(Ability::Creation));
    let vision_parts = [
        ("clip", "config.json", clip_folder, clip),
        ("", "preprocessor_config.json", preprocess, preprocess_json(&config.vision.preprocess)),
    ];
    let drawing_parts = [
        ("unet", "config.json", folders.unet.as_deref(), unet_json(&head.unet)),
        ("vae", "config.json", folders.vae.as_deref(), vae_json(&head.vae)),
        (
            "scheduler",
            "scheduler_config.json",
            folders.scheduler.as_deref(),
            noise_schedule_json(&head.noise_schedule),
        ),
    ];
    let mut files = vec![("config.json".to_owned(), pretty(&main_json(main, config)))];
    let vision_parts = vision_parts.into_iter().filter(|_| comprehends);
    let drawing_parts = drawing_parts.into_iter().filter(|_| creates);
    for (folder, name, found, otherwise) in vision_parts.chain(drawing_parts) {
        let path = found.map(|found| found.join(name)).filter(|path| path.exists());
        let text = match path {
            Some(path) => {
                std::fs::read_to_string(&path).map_err(|source| io_error(&path, source))?
            }
            None => pretty(&otherwise),
        };
        let name = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        files.push((name, text));
    }
    Ok(files)
}

/// The source's `config.json` in the published form, its other fields kept (special token ids among
/// them), component paths pointing into the folder.
fn main_json(mut main: Map<String, Value>, config: &DreamConfig) -> Value {
    for field in FLAT_FIELDS {
        main.remove(field);
    }
    let width = config.llama.hidden_size;
    let mut plugins = match main.remove("plugins_init_kwargs") {
        Some(Value::Object(plugins)) => plugins,
        _ => Map::new(),
    };
    let mut set = |ability: Ability, plugin: &str, class: &str, fields: Value| {
        if !config.abilities.has(ability) {
            plugins.remove(plugin);
            return;
        }
        let entry = plugins.entry(plugin).or_insert_with(|| json!({}));
        let (Value::Object(entry), Value::Object(fields)) = (entry, fields) else { return };
        entry.entry("_target_").or_insert_with(|| json!(format!("{PLUGIN_MODULE}.{class}")));
        entry.insert("embed_hidden_size".to_owned(), json!(width));
        entry.extend(fields);
    };
    let vision = &config.vision;
    let mut clip = projector_json(vision.projector);
    clip["clip_vision_model_name_or_path"] = json!("clip");
    clip["select_layer"] = json!(vision.select_layer);
    clip["use_additional_post_layernorm"] = json!(vision.post_layernorm);
    set(Ability::Comprehension, "clip_vision_embedding", "CLIPVisionEmbedding", clip);
    let dream = json!({ "num_dream_queries": config.num_dream_queries });
    set(Ability::Creation, "dream_embedding", "DreamEmbedding", dream);
    let mut head = projector_json(config.head.projector);
    head["diffusion_name_or_path"] = json!(".");
    set(Ability::Creation, "stable_diffusion_head", "StableDiffusionHead", head);
    main.insert("plugins_init_kwargs".to_owned(), Value::Object(plugins));
    Value::Object(main)
}

fn projector_json(config: ProjectorConfig) -> Value {
    let kind = match config.kind {
        ProjectorKind::Linear => "linear",
        ProjectorKind::Mlp => "mlp",
    };
    json!({ "projector_type": kind, "projector_depth": config.depth })
}

fn clip_json(config: &ClipVisionConfig) -> Value {
    json!({
        "model_type": "clip_vision_model",
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_channels": config.num_channels,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "hidden_act": config.hidden_act,
        "layer_norm_eps": config.layer_norm_eps,
    })
}

fn preprocess_json(config: &PreprocessConfig) -> Value {
    json!({
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": true,
        "size": { "shortest_edge": config.shortest_edge },
        "resample": 3,
        "do_center_crop": true,
        "crop_size": { "height": config.crop_height, "width": config.crop_width },
        "do_rescale": true,
        "rescale_factor": config.rescale_factor,
        "do_normalize": true,
        "image_mean": config.mean,
        "image_std": config.std,
    })
}

fn per_level_json(heads: &PerLevel) -> Value {
    match heads {
        PerLevel::Same(heads) => json!(heads),
        PerLevel::Each(heads) => json!(heads),
    }
}

fn unet_json(config: &UnetConfig) -> Value {
    json!({
        "_class_name": "UNet2DConditionModel",
        "sample_size": config.sample_size,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": config.block_out_channels,
        "layers_per_block": config.layers_per_block,
        "down_block_types": config.down_block_types,
        "up_block_types": config.up_block_types,
        "attention_head_dim": per_level_json(&config.attention_head_dim),
        "num_attention_heads": config.num_attention_heads.as_ref().map(per_level_json),
        "cross_attention_dim": config.cross_attention_dim,
        "use_linear_projection": config.use_linear_projection,
        "norm_num_groups": config.norm_num_groups,
        "norm_eps": config.norm_eps,
        "flip_sin_to_cos": config.flip_sin_to_cos,
        "freq_shift": config.freq_shift,
        "downsample_padding": config.downsample_padding,
        "transformer_layers_per_block": config.transformer_layers_per_block,
    })
}

fn vae_json(config: &VaeConfig) -> Value {
    json!({
        "_class_name": "AutoencoderKL",
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": config.block_out_channels,
        "layers_per_block": config.layers_per_block,
        "latent_channels": config.latent_channels,
        "norm_num_groups": config.norm_num_groups,
        "scaling_factor": config.scaling_factor,
        "mid_block_add_attention": config.mid_block_add_attention,
        "use_quant_conv": config.use_quant_conv,
        "use_post_quant_conv": config.use_post_quant_conv,
    })
}

fn noise_schedule_json(config: &NoiseScheduleConfig) -> Value {
    let beta_schedule = match config.beta_schedule {
        BetaSchedule::Linear => "linear",
        BetaSchedule::ScaledLinear => "scaled_linear",
        BetaSchedule::SquaredcosCapV2 => "squaredcos_cap_v2",
    };
    let prediction_type = match config.prediction_type {
        PredictionType::Epsilon => "epsilon",
        PredictionType::VPrediction => "v_prediction",
        PredictionType::Sample => "sample",
    };
    let timestep_spacing = config.timestep_spacing.map(|spacing| match spacing {
        TimestepSpacing::Leading => "leading",
        TimestepSpacing::Linspace => "linspace",
        TimestepSpacing::Trailing => "trailing",
    });
    json!({
        "_class_name": config.class_name,
        "num_train_timesteps": config.num_train_timesteps,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": beta_schedule,
        "prediction_type": prediction_type,
        "steps_offset": config.steps_offset,
        "set_alpha_to_one": config.set_alpha_to_one,
        "clip_sample": config.clip_sample,
        "timestep_spacing": timestep_spacing,
    })
}

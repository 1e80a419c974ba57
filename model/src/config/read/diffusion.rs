//! `unet/config.json`, `vae/config.json` and `scheduler/scheduler_config.json`. Knows diffusers'
//! spellings; fields left out take diffusers' defaults, files left out the published ones. Fields
//! that would change the computation in ways not implemented are refused, never skipped.

use std::path::Path;

use serde_json::json;

use super::fields::{Fields, MAX_WIDTH, read_object};
use crate::CheckpointError;
use crate::config::{
    BetaSchedule, NoiseScheduleConfig, PerLevel, PredictionType, TimestepSpacing, UnetConfig,
    VaeConfig,
};

/// Largest side of the latents a UNet was trained at.
const MAX_SAMPLE_SIZE: usize = 4096;

pub(super) fn read_unet(folder: Option<&Path>) -> Result<UnetConfig, CheckpointError> {
    let Some(path) = existing_file(folder, "config.json") else {
        return Ok(UnetConfig::default());
    };
    let object = read_object(&path)?;
    let fields = Fields::new(&path, &object);
    refuse_other_unets(&fields)?;
    let levels = fields.counts("block_out_channels", 2..=MAX_WIDTH)?;
    let down = ["CrossAttnDownBlock2D", "DownBlock2D"];
    let up = ["UpBlock2D", "CrossAttnUpBlock2D"];
    let heads = fields.has("num_attention_heads");
    let config = UnetConfig {
        sample_size: fields.count("sample_size", 1..=MAX_SAMPLE_SIZE)?,
        in_channels: fields.count_or("in_channels", 4, 1..=64)?,
        out_channels: fields.count_or("out_channels", 4, 1..=64)?,
        layers_per_block: fields.count_or("layers_per_block", 2, 1..=16)?,
        down_block_types: fields.words("down_block_types", &down, levels.len())?,
        up_block_types: fields.words("up_block_types", &up, levels.len())?,
        attention_head_dim: read_per_level(&fields, "attention_head_dim")?,
        num_attention_heads: heads
            .then(|| read_per_level(&fields, "num_attention_heads"))
            .transpose()?,
        cross_attention_dim: fields.count_or("cross_attention_dim", 1280, 1..=MAX_WIDTH)?,
        use_linear_projection: fields.flag_or("use_linear_projection", false)?,
        norm_num_groups: fields.count_or("norm_num_groups", 32, 1..=MAX_WIDTH)?,
        norm_eps: fields.number_or("norm_eps", 1e-5, 1e-12..=1e-2)?,
        flip_sin_to_cos: fields.flag_or("flip_sin_to_cos", true)?,
        freq_shift: fields.number_or("freq_shift", 0.0, 0.0..=1.0)?,
        downsample_padding: fields.count_or("downsample_padding", 1, 0..=1)?,
        transformer_layers_per_block: read_transformer_depth(&fields)?,
        block_out_channels: levels,
    };
    check_groups(&fields, &config.block_out_channels, config.norm_num_groups)?;
    check_unet_heads(&fields, &config)?;
    Ok(config)
}

/// Features of `UNet2DConditionModel` that Stable Diffusion 1.x and 2.x do not use.
fn refuse_other_unets(fields: &Fields<'_>) -> Result<(), CheckpointError> {
    for name in [
        "class_embed_type",
        "num_class_embeds",
        "addition_embed_type",
        "encoder_hid_dim",
        "encoder_hid_dim_type",
        "time_embedding_dim",
        "time_embedding_act_fn",
        "timestep_post_act",
        "time_cond_proj_dim",
        "cross_attention_norm",
        "reverse_transformer_layers_per_block",
        "mid_block_only_cross_attention",
    ] {
        fields.only(name, &[])?;
    }
    for name in [
        "center_input_sample",
        "dual_cross_attention",
        "only_cross_attention",
        "resnet_skip_time_act",
        "class_embeddings_concat",
    ] {
        fields.only(name, &[json!(false)])?;
    }
    for (name, value) in [
        ("_class_name", json!("UNet2DConditionModel")),
        ("act_fn", json!("silu")),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn")),
        ("time_embedding_type", json!("positional")),
        ("resnet_time_scale_shift", json!("default")),
        ("attention_type", json!("default")),
        ("conv_in_kernel", json!(3)),
        ("conv_out_kernel", json!(3)),
        ("mid_block_scale_factor", json!(1)),
        ("resnet_out_scale_factor", json!(1)),
    ] {
        fields.only(name, &[value])?;
    }
    Ok(())
}

fn read_per_level(fields: &Fields<'_>, name: &str) -> Result<PerLevel, CheckpointError> {
    if fields.is_list(name) {
        return fields.counts(name, 1..=MAX_WIDTH).map(PerLevel::Each);
    }
    fields.count_or(name, 8, 1..=MAX_WIDTH).map(PerLevel::Same)
}

/// One depth everywhere; a list is accepted where all its entries agree.
fn read_transformer_depth(fields: &Fields<'_>) -> Result<usize, CheckpointError> {
    let name = "transformer_layers_per_block";
    if !fields.is_list(name) {
        return fields.count_or(name, 1, 1..=32);
    }
    let depths = fields.counts(name, 1..=32)?;
    if depths.iter().any(|depth| *depth != depths[0]) {
        return Err(fields.error(name, &format!("{depths:?}"), "the same depth on every level"));
    }
    Ok(depths[0])
}

fn check_groups(
    fields: &Fields<'_>,
    levels: &[usize],
    groups: usize,
) -> Result<(), CheckpointError> {
    if levels.iter().all(|channels| channels.is_multiple_of(groups)) {
        return Ok(());
    }
    let wanted = format!("a divisor of every level's channels, {levels:?}");
    Err(fields.error("norm_num_groups", &groups, &wanted))
}

fn check_unet_heads(fields: &Fields<'_>, config: &UnetConfig) -> Result<(), CheckpointError> {
    let name = match config.num_attention_heads {
        Some(_) => "num_attention_heads",
        None => "attention_head_dim",
    };
    let levels = &config.block_out_channels;
    let heads = config.num_attention_heads.as_ref().unwrap_or(&config.attention_head_dim);
    if let PerLevel::Each(heads) = heads
        && heads.len() != levels.len()
    {
        return Err(fields.error(name, &heads.len(), &format!("{} numbers", levels.len())));
    }
    if !levels[0].is_multiple_of(2) {
        return Err(fields.error("block_out_channels", &levels[0], "an even first level"));
    }
    for (level, channels) in levels.iter().enumerate() {
        let up = levels.len() - 1 - level;
        // The middle block attends with the innermost level's heads.
        let attends = level + 1 == levels.len()
            || config.down_block_types[level].starts_with("Cross")
            || config.up_block_types[up].starts_with("Cross");
        if attends && !channels.is_multiple_of(config.heads(level)) {
            let wanted = format!("a divisor of level {level}'s {channels} channels");
            return Err(fields.error(name, &config.heads(level), &wanted));
        }
    }
    Ok(())
}

pub(super) fn read_vae(folder: Option<&Path>) -> Result<VaeConfig, CheckpointError> {
    let Some(path) = existing_file(folder, "config.json") else {
        return Ok(VaeConfig::default());
    };
    let object = read_object(&path)?;
    let fields = Fields::new(&path, &object);
    fields.only("_class_name", &[json!("AutoencoderKL")])?;
    fields.only("act_fn", &[json!("silu")])?;
    for name in ["shift_factor", "latents_mean", "latents_std"] {
        fields.only(name, &[])?;
    }
    let levels = fields.counts("block_out_channels", 1..=MAX_WIDTH)?;
    for (name, kind) in
        [("down_block_types", "DownEncoderBlock2D"), ("up_block_types", "UpDecoderBlock2D")]
    {
        if fields.has(name) {
            fields.words(name, &[kind], levels.len())?;
        }
    }
    let config = VaeConfig {
        in_channels: fields.count_or("in_channels", 3, 3..=3)?,
        out_channels: fields.count_or("out_channels", 3, 3..=3)?,
        layers_per_block: fields.count_or("layers_per_block", 1, 1..=16)?,
        latent_channels: fields.count_or("latent_channels", 4, 1..=64)?,
        norm_num_groups: fields.count_or("norm_num_groups", 32, 1..=MAX_WIDTH)?,
        scaling_factor: fields.number_or("scaling_factor", 0.18215, 1e-6..=1e6)?,
        mid_block_add_attention: fields.flag_or("mid_block_add_attention", true)?,
        use_quant_conv: fields.flag_or("use_quant_conv", true)?,
        use_post_quant_conv: fields.flag_or("use_post_quant_conv", true)?,
        block_out_channels: levels,
    };
    check_groups(&fields, &config.block_out_channels, config.norm_num_groups)?;
    Ok(config)
}

/// The classes whose betas and timesteps mean what they mean here.
const SCHEDULERS: [&str; 8] = [
    "PNDMScheduler",
    "DDPMScheduler",
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "UniPCMultistepScheduler",
    "LMSDiscreteScheduler",
];

pub(super) fn read_noise_schedule(
    folder: Option<&Path>,
) -> Result<NoiseScheduleConfig, CheckpointError> {
    let Some(path) = existing_file(folder, "scheduler_config.json") else {
        return Ok(NoiseScheduleConfig::default());
    };
    let object = read_object(&path)?;
    let fields = Fields::new(&path, &object);
    fields.only("trained_betas", &[])?;
    for name in ["rescale_betas_zero_snr", "thresholding"] {
        fields.only(name, &[json!(false)])?;
    }
    fields.only("variance_type", &[json!("fixed_small")])?;
    let classes = SCHEDULERS.map(|name| (name, name));
    let class_name = fields.choice_or("_class_name", &classes, "PNDMScheduler")?;
    let beta_schedules = [
        ("linear", BetaSchedule::Linear),
        ("scaled_linear", BetaSchedule::ScaledLinear),
        ("squaredcos_cap_v2", BetaSchedule::SquaredcosCapV2),
    ];
    let predictions = [
        ("epsilon", PredictionType::Epsilon),
        ("v_prediction", PredictionType::VPrediction),
        ("sample", PredictionType::Sample),
    ];
    let spacings = [
        ("leading", Some(TimestepSpacing::Leading)),
        ("linspace", Some(TimestepSpacing::Linspace)),
        ("trailing", Some(TimestepSpacing::Trailing)),
    ];
    let num_train_timesteps = fields.count_or("num_train_timesteps", 1000, 2..=100_000)?;
    let beta_start = fields.number_or("beta_start", 1e-4, 1e-9..=0.999)?;
    let clip_sample = fields.flag_or("clip_sample", true)?;
    if clip_sample {
        fields.only("clip_sample_range", &[json!(1)])?;
    }
    Ok(NoiseScheduleConfig {
        class_name: class_name.to_owned(),
        num_train_timesteps,
        beta_start,
        beta_end: fields.number_or("beta_end", 0.02, beta_start..=0.999)?,
        beta_schedule: fields.choice_or("beta_schedule", &beta_schedules, BetaSchedule::Linear)?,
        prediction_type: fields.choice_or(
            "prediction_type",
            &predictions,
            PredictionType::Epsilon,
        )?,
        steps_offset: fields.count_or("steps_offset", 0, 0..=num_train_timesteps - 1)?,
        set_alpha_to_one: fields.flag_or("set_alpha_to_one", class_name != "PNDMScheduler")?,
        clip_sample,
        timestep_spacing: fields.choice_or("timestep_spacing", &spacings, None)?,
    })
}

fn existing_file(folder: Option<&Path>, name: &str) -> Option<std::path::PathBuf> {
    folder.map(|folder| folder.join(name)).filter(|path| path.exists())
}

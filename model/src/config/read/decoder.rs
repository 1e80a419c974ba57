//! LLaMA's fields of `config.json`. Knows transformers' spellings, old and new.

use serde_json::json;

use super::fields::{Fields, MAX_LAYERS, MAX_POSITIONS, MAX_WIDTH};
use crate::CheckpointError;
use crate::config::{LlamaConfig, RopeScaling};

pub(super) fn read(root: &Fields<'_>) -> Result<LlamaConfig, CheckpointError> {
    root.only("hidden_act", &[json!("silu")])?;
    root.only("mlp_bias", &[json!(false)])?;
    let rope = root.child("rope_parameters")?;
    let theta = rope.as_ref().filter(|rope| rope.has("rope_theta")).unwrap_or(root);
    let scaling = match &rope {
        Some(rope) => read_scaling(rope)?,
        None => root.child("rope_scaling")?.map_or(Ok(None), |scaling| read_scaling(&scaling))?,
    };
    let hidden_size = root.count("hidden_size", 1..=MAX_WIDTH)?;
    let num_attention_heads = root.count("num_attention_heads", 1..=hidden_size)?;
    let config = LlamaConfig {
        hidden_size,
        intermediate_size: root.count("intermediate_size", 1..=MAX_WIDTH)?,
        num_hidden_layers: root.count("num_hidden_layers", 1..=MAX_LAYERS)?,
        num_attention_heads,
        num_key_value_heads: optional(root, "num_key_value_heads", num_attention_heads)?,
        head_dim: optional(root, "head_dim", MAX_WIDTH)?,
        rms_norm_eps: root.number_or("rms_norm_eps", 1e-6, 1e-12..=1e-2)?,
        max_position_embeddings: root.count("max_position_embeddings", 1..=MAX_POSITIONS)?,
        rope_theta: theta.number_or("rope_theta", 10_000.0, 1.0..=1e12)?,
        rope_scaling: scaling,
        attention_bias: root.flag_or("attention_bias", false)?,
        tie_word_embeddings: root.flag_or("tie_word_embeddings", false)?,
        vocab_size: root.count("vocab_size", 1..=MAX_POSITIONS)?,
    };
    check_heads(root, &config)?;
    Ok(config)
}

fn optional(root: &Fields<'_>, name: &str, most: usize) -> Result<Option<usize>, CheckpointError> {
    root.has(name).then(|| root.count(name, 1..=most)).transpose()
}

fn check_heads(root: &Fields<'_>, config: &LlamaConfig) -> Result<(), CheckpointError> {
    let heads = config.num_attention_heads;
    if config.head_dim.is_none() && !config.hidden_size.is_multiple_of(heads) {
        let wanted = format!("a divisor of hidden_size, {}", config.hidden_size);
        return Err(root.error("num_attention_heads", &heads, &wanted));
    }
    if !heads.is_multiple_of(config.kv_heads()) {
        let wanted = format!("a divisor of num_attention_heads, {heads}");
        return Err(root.error("num_key_value_heads", &config.kv_heads(), &wanted));
    }
    if !config.head_width().is_multiple_of(2) {
        let wanted = "even: rotary embeddings turn pairs";
        return Err(root.error("head_dim", &config.head_width(), wanted));
    }
    Ok(())
}

/// `rope_scaling` of transformers 4.35 (`type`), or `rope_parameters` of 5 (`rope_type`).
fn read_scaling(fields: &Fields<'_>) -> Result<Option<RopeScaling>, CheckpointError> {
    #[derive(Clone, Copy)]
    enum Kind {
        Default,
        Linear,
        Dynamic,
    }
    let choices =
        [("default", Kind::Default), ("linear", Kind::Linear), ("dynamic", Kind::Dynamic)];
    let name = if fields.has("rope_type") { "rope_type" } else { "type" };
    let kind = fields.choice_or(name, &choices, Kind::Default)?;
    let factor = || {
        if !fields.has("factor") {
            return Err(fields.error("factor", &"absent", "a number above 1"));
        }
        fields.number_or("factor", 1.0, 1.0..=1e6)
    };
    Ok(match kind {
        Kind::Default => None,
        Kind::Linear => Some(RopeScaling::Linear { factor: factor()? }),
        Kind::Dynamic => Some(RopeScaling::Dynamic { factor: factor()? }),
    })
}

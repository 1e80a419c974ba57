//! The lists of expected tensors, and the report of differences.

use std::collections::BTreeMap;

use candle_core::DType;
use reverie_model::checkpoint::{
    Component, ContextBudget, MemoryEstimate, expected_tensors, memory_estimate,
};
use reverie_model::config::{PerLevel, ProjectorConfig, ProjectorKind};
use reverie_model::{CheckpointError, DreamConfig};
use serde_json::json;

use crate::fixtures::{RawTensor, Scratch, golden, raw_tensors};

/// The published 7B's `config.json`, without files beside it: every component is built in.
pub(crate) fn published_7b() -> DreamConfig {
    let scratch = Scratch::new();
    let config = json!({
        "model_type": "dreamllm", "hidden_act": "silu", "hidden_size": 4096,
        "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": null, "max_position_embeddings": 2048, "vocab_size": 32008,
        "plugins_init_kwargs": {
            "clip_vision_embedding": {
                "_target_": "omni.models.dreamllm.modeling_plugins.CLIPVisionEmbedding",
                "clip_vision_model_name_or_path": "openai/clip-vit-large-patch14",
                "embed_hidden_size": 4096, "select_layer": -2,
            },
            "dream_embedding": { "embed_hidden_size": 4096, "num_dream_queries": 64 },
            "stable_diffusion_head": {
                "diffusion_name_or_path": "stabilityai/stable-diffusion-2-1-base",
            },
        },
    });
    scratch.write("config.json", config.to_string().as_bytes());
    scratch.config().expect("the published configuration")
}

/// Canonical names and shapes of the published files.
fn published_tensors() -> BTreeMap<String, Vec<usize>> {
    let mut tensors = BTreeMap::new();
    let mut prefix = "";
    for line in include_str!("dreamllm-7b-tensors.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(file) = line.strip_prefix("file ") {
            prefix = match file {
                "pytorch_model.bin" => "",
                "clip_vision_embedding.bin" => "model.clip_vision_embedding.",
                "dream_embedding.bin" => "model.dream_embedding.",
                "stable_diffusion_head.bin" => "stable_diffusion_head.",
                other => panic!("unknown file {other}"),
            };
            continue;
        }
        let mut words = line.split(' ');
        let name = words.next().expect("a name");
        let shape: Vec<usize> = words.map(|size| size.parse().expect("a size")).collect();
        for name in expand(name) {
            assert!(tensors.insert(format!("{prefix}{name}"), shape.clone()).is_none());
        }
    }
    tensors
}

fn expand(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else { return vec![name.to_owned()] };
    let (range, after) = rest.split_once('}').expect("a closing brace");
    let (first, last) = range.split_once("..").expect("a range");
    let range = first.parse::<usize>().expect("a number")..=last.parse().expect("a number");
    range.map(|number| format!("{before}{number}{after}")).collect()
}

#[test]
fn the_published_7b_has_exactly_the_tensors_of_its_files() {
    let mut published = published_tensors();
    assert_eq!(published.len(), 1652);
    published.retain(|name, _| !name.ends_with("rotary_emb.inv_freq"));
    let expected: BTreeMap<String, Vec<usize>> =
        expected_tensors(&published_7b()).into_iter().map(|t| (t.name, t.shape)).collect();
    assert_eq!(expected.len(), 1620);
    assert_eq!(expected, published);
}

fn shapes(config: &DreamConfig) -> BTreeMap<String, Vec<usize>> {
    expected_tensors(config).into_iter().map(|tensor| (tensor.name, tensor.shape)).collect()
}

#[test]
fn grouped_queries_and_biases_change_the_attention_shapes() {
    let mut config = golden().config().clone();
    config.llama.num_key_value_heads = Some(2);
    config.llama.attention_bias = true;
    config.llama.head_dim = Some(24);
    let shapes = shapes(&config);
    let of = |name: &str| shapes[&format!("model.layers.1.self_attn.{name}")].clone();
    assert_eq!(of("q_proj.weight"), [96, 64]);
    assert_eq!(of("k_proj.weight"), [48, 64]);
    assert_eq!(of("v_proj.bias"), [48]);
    assert_eq!(of("o_proj.weight"), [64, 96]);
    assert_eq!(of("o_proj.bias"), [64]);
}

#[test]
fn an_mlp_projector_has_a_linear_layer_at_every_other_place() {
    let mut config = golden().config().clone();
    config.vision.projector = ProjectorConfig { kind: ProjectorKind::Mlp, depth: 3 };
    config.head.projector = ProjectorConfig { kind: ProjectorKind::Mlp, depth: 2 };
    config.vision.post_layernorm = true;
    let shapes = shapes(&config);
    let clip = "model.clip_vision_embedding.projector.projector";
    assert_eq!(shapes[&format!("{clip}.0.weight")], [64, 32]);
    assert_eq!(shapes[&format!("{clip}.4.weight")], [64, 64]);
    assert_eq!(shapes[&format!("{clip}.4.bias")], [64]);
    assert!(!shapes.contains_key(&format!("{clip}.weight")));
    assert_eq!(shapes["model.clip_vision_embedding.post_layernorm.bias"], [64]);
    let head = "stable_diffusion_head.projector.projector";
    assert_eq!(shapes[&format!("{head}.0.weight")], [40, 64]);
    assert_eq!(shapes[&format!("{head}.2.weight")], [40, 40]);
    assert!(!shapes.contains_key(&format!("{head}.0.bias")));
}

#[test]
fn stable_diffusion_1_has_convolutions_around_its_transformers() {
    let mut config = golden().config().clone();
    config.head.unet.use_linear_projection = false;
    config.head.unet.attention_head_dim = PerLevel::Same(8);
    config.head.unet.transformer_layers_per_block = 2;
    let shapes = shapes(&config);
    let attention = "stable_diffusion_head.unet.mid_block.attentions.0";
    assert_eq!(shapes[&format!("{attention}.proj_in.weight")], [32, 32, 1, 1]);
    assert!(shapes.contains_key(&format!("{attention}.transformer_blocks.1.norm3.bias")));
}

#[test]
fn tied_embeddings_and_vae_flags_remove_tensors() {
    let mut config = golden().config().clone();
    config.llama.tie_word_embeddings = true;
    config.head.vae.use_quant_conv = false;
    config.head.vae.use_post_quant_conv = false;
    config.head.vae.mid_block_add_attention = false;
    let shapes = shapes(&config);
    assert!(!shapes.contains_key("lm_head.weight"));
    assert!(!shapes.keys().any(|name| name.contains("quant_conv")));
    assert!(!shapes.keys().any(|name| name.contains(".vae.") && name.contains("attentions")));
}

/// Writes the golden tensors, changed, as one file, and returns the report.
fn report_of(change: impl FnOnce(&mut Vec<RawTensor>)) -> String {
    let scratch = Scratch::with_golden_configs();
    let mut tensors = raw_tensors(&golden());
    change(&mut tensors);
    scratch.write_safetensors("model.safetensors", &tensors);
    match scratch.open() {
        Err(CheckpointError::Tensors { report, .. }) => report,
        other => panic!("wanted a report, got {other:?}"),
    }
}

fn position(tensors: &[RawTensor], name: &str) -> usize {
    tensors.iter().position(|tensor| tensor.name == name).expect("a tensor of this name")
}

#[test]
fn every_difference_is_reported_at_once() {
    let report = report_of(|tensors| {
        tensors.remove(position(tensors, "model.norm.weight"));
        tensors.push(RawTensor::zeros("model.layers.7.mlp.up_proj.weight", &[160, 64]));
        let at = position(tensors, "lm_head.weight");
        tensors[at] = RawTensor::zeros("lm_head.weight", &[480, 64]);
        let at = position(tensors, "model.layers.0.mlp.down_proj.weight");
        tensors[at].name = "module.model.layers.0.mlp.down_proj.weight".to_owned();
        let at = position(tensors, "stable_diffusion_head.unet.conv_in.bias");
        tensors[at].name = "stable_diffusion_head.unet.conv_inn.bias".to_owned();
    });
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "1 missing, 1 unexpected, 1 misshapen, 2 misnamed, 0 given twice");
    assert_eq!(lines[1], "  missing: model.norm.weight [64]");
    assert!(lines[2].starts_with("  unexpected: model.layers.7.mlp.up_proj.weight [160, 64] in "));
    assert_eq!(lines[3], "  misshapen: lm_head.weight is [480, 64], wanted [488, 64]");
    let misnamed = "  misnamed: module.model.layers.0.mlp.down_proj.weight looks like \
                    model.layers.0.mlp.down_proj.weight";
    assert_eq!(lines[4], misnamed);
    assert!(lines[5].ends_with("conv_inn.bias looks like stable_diffusion_head.unet.conv_in.bias"));
    assert_eq!(lines.len(), 6);
}

#[test]
fn an_absent_component_is_one_line_that_says_where_it_could_be() {
    let report = report_of(|tensors| {
        tensors.retain(|tensor| !tensor.name.starts_with("stable_diffusion_head.vae."));
    });
    assert!(report.contains("missing: all 248 tensors of the VAE"), "{report}");
    assert!(report.contains("vae/"), "{report}");
    assert_eq!(report.lines().count(), 2);
}

#[test]
fn integers_in_place_of_weights_are_reported() {
    let scratch = Scratch::with_golden_configs();
    let tensors = raw_tensors(&golden());
    scratch.write_safetensors("model.safetensors", &tensors);
    let mut bytes = std::fs::read(scratch.path().join("model.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&bytes).find("lm_head.weight").unwrap();
    let dtype = header + String::from_utf8_lossy(&bytes[header..]).find("BF16").unwrap();
    bytes[dtype..dtype + 4].copy_from_slice(b"I16\"");
    // `"I16""` would not parse: drop the quote that is now one too many.
    bytes.remove(dtype + 4);
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) - 1;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    scratch.write("model.safetensors", &bytes);
    let error = scratch.open().unwrap_err().to_string();
    assert!(error.contains("lm_head.weight has elements of I16, wanted floats"), "{error}");
}

#[test]
fn every_expected_name_belongs_to_the_component_that_lists_it() {
    let counts = expected_tensors(&published_7b()).iter().fold(BTreeMap::new(), |mut sum, t| {
        *sum.entry(Component::of(&t.name)).or_insert(0) += 1;
        sum
    });
    let of = |component| counts[&component];
    assert_eq!(of(Component::Decoder), 291);
    assert_eq!(of(Component::VisionTower), 391);
    assert_eq!(of(Component::VisionProjector), 2);
    assert_eq!(of(Component::DreamQueries), 1);
    assert_eq!(of(Component::ConditionProjector), 1);
    assert_eq!(of(Component::Unet), 686);
    assert_eq!(of(Component::Vae), 248);
}

#[test]
fn the_published_7b_needs_what_its_files_weigh_and_fits_six_pictures() {
    let config = published_7b();
    let memory = MemoryEstimate::of(&config, DType::BF16);
    // The payloads of the published files: 13.5 GB, 614,756,352 B and 1,907,517,782 B, and the
    // queries, less the 32 ignored buffers of 64 elements in the first.
    let plugins = 614_756_352 + 1_907_517_782 + 2 * 64 * 4096;
    let decoder = memory.weights - plugins;
    assert_eq!(decoder, 2 * 6_738_481_152);
    assert_eq!(memory.cache_per_position, 512 << 10);
    assert_eq!(memory.cache, 1 << 30);
    assert!(memory_estimate(&config, DType::F32) > 2 * memory.weights);
    let context = ContextBudget::of(&config);
    assert_eq!((context.per_picture_in, context.per_picture_out), (258, 324));
    assert_eq!((context.max_pictures_out, context.left_for_text), (6, 104));
}

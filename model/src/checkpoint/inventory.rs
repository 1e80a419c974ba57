//! The tensors that a configuration demands, and every difference from the tensors found.
//! Knows names and shapes; reads no files. The denoiser's and autoencoder's lists are beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use candle_core::DType;

use super::component::{CLIP_PREFIX, Component, DREAM_PREFIX, HEAD_PREFIX, TOWER_PREFIX};
use super::inventory_diffusion::{list_unet, list_vae};
use super::stored_tensor::StoredTensor;
use crate::DreamConfig;
use crate::config::{Ability, ClipVisionConfig, LlamaConfig, ProjectorConfig, ProjectorKind};

/// A tensor that a configuration demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// Canonical name.
    pub name: String,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

impl ExpectedTensor {
    /// Elements in all.
    pub fn num_elements(&self) -> u64 {
        self.shape.iter().map(|size| *size as u64).product()
    }
}

/// Every tensor of a model of this configuration, in the order of a forward pass; 1,620 for the
/// published 7B (its files also hold 32 buffers that are ignored).
pub fn expected_tensors(config: &DreamConfig) -> Vec<ExpectedTensor> {
    let mut list = TensorList::default();
    list_decoder(&mut list, &config.llama);
    if config.abilities.has(Ability::Comprehension) {
        list_vision(&mut list, config);
    }
    if config.abilities.has(Ability::Creation) {
        list_drawing(&mut list, config);
    }
    list.tensors
}

fn list_vision(list: &mut TensorList, config: &DreamConfig) {
    list_tower(list, &config.vision.clip);
    let (clip_width, width) = (config.vision.clip.hidden_size, config.llama.hidden_size);
    list.under(CLIP_PREFIX, |list| {
        list_projector(list, config.vision.projector, clip_width, width, Bias::Yes);
        if config.vision.post_layernorm {
            list.norm("post_layernorm", width);
        }
    });
}

fn list_drawing(list: &mut TensorList, config: &DreamConfig) {
    let width = config.llama.hidden_size;
    list.add(&format!("{DREAM_PREFIX}dream_queries"), &[1, config.num_dream_queries, width]);
    let condition_width = config.head.unet.cross_attention_dim;
    list.under(HEAD_PREFIX, |list| {
        list_projector(list, config.head.projector, width, condition_width, Bias::No);
        list.under("unet.", |list| list_unet(list, &config.head.unet));
        list.under("vae.", |list| list_vae(list, &config.head.vae));
    });
}

/// Whether a layer has a bias.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bias {
    Yes,
    No,
}

/// Collects expected tensors under a growing prefix.
#[derive(Default)]
pub(super) struct TensorList {
    prefix: String,
    tensors: Vec<ExpectedTensor>,
}

impl TensorList {
    pub(super) fn under(&mut self, prefix: &str, fill: impl FnOnce(&mut Self)) {
        let length = self.prefix.len();
        self.prefix.push_str(prefix);
        fill(self);
        self.prefix.truncate(length);
    }

    pub(super) fn add(&mut self, name: &str, shape: &[usize]) {
        let name = format!("{}{name}", self.prefix);
        self.tensors.push(ExpectedTensor { name, shape: shape.to_vec() });
    }

    pub(super) fn linear(&mut self, name: &str, input: usize, output: usize, bias: Bias) {
        self.add(&format!("{name}.weight"), &[output, input]);
        self.bias(name, output, bias);
    }

    /// A square-kernel convolution with bias.
    pub(super) fn convolution(&mut self, name: &str, input: usize, output: usize, kernel: usize) {
        self.add(&format!("{name}.weight"), &[output, input, kernel, kernel]);
        self.bias(name, output, Bias::Yes);
    }

    /// Weight and bias of a LayerNorm or GroupNorm.
    pub(super) fn norm(&mut self, name: &str, width: usize) {
        self.add(&format!("{name}.weight"), &[width]);
        self.bias(name, width, Bias::Yes);
    }

    fn bias(&mut self, name: &str, width: usize, bias: Bias) {
        match bias {
            Bias::Yes => self.add(&format!("{name}.bias"), &[width]),
            Bias::No => {}
        }
    }
}

fn list_decoder(list: &mut TensorList, config: &LlamaConfig) {
    let width = config.hidden_size;
    let query_width = config.num_attention_heads * config.head_width();
    let key_width = config.kv_heads() * config.head_width();
    let bias = if config.attention_bias { Bias::Yes } else { Bias::No };
    list.add("model.embed_tokens.weight", &[config.vocab_size, width]);
    for layer in 0..config.num_hidden_layers {
        list.under(&format!("model.layers.{layer}."), |list| {
            list.linear("self_attn.q_proj", width, query_width, bias);
            list.linear("self_attn.k_proj", width, key_width, bias);
            list.linear("self_attn.v_proj", width, key_width, bias);
            list.linear("self_attn.o_proj", query_width, width, bias);
            list.linear("mlp.gate_proj", width, config.intermediate_size, Bias::No);
            list.linear("mlp.up_proj", width, config.intermediate_size, Bias::No);
            list.linear("mlp.down_proj", config.intermediate_size, width, Bias::No);
            list.add("input_layernorm.weight", &[width]);
            list.add("post_attention_layernorm.weight", &[width]);
        });
    }
    list.add("model.norm.weight", &[width]);
    if !config.tie_word_embeddings {
        list.add("lm_head.weight", &[config.vocab_size, width]);
    }
}

fn list_tower(list: &mut TensorList, config: &ClipVisionConfig) {
    let (width, patch) = (config.hidden_size, config.patch_size);
    list.under(&format!("{TOWER_PREFIX}vision_model."), |list| {
        list.add("embeddings.class_embedding", &[width]);
        let kernel = [width, config.num_channels, patch, patch];
        list.add("embeddings.patch_embedding.weight", &kernel);
        list.add("embeddings.position_embedding.weight", &[config.num_patches() + 1, width]);
        list.norm("pre_layrnorm", width);
        for layer in 0..config.num_hidden_layers {
            list.under(&format!("encoder.layers.{layer}."), |list| {
                for projection in ["k_proj", "v_proj", "q_proj", "out_proj"] {
                    list.linear(&format!("self_attn.{projection}"), width, width, Bias::Yes);
                }
                list.norm("layer_norm1", width);
                list.linear("mlp.fc1", width, config.intermediate_size, Bias::Yes);
                list.linear("mlp.fc2", config.intermediate_size, width, Bias::Yes);
                list.norm("layer_norm2", width);
            });
        }
        list.norm("post_layernorm", width);
    });
}

fn list_projector(
    list: &mut TensorList,
    config: ProjectorConfig,
    input: usize,
    output: usize,
    bias: Bias,
) {
    match config.kind {
        ProjectorKind::Linear => list.linear("projector.projector", input, output, bias),
        ProjectorKind::Mlp => {
            for layer in 0..config.depth {
                let input = if layer == 0 { input } else { output };
                // Activations without tensors take the odd places of the sequence.
                list.linear(&format!("projector.projector.{}", 2 * layer), input, output, bias);
            }
        }
    }
}

/// Compares what was found with what a configuration demands. `None` when they agree, else one
/// report of all differences: a summary line, then one line each.
pub(super) fn differences(
    expected: &[ExpectedTensor],
    found: &BTreeMap<String, StoredTensor>,
    given_twice: &[String],
) -> Option<String> {
    let mut missing: Vec<&ExpectedTensor> = Vec::new();
    let mut misshapen = Vec::new();
    for wanted in expected {
        match found.get(&wanted.name) {
            None => missing.push(wanted),
            Some(tensor) => misshapen.extend(misshapen_line(wanted, tensor)),
        }
    }
    let known: BTreeSet<&str> = expected.iter().map(|wanted| wanted.name.as_str()).collect();
    let mut unexpected: Vec<&StoredTensor> =
        found.values().filter(|tensor| !known.contains(tensor.name.as_str())).collect();
    if missing.is_empty() && misshapen.is_empty() && unexpected.is_empty() && given_twice.is_empty()
    {
        return None;
    }
    let absent = absent_components(expected, found);
    missing.retain(|wanted| !absent.contains_key(&Component::of(&wanted.name)));
    let misnamed = pair_misnamed(&mut missing, &mut unexpected);
    let num_absent: usize = absent.values().sum();
    let mut report = format!(
        "{} missing, {} unexpected, {} misshapen, {} misnamed, {} given twice",
        missing.len() + num_absent,
        unexpected.len(),
        misshapen.len(),
        misnamed.len(),
        given_twice.len()
    );
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ = write!(report, "\n  {text}");
    };
    for (component, count) in absent {
        let hint = component.where_to_look();
        line(format_args!("missing: all {count} tensors of the {component}; looked in {hint}"));
    }
    for wanted in missing {
        line(format_args!("missing: {} {:?}", wanted.name, wanted.shape));
    }
    for tensor in unexpected {
        let path = tensor.file().path().display();
        line(format_args!("unexpected: {} {:?} in {path}", tensor.name, tensor.shape));
    }
    for text in misshapen.iter().chain(&misnamed) {
        line(format_args!("{text}"));
    }
    for name in given_twice {
        line(format_args!("given twice: {name}"));
    }
    Some(report)
}

fn misshapen_line(wanted: &ExpectedTensor, tensor: &StoredTensor) -> Option<String> {
    if tensor.shape != wanted.shape {
        let (name, found, shape) = (&wanted.name, &tensor.shape, &wanted.shape);
        return Some(format!("misshapen: {name} is {found:?}, wanted {shape:?}"));
    }
    match tensor.dtype {
        DType::BF16 | DType::F16 | DType::F32 | DType::F64 => None,
        other => {
            Some(format!("misshapen: {} has elements of {other:?}, wanted floats", wanted.name))
        }
    }
}

/// Components of which nothing was found, with the number of their tensors.
fn absent_components(
    expected: &[ExpectedTensor],
    found: &BTreeMap<String, StoredTensor>,
) -> BTreeMap<Component, usize> {
    let mut absent = BTreeMap::new();
    for wanted in expected {
        *absent.entry(Component::of(&wanted.name)).or_insert(0) += 1;
    }
    for name in found.keys() {
        absent.remove(&Component::of(name));
    }
    absent
}

/// Takes out of both lists the pairs of equal shape whose names nearly agree.
fn pair_misnamed(
    missing: &mut Vec<&ExpectedTensor>,
    unexpected: &mut Vec<&StoredTensor>,
) -> Vec<String> {
    let mut lines = Vec::new();
    unexpected.retain(|tensor| {
        let candidates = missing.iter().enumerate().filter(|(_, m)| m.shape == tensor.shape);
        let best = candidates
            .filter_map(|(at, wanted)| Some((name_distance(&tensor.name, &wanted.name)?, at)))
            .min();
        let Some((_, at)) = best else { return true };
        let wanted = missing.remove(at);
        lines.push(format!("misnamed: {} looks like {}", tensor.name, wanted.name));
        false
    });
    lines
}

/// How many bytes differ between two names that look alike; `None` for names that do not, and for
/// those that differ in a number only (another layer's tensor is not a misspelling).
fn name_distance(first: &str, second: &str) -> Option<usize> {
    const MOST: usize = 12;
    let (first, second) = (first.as_bytes(), second.as_bytes());
    let prefix = first.iter().zip(second).take_while(|(a, b)| a == b).count();
    let (first, second) = (&first[prefix..], &second[prefix..]);
    let suffix = first.iter().rev().zip(second.iter().rev()).take_while(|(a, b)| a == b).count();
    let (first, second) = (&first[..first.len() - suffix], &second[..second.len() - suffix]);
    let distance = first.len().max(second.len());
    let numbers = first.iter().chain(second).all(u8::is_ascii_digit);
    (distance <= MOST && !numbers).then_some(distance)
}

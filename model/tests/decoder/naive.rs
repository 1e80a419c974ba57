//! LLaMA once more, in plain loops over f64: no tensor library, no cache, no batch. The independent side of
//! the tests with random weights.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;
use reverie_model::config::{LlamaConfig, RopeScaling};
use reverie_model::noise::{CounterNoise, NoiseDraw, NoiseKey, NoiseSource};

type Matrix = Vec<Vec<f64>>;

/// Random weights for a configuration, reproducible.
pub(crate) struct RandomWeights {
    tensors: HashMap<String, Tensor>,
}

impl RandomWeights {
    pub(crate) fn new(config: &LlamaConfig) -> Self {
        let mut weights = Self { tensors: HashMap::new() };
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (wide, narrow) = (
            config.num_attention_heads * config.head_width(),
            config.kv_heads() * config.head_width(),
        );
        weights.add("model.embed_tokens.weight", &[config.vocab_size, hidden], 1.0, 0.0);
        if !config.tie_word_embeddings {
            weights.add_matrix("lm_head", config.vocab_size, hidden, false);
        }
        weights.add("model.norm.weight", &[hidden], 0.2, 1.0);
        for layer in 0..config.num_hidden_layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            for (part, rows, columns) in [
                ("self_attn.q_proj", wide, hidden),
                ("self_attn.k_proj", narrow, hidden),
                ("self_attn.v_proj", narrow, hidden),
                ("self_attn.o_proj", hidden, wide),
            ] {
                weights.add_matrix(&name(part), rows, columns, config.attention_bias);
            }
            weights.add_matrix(&name("mlp.gate_proj"), inner, hidden, false);
            weights.add_matrix(&name("mlp.up_proj"), inner, hidden, false);
            weights.add_matrix(&name("mlp.down_proj"), hidden, inner, false);
            weights.add(&name("input_layernorm.weight"), &[hidden], 0.2, 1.0);
            weights.add(&name("post_attention_layernorm.weight"), &[hidden], 0.2, 1.0);
        }
        weights
    }

    pub(crate) fn var_builder(&self, dtype: candle_core::DType) -> VarBuilder<'static> {
        VarBuilder::from_tensors(self.tensors.clone(), dtype, &Device::Cpu)
    }

    fn add_matrix(&mut self, name: &str, rows: usize, columns: usize, bias: bool) {
        let deviation = 1.0 / (columns as f32).sqrt();
        self.add(&format!("{name}.weight"), &[rows, columns], deviation, 0.0);
        if bias {
            self.add(&format!("{name}.bias"), &[rows], 0.3, 0.0);
        }
    }

    fn add(&mut self, name: &str, shape: &[usize], deviation: f32, mean: f32) {
        let picture = self.tensors.len() as u32;
        let key = NoiseKey { seed: 1, choice: 0, picture, draw: NoiseDraw::Initial };
        let noise = CounterNoise.normal(&key, shape.iter().product());
        let values: Vec<_> = noise.into_iter().map(|x| x * deviation + mean).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        self.tensors.insert(name.to_owned(), tensor);
    }

    fn matrix(&self, name: &str) -> Matrix {
        let rows = self.tensors[name].to_vec2::<f32>().unwrap();
        rows.into_iter().map(|row| row.into_iter().map(f64::from).collect()).collect()
    }

    fn vector(&self, name: &str) -> Option<Vec<f64>> {
        let vector = self.tensors.get(name)?.to_vec1::<f32>().unwrap();
        Some(vector.into_iter().map(f64::from).collect())
    }

    fn linear(&self, name: &str, xs: &Matrix) -> Matrix {
        let weight = self.matrix(&format!("{name}.weight"));
        let bias = self.vector(&format!("{name}.bias"));
        let bias = bias.unwrap_or_else(|| vec![0.0; weight.len()]);
        let row = |x: &Vec<f64>| weight.iter().zip(&bias).map(|(w, b)| dot(w, x) + b).collect();
        xs.iter().map(row).collect()
    }

    fn norm(&self, name: &str, xs: &Matrix, eps: f64) -> Matrix {
        let weight = self.vector(&format!("{name}.weight")).unwrap();
        let row = |x: &Vec<f64>| {
            let root = (dot(x, x) / x.len() as f64 + eps).sqrt();
            x.iter().zip(&weight).map(|(x, w)| x / root * w).collect()
        };
        xs.iter().map(row).collect()
    }
}

/// The states after the final norm for a whole sequence of tokens, and their logits.
pub(crate) fn forward(
    config: &LlamaConfig,
    weights: &RandomWeights,
    ids: &[u32],
) -> (Tensor, Tensor) {
    let embeddings = weights.matrix("model.embed_tokens.weight");
    let mut xs: Matrix = ids.iter().map(|id| embeddings[*id as usize].clone()).collect();
    for layer in 0..config.num_hidden_layers {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        let normed = weights.norm(&name("input_layernorm"), &xs, config.rms_norm_eps);
        let attended = attend(config, weights, &name("self_attn"), &normed);
        add(&mut xs, &weights.linear(&name("self_attn.o_proj"), &attended));
        let normed = weights.norm(&name("post_attention_layernorm"), &xs, config.rms_norm_eps);
        let mut gated = weights.linear(&name("mlp.gate_proj"), &normed);
        let up = weights.linear(&name("mlp.up_proj"), &normed);
        for (gate, up) in gated.iter_mut().flatten().zip(up.iter().flatten()) {
            *gate = *gate / (1.0 + (-*gate).exp()) * up;
        }
        add(&mut xs, &weights.linear(&name("mlp.down_proj"), &gated));
    }
    let hidden = weights.norm("model.norm", &xs, config.rms_norm_eps);
    let head = if config.tie_word_embeddings { "model.embed_tokens" } else { "lm_head" };
    let logits = weights.linear(head, &hidden);
    (tensor(&hidden), tensor(&logits))
}

fn attend(config: &LlamaConfig, weights: &RandomWeights, name: &str, xs: &Matrix) -> Matrix {
    let width = config.head_width();
    let groups = config.num_attention_heads / config.kv_heads();
    let project = |part: &str| weights.linear(&format!("{name}.{part}"), xs);
    let (mut query, mut key, value) = (project("q_proj"), project("k_proj"), project("v_proj"));
    for position in 0..xs.len() {
        for head in query[position].chunks_mut(width).chain(key[position].chunks_mut(width)) {
            rotate(config, head, position);
        }
    }
    let mut attended = vec![vec![0.0; config.num_attention_heads * width]; xs.len()];
    for (position, out) in attended.iter_mut().enumerate() {
        for (head, out) in out.chunks_mut(width).enumerate() {
            let own = head * width..(head + 1) * width;
            let shared = head / groups * width..(head / groups + 1) * width;
            let score =
                |past: usize| dot(&query[position][own.clone()], &key[past][shared.clone()]);
            let weights: Vec<_> =
                (0..=position).map(|past| (score(past) / (width as f64).sqrt()).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (past, weight) in weights.iter().enumerate() {
                for (out, value) in out.iter_mut().zip(&value[past][shared.clone()]) {
                    *out += weight / total * value;
                }
            }
        }
    }
    attended
}

fn rotate(config: &LlamaConfig, head: &mut [f64], position: usize) {
    let half = head.len() / 2;
    let position = match config.rope_scaling {
        Some(RopeScaling::Linear { factor }) => position as f64 / factor,
        Some(RopeScaling::Dynamic { .. }) | None => position as f64,
    };
    for i in 0..half {
        let angle = position / config.rope_theta.powf(i as f64 / half as f64);
        let (x, y) = (head[i], head[half + i]);
        head[i] = x * angle.cos() - y * angle.sin();
        head[half + i] = y * angle.cos() + x * angle.sin();
    }
}

fn add(xs: &mut Matrix, more: &Matrix) {
    for (x, more) in xs.iter_mut().flatten().zip(more.iter().flatten()) {
        *x += more;
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn tensor(xs: &Matrix) -> Tensor {
    let flat: Vec<_> = xs.iter().flatten().map(|x| *x as f32).collect();
    Tensor::from_vec(flat, (xs.len(), xs[0].len()), &Device::Cpu).unwrap()
}

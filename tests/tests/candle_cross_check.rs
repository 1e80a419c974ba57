//! Our vision tower against candle-transformers' own CLIP, an implementation that shares no code with it.
//! Knows that theirs counts hidden states differently: layer outputs only, the pooled vector last.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::Activation;
use candle_transformers::models::clip::vision_model::{
    ClipVisionConfig as TheirConfig, ClipVisionTransformer,
};
use reverie_model::config::ClipVisionConfig;
use reverie_model::vision::ClipVisionTower;

/// Weights of about unit gain under whatever names and shapes a tower asks for.
fn weights(config: &ClipVisionConfig) -> VarBuilder<'static> {
    let (width, inner, patch) = (config.hidden_size, config.intermediate_size, config.patch_size);
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.class_embedding".into(), vec![width]),
        ("embeddings.patch_embedding.weight".into(), vec![width, 3, patch, patch]),
        ("embeddings.position_embedding.weight".into(), vec![1 + config.num_patches(), width]),
    ];
    let mut with_bias = |name: String, shape: Vec<usize>| {
        shapes.push((format!("{name}.bias"), vec![shape[0]]));
        shapes.push((format!("{name}.weight"), shape));
    };
    for norm in ["pre_layrnorm", "post_layernorm"] {
        with_bias(norm.into(), vec![width]);
    }
    for layer in 0..config.num_hidden_layers {
        let at = |name: &str| format!("encoder.layers.{layer}.{name}");
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            with_bias(at(&format!("self_attn.{name}")), vec![width, width]);
        }
        with_bias(at("layer_norm1"), vec![width]);
        with_bias(at("layer_norm2"), vec![width]);
        with_bias(at("mlp.fc1"), vec![inner, width]);
        with_bias(at("mlp.fc2"), vec![width, inner]);
    }
    let tensors = shapes.into_iter().enumerate().map(|(salt, (name, shape))| {
        let count: usize = shape.iter().product();
        let scale = (count as f32 / shape[0] as f32).sqrt().recip();
        let value = |i: usize| ((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5 - 1.0;
        let values: Vec<f32> = (0..count).map(|i| value(i) * scale).collect();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    });
    VarBuilder::from_tensors(tensors.collect::<HashMap<_, _>>(), DType::F32, &Device::Cpu)
}

#[test]
fn the_vision_tower_agrees_with_candle_transformers() {
    for (image_size, patch_size, heads) in [(28, 7, 4), (32, 8, 2)] {
        let config = ClipVisionConfig {
            hidden_size: 32,
            intermediate_size: 64,
            num_hidden_layers: 4,
            num_attention_heads: heads,
            image_size,
            patch_size,
            ..ClipVisionConfig::default()
        };
        let theirs = TheirConfig {
            embed_dim: 32,
            activation: Activation::QuickGelu,
            intermediate_size: 64,
            num_hidden_layers: 4,
            num_attention_heads: heads,
            projection_dim: 32,
            num_channels: 3,
            image_size,
            patch_size,
        };
        let vb = weights(&config);
        let count = 2 * 3 * image_size * image_size;
        let pixels: Vec<f32> = (0..count).map(|i| (i * 31 % 997) as f32 / 500.0 - 1.0).collect();
        let pixels =
            Tensor::from_vec(pixels, (2, 3, image_size, image_size), &Device::Cpu).unwrap();
        let tower = ClipVisionTower::load(&config, -2, vb.clone()).unwrap();
        let ours = tower.forward(&pixels).unwrap();
        let states =
            ClipVisionTransformer::new(vb, &theirs).unwrap().output_hidden_states(&pixels).unwrap();
        // Theirs are the outputs of layers 1 to 4 and the pooled vector: layer 3 is third from the end.
        let expected = states[states.len() - 3].i((.., 1.., ..)).unwrap();
        let difference = (ours - &expected).unwrap().abs().unwrap().flatten_all().unwrap();
        let largest: f32 = difference.max(0).unwrap().to_scalar().unwrap();
        let size: f32 =
            expected.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap();
        assert!(size > 0.5 && largest < 5e-5, "off by {largest:e} of {size}");
    }
}

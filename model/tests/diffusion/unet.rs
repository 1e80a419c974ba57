//! The UNet against the reference's activations and outputs.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use reverie_model::config::UnetConfig;
use reverie_model::diffusion::probe::Probe;
use reverie_model::diffusion::unet::{Unet, UnetProgress};

use crate::goldens::{
    MODULE_TOLERANCE, Vectors, assert_within, golden_head, golden_weights, tensor_distance, values,
};

fn golden_unet() -> Unet {
    Unet::load(&golden_head().unet, golden_weights().pp("stable_diffusion_head.unet")).unwrap()
}

#[test]
fn outputs_equal_the_references_at_every_timestep() {
    let (unet, golden) = (golden_unet(), Vectors::load("unet"));
    let (sample, condition) = (golden.get("sample"), golden.get("encoder_hidden_states"));
    for timestep in [1, 21, 500, 981, 999] {
        let found = unet.forward(sample, &[timestep as f32; 2], condition).unwrap();
        let error = tensor_distance(&found, golden.get(&format!("t{timestep}.output")));
        assert_within(&format!("unet at t={timestep}"), error, MODULE_TOLERANCE);
    }
}

#[test]
fn every_row_has_its_own_timestep_which_may_be_a_fraction() {
    let (unet, golden) = (golden_unet(), Vectors::load("unet"));
    let (sample, condition) = (golden.get("sample"), golden.get("encoder_hidden_states"));
    let timesteps = golden.values("t_per_sample.timesteps");
    assert_ne!(timesteps[0], timesteps[1]);
    let found = unet.forward(sample, &timesteps, condition).unwrap();
    let error = tensor_distance(&found, golden.get("t_per_sample.output"));
    assert_within("unet, a timestep per row", error, MODULE_TOLERANCE);

    let timestep = golden.values("t_float.timestep")[0];
    assert_ne!(timestep.fract(), 0.0);
    let found = unet.forward(sample, &[timestep; 2], condition).unwrap();
    let error = tensor_distance(&found, golden.get("t_float.output"));
    assert_within("unet, fractional timestep", error, MODULE_TOLERANCE);
}

#[test]
fn inner_activations_equal_the_references_under_its_module_names() {
    let (unet, golden) = (golden_unet(), Vectors::load("unet"));
    let mut seen = HashMap::new();
    let mut observer = |name: &str, output: &Tensor| {
        seen.insert(name.to_owned(), output.clone());
    };
    let (sample, condition) = (golden.get("sample"), golden.get("encoder_hidden_states"));
    let mut probe = Probe::with(&mut observer);
    unet.forward_probed(sample, &[500.0; 2], condition, &mut probe).unwrap();
    let names: Vec<String> =
        golden.under("t500.").into_iter().filter(|name| name != "output").collect();
    assert_eq!(names.len(), 18);
    for name in names {
        let error = tensor_distance(&seen[&name], golden.get(&format!("t500.{name}")));
        assert_within(&format!("unet {name}"), error, MODULE_TOLERANCE);
    }
}

#[test]
fn latents_that_are_no_multiple_of_the_unets_factor_are_resized_on_the_way_up() {
    let (unet, golden) = (golden_unet(), Vectors::load("unet"));
    let sample = golden.get("nonsquare.sample");
    let condition = golden.get("encoder_hidden_states").narrow(0, 1, 1).unwrap();
    let wanted = golden.get("nonsquare.output");
    let error = tensor_distance(&unet.forward(sample, &[500.0], &condition).unwrap(), wanted);
    assert_within("unet, 8x12 latents", error, MODULE_TOLERANCE);
}

#[test]
fn a_pass_that_rests_after_every_block_predicts_the_same_bits() {
    let (unet, golden) = (golden_unet(), Vectors::load("unet"));
    let (sample, condition) = (golden.get("sample"), golden.get("encoder_hidden_states"));
    let wanted = unet.forward(sample, &[21.0, 981.0], condition).unwrap();
    let other = unet.forward(&sample.flip(&[0]).unwrap(), &[7.0, 8.0], condition).unwrap();

    let blind = &mut Probe::blind();
    let mut pass = unet.begin(sample, &[21.0, 981.0], condition, blind).unwrap();
    let mut blocks = 0;
    let found = loop {
        blocks += 1;
        // Another pass runs while this one rests.
        let between = unet.forward(&sample.flip(&[0]).unwrap(), &[7.0, 8.0], condition).unwrap();
        assert_eq!(values(&between), values(&other));
        match unet.advance(pass, blind).unwrap() {
            UnetProgress::More(rest) => pass = rest,
            UnetProgress::Done(prediction) => break prediction,
        }
    };
    assert_eq!(blocks, 4 + 1 + 4 + 1);
    assert_eq!(values(&found), values(&wanted));
}

/// Weights of a made-up architecture: every tensor that is asked for exists and is reproducible.
fn made_up(config: &UnetConfig) -> (candle_nn::VarMap, Unet) {
    let map = candle_nn::VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    drop(Unet::load(config, &vb).unwrap()); // asks for every tensor
    for (name, variable) in map.data().lock().unwrap().iter() {
        let phase = name.bytes().map(f32::from).sum::<f32>();
        let values: Vec<f32> =
            (0..variable.elem_count()).map(|at| (at as f32 * 1.7 + phase).sin() * 0.2).collect();
        variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    let unet = Unet::load(config, &vb).unwrap();
    (map, unet)
}

fn small_config() -> UnetConfig {
    let text = r#"{
        "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4,
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": 2, "cross_attention_dim": 6, "transformer_layers_per_block": 2
    }"#;
    serde_json::from_str(text).unwrap()
}

fn wave(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|at| (at as f32 * 0.61).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

#[test]
fn a_pointwise_convolution_around_the_transformer_is_a_linear_projection() {
    let linear = small_config();
    let convolution = UnetConfig { use_linear_projection: false, ..small_config() };
    let (sample, condition) = (wave(&[1, 4, 5, 7]), wave(&[1, 3, 6]));
    let mut shapes = Vec::new();
    let outputs = [linear, convolution].map(|config| {
        let (map, unet) = made_up(&config);
        shapes.push(map.data().lock().unwrap()["down_blocks.0.attentions.0.proj_in.weight"].rank());
        values(&unet.forward(&sample, &[300.0], &condition).unwrap())
    });
    assert_eq!(shapes, [2, 4]);
    assert_eq!(outputs[0], outputs[1]);
    assert!(outputs[0].iter().all(|value| value.is_finite()));
}

#[test]
fn odd_latent_sizes_keep_their_size() {
    let (_map, unet) = made_up(&small_config());
    let found = unet.forward(&wave(&[2, 4, 7, 3]), &[5.0, 900.0], &wave(&[2, 3, 6])).unwrap();
    assert_eq!(found.dims(), [2, 4, 7, 3]);
}

#[test]
fn block_types_that_do_not_exist_are_refused_by_name() {
    let map = candle_nn::VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let mut config = small_config();
    config.down_block_types[1] = "AttnDownBlock2D".to_owned();
    let message = Unet::load(&config, &vb).unwrap_err().to_string();
    assert_eq!(
        message,
        "unet.down_block_types is AttnDownBlock2D, wanted DownBlock2D or CrossAttnDownBlock2D"
    );
    config.down_block_types.pop();
    assert!(Unet::load(&config, &vb).unwrap_err().to_string().contains("1 blocks"));
}

#[test]
fn half_precision_keeps_the_time_embedding_in_single_precision() {
    let mut sinusoids = Vec::new();
    for dtype in [DType::F32, DType::F16] {
        let weights = golden_weights().pp("stable_diffusion_head.unet").set_dtype(dtype);
        let unet = Unet::load(&golden_head().unet, &weights).unwrap();
        let golden = Vectors::load("unet");
        let mut observer = |name: &str, output: &Tensor| {
            if name == "time_proj" {
                sinusoids.push(values(output));
            }
        };
        let mut probe = Probe::with(&mut observer);
        let (sample, condition) = (golden.get("sample"), golden.get("encoder_hidden_states"));
        let found = unet.forward_probed(sample, &[981.0; 2], condition, &mut probe).unwrap();
        assert_eq!(found.dtype(), dtype);
    }
    assert_eq!(sinusoids[0], sinusoids[1]);
}

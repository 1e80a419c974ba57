//! Preprocessing and the vision tower against the reference's vectors. Knows no decoder.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::{Module, VarBuilder};
use reverie_model::checkpoint::Checkpoint;
use reverie_model::config::{
    ClipVisionConfig, PreprocessConfig, ProjectorConfig, ProjectorKind, VisionConfig,
};
use reverie_model::picture_codec::{PictureLimits, decode};
use reverie_model::projector::Projector;
use reverie_model::vision::{
    ClipVisionTower, VisionEncoder, center_crop, preprocess, resize, resize_shortest_edge,
};
use reverie_model::{ModelError, Picture};

const TOLERANCE: f32 = 5e-5;

fn goldens() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens")).to_owned()
}

fn vectors(name: &str) -> HashMap<String, Tensor> {
    let path = goldens().join("vectors").join(format!("{name}.safetensors"));
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn golden_weights() -> VarBuilder<'static> {
    let checkpoint = Checkpoint::open(&goldens().join("checkpoint")).unwrap();
    checkpoint.weights(DType::F32, &Device::Cpu)
}

/// The golden checkpoint's tower: 32 pixels, patches of 2, 3 layers.
fn golden_config() -> VisionConfig {
    let clip = ClipVisionConfig {
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 3,
        num_attention_heads: 2,
        image_size: 32,
        patch_size: 2,
        ..ClipVisionConfig::default()
    };
    VisionConfig {
        clip,
        preprocess: PreprocessConfig::for_side(32),
        select_layer: -2,
        projector: ProjectorConfig::default(),
        post_layernorm: false,
    }
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    difference.max(0).unwrap().to_scalar().unwrap()
}

fn picture_of(tensor: &Tensor) -> Picture {
    let (height, width, _) = tensor.dims3().unwrap();
    let rgb = tensor.flatten_all().unwrap().to_vec1().unwrap();
    Picture::new(width as u32, height as u32, rgb)
}

const NAMES: [&str; 6] = ["gray", "landscape", "portrait", "rgba", "small", "square224"];

/// What the golden processor was given: alpha dropped, not composited.
fn golden_input(golden: &HashMap<String, Tensor>, name: &str) -> Picture {
    let rgb = golden.get(&format!("{name}.rgb_u8"));
    picture_of(rgb.unwrap_or_else(|| &golden[&format!("{name}.input_RGB_u8")]))
}

#[test]
fn resizing_and_cropping_give_the_golden_bytes() {
    let golden = vectors("clip_preprocess");
    for (stage, side) in [("tiny", 32), ("vit_l_14", 224)] {
        for name in NAMES {
            let resized = resize_shortest_edge(&golden_input(&golden, name), side);
            if let Some(expected) = golden.get(&format!("{name}.{stage}.resized_u8")) {
                assert!(resized == picture_of(expected), "{name}.{stage}.resized_u8");
            }
            if let Some(expected) = golden.get(&format!("{name}.{stage}.cropped_u8")) {
                let cropped = center_crop(&resized, side, side);
                assert!(cropped == picture_of(expected), "{name}.{stage}.cropped_u8");
            }
        }
    }
}

#[test]
fn preprocessed_pixels_are_the_golden_floats() {
    let golden = vectors("clip_preprocess");
    let mut compared = 0;
    for (stage, side) in [("tiny", 32), ("vit_l_14", 224)] {
        for name in NAMES {
            let Some(expected) = golden.get(&format!("{name}.{stage}.pixel_values")) else {
                continue;
            };
            let picture = golden_input(&golden, name);
            let pixels =
                preprocess(&picture, &PreprocessConfig::for_side(side), &Device::Cpu).unwrap();
            let difference = largest_difference(&pixels, &expected.i(0).unwrap());
            assert_eq!(difference, 0.0, "{name}.{stage}.pixel_values");
            compared += 1;
        }
    }
    assert_eq!(compared, 7);
}

#[test]
fn the_golden_files_decode_to_the_golden_inputs() {
    let golden = vectors("clip_preprocess");
    let limits = PictureLimits { max_pixels: 1 << 20, max_side: 4096, max_aspect_ratio: 200 };
    for name in NAMES.into_iter().filter(|name| *name != "rgba") {
        let path = goldens().join("vectors/images").join(format!("{name}.png"));
        let picture = decode(&std::fs::read(path).unwrap(), &limits).unwrap();
        assert!(picture == golden_input(&golden, name), "{name}");
    }
}

#[test]
fn a_crop_larger_than_the_picture_is_black_around_it() {
    let picture = Picture::new(3, 2, (1..=18).collect());
    let cropped = center_crop(&picture, 5, 4);
    let row = |y: usize| &cropped.rgb()[y * 12..(y + 1) * 12];
    assert_eq!(row(0), [0; 12]);
    assert_eq!(row(1), [0; 12]);
    assert_eq!(row(2), [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(row(3), [0, 0, 0, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
    assert_eq!(row(4), [0; 12]);
}

#[test]
fn an_unchanged_side_is_not_resampled() {
    let picture = Picture::new(5, 4, (0..60).map(|i| i * 4).collect());
    assert_eq!(resize(&picture, 5, 4), picture);
    let stretched = resize(&picture, 5, 8);
    assert_eq!((stretched.width(), stretched.height()), (5, 8));
}

#[test]
fn every_hidden_state_agrees_with_the_reference() {
    let golden = vectors("clip_features");
    let encoder = VisionEncoder::load(&golden_config(), 64, golden_weights()).unwrap();
    let states = encoder.tower().hidden_states(&golden["pixel_values"]).unwrap();
    assert_eq!(states.len(), 4);
    for (index, state) in states.iter().enumerate() {
        let difference = largest_difference(state, &golden[&format!("hidden_states.{index}")]);
        println!("hidden_states.{index}: {difference:e}");
        assert!(difference <= TOLERANCE, "hidden_states.{index} is off by {difference:e}");
    }
}

#[test]
fn features_and_embeddings_agree_with_the_reference() {
    let golden = vectors("clip_features");
    let encoder = VisionEncoder::load(&golden_config(), 64, golden_weights()).unwrap();
    let selected = encoder.tower().forward(&golden["pixel_values"]).unwrap();
    let projected = encoder.projector().forward(&golden["selected"]).unwrap();
    let embeds = encoder.encode_pixels(&golden["pixel_values"]).unwrap();
    for (name, ours) in [("selected", selected), ("projected", projected), ("image_embeds", embeds)]
    {
        let difference = largest_difference(&ours, &golden[name]);
        println!("{name}: {difference:e}");
        assert!(difference <= TOLERANCE, "{name} is off by {difference:e}");
    }
}

#[test]
fn a_picture_gives_the_same_embeddings_in_any_company() {
    let golden = vectors("clip_preprocess");
    let encoder = VisionEncoder::load(&golden_config(), 64, golden_weights()).unwrap();
    let pictures: Vec<Picture> = NAMES.iter().map(|name| golden_input(&golden, name)).collect();
    let all = encoder.encode(&pictures.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(all.len(), 6);
    for (picture, together) in pictures.iter().zip(&all) {
        assert_eq!(together.dims(), [256, 64]);
        let alone = &encoder.encode(&[picture]).unwrap()[0];
        assert_eq!(largest_difference(alone, together), 0.0);
    }
    assert!(largest_difference(&all[0], &all[1]) > 0.1);
    assert!(encoder.encode(&[]).unwrap().is_empty());
}

fn random_weights(shapes: &[(&str, &[usize])]) -> VarBuilder<'static> {
    let tensors = shapes
        .iter()
        .map(|(name, shape)| {
            let count = shape.iter().product::<usize>();
            let values = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) / 100.0).collect();
            let tensor = Tensor::from_vec::<_, f32>(values, *shape, &Device::Cpu).unwrap();
            ((*name).to_owned(), tensor)
        })
        .collect::<HashMap<_, _>>();
    VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
}

#[test]
fn an_mlp_projector_is_linear_gelu_linear() {
    let weights = random_weights(&[
        ("projector.0.weight", &[5, 3]),
        ("projector.0.bias", &[5]),
        ("projector.2.weight", &[5, 5]),
        ("projector.2.bias", &[5]),
    ]);
    let config = ProjectorConfig { kind: ProjectorKind::Mlp, depth: 2 };
    let xs = Tensor::new(&[[0.3f32, -1.0, 2.0]], &Device::Cpu).unwrap();
    let projector = Projector::load(&config, 3, 5, true, weights.clone()).unwrap();
    let get = |name: &str, shape: &[usize]| weights.get(shape, name).unwrap();
    let linear = |xs: &Tensor, layer: usize, width: usize| {
        let weight = get(&format!("projector.{layer}.weight"), &[5, width]);
        let product = xs.matmul(&weight.t().unwrap()).unwrap();
        product.broadcast_add(&get(&format!("projector.{layer}.bias"), &[5])).unwrap()
    };
    let expected = linear(&linear(&xs, 0, 3).gelu_erf().unwrap(), 2, 5);
    assert!(largest_difference(&projector.forward(&xs).unwrap(), &expected) < 1e-6);
}

#[test]
fn a_projector_without_bias_maps_nothing_to_nothing() {
    let weights = random_weights(&[("projector.weight", &[5, 3])]);
    let linear = ProjectorConfig { kind: ProjectorKind::Linear, depth: 1 };
    let projector = Projector::load(&linear, 3, 5, false, weights.clone()).unwrap();
    let zeros = Tensor::zeros((2, 4, 3), DType::F32, &Device::Cpu).unwrap();
    let out = projector.forward(&zeros).unwrap();
    assert_eq!(out.dims(), [2, 4, 5]);
    assert_eq!(largest_difference(&out, &out.zeros_like().unwrap()), 0.0);
    assert!(Projector::load(&linear, 3, 5, true, weights.clone()).is_err());
    for config in [
        ProjectorConfig { kind: ProjectorKind::Linear, depth: 2 },
        ProjectorConfig { kind: ProjectorKind::Mlp, depth: 1 },
    ] {
        let refused = Projector::load(&config, 3, 5, false, weights.clone());
        assert!(matches!(refused, Err(ModelError::Parameter { parameter: "projector_depth", .. })));
    }
}

#[test]
fn the_extra_layer_norm_is_applied_after_the_projector() {
    let clip = ClipVisionConfig {
        hidden_size: 4,
        num_hidden_layers: 0,
        num_attention_heads: 1,
        image_size: 4,
        patch_size: 2,
        ..ClipVisionConfig::default()
    };
    let vb = random_weights(&[
        (
            "model.clip_vision_embedding.clip_vision_model.vision_model.embeddings.class_embedding",
            &[4],
        ),
        (
            "model.clip_vision_embedding.clip_vision_model.vision_model.embeddings.patch_embedding.weight",
            &[4, 3, 2, 2],
        ),
        (
            "model.clip_vision_embedding.clip_vision_model.vision_model.embeddings.position_embedding.weight",
            &[5, 4],
        ),
        ("model.clip_vision_embedding.clip_vision_model.vision_model.pre_layrnorm.weight", &[4]),
        ("model.clip_vision_embedding.clip_vision_model.vision_model.pre_layrnorm.bias", &[4]),
        ("model.clip_vision_embedding.projector.projector.weight", &[6, 4]),
        ("model.clip_vision_embedding.projector.projector.bias", &[6]),
        ("model.clip_vision_embedding.post_layernorm.weight", &[6]),
        ("model.clip_vision_embedding.post_layernorm.bias", &[6]),
    ]);
    let plain = VisionConfig {
        clip,
        preprocess: PreprocessConfig::for_side(4),
        select_layer: -1,
        projector: ProjectorConfig::default(),
        post_layernorm: false,
    };
    let normed = VisionConfig { post_layernorm: true, ..plain.clone() };
    let picture = Picture::new(4, 4, (0..48).map(|i| i * 5).collect());
    let encode = |config| {
        VisionEncoder::load(config, 6, vb.clone()).unwrap().encode(&[&picture]).unwrap().remove(0)
    };
    let norm = candle_nn::layer_norm(6, 1e-5, vb.pp("model.clip_vision_embedding.post_layernorm"));
    let expected = norm.unwrap().forward(&encode(&plain)).unwrap();
    assert!(largest_difference(&encode(&normed), &expected) < 1e-6);
    assert!(largest_difference(&encode(&normed), &encode(&plain)) > 0.1);
}

#[test]
fn towers_that_cannot_be_are_refused_by_field() {
    let load = |change: &dyn Fn(&mut VisionConfig)| {
        let mut config = golden_config();
        change(&mut config);
        match VisionEncoder::load(&config, 64, golden_weights()) {
            Err(ModelError::Parameter { parameter, .. }) => parameter,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("accepted"),
        }
    };
    assert_eq!(load(&|c| c.select_layer = 4), "select_layer");
    assert_eq!(load(&|c| c.select_layer = -5), "select_layer");
    assert_eq!(load(&|c| c.clip.num_attention_heads = 5), "num_attention_heads");
    assert_eq!(load(&|c| c.clip.patch_size = 0), "patch_size");
    assert_eq!(load(&|c| c.clip.hidden_act = "relu".to_owned()), "hidden_act");
    assert_eq!(load(&|c| c.preprocess.crop_width = 30), "crop_size");
}

#[test]
fn any_layer_can_be_selected() {
    let golden = vectors("clip_features");
    let vb = golden_weights().pp("model.clip_vision_embedding.clip_vision_model.vision_model");
    for (select_layer, index) in [(0, 0), (-4, 0), (1, 1), (-1, 3), (3, 3)] {
        let tower = ClipVisionTower::load(&golden_config().clip, select_layer, vb.clone()).unwrap();
        assert_eq!(tower.selected(), index);
        let ours = tower.forward(&golden["pixel_values"]).unwrap();
        let state = golden[&format!("hidden_states.{index}")].i((.., 1.., ..)).unwrap();
        assert!(largest_difference(&ours, &state) <= TOLERANCE);
    }
}

#[test]
fn patches_of_any_size_are_a_convolution_without_padding() {
    let config = ClipVisionConfig {
        hidden_size: 8,
        num_hidden_layers: 0,
        num_attention_heads: 1,
        image_size: 11,
        patch_size: 3,
        ..ClipVisionConfig::default()
    };
    let vb = random_weights(&[
        ("embeddings.class_embedding", &[8]),
        ("embeddings.patch_embedding.weight", &[8, 3, 3, 3]),
        ("embeddings.position_embedding.weight", &[10, 8]),
        ("pre_layrnorm.weight", &[8]),
        ("pre_layrnorm.bias", &[8]),
    ]);
    let pixels: Vec<f32> = (0..2 * 3 * 11 * 11).map(|i| (i % 29) as f32 / 29.0).collect();
    let pixels = Tensor::from_vec(pixels, (2, 3, 11, 11), &Device::Cpu).unwrap();
    let kernel = vb.get((8, 3, 3, 3), "embeddings.patch_embedding.weight").unwrap();
    let patches = pixels.conv2d(&kernel, 0, 3, 1, 1).unwrap().flatten_from(2).unwrap();
    let patches = patches.transpose(1, 2).unwrap();
    let class = vb.get(8, "embeddings.class_embedding").unwrap().broadcast_left((2, 1)).unwrap();
    let positions = vb.get((10, 8), "embeddings.position_embedding.weight").unwrap();
    let embedded = Tensor::cat(&[class, patches], 1).unwrap().broadcast_add(&positions).unwrap();
    let norm = candle_nn::layer_norm(8, 1e-5, vb.pp("pre_layrnorm")).unwrap();
    let expected = norm.forward(&embedded).unwrap();

    let tower = ClipVisionTower::load(&config, 0, vb).unwrap();
    let state = &tower.hidden_states(&pixels).unwrap()[0];
    assert!(largest_difference(state, &expected) < 1e-5);
}

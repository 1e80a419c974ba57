//! The VAE against the reference's activations, pictures and latents.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use reverie_model::config::VaeConfig;
use reverie_model::diffusion::probe::Probe;
use reverie_model::diffusion::vae::{DecodeProgress, LatentDistribution, Vae};

use crate::goldens::{
    MODULE_TOLERANCE, Vectors, assert_within, golden_head, golden_weights, tensor_distance, values,
};

fn golden_vae() -> Vae {
    Vae::load(&golden_head().vae, golden_weights().pp("stable_diffusion_head.vae")).unwrap()
}

#[test]
fn decoding_equals_the_references_picture_and_inner_activations() {
    let (vae, golden) = (golden_vae(), Vectors::load("vae"));
    let mut seen = HashMap::new();
    let mut observer = |name: &str, output: &Tensor| {
        seen.insert(name.to_owned(), output.clone());
    };
    let latents = golden.get("decode.latents_unscaled");
    let found = vae.decode_probed(latents, &mut Probe::with(&mut observer)).unwrap();
    let error = tensor_distance(&found, golden.get("decode.image"));
    assert_within("vae decode", error, MODULE_TOLERANCE);
    for (name, key) in
        [("post_quant_conv", "decode.post_quant_conv"), ("decoder.mid_block", "decode.mid_block")]
    {
        let error = tensor_distance(&seen[name], golden.get(key));
        assert_within(&format!("vae {name}"), error, MODULE_TOLERANCE);
    }
}

#[test]
fn decoded_pictures_round_to_the_references_bytes() {
    let (vae, golden) = (golden_vae(), Vectors::load("vae"));
    let image = vae.decode(golden.get("decode.latents_unscaled")).unwrap();
    let pictures = vae.to_pictures(&image).unwrap();
    let wanted = golden.rows("decode.image_u8");
    assert_eq!(pictures.len(), wanted.len());
    let mut unequal = 0;
    for (picture, wanted) in pictures.iter().zip(wanted) {
        assert_eq!((picture.width(), picture.height()), (64, 48));
        for (found, wanted) in picture.rgb().iter().zip(wanted) {
            let difference = (f32::from(*found) - wanted).abs();
            assert!(difference <= 1.0);
            unequal += usize::from(difference > 0.0);
        }
    }
    println!("bytes off by one: {unequal}");
    assert!(unequal <= 10, "{unequal} bytes are off by one");
}

#[test]
fn bytes_are_rounded_half_to_even_and_clamped() {
    let vae = golden_vae();
    let picture = |values: &[f32; 3]| {
        vae.to_picture(&Tensor::from_slice(values, (3, 1, 1), &Device::Cpu).unwrap()).unwrap()
    };
    assert_eq!(picture(&[-7.0, 7.0, 0.0]).rgb(), [0, 255, 128]);
    // Pixels that fall exactly halfway between an even byte and the next go to the even one.
    let mut ties = 0;
    for byte in (0..=254_u8).step_by(2) {
        let half = f32::from(byte) + 0.5;
        let value = half / 255.0 * 2.0 - 1.0;
        if (value / 2.0 + 0.5) * 255.0 == half {
            assert_eq!(picture(&[value, 0.0, 0.0]).rgb()[0], byte);
            ties += 1;
        }
    }
    assert!(ties > 10, "only {ties} ties were tried");
}

#[test]
fn scaled_latents_are_divided_by_the_scaling_factor_before_decoding() {
    let (vae, golden) = (golden_vae(), Vectors::load("vae"));
    let latents = golden.get("decode.latents_unscaled");
    let scaled = vae.scale_latents(latents).unwrap();
    let ratio = values(&scaled)[0] / values(latents)[0];
    assert!((ratio - 0.18215).abs() < 1e-6);
    let error = tensor_distance(&vae.decode_latents(&scaled).unwrap(), golden.get("decode.image"));
    assert_within("vae decode of scaled latents", error, MODULE_TOLERANCE);
}

#[test]
fn encoding_equals_the_references_moments_and_sample() {
    let (vae, golden) = (golden_vae(), Vectors::load("vae"));
    let found = vae.encode(golden.get("encode.image")).unwrap();
    for (name, found) in [("mean", &found.mean), ("logvar", &found.logvar)] {
        let error = tensor_distance(found, golden.get(&format!("encode.{name}")));
        assert_within(&format!("vae encode {name}"), error, MODULE_TOLERANCE);
    }
    let sample = found.sample(golden.get("encode.noise")).unwrap();
    let error = tensor_distance(&sample, golden.get("encode.sample"));
    assert_within("vae encode sample", error, MODULE_TOLERANCE);
    let scaled = vae.scale_latents(&sample).unwrap();
    let error = tensor_distance(&scaled, golden.get("encode.latents_scaled"));
    assert_within("vae encode, scaled", error, MODULE_TOLERANCE);
}

#[test]
fn a_decoding_that_rests_after_every_block_gives_the_same_bits() {
    let (vae, golden) = (golden_vae(), Vectors::load("vae"));
    let latents = golden.get("decode.latents_unscaled");
    let blind = &mut Probe::blind();
    let mut pass = vae.begin_decode(latents, blind).unwrap();
    let mut blocks = 0;
    let found = loop {
        blocks += 1;
        match vae.advance_decode(pass, blind).unwrap() {
            DecodeProgress::More(rest) => pass = rest,
            DecodeProgress::Done(picture) => break picture,
        }
    };
    assert_eq!(blocks, 1 + 4 + 1);
    assert_eq!(values(&found), values(&vae.decode(latents).unwrap()));
}

#[test]
fn log_variances_are_clamped_before_they_are_exponentiated() {
    let config = VaeConfig { block_out_channels: vec![32], ..VaeConfig::default() };
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    drop(Vae::load(&config, &vb).unwrap()); // asks for every tensor
    // Four means, four log-variances, far from anything that the convolutions before could add.
    let bias = [9e3_f32, 0.0, 0.0, 0.0, -9e3, -9e3, 9e3, 9e3];
    let bias = Tensor::from_slice(&bias, 8, &Device::Cpu).unwrap();
    map.data().lock().unwrap()["quant_conv.bias"].set(&bias).unwrap();
    let vae = Vae::load(&config, &vb).unwrap();
    let image = Tensor::zeros((1, 3, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let LatentDistribution { mean, logvar } = vae.encode(&image).unwrap();
    assert_eq!(values(&logvar), [-30.0, -30.0, 20.0, 20.0]);
    assert!(values(&mean)[0] > 8e3, "means are not clamped");
}

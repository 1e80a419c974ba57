//! UNet, VAE and a velocity-predicting run against candle-transformers, which shares no code with
//! them. Its one known difference is the tanh approximation of GELU in the UNet, about 2e-4 a pass.

#![cfg(test)]

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use candle_transformers::models::stable_diffusion::ddim::DDIMSchedulerConfig;
use candle_transformers::models::stable_diffusion::schedulers::{PredictionType, SchedulerConfig};
use candle_transformers::models::stable_diffusion::unet_2d::{
    BlockConfig, UNet2DConditionModel, UNet2DConditionModelConfig,
};
use candle_transformers::models::stable_diffusion::vae::{AutoEncoderKL, AutoEncoderKLConfig};
use reverie_model::config::{
    HeadConfig, NoiseScheduleConfig, ProjectorConfig, UnetConfig, VaeConfig,
};
use reverie_model::diffusion::SamplerKind;
use reverie_model::diffusion::denoiser::{DenoiseParams, DenoiseRequest, Denoiser};
use reverie_model::diffusion::unet::Unet;
use reverie_model::diffusion::vae::Vae;
use reverie_model::noise::{NoiseKey, NoiseSource};

/// What the approximate GELU may change in one UNet pass.
const GELU_TOLERANCE: f32 = 1e-3;

fn repository(relative: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(relative)
}

/// A small model with the embedded checkpoint's schedule: DDIM, velocities, leading timesteps.
fn velocity_head() -> HeadConfig {
    let text = std::fs::read_to_string(repository("assets/mini/scheduler/scheduler_config.json"));
    let noise_schedule: NoiseScheduleConfig = serde_json::from_str(&text.unwrap()).unwrap();
    assert_eq!(noise_schedule.prediction_type, reverie_model::config::PredictionType::VPrediction);
    HeadConfig {
        projector: ProjectorConfig::default(),
        unet: small_unet(),
        vae: small_vae(),
        noise_schedule,
    }
}

/// Made-up weights for whatever `load` asks for: reproducible, and small enough to stay tame.
fn made_up_weights(load: impl Fn(&VarBuilder<'static>)) -> VarBuilder<'static> {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    load(&vb);
    for (name, variable) in map.data().lock().unwrap().iter() {
        let phase = name.bytes().map(f32::from).sum::<f32>();
        let is_norm = name.contains("norm") && name.ends_with("weight");
        let (middle, spread) = if is_norm { (1.0, 0.3) } else { (0.0, 0.08) };
        let values: Vec<f32> = (0..variable.elem_count())
            .map(|at| middle + (at as f32 * 1.7 + phase).sin() * spread)
            .collect();
        variable.set(&Tensor::from_vec(values, variable.shape(), &Device::Cpu).unwrap()).unwrap();
    }
    vb
}

/// Made-up values in ±1.5.
fn wave(shape: &[usize], step: f32) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|at| (at as f32 * step).sin() * 1.5).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A small Stable Diffusion; candle's UNet knows no other number of groups than 32.
fn small_unet() -> UnetConfig {
    let text = r#"{
        "sample_size": 8, "block_out_channels": [32, 64, 64], "cross_attention_dim": 48,
        "attention_head_dim": [2, 4, 4],
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]
    }"#;
    serde_json::from_str(text).unwrap()
}

/// Its VAE.
fn small_vae() -> VaeConfig {
    VaeConfig { block_out_channels: vec![32, 64, 64], ..VaeConfig::default() }
}

fn candle_unet(config: &UnetConfig, vb: VarBuilder<'static>) -> UNet2DConditionModel {
    let blocks = (0..config.block_out_channels.len())
        .map(|level| BlockConfig {
            out_channels: config.block_out_channels[level],
            use_cross_attn: (config.down_block_types[level] == "CrossAttnDownBlock2D")
                .then_some(config.transformer_layers_per_block),
            attention_head_dim: config.heads(level),
        })
        .collect();
    let candle = UNet2DConditionModelConfig {
        blocks,
        layers_per_block: config.layers_per_block,
        norm_num_groups: config.norm_num_groups,
        norm_eps: config.norm_eps,
        cross_attention_dim: config.cross_attention_dim,
        use_linear_projection: config.use_linear_projection,
        ..UNet2DConditionModelConfig::default()
    };
    let (input, output) = (config.in_channels, config.out_channels);
    UNet2DConditionModel::new(vb, input, output, false, candle).unwrap()
}

fn candle_vae(config: &VaeConfig, vb: VarBuilder<'static>) -> AutoEncoderKL {
    let candle = AutoEncoderKLConfig {
        block_out_channels: config.block_out_channels.clone(),
        layers_per_block: config.layers_per_block,
        latent_channels: config.latent_channels,
        norm_num_groups: config.norm_num_groups,
        use_quant_conv: config.use_quant_conv,
        use_post_quant_conv: config.use_post_quant_conv,
    };
    AutoEncoderKL::new(vb, config.in_channels, config.out_channels, candle).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest absolute difference; NaN is never within a limit.
fn distance(found: &Tensor, wanted: &Tensor) -> f32 {
    assert_eq!(found.dims(), wanted.dims());
    let differences =
        values(found).into_iter().zip(values(wanted)).map(|(found, wanted)| (found - wanted).abs());
    differences.fold(0.0, |most, difference| if difference <= most { most } else { difference })
}

#[test]
fn the_unet_agrees_with_candles_up_to_its_approximate_gelu() {
    for use_linear_projection in [true, false] {
        let config = UnetConfig { use_linear_projection, ..small_unet() };
        let vb = made_up_weights(|vb| drop(Unet::load(&config, vb).unwrap()));
        let (ours, theirs) = (Unet::load(&config, &vb).unwrap(), candle_unet(&config, vb));
        let condition = wave(&[2, 5, 48], 0.9);
        for (timestep, side) in [(1.0_f32, 8), (500.0, 6), (999.0, 8)] {
            let sample = wave(&[2, 4, side, 8], 1.1);
            let found = ours.forward(&sample, &[timestep; 2], &condition).unwrap();
            let wanted = theirs.forward(&sample, f64::from(timestep), &condition).unwrap();
            let error = distance(&found, &wanted);
            println!("unet against candle at {timestep}: {error:.2e}");
            assert!(error < GELU_TOLERANCE, "{error}");
        }
    }
}

#[test]
fn the_vae_agrees_with_candles() {
    let config = small_vae();
    let vb = made_up_weights(|vb| drop(Vae::load(&config, vb).unwrap()));
    let (ours, theirs) = (Vae::load(&config, &vb).unwrap(), candle_vae(&config, vb));
    let latents = wave(&[2, 4, 3, 5], 0.7);
    let found = ours.decode(&latents).unwrap();
    // One row at a time: candle's attention multiplies a transposed batch by a broadcast weight,
    // which its CPU matrix product gets wrong for more than one row.
    let wanted = [0, 1].map(|row| theirs.decode(&latents.narrow(0, row, 1).unwrap()).unwrap());
    let error = distance(&found, &Tensor::cat(&wanted, 0).unwrap());
    println!("vae decode against candle: {error:.2e}");
    assert!(error < 5e-5, "{error}");
}

/// One fixed draw, whatever the key: the run is deterministic after its initial noise.
struct FixedNoise;

impl NoiseSource for FixedNoise {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        assert_eq!(key.seed, 5);
        (0..len).map(|at| (at as f32 * 1.9).sin() * 1.4).collect()
    }
}

#[test]
fn a_velocity_predicting_checkpoint_draws_what_candles_parts_draw() {
    let (steps, guidance, head) = (10, 2.5_f32, velocity_head());
    let weights = made_up_weights(|vb| drop(Denoiser::load(&head, 24, vb).unwrap()));
    let ours = Denoiser::load(&head, 24, &weights).unwrap();
    let conditions = wave(&[2, 5, head.unet.cross_attention_dim], 0.9);
    let side = head.unet.sample_size;
    let params = DenoiseParams {
        sampler: SamplerKind::Ddim,
        num_inference_steps: steps,
        guidance_scale: guidance,
        guidance_rescale: 0.0,
        eta: 0.0,
        width: side * head.vae.scale_factor(),
        height: side * head.vae.scale_factor(),
    };
    let (condition, negative) = (conditions.get(1).unwrap(), Some(conditions.get(0).unwrap()));
    let request = DenoiseRequest { params, condition, negative, seed: 5, choice: 0, picture: 0 };
    let mut job = ours.start(request, &FixedNoise).unwrap();
    let shape = (1, head.vae.latent_channels, side, side);
    let mut latents = Tensor::from_slice(job.latents(), shape, &Device::Cpu).unwrap();

    let unet = candle_unet(&head.unet, weights.pp("stable_diffusion_head.unet"));
    let schedule = DDIMSchedulerConfig {
        prediction_type: PredictionType::VPrediction,
        ..DDIMSchedulerConfig::default()
    };
    let mut scheduler = schedule.build(steps).unwrap();
    let mut worst = 0.0_f32;
    for timestep in scheduler.timesteps().to_vec() {
        ours.step(&mut [&mut job], &FixedNoise).unwrap();
        let sample = Tensor::cat(&[&latents, &latents], 0).unwrap();
        let velocity = unet.forward(&sample, timestep as f64, &conditions).unwrap();
        let (negative, positive) = (velocity.get(0).unwrap(), velocity.get(1).unwrap());
        let push = ((positive - &negative).unwrap() * f64::from(guidance)).unwrap();
        let velocity = (negative + push).unwrap().unsqueeze(0).unwrap();
        latents = scheduler.step(&velocity, timestep, &latents).unwrap();
        let found = Tensor::from_slice(job.latents(), shape, &Device::Cpu).unwrap();
        worst = worst.max(distance(&found, &latents));
    }
    assert!(job.is_done());
    println!("ten velocity steps against candle: {worst:.2e}");
    assert!(worst < 1e-2, "{worst}");

    let vae = candle_vae(&head.vae, weights.pp("stable_diffusion_head.vae"));
    let pixels = vae.decode(&(latents / head.vae.scaling_factor).unwrap()).unwrap();
    let wanted = ours.vae().to_picture(&pixels.get(0).unwrap()).unwrap();
    let found = ours.finish(&job).unwrap();
    let bytes = found.rgb().iter().zip(wanted.rgb());
    let furthest = bytes.map(|(found, wanted)| found.abs_diff(*wanted)).max().unwrap();
    println!("bytes apart: {furthest}");
    assert!(furthest <= 3, "{furthest}");
}

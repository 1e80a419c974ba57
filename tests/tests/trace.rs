//! What a server records of a drawing: the numbers that the picture was made from, and nothing that changes it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candle_core::{DType, Device, Tensor};
use reverie_model::checkpoint::Checkpoint;
use reverie_model::diffusion::vae::Vae;
use reverie_model::{Kernels, Weights};
use reverie_tests::answer::WholeAnswer;
use reverie_tests::folders::mini;
use reverie_tests::pictures::pixels;
use reverie_tests::server::{Setup, TestServer, asking};
use serde_json::{Value, json};

const STEPS: usize = 5;

async fn laboratory() -> TestServer {
    Setup::new(&mini()).configured(|config| config.requests.allow_trace = true).start().await
}

fn drawing(seed: u64, fields: &Value) -> Value {
    let mut all = json!({"seed": seed, "image_choice": 2, "max_images": 2, "max_tokens": 40, "temperature": 0.7,
                         "sampler": "euler_ancestral", "num_inference_steps": STEPS, "guidance_scale": 2.0});
    all.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    asking(json!("Tell a picture story about a red circle."), all)
}

fn traced(seed: u64) -> Value {
    drawing(seed, &json!({"trace": true}))
}

fn tensors(answer: &WholeAnswer) -> BTreeMap<String, Tensor> {
    let data = answer.body["trace"]["data"].as_str().expect("a trace");
    let file = STANDARD.decode(data).expect("base64");
    let loaded = candle_core::safetensors::load_buffer(&file, &Device::Cpu).expect("safetensors");
    loaded.into_iter().collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).expect("f32")
}

#[tokio::test]
async fn a_trace_leads_to_the_delivered_pixels_and_changes_none() {
    let server = laboratory().await;
    let quiet = server.whole(&drawing(3, &json!({}))).await;
    assert!(quiet.body.get("trace").is_none());
    let answer = server.whole(&traced(3)).await;
    assert_eq!(answer.document, quiet.document, "the same bytes");

    let tensors = tensors(&answer);
    let of = |index: usize, name: &str| &tensors[&format!("picture.{index}.{name}")];
    let checkpoint = Checkpoint::open(&mini()).expect("the embedded checkpoint");
    let weights = Weights::new(checkpoint.weights(DType::F32, &Device::Cpu), Kernels::Reverie);
    let vae = Vae::load(&checkpoint.config().head.vae, weights.pp("stable_diffusion_head.vae"));
    let vae = vae.expect("its VAE");
    for (index, url) in answer.document.pictures().into_iter().enumerate() {
        let latents = of(index, "latents");
        let (channels, height, width) = latents.dims3().expect("three sides");
        let image = vae.decode_latents(&latents.unsqueeze(0).expect("a batch")).expect("pixels");
        let picture = vae.to_picture(&image.get(0).expect("one")).expect("a picture");
        assert_eq!(
            picture.rgb(),
            pixels(url).as_raw().as_slice(),
            "picture {index} is made of these latents"
        );
        assert_eq!(of(index, "predicted_latents").dims(), [STEPS, channels, height, width]);
        // Euler's last step goes all the way to what it predicts.
        let predicted = of(index, "predicted_latents").get(STEPS - 1).expect("the last step");
        let pairs = values(&predicted).into_iter().zip(values(latents));
        assert!(
            pairs.clone().all(|(a, b)| (a - b).abs() < 1e-4),
            "{:?}",
            pairs.collect::<Vec<_>>()
        );
        let timesteps = values(of(index, "timesteps"));
        assert!(timesteps.len() == STEPS && timesteps.is_sorted_by(|a, b| a > b), "{timesteps:?}");
        let queries = checkpoint.config().num_dream_queries;
        assert_eq!(of(index, "condition").dims()[0], queries);
        assert_ne!(values(of(index, "condition")), values(of(index, "negative_condition")));
    }
    let maps: Vec<_> = tensors.iter().filter(|(name, _)| name.contains(".attention.")).collect();
    assert_eq!(maps.len(), 2 * 7, "every cross-attention of both pictures");
    for (name, map) in maps {
        let sums = values(&map.sum(2).expect("three sides"));
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-4), "{name}: {sums:?}");
    }
    assert_ne!(values(of(0, "condition")), values(of(1, "condition")));
}

#[tokio::test]
async fn a_trace_is_the_same_in_company_and_company_has_none() {
    let server = laboratory().await;
    let alone = server.whole(&traced(4)).await;
    let (first, second, neighbour) = (traced(4), traced(5), drawing(6, &json!({})));
    let (found, other, untold) =
        tokio::join!(server.whole(&first), server.whole(&second), server.whole(&neighbour));
    assert_eq!(found.body["trace"], alone.body["trace"]);
    assert_ne!(other.body["trace"], alone.body["trace"]);
    assert!(untold.body.get("trace").is_none());
    let lonely = server.whole(&neighbour).await;
    assert_eq!(untold.document, lonely.document);
}

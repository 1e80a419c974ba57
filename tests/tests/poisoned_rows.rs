//! Numbers that are none fail the document whose numbers they are, and nobody who is computed beside it.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use candle_core::{DType, Device, Tensor, safetensors};
use reqwest::Response;
use reverie_model::noise::{CounterNoise, NoiseDraw, NoiseKey, NoiseSource};
use reverie_model::tokenizer::Tokenizer;
use reverie_server::config::Config;
use reverie_tests::answer::{Document, error};
use reverie_tests::folders::{Scratch, copy_folder, mini};
use reverie_tests::server::{Setup, TestServer, asking};
use serde_json::{Value, json};

/// Stands for a byte that no trained sentence has.
const POISON: &str = "§";
/// Pictures with this seed turn into no numbers in their third step.
const POISONED_SEED: u64 = 666;

struct PoisonedNoise;

impl NoiseSource for PoisonedNoise {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        let mut noise = CounterNoise.normal(key, len);
        if key.seed == POISONED_SEED && key.draw == NoiseDraw::Step(2) {
            noise[len / 2] = f32::NAN;
        }
        noise
    }
}

/// The embedded model with one embedding that is not finite.
fn poison(folder: &Path) {
    copy_folder(&mini(), folder);
    let file = folder.join("model.safetensors");
    let mut tensors: HashMap<String, Tensor> =
        safetensors::load(&file, &Device::Cpu).expect("the embedded model's tensors");
    let tokenizer = Tokenizer::load(&mini(), 1536).expect("its tokenizer");
    let token = *tokenizer.encode_text(POISON).last().expect("a token") as usize;
    let name = "model.embed_tokens.weight";
    let table = tensors[name].to_dtype(DType::F32).expect("numbers");
    let mut rows = table.to_vec2::<f32>().expect("a matrix");
    rows[token][17] = f32::INFINITY;
    let table = Tensor::new(rows, &Device::Cpu).expect("a matrix").to_dtype(DType::BF16);
    tensors.insert(name.to_owned(), table.expect("half precision"));
    safetensors::save(&tensors, &file).expect("a written file");
}

fn picture(seed: u64) -> Value {
    let fields = json!({"seed": 2, "image_seed": seed, "image_choice": 1, "max_tokens": 8,
                        "sampler": "euler_ancestral", "num_inference_steps": 6});
    asking(json!("Draw a large red circle on a white background."), fields)
}

fn text(question: &str) -> Value {
    let fields = json!({"seed": 3, "temperature": 1.0, "max_tokens": 40, "image_choice": "none"});
    asking(json!(question), fields)
}

async fn both(server: &TestServer) -> [Document; 2] {
    let (picture, text) = (picture(7), text("What can you do?"));
    let (picture, text) = tokio::join!(server.whole(&picture), server.whole(&text));
    [picture.document, text.document]
}

async fn assert_failed(response: Response) {
    let (status, _, code, message) = error(response).await;
    assert_eq!((status, code.as_str()), (500, "model_numerical_error"), "{message}");
}

#[tokio::test]
async fn a_poisoned_text_and_a_poisoned_picture_fail_alone() {
    let folder = Scratch::new();
    poison(folder.path());
    // However long it takes: pictures are to share passes, and texts their steps.
    let patient = |config: &mut Config| config.engine.max_token_gap = Duration::MAX;
    let setup = Setup::new(folder.path()).noise(PoisonedNoise).configured(patient);
    let server = setup.start().await;
    let wanted = both(&server).await;
    let (poisoned_text, poisoned_picture) = (text(POISON), picture(POISONED_SEED));
    for _ in 0..2 {
        let (beside, text, picture) = tokio::join!(
            both(&server),
            server.post(&poisoned_text),
            server.post(&poisoned_picture),
        );
        assert_eq!(beside, wanted);
        assert_failed(text).await;
        assert_failed(picture).await;
    }
    let stats = server.stats();
    assert!(
        stats.num_denoised_rows > 2 * stats.num_denoiser_passes,
        "the pictures shared passes: {stats:?}"
    );
}

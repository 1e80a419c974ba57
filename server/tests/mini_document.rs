//! The embedded checkpoint behind the engine: it loads, warms up, and a seed stands for one document.
//! Refuses to know HTTP and templates.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_model::Picture;
use reverie_model::diffusion::SamplerKind;
use reverie_model::noise::CounterNoise;
use reverie_server::args::{DeviceChoice, DtypeChoice};
use reverie_server::engine::EngineConfig;
use reverie_server::engine::candle_runner::CandleRunner;
use reverie_server::engine::document_engine::{DocumentEngine, EngineStatus};
use reverie_server::engine::event::EngineEvent;
use reverie_server::engine::request::{
    EngineRequest, ImageChoice, ONE_TENANT, PictureParams, PromptSegment, RequestIdentity,
    SamplingParams, StoppingParams, TenantId,
};
use reverie_server::pool::thread_worker::LoadRunner;
use reverie_server::pool::{Pool, PoolConfig, PoolHandle, PoolThread, TextSource};
use reverie_server::startup::PreparedModel;
use tokio_stream::StreamExt;

fn request(prompt: Vec<u32>, seed: u64) -> EngineRequest {
    EngineRequest {
        prompt: vec![PromptSegment::Tokens(prompt)],
        sampling: SamplingParams {
            temperature: 1.5,
            top_p: 0.95,
            top_k: 50,
            seed,
            ..SamplingParams::greedy()
        },
        stopping: StoppingParams {
            max_tokens: Some(12),
            min_tokens: 0,
            ignore_eos: true,
            ends_with_images: false,
            stop: Vec::new(),
        },
        pictures: PictureParams {
            choice: ImageChoice::Exactly(1),
            max_images: 1,
            width: 64,
            height: 64,
            num_inference_steps: 2,
            guidance_scale: 2.0,
            guidance_rescale: 0.0,
            eta: 0.0,
            negative_prompt: None,
            sampler: SamplerKind::EulerAncestral,
            seed,
            format: reverie_model::picture_codec::PictureFormat::Png,
            progress: None,
            trace: None,
        },
        choice: 0,
        deadline: None,
        tenant: ONE_TENANT,
        priority: 0,
        identity: RequestIdentity::default(),
    }
}

/// A document as one string of text and one list of pixels.
struct Written {
    text: String,
    pixels: Vec<u8>,
    /// Positions of its prompt that were computed before.
    cached: usize,
}

async fn write(handle: &PoolHandle, request: EngineRequest) -> Written {
    let (mut text, mut pixels, mut cached) = (String::new(), Vec::new(), 0);
    let stream = handle.submit(request).expect("accepted");
    for event in stream.collect::<Vec<EngineEvent>>().await {
        match event {
            EngineEvent::Text { delta, .. } => text.push_str(&delta),
            EngineEvent::Image { picture, .. } => pixels.extend_from_slice(picture.rgb()),
            EngineEvent::Finished { usage, .. } => {
                assert_eq!((usage.images, usage.text_tokens), (1, 12));
                cached = usage.prompt_cached_positions;
            }
            EngineEvent::ImageStarted { .. }
            | EngineEvent::ImageProgress { .. }
            | EngineEvent::Traced(_) => {}
            EngineEvent::Failed(error) => panic!("{error}"),
        }
    }
    Written { text, pixels, cached }
}

async fn start() -> (PoolHandle, PoolThread) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/mini"));
    let (cache, device) = (std::env::temp_dir(), DeviceChoice::Cpu);
    let prepared = PreparedModel::open(Some(folder), &cache, device, DtypeChoice::F32)
        .expect("the embedded model is usable");
    let (budget, class) = (prepared.budget(1024), prepared.numerics_class());
    assert_eq!(budget.max_model_len, 1024);
    let tokenizer = Arc::clone(&prepared.tokenizer);
    let load = move || {
        Ok(Box::new(CandleRunner::new(prepared.load()?, Box::new(CounterNoise))?) as Box<_>)
    };
    let config = EngineConfig {
        max_num_seqs: 1,
        max_num_batched_tokens: 512,
        max_num_encodes: 1,
        max_num_waiting: 4,
        num_kv_blocks: 128,
        max_token_gap: Duration::MAX,
    };
    let (load, text): (LoadRunner, TextSource) =
        (Arc::new(load), Arc::new(move || Box::new(tokenizer.detokenizer())));
    let config = PoolConfig::of_one(budget, config);
    let (handle, thread) =
        Pool::of_threads(config, class, &load, text, Arc::new(Instant::now)).expect("a thread");
    assert_eq!(handle.loaded().await, EngineStatus::Ready);
    (handle, thread)
}

#[tokio::test]
async fn a_prompt_is_found_computed_by_its_tenant_and_never_by_another() {
    let (handle, thread) = start().await;
    // Two blocks and a half of tokens, then two blocks of a picture with eighteen positions.
    let mut documents = Vec::new();
    for tenant in [7, 7, 8, 8] {
        let mut request = request((0..40).map(|token| 1 + 7 * token).collect(), 5);
        let picture = Picture::new(64, 64, [200, 30, 30].repeat(64 * 64));
        request.prompt.push(PromptSegment::Picture(Arc::new(picture)));
        request.tenant = TenantId(tenant);
        documents.push(write(&handle, request).await);
    }
    let cached: Vec<usize> = documents.iter().map(|document| document.cached).collect();
    assert_eq!(cached, [0, 48, 0, 48]);
    for document in &documents {
        assert_eq!((&document.text, &document.pixels), (&documents[0].text, &documents[0].pixels));
    }
    handle.drain();
    thread.join().expect("no panic").expect("ends in peace");
}

#[tokio::test]
async fn a_seed_stands_for_one_document_whatever_was_written_before() {
    let (handle, thread) = start().await;

    let prompt = vec![1, 300, 301, 302];
    let first = write(&handle, request(prompt.clone(), 5)).await;
    let other = write(&handle, request(prompt.clone(), 6)).await;
    let again = write(&handle, request(prompt, 5)).await;
    assert_eq!(first.pixels.len(), 64 * 64 * 3);
    assert_eq!((&first.text, &first.pixels), (&again.text, &again.pixels));
    assert_ne!(first.text, other.text, "another seed chooses other tokens");
    assert_ne!(first.pixels, other.pixels, "and draws another picture");
    handle.drain();
    thread.join().expect("no panic").expect("ends in peace");
}

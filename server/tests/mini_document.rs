//! The embedded checkpoint behind the engine: it loads, warms up, and a seed stands for one document.
//! Refuses to know HTTP and templates.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use reverie_model::diffusion::SamplerKind;
use reverie_model::noise::CounterNoise;
use reverie_server::args::{DeviceChoice, DtypeChoice};
use reverie_server::engine::EngineConfig;
use reverie_server::engine::candle_runner::CandleRunner;
use reverie_server::engine::document_engine::{DocumentEngine, EngineStatus};
use reverie_server::engine::event::EngineEvent;
use reverie_server::engine::request::{
    EngineRequest, ImageChoice, PictureParams, PromptSegment, RequestIdentity, SamplingParams,
    StoppingParams, TenantId,
};
use reverie_server::pool::thread_worker::LoadRunner;
use reverie_server::pool::{Pool, PoolConfig, PoolHandle, TextSource};
use reverie_server::startup::PreparedModel;
use tokio_stream::StreamExt;

fn request(prompt: Vec<u32>, seed: u64) -> EngineRequest {
    EngineRequest {
        prompt: vec![PromptSegment::Tokens(prompt)],
        sampling: SamplingParams { temperature: 1.5, top_p: 0.95, top_k: 50, seed, num_beams: 1 },
        stopping: StoppingParams {
            max_tokens: Some(12),
            min_tokens: 0,
            ignore_eos: true,
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
            report_progress: false,
        },
        deadline: None,
        tenant: TenantId(0),
        priority: 0,
        identity: RequestIdentity::default(),
    }
}

/// A document as one string of text and one list of pixels.
async fn write(handle: &PoolHandle, request: EngineRequest) -> (String, Vec<u8>) {
    let (mut text, mut pixels) = (String::new(), Vec::new());
    let stream = handle.submit(request).expect("accepted");
    for event in stream.collect::<Vec<EngineEvent>>().await {
        match event {
            EngineEvent::Text { delta, .. } => text.push_str(&delta),
            EngineEvent::Image { picture, .. } => pixels.extend_from_slice(picture.rgb()),
            EngineEvent::Finished { usage, .. } => {
                assert_eq!((usage.images, usage.text_tokens), (1, 12));
            }
            EngineEvent::ImageStarted { .. } | EngineEvent::ImageProgress { .. } => {}
            EngineEvent::Failed(error) => panic!("{error}"),
        }
    }
    (text, pixels)
}

#[tokio::test]
async fn a_seed_stands_for_one_document_whatever_was_written_before() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/mini"));
    let (cache, device) = (std::env::temp_dir(), DeviceChoice::Cpu);
    let prepared = PreparedModel::open(Some(folder), &cache, device, DtypeChoice::F32)
        .expect("the embedded model is usable");
    let (budget, class) = (prepared.budget(1024), prepared.numerics_class());
    let tokenizer = Arc::clone(&prepared.tokenizer);
    let load = move || {
        Ok(Box::new(CandleRunner::new(prepared.load()?, Box::new(CounterNoise))?) as Box<_>)
    };
    let config = EngineConfig {
        max_num_seqs: 1,
        max_num_batched_tokens: 512,
        max_num_encodes: 1,
        max_num_waiting: 4,
    };
    let (load, text): (LoadRunner, TextSource) =
        (Arc::new(load), Arc::new(move || Box::new(tokenizer.detokenizer())));
    let config = PoolConfig::of_one(budget, config);
    let (handle, thread) =
        Pool::of_threads(config, class, &load, text, Arc::new(Instant::now)).expect("a thread");
    assert_eq!(handle.loaded().await, EngineStatus::Ready);
    assert_eq!(budget.max_model_len, 1024);

    let prompt = vec![1, 300, 301, 302];
    let first = write(&handle, request(prompt.clone(), 5)).await;
    let other = write(&handle, request(prompt.clone(), 6)).await;
    let again = write(&handle, request(prompt, 5)).await;
    assert_eq!(first.1.len(), 64 * 64 * 3);
    assert_eq!(first, again);
    assert_ne!(first.0, other.0, "another seed chooses other tokens");
    assert_ne!(first.1, other.1, "and draws another picture");
    handle.drain();
    thread.join().expect("no panic").expect("ends in peace");
}

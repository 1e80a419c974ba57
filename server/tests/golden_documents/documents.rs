//! The two golden documents: three chunks of text and two pictures each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reverie_scheduler::dispatcher::NumericsClass;
use reverie_scheduler::{FinishReason, SchedulerStats};
use reverie_server::engine::EngineConfig;
use reverie_server::engine::candle_runner::RunnerCounters;
use reverie_server::engine::document_engine::{DocumentEngine, EngineStatus};
use reverie_server::engine::event::EngineEvent;
use reverie_server::engine::request::{EngineRequest, PromptSegment};
use reverie_server::engine::runner::ModelRunner as _;
use reverie_server::pool::thread_worker::LoadRunner;
use reverie_server::pool::{Pool, PoolConfig, TextSource};
use tokio_stream::StreamExt;

use crate::goldens::{
    Part, PlaybackNoise, Vectors, Written, golden_request, golden_runner, json, largest_difference,
    limits, write, write_together,
};

fn golden_noise(vectors: &Vectors) -> PlaybackNoise {
    let mut noise = PlaybackNoise::default();
    for document in 0..2u64 {
        for picture in 0..2u32 {
            let name = |what: &str| format!("doc{document}.image{picture}.{what}");
            let (first, steps) = (vectors.floats(&name("latents")), vectors.steps(&name("noises")));
            noise.add(document, picture, first, steps);
        }
    }
    noise
}

/// The ids that the reference chose, `None` where it drew a picture.
fn golden_tokens(document: usize) -> Vec<Option<u32>> {
    let events = &json("interleaved.json")[document]["events"];
    let id = |event: &serde_json::Value| event["id"].as_u64().map(|id| id as u32);
    events.as_array().expect("events").iter().map(id).collect()
}

fn golden_document(vectors: &Vectors, document: usize) -> EngineRequest {
    let prompt = vectors.ids(&format!("doc{document}.prompt_ids"));
    let mut request = golden_request(vec![PromptSegment::Tokens(prompt)]);
    request.pictures.seed = document as u64;
    request
}

fn check_document(vectors: &Vectors, document: usize, written: &Written) {
    let (parts, reason, usage) = written;
    let mut tokens = Vec::new();
    let mut pictures = 0;
    for part in parts {
        match part {
            Part::Token(id) => tokens.push(Some(*id)),
            Part::EndOfText => tokens.push(Some(2)),
            Part::Picture(picture) => {
                tokens.push(None);
                let name = format!("doc{document}.image{pictures}.image_u8");
                let difference = largest_difference(picture, &vectors.picture(&name));
                assert!(difference <= 1, "{name} differs by {difference}");
                pictures += 1;
            }
        }
    }
    assert_eq!(tokens, golden_tokens(document), "document {document}");
    assert_eq!(*reason, FinishReason::EndOfText);
    // The reference's list ends with the `</s>` that takes no position here.
    let golden_len = golden_len(vectors, document);
    let prompt_len = vectors.ids(&format!("doc{document}.prompt_ids")).len();
    assert_eq!((usage.prompt_positions, usage.positions_used), (prompt_len, golden_len));
    assert_eq!((usage.images, usage.image_positions), (2, 2 * (10 + 258)));
    assert_eq!(usage.text_tokens, golden_len + 1 - prompt_len - usage.image_positions);
}

fn golden_len(vectors: &Vectors, document: usize) -> usize {
    vectors.ids(&format!("doc{document}.final_ids")).len() - 1
}

fn check_documents(max_num_batched_tokens: usize) {
    let vectors = Vectors::read("interleaved");
    let mut runner = golden_runner(golden_noise(&vectors));
    for document in 0..2 {
        let request = golden_document(&vectors, document);
        let written = write(&mut runner, request, max_num_batched_tokens);
        check_document(&vectors, document, &written);
    }
}

/// Golden documents at once, checked; what it took. `tight` is a KV cache that holds one of them.
fn check_together(documents: [usize; 2], tight: bool) -> (RunnerCounters, SchedulerStats) {
    let vectors = Vectors::read("interleaved");
    let mut runner = golden_runner(golden_noise(&vectors));
    let longest = documents.map(|document| golden_len(&vectors, document)).into_iter().max();
    if tight {
        runner = runner.with_max_model_len(longest.expect("two documents") + 1);
    }
    let mut config = limits(&runner, 2, 2048);
    if tight {
        config.kv.num_blocks = config.kv.blocks_for(config.budget.max_model_len);
    }
    let requests = documents.map(|document| golden_document(&vectors, document)).to_vec();
    let (written, stats) = write_together(&mut runner, requests, config);
    for (document, written) in documents.into_iter().zip(&written) {
        check_document(&vectors, document, written);
    }
    (runner.counters(), stats)
}

#[test]
fn documents_of_one_step_share_its_decoder_pass_and_its_denoiser_pass() {
    let (counters, stats) = check_together([0, 0], false);
    assert_eq!(
        stats.num_denoised_rows,
        2 * 2 * 8,
        "two documents, two rows, two pictures of four steps"
    );
    assert_eq!(counters.denoiser_passes, stats.num_denoiser_passes);
    // Latents are decoded one after the other, so that from there on one document is a step behind.
    assert_eq!(counters.denoiser_passes, 4 + 5);
    // Alone, a pass for each token, and for each picture one that wishes it and one that dreams it.
    let alone = golden_tokens(0).len() + 2;
    assert!(counters.decoder_passes <= alone as u64 + 2, "{counters:?}, alone {alone}");
}

#[test]
fn a_document_that_had_to_give_way_comes_out_the_same() {
    let (_, stats) = check_together([0, 1], true);
    assert!(stats.num_preemptions > 0, "the cache holds one of them");
}

#[test]
fn both_golden_documents_come_out_token_for_token_with_their_pictures() {
    check_documents(2048);
}

#[test]
fn both_golden_documents_come_out_the_same_when_computed_in_small_chunks() {
    check_documents(37);
}

#[tokio::test]
async fn the_golden_documents_texts_and_pictures_stream_in_document_order() {
    let load = || {
        let runner = golden_runner(golden_noise(&Vectors::read("interleaved")));
        Ok(Box::new(runner) as Box<_>)
    };
    let config = EngineConfig {
        max_num_seqs: 1,
        max_num_batched_tokens: 64,
        max_num_encodes: 1,
        max_num_waiting: 1,
        num_kv_blocks: 128,
        max_token_gap: Duration::MAX,
    };
    let runner = golden_runner(golden_noise(&Vectors::read("interleaved")));
    let (budget, tokenizer) = (runner.budget(), Arc::clone(&runner.model().tokenizer));
    let (load, text): (LoadRunner, TextSource) =
        (Arc::new(load), Arc::new(move || Box::new(tokenizer.detokenizer())));
    let config = PoolConfig::of_one(budget, config);
    let (handle, thread) =
        Pool::of_threads(config, NumericsClass(1), &load, text, Arc::new(Instant::now))
            .expect("a thread");
    assert_eq!(handle.loaded().await, EngineStatus::Ready);
    let vectors = Vectors::read("interleaved");
    let streams: Vec<_> = (0..2u64)
        .map(|document| {
            let prompt = vectors.ids(&format!("doc{document}.prompt_ids"));
            let mut request = golden_request(vec![PromptSegment::Tokens(prompt)]);
            request.pictures.seed = document;
            handle.submit(request).expect("accepted")
        })
        .collect();
    for (document, stream) in streams.into_iter().enumerate() {
        let mut chunks = vec![String::new()];
        for event in stream.collect::<Vec<EngineEvent>>().await {
            match event {
                EngineEvent::Text { delta, .. } => {
                    chunks.last_mut().expect("a chunk").push_str(&delta);
                }
                EngineEvent::Image { .. } => chunks.push(String::new()),
                EngineEvent::ImageStarted { .. }
                | EngineEvent::ImageProgress { .. }
                | EngineEvent::Traced(_) => {}
                EngineEvent::Finished { reason, .. } => {
                    assert_eq!(reason, FinishReason::EndOfText);
                }
                EngineEvent::Failed(error) => panic!("{error}"),
            }
        }
        let golden = &json("interleaved.json")[document]["text_chunks"];
        let wanted: Vec<String> = golden
            .as_array()
            .expect("chunks")
            .iter()
            .enumerate()
            .map(|(index, chunk)| {
                // The first chunk opens the answer; later ones keep the space that "▁" stands for.
                let space = if index == 0 { "" } else { " " };
                format!("{space}{}", chunk.as_str().expect("text"))
            })
            .collect();
        assert_eq!(chunks, wanted);
    }
    handle.drain();
    thread.join().expect("no panic").expect("ends in peace");
}

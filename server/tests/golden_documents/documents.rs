//! The two golden documents: three chunks of text and two pictures each.

use std::sync::Arc;
use std::time::Instant;

use reverie_scheduler::FinishReason;
use reverie_server::engine::document_engine::{DocumentEngine, EngineStatus};
use reverie_server::engine::event::EngineEvent;
use reverie_server::engine::request::PromptSegment;
use reverie_server::engine::{Engine, EngineConfig};
use tokio_stream::StreamExt;

use crate::goldens::{
    Part, PlaybackNoise, Vectors, golden_request, golden_runner, json, largest_difference, write,
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

fn check_documents(max_num_batched_tokens: usize) {
    let vectors = Vectors::read("interleaved");
    let mut runner = golden_runner(golden_noise(&vectors));
    for document in 0..2 {
        let prompt = vectors.ids(&format!("doc{document}.prompt_ids"));
        let prompt_len = prompt.len();
        let mut request = golden_request(vec![PromptSegment::Tokens(prompt)]);
        request.pictures.seed = document as u64;
        let (parts, reason, usage) = write(&mut runner, request, max_num_batched_tokens);

        let mut tokens = Vec::new();
        let mut pictures = 0;
        for part in &parts {
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
        assert_eq!(reason, FinishReason::EndOfText);
        // The reference's list ends with the `</s>` that takes no position here.
        let golden_len = vectors.ids(&format!("doc{document}.final_ids")).len() - 1;
        assert_eq!((usage.prompt_positions, usage.positions_used), (prompt_len, golden_len));
        assert_eq!((usage.images, usage.image_positions), (2, 2 * (10 + 258)));
        assert_eq!(usage.text_tokens, golden_len + 1 - prompt_len - usage.image_positions);
    }
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
    };
    let (handle, thread) = Engine::start(load, config, Arc::new(Instant::now)).expect("a thread");
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
                EngineEvent::ImageStarted { .. } | EngineEvent::ImageProgress { .. } => {}
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

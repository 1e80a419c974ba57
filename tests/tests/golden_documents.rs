//! Both recorded documents over HTTP: the reference's tokens, its pictures from its noise, in its order.

use reverie_proto::FinishDetails;
use reverie_server::template::PromptTemplate;
use reverie_tests::answer::{Document, Part};
use reverie_tests::folders::golden_checkpoint;
use reverie_tests::goldens::{GoldenNoise, Vectors, json};
use reverie_tests::pictures::{file_of, pixels};
use reverie_tests::server::{Setup, TestServer, asking};
use serde_json::Value;

/// What the reference was asked for, with the recorded noise of document `number`.
fn request(instruction: &str, number: usize) -> Value {
    asking(
        instruction.into(),
        serde_json::json!({
            "temperature": 0, "sampler": "ddpm", "num_inference_steps": 4, "guidance_scale": 7.5,
            "seed": 1, "image_seed": number,
        }),
    )
}

async fn golden_server(vectors: &Vectors) -> TestServer {
    Setup::new(&golden_checkpoint()).noise(GoldenNoise::of_interleaved(vectors)).start().await
}

/// The chunks as a stream spells them: all but the first keep the space that "▁" stands for.
fn recorded_chunks(document: &Value) -> Vec<String> {
    let chunks = document["text_chunks"].as_array().expect("chunks").iter().enumerate();
    let spelt = |(index, chunk): (usize, &Value)| {
        format!("{}{}", if index == 0 { "" } else { " " }, chunk.as_str().expect("text"))
    };
    chunks.map(spelt).collect()
}

fn check(number: usize, found: &Document, recorded: &Value, vectors: &Vectors) {
    let chunks = recorded_chunks(recorded);
    assert_eq!(found.texts(), chunks, "document {number}");
    let order: Vec<bool> =
        found.parts.iter().map(|part| matches!(part, Part::Picture(_))).collect();
    assert_eq!(order, [false, true, false, true, false], "text and pictures take turns");
    for (picture, url) in found.pictures().into_iter().enumerate() {
        assert_eq!(file_of(url).0, "image/png");
        let name = format!("doc{number}.image{picture}.image_u8");
        let (found, wanted) = (pixels(url), vectors.bytes(&name));
        assert_eq!((found.dimensions(), wanted.len()), ((64, 64), found.as_raw().len()));
        let differences = found.as_raw().iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b));
        let worst = differences.max().expect("pixels");
        assert!(worst <= 1, "{name} differs by {worst}");
    }
    assert_eq!(found.ending, FinishDetails::EndOfText);

    // The reference's list of ids ends with the `</s>` that takes no position here.
    let prompt = vectors.len(&format!("doc{number}.prompt_ids"));
    let used = vectors.len(&format!("doc{number}.final_ids")) - 1;
    let pictures = 2 * (10 + 258);
    let usage = &found.usage;
    assert_eq!(usage.prompt_tokens, prompt);
    assert_eq!(usage.completion_tokens, used + 1 - prompt);
    assert_eq!(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert_eq!(usage.prompt_tokens_details.image_tokens, 0);
    assert_eq!(usage.completion_tokens_details.image_tokens, pictures);
    assert_eq!((usage.images.input, usage.images.output), (0, 2));
    assert_eq!((usage.images.positions_used, usage.images.positions_left), (used, 2048 - used));
    assert_eq!(usage.images.more_images_fit, (2048 - used) / (10 + 258));
}

#[tokio::test]
async fn both_golden_documents_come_whole_and_streamed_as_the_reference_wrote_them() {
    let vectors = Vectors::read("interleaved");
    let recorded = json("interleaved.json");
    let server = golden_server(&vectors).await;
    for number in 0..2 {
        let document = &recorded[number];
        let instruction = document["instruction"].as_str().expect("an instruction");
        let request = request(instruction, number);
        let whole = server.whole(&request).await;
        check(number, &whole.document, document, &vectors);
        let streamed = server.stream(&request).await.document().await;
        assert_eq!(streamed, whole.document, "both modes deliver the same document");
    }
}

#[tokio::test]
async fn both_golden_documents_come_unchanged_when_written_at_the_same_time() {
    let vectors = Vectors::read("interleaved");
    let recorded = json("interleaved.json");
    let server = golden_server(&vectors).await;
    let instruction = |number: usize| recorded[number]["instruction"].as_str().expect("text");
    let requests = [request(instruction(0), 0), request(instruction(1), 1)];
    let [first, second] = &requests;
    let (first, second) = tokio::join!(server.whole(first), server.whole(second));
    check(0, &first.document, &recorded[0], &vectors);
    check(1, &second.document, &recorded[1], &vectors);
}

#[test]
fn the_recorded_prompts_are_the_instructions_in_the_default_template() {
    let template = PromptTemplate::of_checkpoint(&golden_checkpoint()).expect("the built-in one");
    assert_eq!(template, PromptTemplate::vicuna_v1_1());
    for document in json("interleaved.json").as_array().expect("documents") {
        let instruction = document["instruction"].as_str().expect("an instruction");
        let written = [
            &template.system,
            &template.system_separator,
            &template.user.prefix,
            instruction,
            &template.user.suffix,
            &template.assistant.prefix,
        ]
        .map(|piece| piece as &str)
        .concat();
        assert_eq!(document["prompt"], written);
    }
}

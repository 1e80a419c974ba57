//! A document is the same bytes whoever else is served, however its prompt is cut, whatever was computed
//! before: over HTTP, with the embedded model, text and pictures.

use image::ImageFormat;
use reverie_tests::answer::{Document, WholeAnswer};
use reverie_tests::folders::mini;
use reverie_tests::pictures::{RED, part, scene};
use reverie_tests::server::{Setup, TestServer, asking, conversation};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Documents at once in the largest of these worlds.
const CROWD: usize = 32;

const STORY: &str = "Tell a picture story about a red circle.";

fn about_a_square(text: &str) -> Value {
    json!([part(&scene(RED, ImageFormat::Png)), {"type": "text", "text": text}])
}

/// One request of each kind: text, a question about a picture, a picture with guidance, one with a negative
/// prompt, an edit, and a story of two pictures. All draw at random.
fn documents() -> Vec<Value> {
    let drawing = |fields: Value| {
        let mut all = json!({"temperature": 0.7, "sampler": "euler_ancestral",
                             "num_inference_steps": 4, "image_choice": 1, "max_tokens": 24});
        for (name, value) in fields.as_object().expect("fields") {
            all[name] = value.clone();
        }
        all
    };
    let text = json!({"seed": 11, "temperature": 1.0, "max_tokens": 48, "image_choice": "none"});
    vec![
        asking(json!("What can you do?"), text),
        asking(
            about_a_square("What color is the square?"),
            json!({"seed": 12, "temperature": 1.0, "max_tokens": 24, "image_choice": "none"}),
        ),
        asking(
            json!("Draw a large red circle on a white background."),
            drawing(json!({"seed": 13, "guidance_scale": 2.5})),
        ),
        asking(
            json!("Draw a large red circle on a white background."),
            drawing(json!({"seed": 14, "negative_prompt": "A large red circle, drawn badly."})),
        ),
        asking(about_a_square("Make it blue."), drawing(json!({"seed": 15}))),
        asking(
            json!(STORY),
            drawing(json!({"seed": 16, "image_choice": 2, "max_tokens": 80, "max_images": 2})),
        ),
    ]
}

/// As many others, no two alike.
fn others(count: usize) -> Vec<Value> {
    let mut requests = documents().into_iter().cycle();
    let sizes = ["64x64", "32x64"];
    let other = |index: usize| {
        let mut request = requests.next().expect("a cycle");
        request["seed"] = json!(1_000 + index);
        request["temperature"] = json!(0.9);
        request["num_inference_steps"] = json!(2 + index % 3);
        request["guidance_scale"] = json!(1.0 + (index % 2) as f64);
        request["size"] = json!(sizes[index % 2]);
        request
    };
    (0..count).map(other).collect()
}

async fn one_by_one(server: &TestServer, requests: &[Value]) -> Vec<Document> {
    let mut documents = Vec::new();
    for request in requests {
        documents.push(server.whole(request).await.document);
    }
    documents
}

/// All at once, in their order.
async fn together(server: TestServer, requests: Vec<Value>) -> (TestServer, Vec<Document>) {
    let server = std::sync::Arc::new(server);
    let mut running = JoinSet::new();
    for (index, request) in requests.into_iter().enumerate() {
        let server = std::sync::Arc::clone(&server);
        running.spawn(async move { (index, server.whole(&request).await.document) });
    }
    let mut answers = running.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    let server = std::sync::Arc::into_inner(server).expect("nobody asks any more");
    (server, answers.into_iter().map(|(_, document)| document).collect())
}

/// What each of [`documents`] is when nobody else is there and nothing was computed before.
async fn alone() -> Vec<Document> {
    let mut documents_alone = Vec::new();
    for request in documents() {
        let server = Setup::new(&mini()).start().await;
        let answer = server.whole(&request).await;
        assert_eq!(answer.cached_tokens, 0, "nothing was computed before");
        documents_alone.push(answer.document);
    }
    let pictures = documents_alone.iter().map(|document| document.pictures().len());
    assert_eq!(pictures.collect::<Vec<_>>(), [0, 0, 1, 1, 1, 2]);
    documents_alone
}

fn assert_same(found: &[Document], wanted: &[Document], world: &str) {
    for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert_eq!(found, wanted, "document {index}, {world}");
    }
}

#[tokio::test]
async fn a_document_is_the_same_bytes_in_every_company() {
    let wanted = alone().await;

    let server = Setup::new(&mini()).start().await;
    let requests = documents();
    assert_same(&one_by_one(&server, &requests).await, &wanted, "one after the other");
    assert_same(&one_by_one(&server, &requests).await, &wanted, "its beginning computed before");
    assert!(server.stats().prefix_cache_hits > 0, "{:?}", server.stats());

    let server = Setup::new(&mini()).start().await;
    let mut crowd = documents();
    crowd.extend(others(CROWD - crowd.len()));
    let (server, found) = together(server, crowd).await;
    assert_same(&found[..wanted.len()], &wanted, "among 31 others");
    let stats = server.stats();
    let rows_per_pass = stats.num_denoised_rows as f64 / stats.num_denoiser_passes as f64;
    // A picture alone has two, with guidance and without. How many meet depends on when they are begun.
    assert!(rows_per_pass > 3.0, "pictures shared passes: {stats:?}");

    let tight = |config: &mut reverie_server::config::Config| {
        config.engine.max_num_seqs = Some(12);
        config.engine.kv_cache_bytes = Some(1); // as much as two contexts take
    };
    let server = Setup::new(&mini()).configured(tight).start().await;
    let long = |request: &mut Value| {
        // Longer than their answers by far, so that the cache is too small for all.
        request["ignore_eos"] = json!(true);
        request["max_tokens"] = json!(400);
        request["image_choice"] = json!("none");
    };
    let mut crowd = others(10);
    crowd.iter_mut().for_each(long);
    // The youngest give way, and these are among them.
    crowd.extend(documents());
    let (server, found) = together(server, crowd).await;
    assert_same(&found[10..], &wanted, "in a KV cache that is too small");
    assert!(server.stats().num_preemptions > 0, "{:?}", server.stats());

    let narrow = |config: &mut reverie_server::config::Config| {
        config.engine.max_num_seqs = Some(3);
        config.engine.max_num_batched_tokens = 3;
    };
    let server = Setup::new(&mini()).configured(narrow).start().await;
    let (_, found) = together(server, documents()).await;
    assert_same(&found, &wanted, "its prompt in chunks of three positions or less");
}

/// The second turn about a drawn picture.
async fn second_turn(server: &TestServer, first: &WholeAnswer) -> WholeAnswer {
    let messages = json!([
        {"role": "user", "content": STORY},
        first.message(),
        {"role": "user", "content": "How many objects are there?"},
    ]);
    let fields = json!({"seed": 5, "temperature": 1.0, "num_inference_steps": 2, "max_tokens": 20});
    server.whole(&conversation(messages, fields)).await
}

#[tokio::test]
async fn a_second_turn_finds_the_first_and_is_the_same_bytes_as_without_it() {
    let fields = json!({"seed": 3, "num_inference_steps": 3, "image_choice": 2, "max_tokens": 60});
    let server = Setup::new(&mini()).start().await;
    let first = server.whole(&asking(json!(STORY), fields)).await;
    assert_eq!((first.document.pictures().len(), first.cached_tokens), (2, 0));
    let known = second_turn(&server, &first).await;
    let stranger = second_turn(&Setup::new(&mini()).start().await, &first).await;
    assert_eq!(known.document, stranger.document);
    assert_eq!(stranger.cached_tokens, 0);
    // All that the first turn had computed, in whole blocks: prompt, text and both pictures.
    let used = first.document.usage.images.positions_used;
    assert!(
        known.cached_tokens > used - 2 * 16 && known.cached_tokens <= used,
        "{} of {used} positions",
        known.cached_tokens
    );
}

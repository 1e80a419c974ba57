//! Several clients of one server: whoever leaves makes room, and whoever cannot be served hears why.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reverie_model::noise::{CounterNoise, NoiseKey, NoiseSource};
use reverie_tests::answer::error;
use reverie_tests::folders::mini;
use reverie_tests::server::{Setup, asking};
use serde_json::{Value, json};

use crate::mini_server;

/// A document that takes far longer than its test.
fn endless() -> Value {
    asking(
        json!("Tell a picture story."),
        json!({"seed": 9, "image_seed": LEAVER, "image_choice": 16, "max_tokens": 1,
               "num_inference_steps": 200, "sampler": "euler_ancestral"}),
    )
}

/// A server with one place.
fn one_at_a_time() -> Setup {
    Setup::new(&mini()).configured(|config| config.engine.max_num_seqs = Some(1))
}

const LEAVER: u64 = 77;
const FOLLOWER: u64 = 78;

/// Real noise, and how many draws each seed has had when another seed's first draw came.
#[derive(Clone, Default)]
struct CountedNoise(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    draws: HashMap<u64, usize>,
    of_leaver_when_follower_began: Option<usize>,
}

impl NoiseSource for CountedNoise {
    fn normal(&self, key: &NoiseKey, len: usize) -> Vec<f32> {
        let mut counts = self.0.lock().expect("no panic holds it");
        *counts.draws.entry(key.seed).or_default() += 1;
        if key.seed == FOLLOWER && counts.of_leaver_when_follower_began.is_none() {
            counts.of_leaver_when_follower_began =
                Some(counts.draws.get(&LEAVER).copied().unwrap_or(0));
        }
        CounterNoise.normal(key, len)
    }
}

#[tokio::test]
async fn a_client_that_leaves_makes_room_for_the_next_request() {
    let noise = CountedNoise::default();
    let counts = Arc::clone(&noise.0);
    let server = one_at_a_time().noise(noise).start().await;
    let mut leaver = server.stream(&endless()).await;
    leaver.piece().await;
    // Half-way into a picture, which no event tells.
    let patience = Instant::now() + Duration::from_secs(30);
    while counts.lock().expect("no panic holds it").draws.get(&LEAVER).is_none_or(|n| *n < 2) {
        assert!(Instant::now() < patience, "no picture was begun");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(leaver);
    let fields = json!({"seed": 1, "image_seed": FOLLOWER, "image_choice": 1, "max_tokens": 1,
                        "num_inference_steps": 4, "sampler": "euler_ancestral"});
    let follower = server.whole(&asking(json!("Draw a red circle."), fields)).await.document;
    assert_eq!(follower.pictures().len(), 1);
    let counts = counts.lock().expect("no panic holds it");
    let drawn = counts.draws[&LEAVER];
    assert!(drawn < 16 * 200, "the whole document was drawn for nobody");
    let before = counts.of_leaver_when_follower_began.expect("the follower drew");
    assert_eq!(drawn, before, "steps for somebody who left");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again_and_has_room_once_a_client_leaves() {
    let setup = one_at_a_time().configured(|config| config.engine.max_waiting = 1);
    let server = setup.start().await;
    let running = server.stream(&endless()).await;
    let waiting = server.stream(&endless()).await;
    let refused = server.post(&asking(json!("Hello"), json!({}))).await;
    let wait = refused.headers().get("retry-after").expect("when to come again").clone();
    let wait: u64 = wait.to_str().expect("ASCII").parse().expect("seconds");
    assert!((1..=600).contains(&wait), "{wait} s");
    let (status, _, code, _) = error(refused).await;
    assert_eq!((status, code.as_str()), (429, "queue_full"));
    drop(running);
    drop(waiting);
    // Leaving is noticed when the connection closes, which is not this client's to see.
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = server.post(&asking(json!("Hello"), json!({"max_tokens": 1}))).await;
        match answer.status().as_u16() {
            200 => break,
            429 => assert!(Instant::now() < patience, "no room after both clients left"),
            other => panic!("status {other}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_prompt_that_cannot_fit_is_refused_with_both_numbers() {
    let server = mini_server().await;
    let long = |words: usize| asking(json!("circle ".repeat(words)), json!({}));
    // The first is counted exactly; the second is refused before it is encoded.
    for words in [1_100, 100_000] {
        let (status, param, code, message) = error(server.post(&long(words)).await).await;
        assert_eq!((status, param.as_deref()), (400, Some("messages")), "{message}");
        assert_eq!(code, "context_length_exceeded");
        let digits = message.split(|letter: char| !letter.is_ascii_digit());
        let numbers: Vec<usize> = digits.filter_map(|number| number.parse().ok()).collect();
        assert!(numbers.contains(&1024), "the limit: {message}");
        assert!(numbers.iter().any(|number| *number > 1024), "the prompt: {message}");
    }
}

#[tokio::test]
async fn a_deadline_ends_whole_answers_with_504_and_streams_with_an_error() {
    let start = Instant::now();
    let late = Arc::new(Mutex::new(Duration::ZERO));
    let clock = Arc::clone(&late);
    let setup = one_at_a_time()
        .clock(Arc::new(move || start + *clock.lock().expect("no panic holds it")))
        .configured(|config| config.http.request_timeout = Some(Duration::from_secs(60)));
    let server = setup.start().await;
    let mut stream = server.stream(&endless()).await;
    stream.piece().await;
    *late.lock().expect("no panic holds it") += Duration::from_secs(61);
    let last = loop {
        let event = stream.next().await.expect("an error before the end");
        if event.starts_with("event: error") {
            break event;
        }
        assert_ne!(event, "data: [DONE]", "the document ended in time");
    };
    assert!(last.contains("deadline_exceeded"), "{last}");
    assert_eq!(stream.next().await, None, "nothing follows an error");

    // A request that has waited out its time behind another one is answered too.
    let mut running = server.stream(&endless()).await;
    running.piece().await;
    let hurried = endless();
    let (answer, ()) = tokio::join!(server.post(&hurried), async {
        running.piece().await;
        *late.lock().expect("no panic holds it") += Duration::from_secs(120);
    });
    let (status, _, code, _) = error(answer).await;
    assert_eq!((status, code.as_str()), (504, "deadline_exceeded"));
}

//! What shapes the choice of tokens, with the embedded model over HTTP: penalties, a bias, log-probabilities,
//! several choices. Each is exact and the same in any company.

use std::collections::BTreeMap;

use reverie_tests::folders::mini;
use reverie_tests::server::{Setup, TestServer, asking};
use serde_json::{Value, json};

const STORY: &str = "Tell a picture story about a red circle.";

/// Text alone, of exactly `count` tokens.
fn text(count: usize, fields: Value) -> Value {
    let mut request = asking(
        json!(STORY),
        json!({"image_choice": "none", "ignore_eos": true, "max_tokens": count}),
    );
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    request.as_object_mut().expect("an object").extend(fields);
    request
}

async fn ask(server: &TestServer, request: &Value) -> Value {
    server.answer("/v1/chat/completions", request).await
}

fn content(answer: &Value, choice: usize) -> &str {
    answer["choices"][choice]["message"]["content"].as_str().expect("text")
}

fn tokens(answer: &Value) -> Vec<Value> {
    answer["choices"][0]["logprobs"]["content"].as_array().expect("tokens").clone()
}

fn bytes(token: &Value) -> Vec<u8> {
    let bytes = token["bytes"].as_array().expect("a text token");
    bytes.iter().map(|byte| byte.as_u64().expect("a byte") as u8).collect()
}

/// The id of a token of one character or word, as the model's own tokenizer has it.
fn id_of(server_tokenizer: &reverie_model::tokenizer::Tokenizer, text: &str) -> u32 {
    let size = server_tokenizer.vocab_size() as u32;
    (0..size)
        .find(|id| server_tokenizer.token_bytes(*id) == text.as_bytes())
        .unwrap_or_else(|| panic!("no token is {text:?}"))
}

fn tokenizer() -> reverie_model::tokenizer::Tokenizer {
    let config = reverie_model::checkpoint::Checkpoint::open(&mini()).expect("a checkpoint");
    let size = config.config().llama.vocab_size;
    reverie_model::tokenizer::Tokenizer::load(&mini(), size).expect("a tokenizer")
}

#[tokio::test]
async fn penalties_keep_a_text_from_repeating_itself() {
    let server = Setup::new(&mini()).start().await;
    let most_frequent = |answer: &Value| {
        let mut counts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        tokens(answer).iter().for_each(|token| *counts.entry(bytes(token)).or_default() += 1);
        (counts.values().copied().max().unwrap_or(0), counts.len())
    };
    let greedy = json!({"temperature": 0, "logprobs": true});
    let plain = ask(&server, &text(300, greedy.clone())).await;
    let (plain_most, plain_kinds) = most_frequent(&plain);
    for (name, value) in
        [("frequency_penalty", 2.0), ("presence_penalty", 2.0), ("repetition_penalty", 2.0)]
    {
        let mut fields = greedy.clone();
        fields[name] = json!(value);
        let answer = ask(&server, &text(300, fields)).await;
        let (most, kinds) = most_frequent(&answer);
        assert!(kinds > plain_kinds, "{name}: {kinds} different tokens, without {plain_kinds}");
        let is_by_count = name == "frequency_penalty";
        assert!(!is_by_count || most < plain_most, "{most} of one, without {plain_most}");
        assert_eq!(answer["effective"][name], value, "what it came to is told");
    }
}

#[tokio::test]
async fn a_bias_forces_a_token_or_keeps_it_away() {
    let server = Setup::new(&mini()).start().await;
    let tokenizer = tokenizer();
    let letter = id_of(&tokenizer, "a");
    let force = json!({"temperature": 1.0, "seed": 3, "logit_bias": {letter.to_string(): 100}});
    assert_eq!(content(&ask(&server, &text(6, force)).await, 0), "aaaaaa");

    let greedy = json!({"temperature": 0, "logprobs": true});
    let plain = ask(&server, &text(24, greedy.clone())).await;
    // The second token's own id: its bytes are those of one token alone.
    let banned = bytes(&tokens(&plain)[1]);
    let banned_id = id_of(&tokenizer, std::str::from_utf8(&banned).expect("a whole token"));
    let mut fields = greedy;
    fields["logit_bias"] = json!({banned_id.to_string(): -100});
    let without = ask(&server, &text(24, fields)).await;
    assert!(tokens(&without).iter().all(|token| bytes(token) != banned), "{without}");

    // `<dream_start>` is made likelier or less likely like any other token.
    let special = *tokenizer.special();
    let draw = json!({"logit_bias": {special.dream_start.to_string(): 100}, "max_images": 1,
                      "num_inference_steps": 1, "max_tokens": 4, "seed": 1});
    let drawn = ask(&server, &asking(json!("What can you do?"), draw)).await;
    assert_eq!(drawn["usage"]["images"]["output"], 1);
    let keep = json!({"logit_bias": {special.dream_start.to_string(): -100}, "max_tokens": 40,
                      "seed": 1, "num_inference_steps": 1});
    let kept = ask(&server, &asking(json!("Draw a large red circle."), keep)).await;
    assert_eq!(kept["usage"]["images"]["output"], 0);
}

#[tokio::test]
async fn log_probabilities_are_the_models_own_and_add_up_to_the_text() {
    let server = Setup::new(&mini()).start().await;
    let fields = json!({"temperature": 0, "logprobs": true, "top_logprobs": 20});
    let answer = ask(&server, &text(32, fields)).await;
    let told = tokens(&answer);
    assert_eq!(told.len(), 32);
    let all: Vec<u8> = told.iter().flat_map(bytes).collect();
    assert_eq!(String::from_utf8(all).expect("whole characters"), content(&answer, 0));
    for token in &told {
        let top = token["top_logprobs"].as_array().expect("alternatives");
        assert_eq!(top.len(), 20);
        let likely: Vec<f64> =
            top.iter().map(|top| top["logprob"].as_f64().expect("a number")).collect();
        assert!(likely.is_sorted_by(|a, b| a >= b), "best first");
        assert!(likely.iter().map(|logprob| logprob.exp()).sum::<f64>() <= 1.0 + 1e-5);
        // `</s>` is forbidden here, and told of all the same: these are the model's own numbers.
        let best = top.iter().find(|top| !top["bytes"].is_null()).expect("a text token");
        assert_eq!(best["token"], token["token"], "greedy");
        assert_eq!(best["logprob"], token["logprob"]);
    }
    // Neither a temperature nor a penalty changes what the model says of the first place.
    let fields = json!({"temperature": 1.7, "seed": 9, "logprobs": true, "top_logprobs": 20,
                        "repetition_penalty": 3.0, "top_k": 5});
    let wild = ask(&server, &text(4, fields)).await;
    let likely = |token: &Value| -> Vec<Value> {
        let top = token["top_logprobs"].as_array().expect("alternatives");
        top.iter().map(|top| top["logprob"].clone()).collect()
    };
    assert_eq!(likely(&tokens(&wild)[0]), likely(&told[0]));
}

#[tokio::test]
async fn what_a_stop_string_cuts_is_not_told_of() {
    let server = Setup::new(&mini()).start().await;
    let fields = json!({"temperature": 0, "logprobs": true});
    let whole = ask(&server, &text(32, fields.clone())).await;
    let told = tokens(&whole);
    let at = |index: usize| told[..index].iter().flat_map(bytes).collect::<Vec<u8>>();
    let (before, stop) = (at(10), bytes(&told[10]));
    let mut fields = fields;
    // Begins in one token and ends in the next: whatever chunks the text comes in.
    let border = [bytes(&told[9]).last().copied().into_iter().collect::<Vec<u8>>(), stop].concat();
    fields["stop"] = json!(String::from_utf8(border.clone()).expect("whole characters"));
    let cut = ask(&server, &text(32, fields)).await;
    let first =
        content(&whole, 0).find(std::str::from_utf8(&border).expect("text")).expect("there");
    assert_eq!(content(&cut, 0), &content(&whole, 0)[..first]);
    assert!(first < before.len(), "the stop string begins inside a token");
    assert_eq!(cut["choices"][0]["finish_reason"], "stop");
    let covered: usize = tokens(&cut).iter().map(|token| bytes(token).len()).sum();
    let last = bytes(tokens(&cut).last().expect("tokens")).len();
    assert!(covered >= first && covered - last < first, "no token lies behind the cut");
    assert_eq!(tokens(&cut)[..], told[..tokens(&cut).len()]);
}

#[tokio::test]
async fn choices_differ_and_the_first_is_the_answer_to_the_request_for_one() {
    let server = Setup::new(&mini()).start().await;
    let fields = json!({"temperature": 1.0, "seed": 4, "num_inference_steps": 2, "image_choice": 1,
                        "max_tokens": 24});
    let one = ask(&server, &asking(json!(STORY), fields.clone())).await;
    let mut several = fields.clone();
    several["n"] = json!(3);
    let three = ask(&server, &asking(json!(STORY), several.clone())).await;
    assert_eq!(three["choices"][0], one["choices"][0]);
    let message = |choice: usize| &three["choices"][choice]["message"];
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        assert_ne!(message(a)["content"], message(b)["content"], "{a} and {b}");
        assert_ne!(message(a)["images"], message(b)["images"], "{a} and {b}");
    }
    assert_eq!(three["usage"]["prompt_tokens"], one["usage"]["prompt_tokens"]);
    assert_eq!(three["usage"]["images"]["output"], 3);
    assert_eq!(ask(&server, &asking(json!(STORY), several)).await["choices"], three["choices"]);
}

#[tokio::test]
async fn what_shapes_the_choice_of_tokens_is_the_same_in_company() {
    let fields = |seed: u64| {
        json!({"temperature": 1.0, "seed": seed, "logprobs": true, "top_logprobs": 3, "n": 2,
               "frequency_penalty": 0.5, "presence_penalty": -0.5, "repetition_penalty": 1.1,
               "min_p": 0.02, "logit_bias": {"300": 2.5}})
    };
    let server = Setup::new(&mini()).start().await;
    let alone = ask(&server, &text(40, fields(7))).await;
    let requests: Vec<Value> = (5..9).map(|seed| text(40, fields(seed))).collect();
    let together = futures_of(&server, &requests).await;
    assert_eq!(together[2]["choices"], alone["choices"]);
    assert_ne!(together[1]["choices"], alone["choices"]);
}

/// Asked at once, answered in their order.
async fn futures_of(server: &TestServer, requests: &[Value]) -> Vec<Value> {
    let [a, b, c, d] = requests else { panic!("four requests") };
    let (a, b, c, d) = tokio::join!(ask(server, a), ask(server, b), ask(server, c), ask(server, d));
    vec![a, b, c, d]
}

//! Conversations with many pictures, and longer than the context: refused with both numbers, or cut where the
//! request says so, whole oldest exchanges first. With the embedded model.

use image::ImageFormat;
use reverie_tests::folders::mini;
use reverie_tests::pictures::{BLUE, RED, data_url, part, scene};
use reverie_tests::server::{MODEL, Setup, TestServer, conversation};
use serde_json::{Value, json};

/// A few questions, each about a picture of its own, fit beside a system message with room for an answer, and not six.
const SHORT_CONTEXT: usize = 160;

/// A system message and twelve pictures, each with a question and all but the last with an answer.
fn twelve_pictures() -> Vec<Value> {
    pictures(12)
}

fn pictures(count: usize) -> Vec<Value> {
    let mut messages = vec![json!({"role": "system", "content": "Answer in one word."})];
    for number in 0..count {
        let color = if number % 2 == 0 { RED } else { BLUE };
        let picture = part(&scene(color, ImageFormat::Png));
        let question = json!({"type": "text", "text": "What color is the square?"});
        messages.push(json!({"role": "user", "content": [picture, question]}));
        messages.push(
            json!({"role": "assistant", "content": if number % 2 == 0 { "Red." } else { "Blue." }}),
        );
    }
    messages.pop();
    messages
}

fn short(context: usize) -> Setup {
    Setup::new(&mini()).configured(move |config| config.model.max_model_len = Some(context))
}

fn fields() -> Value {
    json!({"temperature": 0, "max_tokens": 8, "image_choice": "none"})
}

fn asking(messages: &[Value], more: Value) -> Value {
    let mut request = conversation(json!(messages), fields());
    let Value::Object(more) = more else { panic!("fields are an object") };
    request.as_object_mut().expect("an object").extend(more);
    request
}

async fn ask(server: &TestServer, request: &Value) -> Value {
    server.answer("/v1/chat/completions", request).await
}

#[tokio::test]
async fn twelve_pictures_are_read_in_one_conversation() {
    let server = Setup::new(&mini()).start().await;
    let answer = ask(&server, &asking(&twelve_pictures(), json!({"truncation": "auto"}))).await;
    assert_eq!(answer["usage"]["images"]["input"], 12);
    assert_eq!(answer["truncation"], json!({"dropped_messages": []}), "everything fits");
    let plain = ask(&server, &asking(&twelve_pictures(), json!({}))).await;
    assert_eq!(plain["choices"], answer["choices"]);
    assert!(plain.get("truncation").is_none(), "nothing may be left out");
}

#[tokio::test]
async fn what_is_too_long_is_refused_with_both_numbers_unless_it_may_be_cut() {
    let server = short(SHORT_CONTEXT).start().await;
    for refused in [json!({}), json!({"truncation": "disabled"}), json!({"truncation": null})] {
        let response = server.post(&asking(&twelve_pictures(), refused)).await;
        assert_eq!(response.status(), 400);
        let error: Value = response.json().await.expect("JSON");
        assert_eq!(error["error"]["code"], "context_length_exceeded");
        let message = error["error"]["message"].as_str().expect("a message");
        let numbers: Vec<usize> = message
            .split(|char: char| !char.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        let [wanted, limit] = numbers[..] else { panic!("two numbers: {message}") };
        assert!(wanted > limit && limit == SHORT_CONTEXT, "{message}");
    }
}

#[tokio::test]
async fn whole_oldest_exchanges_are_left_out_and_told_of() {
    let server = short(SHORT_CONTEXT).start().await;
    let messages = twelve_pictures();
    let cut = ask(&server, &asking(&messages, json!({"truncation": "auto"}))).await;
    let dropped: Vec<usize> = cut["truncation"]["dropped_messages"]
        .as_array()
        .expect("places")
        .iter()
        .map(|place| place.as_u64().expect("a place") as usize)
        .collect();
    assert!(!dropped.is_empty() && dropped.len().is_multiple_of(2), "{dropped:?}");
    assert_eq!(
        dropped,
        (1..=dropped.len()).collect::<Vec<_>>(),
        "the oldest, without the system's"
    );

    let kept: Vec<Value> = messages
        .iter()
        .enumerate()
        .filter(|(place, _)| !dropped.contains(place))
        .map(|(_, message)| message.clone())
        .collect();
    let by_hand = ask(&server, &asking(&kept, json!({}))).await;
    assert_eq!(cut["choices"], by_hand["choices"], "as if they had never been sent");
    assert_eq!(cut["usage"]["prompt_tokens"], by_hand["usage"]["prompt_tokens"]);

    // One exchange more would not have left room for the answer.
    let mut longer = kept.clone();
    longer.splice(1..1, messages[1..3].iter().cloned());
    let longer = server.post(&asking(&longer, json!({}))).await;
    if longer.status() == 200 {
        let longer: Value = longer.json().await.expect("JSON");
        let used = longer["usage"]["prompt_tokens"].as_u64().expect("positions") as usize;
        assert!(used + 1 + 8 > SHORT_CONTEXT, "{used} positions and an answer did fit");
    }

    let mut stream = asking(&messages, json!({"truncation": "auto"}));
    stream["stream"] = json!(true);
    let body = server.post(&stream).await.text().await.expect("a stream");
    let told: Vec<Value> = body
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| chunk.get("truncation").cloned())
        .collect();
    assert_eq!(told, [cut["truncation"].clone()]);
}

#[tokio::test]
async fn more_pictures_than_are_read_are_left_out_too() {
    let server = Setup::new(&mini()).start().await;
    let messages = pictures(20);
    let refused = server.post(&asking(&messages, json!({}))).await;
    assert_eq!(refused.status(), 400);
    let error: Value = refused.json().await.expect("JSON");
    assert_eq!(error["error"]["code"], "too_many_images");

    let cut = ask(&server, &asking(&messages, json!({"truncation": "auto"}))).await;
    let dropped = cut["truncation"]["dropped_messages"].as_array().expect("places").len();
    assert!(dropped >= 8, "four pictures are beyond the sixteen that are read");
    let mut kept = messages;
    kept.drain(1..=dropped);
    let by_hand = ask(&server, &asking(&kept, json!({}))).await;
    assert_eq!(cut["choices"], by_hand["choices"], "as if they had never been sent");
}

#[tokio::test]
async fn a_question_that_is_too_long_by_itself_is_refused_all_the_same() {
    let server = short(SHORT_CONTEXT).start().await;
    let mut messages = twelve_pictures();
    messages.push(json!({"role": "user", "content": "What is it? ".repeat(120)}));
    let response = server.post(&asking(&messages, json!({"truncation": "auto"}))).await;
    assert_eq!(response.status(), 400);
    let error: Value = response.json().await.expect("JSON");
    assert_eq!(error["error"]["code"], "context_length_exceeded");
}

#[tokio::test]
async fn a_chain_of_responses_goes_on_beyond_the_context() {
    let server = short(SHORT_CONTEXT).start().await;
    let asked = |number: usize, previous: &Value, truncation: &str| {
        let color = if number.is_multiple_of(2) { RED } else { BLUE };
        let url = data_url(&scene(color, ImageFormat::Png), "image/png");
        json!({"model": MODEL, "instructions": "Answer in one word.", "previous_response_id": previous,
            "temperature": 0, "max_output_tokens": 8, "image_choice": "none", "truncation": truncation,
            "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url},
                       {"type": "input_text", "text": "What color is the square?"}]}]})
    };
    let mut chain: Vec<Value> = Vec::new();
    for number in 0..6 {
        let previous = chain.last().map_or(Value::Null, |response| response["id"].clone());
        let response = server.answer("/v1/responses", &asked(number, &previous, "auto")).await;
        assert_eq!(response["truncation"], "auto");
        chain.push(response);
    }
    let dropped = |response: &Value| response["dropped_items"].as_array().expect("names").clone();
    assert!(dropped(&chain[0]).is_empty() && dropped(&chain[1]).is_empty(), "two fit");
    let last = dropped(&chain[5]);
    for response in &chain[..2] {
        assert!(last.contains(&response["output"][0]["id"]), "{last:?}");
    }
    let refused = server.post_to("/v1/responses", &asked(6, &chain[5]["id"], "disabled")).await;
    assert_eq!(refused.status(), 400);
    let error: Value = refused.json().await.expect("JSON");
    assert_eq!(error["error"]["code"], "context_length_exceeded");
}

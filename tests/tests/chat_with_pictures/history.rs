//! Answers that become history: the whole message sent back, or its text and pictures as parts.

use reverie_model::tokenizer::Tokenizer;
use reverie_tests::answer::{Part, WholeAnswer};
use reverie_tests::folders::mini;
use reverie_tests::pictures::{BLUE, RED, count_near, pixels, url_part};
use reverie_tests::server::{TestServer, asking, conversation};
use serde_json::{Value, json};

use crate::{mini_server, text};

const DRAW: &str = "Draw a large red circle on a white background.";

async fn first_turn(server: &TestServer, question: &str, fields: Value) -> WholeAnswer {
    let answer = server.whole(&asking(json!(question), fields)).await;
    assert!(!answer.document.pictures().is_empty(), "a picture to talk about");
    answer
}

/// `first`'s conversation with the assistant's message in this form, and the user going on.
async fn second_turn(
    server: &TestServer,
    question: &str,
    assistant: Value,
    next: &str,
) -> WholeAnswer {
    let messages = json!([
        {"role": "user", "content": question}, assistant, {"role": "user", "content": next},
    ]);
    server.whole(&conversation(messages, json!({"seed": 2}))).await
}

/// The assistant's message as a client that knows only parts would send it.
fn as_parts(answer: &WholeAnswer) -> Value {
    let part = |part: &Part| match part {
        Part::Text(chunk) => text(chunk),
        Part::Picture(url) => url_part(url),
    };
    let parts: Vec<Value> = answer.document.parts.iter().map(part).collect();
    json!({"role": "assistant", "content": parts})
}

#[tokio::test]
async fn a_drawn_picture_is_edited_in_the_next_turn_however_the_answer_is_sent_back() {
    let server = mini_server().await;
    let first = first_turn(&server, DRAW, json!({"seed": 1})).await;
    let drawn = pixels(first.document.pictures()[0]);
    assert!(count_near(&drawn, RED) > 50 && count_near(&drawn, BLUE) == 0, "a red circle");

    let echoed = second_turn(&server, DRAW, first.message(), "Make it blue.").await.document;
    let [url] = echoed.pictures()[..] else { panic!("one picture: {:?}", echoed.texts()) };
    let edited = pixels(url);
    assert!(count_near(&edited, BLUE) > 50 && count_near(&edited, RED) == 0, "now it is blue");
    assert_eq!(echoed.usage.images.input, 1);

    let in_parts = second_turn(&server, DRAW, as_parts(&first), "Make it blue.").await.document;
    assert_eq!(in_parts, echoed, "both forms are the same history");
    let mut without_order = first.message();
    without_order.as_object_mut().expect("a message").remove("content_parts");
    let appended = second_turn(&server, DRAW, without_order, "Make it blue.").await.document;
    assert_eq!(appended, echoed, "without an order, pictures follow the text, as here");
}

#[tokio::test]
async fn an_answer_sent_back_takes_the_positions_that_it_took_when_it_was_written() {
    let server = mini_server().await;
    let story = "Tell a picture story about a red circle.";
    let fields = json!({"seed": 1, "num_inference_steps": 2});
    let first = first_turn(&server, story, fields).await;
    assert!(first.document.parts.len() >= 4, "text between pictures: {:?}", first.document.texts());

    let tokenizer = Tokenizer::load(&mini(), 1536).expect("its tokenizer");
    let next = tokenizer.encode_text("USER: How many objects are there? ASSISTANT:").len();
    let question = "How many objects are there?";
    for assistant in [first.message(), as_parts(&first)] {
        let second = second_turn(&server, story, assistant, question).await.document;
        let end_of_answer = 1; // `</s>`, which the conversation had chosen but not yet taken in
        let wanted = first.document.usage.images.positions_used + end_of_answer + next;
        assert_eq!(second.usage.prompt_tokens, wanted);
        assert_eq!(second.usage.images.input, first.document.usage.images.output);
    }
}

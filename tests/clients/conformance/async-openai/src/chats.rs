//! Chats by the crate's own types, in which an answer is text, and by free-form JSON, in which it is all that was sent.

use async_openai::types::chat::{
    ChatCompletionResponseStream, CompletionUsage, CreateChatCompletionRequest,
    CreateChatCompletionStreamResponse,
};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};

use crate::report::{Outcome, Suite, picture, push_text};

/// What was seen, and the answer as a message that goes on with the conversation.
type Answer = (Value, Value);

pub async fn run(suite: &Suite) {
    for mode in ["whole", "stream"] {
        let user = |content: Value| json!({"role": "user", "content": content});
        let fixed = json!({"temperature": 0, "seed": suite.scenario["seed"]});
        let [first, second] =
            suite.pictures().map(|url| json!({"type": "image_url", "image_url": {"url": url}}));
        let see = json!([first, {"type": "text", "text": suite.text("see")}, second]);
        let ones = [
            ("default", suite.scenario["default"].clone(), json!({})),
            ("draw", suite.scenario["draw"].clone(), fixed.clone()),
            ("story", suite.scenario["story"].clone(), fixed.clone()),
            ("see", see, json!({"temperature": 0})),
            ("error", suite.scenario["default"].clone(), json!({"temperature": 3})),
        ];
        for (name, content, options) in ones {
            let case = format!("chat-{mode}-{name}");
            let answer = ask(suite, &case, mode, vec![user(content)], options).await;
            suite.say(&case, answer.map(|(saw, _message)| saw));
        }
        let case = format!("chat-{mode}-turns");
        let turns = async {
            let mut messages = vec![user(suite.scenario["draw"].clone())];
            let (_, message) = ask(suite, &case, mode, messages.clone(), fixed.clone()).await?;
            messages.extend([message, user(suite.scenario["again"].clone())]);
            Ok(ask(suite, &case, mode, messages, fixed.clone()).await?.0)
        };
        suite.say(&case, turns.await);
    }
}

async fn ask(
    suite: &Suite,
    case: &str,
    mode: &str,
    messages: Vec<Value>,
    options: Value,
) -> Outcome<Answer> {
    let mut body = json!({"model": suite.model, "messages": messages});
    for (name, value) in options.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let is_streamed = mode == "stream";
    if is_streamed {
        body["stream"] = true.into();
        body["stream_options"] = json!({"include_usage": true});
    }
    match (suite.is_free_form(), is_streamed) {
        (false, false) => typed_whole(suite, case, serde_json::from_value(body)?).await,
        (false, true) => typed_stream(suite, case, serde_json::from_value(body)?).await,
        (true, false) => free_whole(suite, case, body).await,
        (true, true) => free_stream(suite, case, body).await,
    }
}

fn typed_usage(usage: Option<&CompletionUsage>) -> Value {
    usage.map_or(Value::Null, |usage| {
        json!({"input": usage.prompt_tokens, "output": usage.completion_tokens})
    })
}

async fn typed_whole(
    suite: &Suite,
    case: &str,
    request: CreateChatCompletionRequest,
) -> Outcome<Answer> {
    let answer = suite.client(case).chat().create(request).await?;
    let message = &answer.choices.first().ok_or("no choice")?.message;
    let mut elements = Vec::new();
    push_text(&mut elements, message.content.as_deref().unwrap_or_default());
    let saw = json!({"elements": elements, "usage": typed_usage(answer.usage.as_ref())});
    Ok((saw, json!({"role": "assistant", "content": message.content})))
}

async fn typed_stream(
    suite: &Suite,
    case: &str,
    request: CreateChatCompletionRequest,
) -> Outcome<Answer> {
    let mut stream: ChatCompletionResponseStream =
        suite.client(case).chat().create_stream(request).await?;
    let (mut elements, mut text, mut usage) = (Vec::new(), String::new(), Value::Null);
    while let Some(chunk) = stream.next().await {
        let chunk: CreateChatCompletionStreamResponse = chunk?;
        for choice in &chunk.choices {
            text.push_str(choice.delta.content.as_deref().unwrap_or_default());
        }
        if chunk.usage.is_some() {
            usage = typed_usage(chunk.usage.as_ref());
        }
    }
    push_text(&mut elements, &text);
    let saw = json!({"elements": elements, "usage": usage});
    Ok((saw, json!({"role": "assistant", "content": text})))
}

fn free_usage(usage: &Value) -> Value {
    json!({
        "input": usage["prompt_tokens"],
        "output": usage["completion_tokens"],
        "output_images": usage["completion_tokens_details"]["image_tokens"],
    })
}

fn url(item: &Value) -> &str {
    item["image_url"]["url"].as_str().unwrap_or_default()
}

async fn free_whole(suite: &Suite, case: &str, request: Value) -> Outcome<Answer> {
    let answer: Value = suite.client(case).chat().create_byot(request).await?;
    let message = &answer["choices"][0]["message"];
    let mut elements = Vec::new();
    for part in message["content_parts"].as_array().into_iter().flatten() {
        match part["index"].as_u64() {
            Some(index) => elements.push(picture(url(&message["images"][index as usize]))?),
            None => push_text(&mut elements, part["text"].as_str().unwrap_or_default()),
        }
    }
    let saw = json!({"elements": elements, "usage": free_usage(&answer["usage"])});
    Ok((saw, message.clone()))
}

async fn free_stream(suite: &Suite, case: &str, request: Value) -> Outcome<Answer> {
    let client = suite.client(case);
    let mut stream: std::pin::Pin<Box<dyn Stream<Item = Result<Value, _>> + Send>> =
        client.chat().create_stream_byot(request).await?;
    let (mut elements, mut parts, mut images) = (Vec::new(), Vec::new(), Vec::new());
    let mut usage = Value::Null;
    while let Some(chunk) = stream.next().await {
        let chunk: Value = chunk?;
        for choice in chunk["choices"].as_array().into_iter().flatten() {
            push_text(&mut elements, choice["delta"]["content"].as_str().unwrap_or_default());
            push_part(&mut parts, choice["delta"]["content"].as_str().unwrap_or_default());
            for item in choice["delta"]["images"].as_array().into_iter().flatten() {
                elements.push(picture(url(item))?);
                parts.push(json!({"type": "image_ref", "index": item["index"]}));
                images.push(item.clone());
            }
        }
        if chunk["usage"].is_object() {
            usage = free_usage(&chunk["usage"]);
        }
    }
    let content: String =
        parts.iter().map(|part| part["text"].as_str().unwrap_or_default()).collect();
    let message = json!({
        "role": "assistant", "content": content, "images": images, "content_parts": parts,
    });
    Ok((json!({"elements": elements, "usage": usage}), message))
}

fn push_part(parts: &mut Vec<Value>, text: &str) {
    if !text.is_empty() {
        parts.push(json!({"type": "text", "text": text}));
    }
}

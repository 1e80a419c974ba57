//! Responses by the crate's own types, which have a place for pictures.

use async_openai::types::responses::{
    CreateResponse, InputItem, OutputItem, OutputMessageContent, Response, ResponseStreamEvent,
};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::report::{Outcome, Suite, picture, preview, push_text};

/// What was seen, the response's id, and its items as what the conversation goes on with.
struct Answer {
    saw: Value,
    id: String,
    items: Vec<Value>,
}

pub async fn run(suite: &Suite) {
    let user = |content: Value| json!({"role": "user", "content": content});
    let draw = suite.scenario["draw"].clone();
    let [first, second] = suite
        .pictures()
        .map(|url| json!({"type": "input_image", "image_url": url, "detail": "auto"}));
    let see = json!([first, {"type": "input_text", "text": suite.text("see")}, second]);
    let tools = json!([{"type": "image_generation", "partial_images": 2}]);
    let ones = [
        ("default", suite.scenario["default"].clone(), json!({})),
        ("draw", draw.clone(), json!({"temperature": 0})),
        ("story", suite.scenario["story"].clone(), json!({"temperature": 0})),
        ("see", json!([user(see)]), json!({"temperature": 0})),
        ("error", suite.scenario["default"].clone(), json!({"temperature": 3})),
        ("previews", draw, json!({"temperature": 0, "tools": tools})),
    ];
    for mode in ["whole", "stream"] {
        for (name, input, options) in &ones {
            if *name == "previews" && mode == "whole" {
                continue;
            }
            let case = format!("responses-{mode}-{name}");
            let answer = ask(suite, &case, mode, input.clone(), options.clone()).await;
            suite.say(&case, answer.map(|answer| answer.saw));
        }
        let case = format!("responses-{mode}-turns");
        suite.say(&case, turns(suite, &case, mode).await);
        let case = format!("responses-{mode}-chain");
        suite.say(&case, chain(suite, &case, mode).await);
    }
}

/// The second turn after the items of the first.
async fn turns(suite: &Suite, case: &str, mode: &str) -> Outcome<Value> {
    let user = |name: &str| json!({"role": "user", "content": suite.text(name)});
    let fixed = json!({"temperature": 0});
    let mut input = vec![user("draw")];
    input.extend(ask(suite, case, mode, json!(input), fixed.clone()).await?.items);
    input.push(user("again"));
    Ok(ask(suite, case, mode, json!(input), fixed).await?.saw)
}

/// The second turn after the first by its id.
async fn chain(suite: &Suite, case: &str, mode: &str) -> Outcome<Value> {
    let text = |name: &str| suite.scenario[name].clone();
    let id = ask(suite, case, mode, text("draw"), json!({"temperature": 0})).await?.id;
    let options = json!({"temperature": 0, "previous_response_id": id});
    Ok(ask(suite, case, mode, text("again"), options).await?.saw)
}

async fn ask(
    suite: &Suite,
    case: &str,
    mode: &str,
    input: Value,
    options: Value,
) -> Outcome<Answer> {
    let mut body = json!({"model": suite.model, "input": input});
    for (name, value) in options.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let mut request: CreateResponse = serde_json::from_value(body)?;
    if mode == "stream" {
        request.stream = Some(true);
        return streamed(suite, case, request).await;
    }
    let response = suite.client(case).responses().create(request).await?;
    let mut elements = Vec::new();
    for item in &response.output {
        push_item(&mut elements, item)?;
    }
    answer(elements, response)
}

fn answer(elements: Vec<Value>, response: Response) -> Outcome<Answer> {
    let usage = response.usage.map(|usage| {
        json!({"input": usage.input_tokens, "output": usage.output_tokens})
    });
    let items = response.output.into_iter().map(|item| serde_json::to_value(InputItem::from(item)));
    Ok(Answer {
        saw: json!({"elements": elements, "usage": usage}),
        id: response.id,
        items: items.collect::<Result<_, _>>()?,
    })
}

fn push_item(elements: &mut Vec<Value>, item: &OutputItem) -> Outcome<()> {
    match item {
        OutputItem::Message(message) => {
            for part in &message.content {
                if let OutputMessageContent::OutputText(text) = part {
                    push_text(elements, &text.text);
                }
            }
        }
        OutputItem::ImageGenerationCall(call) => {
            elements.push(picture(call.result.as_deref().unwrap_or_default())?);
        }
        other => return Err(format!("an item of another kind: {other:?}").into()),
    }
    Ok(())
}

async fn streamed(suite: &Suite, case: &str, request: CreateResponse) -> Outcome<Answer> {
    use ResponseStreamEvent as Event;
    let mut stream = suite.client(case).responses().create_stream(request).await?;
    let (mut elements, mut last) = (Vec::new(), None);
    while let Some(event) = stream.next().await {
        match event? {
            Event::ResponseOutputTextDelta(event) => push_text(&mut elements, &event.delta),
            Event::ResponseImageGenerationCallPartialImage(event) => elements
                .push(preview(event.partial_image_index.into(), &event.partial_image_b64)?),
            Event::ResponseOutputItemDone(event) => {
                if matches!(event.item, OutputItem::ImageGenerationCall(_)) {
                    push_item(&mut elements, &event.item)?;
                }
            }
            Event::ResponseCompleted(event) => last = Some(event.response),
            _ => {}
        }
    }
    answer(elements, last.ok_or("no end")?)
}

//! async-openai, unmodified, as a person uses it: chats, responses, pictures alone and raw completions.

mod chats;
mod pictures;
mod report;
mod responses;

use async_openai::types::completions::CreateCompletionRequest;
use serde_json::json;

use report::{Outcome, Suite, push_text};

#[tokio::main]
async fn main() -> Outcome<()> {
    let suite = Suite::from_environment()?;
    chats::run(&suite).await;
    if !suite.is_free_form() {
        responses::run(&suite).await;
        pictures::run(&suite).await;
        completions(&suite).await;
    }
    Ok(())
}

async fn completions(suite: &Suite) {
    for (case, options) in [
        ("completions-whole-default", json!({})),
        ("completions-whole-text", json!({"temperature": 0})),
        ("completions-whole-error", json!({"temperature": 3})),
    ] {
        let mut body = json!({"model": suite.model, "prompt": suite.text("raw")});
        if let Some(temperature) = options.get("temperature") {
            body["temperature"] = temperature.clone();
        }
        let written = async {
            let request: CreateCompletionRequest = serde_json::from_value(body)?;
            let answer = suite.client(case).completions().create(request).await?;
            let mut elements = Vec::new();
            for choice in &answer.choices {
                push_text(&mut elements, &choice.text);
            }
            let usage = answer.usage.map(|usage| {
                json!({"input": usage.prompt_tokens, "output": usage.completion_tokens})
            });
            Ok(json!({"elements": elements, "usage": usage}))
        };
        suite.say(case, written.await);
    }
}

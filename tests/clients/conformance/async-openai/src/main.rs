//! async-openai, unmodified, as a person uses it: chats, pictures alone and raw completions.

mod chats;
mod report;

use async_openai::types::completions::CreateCompletionRequest;
use async_openai::types::images::{CreateImageEditRequestArgs, CreateImageRequest, Image, ImagesResponse};
use serde_json::{Value, json};

use report::{Outcome, Suite, file, picture, push_text};

#[tokio::main]
async fn main() -> Outcome<()> {
    let suite = Suite::from_environment()?;
    chats::run(&suite).await;
    if !suite.is_free_form() {
        pictures(&suite).await;
        completions(&suite).await;
    }
    Ok(())
}

async fn pictures(suite: &Suite) {
    for (case, options) in [
        ("generations-whole-default", json!({})),
        ("generations-whole-several", json!({"n": 2})),
        ("generations-whole-error", json!({"n": 99})),
    ] {
        let mut body = json!({"model": suite.model, "prompt": suite.text("draw")});
        if let Some(n) = options.get("n") {
            body["n"] = n.clone();
        }
        let drawn = async {
            let request: CreateImageRequest = serde_json::from_value(body)?;
            seen(&suite.client(case).images().generate(request).await?)
        };
        suite.say(case, drawn.await);
    }
    let case = "edits-whole-default";
    suite.say(case, edited(suite, case).await);
}

async fn edited(suite: &Suite, case: &str) -> Outcome<Value> {
    let [first, _] = suite.pictures();
    let path = std::env::temp_dir().join(format!("reverie-edit-{}.png", std::process::id()));
    std::fs::write(&path, file(first)?)?;
    let mut request = CreateImageEditRequestArgs::default();
    let request = request
        .model(async_openai::types::images::ImageModel::Other(suite.model.clone()))
        .prompt(suite.text("edit"))
        .image(path.as_path())
        .build()?;
    let answer = suite.client(case).images().edit(request).await;
    std::fs::remove_file(&path)?;
    seen(&answer?)
}

fn seen(answer: &ImagesResponse) -> Outcome<Value> {
    let mut elements = Vec::new();
    for image in &answer.data {
        match image.as_ref() {
            Image::B64Json { b64_json, .. } => elements.push(picture(b64_json)?),
            Image::Url { url, .. } => push_text(&mut elements, url),
        }
    }
    let usage = answer.usage.as_ref().map(|usage| {
        json!({"input": usage.input_tokens, "output": usage.output_tokens})
    });
    Ok(json!({"elements": elements, "usage": usage}))
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

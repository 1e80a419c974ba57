//! Pictures alone, by the crate's own types.

use async_openai::error::OpenAIError;
use async_openai::types::images::{
    CreateImageEditRequest, CreateImageEditRequestArgs, CreateImageRequest, Image,
    ImageEditStreamEvent, ImageGenStreamEvent, ImageGenUsage, ImageModel, ImagesResponse,
};
use futures::{Stream, StreamExt};
use serde_json::{Value, json};

use crate::report::{Outcome, Suite, file, picture, preview, push_text};

pub async fn run(suite: &Suite) {
    let cases = [
        ("whole-default", json!({})),
        ("whole-several", json!({"n": 2})),
        ("whole-error", json!({"n": 99})),
        ("stream-draw", json!({"stream": true})),
        ("stream-previews", json!({"stream": true, "partial_images": 2})),
    ];
    for (name, options) in &cases {
        let case = format!("generations-{name}");
        suite.say(&case, drawn(suite, &case, options).await);
    }
    for (name, options) in &cases {
        let case = format!("edits-{name}");
        suite.say(&case, edited(suite, &case, options).await);
    }
}

async fn drawn(suite: &Suite, case: &str, options: &Value) -> Outcome<Value> {
    let mut body = json!({"model": suite.model, "prompt": suite.text("draw")});
    for (name, value) in options.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let request: CreateImageRequest = serde_json::from_value(body)?;
    let client = suite.client(case);
    if request.stream.is_none() {
        return seen(&client.images().generate(request).await?);
    }
    streamed(client.images().generate_stream(request).await?).await
}

async fn edited(suite: &Suite, case: &str, options: &Value) -> Outcome<Value> {
    let [first, _] = suite.pictures();
    let path = std::env::temp_dir().join(format!("reverie-edit-{}.png", std::process::id()));
    std::fs::write(&path, file(first)?)?;
    let request = CreateImageEditRequestArgs::default()
        .model(ImageModel::Other(suite.model.clone()))
        .prompt(suite.text("edit"))
        .image(path.as_path())
        .build()?;
    let number = |name: &str| options[name].as_u64().and_then(|value| u8::try_from(value).ok());
    let request = CreateImageEditRequest {
        n: number("n"),
        stream: options["stream"].as_bool(),
        partial_images: number("partial_images"),
        ..request
    };
    let saw = edited_by(suite, case, request).await;
    std::fs::remove_file(&path)?;
    saw
}

async fn edited_by(suite: &Suite, case: &str, request: CreateImageEditRequest) -> Outcome<Value> {
    let client = suite.client(case);
    if request.stream.is_none() {
        return seen(&client.images().edit(request).await?);
    }
    streamed(client.images().edit_stream(request).await?).await
}

/// An event of a stream of pictures, whichever route it comes by.
enum Happening {
    Preview(u64, String),
    Whole(String, ImageGenUsage),
}

macro_rules! happenings {
    ($($event:ident),*) => {$(
        impl From<$event> for Happening {
            fn from(event: $event) -> Self {
                match event {
                    $event::PartialImage(it) => Self::Preview(it.partial_image_index.into(), it.b64_json),
                    $event::Completed(it) => Self::Whole(it.b64_json, it.usage),
                }
            }
        }
    )*};
}
happenings!(ImageGenStreamEvent, ImageEditStreamEvent);

async fn streamed<E: Into<Happening>>(
    mut stream: impl Stream<Item = Result<E, OpenAIError>> + Unpin,
) -> Outcome<Value> {
    let (mut elements, mut used) = (Vec::new(), Value::Null);
    while let Some(event) = stream.next().await {
        match event?.into() {
            Happening::Preview(index, encoded) => elements.push(preview(index, &encoded)?),
            Happening::Whole(encoded, counted) => {
                elements.push(picture(&encoded)?);
                used = usage(&counted);
            }
        }
    }
    Ok(json!({"elements": elements, "usage": used}))
}

fn seen(answer: &ImagesResponse) -> Outcome<Value> {
    let mut elements = Vec::new();
    for image in &answer.data {
        match image.as_ref() {
            Image::B64Json { b64_json, .. } => elements.push(picture(b64_json)?),
            Image::Url { url, .. } => push_text(&mut elements, url),
        }
    }
    Ok(json!({"elements": elements, "usage": answer.usage.as_ref().map(usage)}))
}

fn usage(usage: &ImageGenUsage) -> Value {
    json!({"input": usage.input_tokens, "output": usage.output_tokens})
}

//! From a case to a chat request, and from what comes back to an answer. Knows the wire; sends nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_proto::{ContentPart, ErrorBody, ImageItem, ImageUrl, OrderedPart};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Fault;
use crate::client::Reply;
use crate::suite::{Case, Content, Door};
use crate::verdict::{Answer, AnswerPiece, DrawnPicture, Expectation};

/// A free story is sampled; all else is greedy. As `training/reverie_training/evaluation.py`.
const STORY_TEMPERATURE: f64 = 0.8;
/// No right answer has more tokens or pictures. As `training/reverie_training/dreaming.py`.
const MAX_TOKENS: u64 = 200;
const MAX_IMAGES: u64 = 5;

/// What is sent beside the conversation.
pub(super) fn parameters(case: &Case, seed: u64) -> Value {
    let temperature = match case.expected {
        Expectation::Story(_) => STORY_TEMPERATURE,
        Expectation::Answer(_)
        | Expectation::Answers(_)
        | Expectation::Words { .. }
        | Expectation::Mentions { .. }
        | Expectation::Scene { .. }
        | Expectation::Plan(_)
        | Expectation::Steps { .. }
        | Expectation::Honest
        | Expectation::Picture => 0.0,
    };
    let mut parameters =
        json!({"seed": seed, "temperature": temperature, "max_tokens": MAX_TOKENS});
    match case.line.door {
        Door::Chat => parameters["max_images"] = json!(MAX_IMAGES),
        Door::Picture => parameters["modalities"] = json!(["image"]),
    }
    parameters
}

/// The whole request.
pub(super) fn body(case: &Case, model: &str, parameters: &Value) -> Value {
    let content: Vec<ContentPart> = case.content.iter().map(part).collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), json!([{"role": "user", "content": content}]));
    body.extend(parameters.as_object().cloned().unwrap_or_default());
    Value::Object(body)
}

fn part(content: &Content) -> ContentPart {
    match content {
        Content::Text(text) => ContentPart::Text { text: text.clone() },
        // Without a type: the server tells it by the bytes.
        Content::Picture(file) => {
            let url = format!("data:;base64,{}", STANDARD.encode(file));
            ContentPart::ImageUrl { image_url: ImageUrl { url, detail: None } }
        }
    }
}

/// As much of a chat completion as an answer needs, so that any server's is understood.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    #[serde(default)]
    images: Vec<ImageItem>,
    content_parts: Option<Vec<OrderedPart>>,
}

/// The answer in a reply, its pictures read.
pub(super) fn answer(reply: &Reply) -> Result<Answer, Fault> {
    if reply.status != 200 {
        let message = serde_json::from_str(&reply.body)
            .map_or_else(|_| reply.body.clone(), |ErrorBody { error }| error.message);
        return Err(Fault::Status { status: reply.status, message });
    }
    let completion: Completion =
        serde_json::from_str(&reply.body).map_err(|error| Fault::Shape(error.to_string()))?;
    let choice = completion.choices.into_iter().next();
    let Choice { message } = choice.ok_or_else(|| Fault::Shape("no choice in it".to_owned()))?;
    let pictures = message.images.iter().enumerate().map(picture).collect::<Result<Vec<_>, _>>()?;
    let parts = message.content_parts.unwrap_or_else(|| {
        // Nothing tells the order: text first, as other servers mean it.
        let text = OrderedPart::Text { text: message.content.unwrap_or_default() };
        let pictures = (0..pictures.len() as u64).map(|index| OrderedPart::ImageRef { index });
        std::iter::once(text).chain(pictures).collect()
    });
    let mut answer = Answer::default();
    for part in parts {
        match part {
            OrderedPart::Text { text } if text.trim().is_empty() => {}
            OrderedPart::Text { text } => {
                answer.pieces.push(AnswerPiece::Text(text.trim().to_owned()));
            }
            OrderedPart::ImageRef { index } => {
                let picture = usize::try_from(index).ok().and_then(|index| pictures.get(index));
                let picture = picture.ok_or_else(|| {
                    Fault::Shape(format!("content_parts names picture {index}, which is not there"))
                })?;
                answer.pieces.push(AnswerPiece::Picture(picture.clone()));
            }
        }
    }
    Ok(answer)
}

fn picture((index, item): (usize, &ImageItem)) -> Result<DrawnPicture, Fault> {
    let fault = |reason: String| Fault::Picture { index, reason };
    let url = &item.image_url.url;
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let (_, data) = data.ok_or_else(|| fault("not a base64 data URL".to_owned()))?;
    let file = STANDARD.decode(data).map_err(|error| fault(error.to_string()))?;
    let picture = image::load_from_memory(&file).map_err(|error| fault(error.to_string()))?;
    Ok(DrawnPicture::new(file, &picture.into_rgb8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &Value) -> Reply {
        Reply { status, request_id: String::new(), body: body.to_string() }
    }

    fn texts(answer: &Answer) -> Vec<&str> {
        answer.texts().collect()
    }

    const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

    #[test]
    fn pictures_stand_where_the_answer_puts_them() {
        let image = json!({"type": "image_url", "index": 0, "image_url": {"url": PIXEL}});
        let ordered = json!({"choices": [{"message": {
            "content": "One. Two.", "images": [image],
            "content_parts": [{"type": "text", "text": " One."}, {"type": "image_ref", "index": 0},
                              {"type": "text", "text": " "}, {"type": "text", "text": " Two."}],
        }}]});
        let answer = answer(&reply(200, &ordered)).unwrap();
        assert_eq!(answer.pieces.len(), 3);
        assert!(
            matches!(&answer.pieces[1], AnswerPiece::Picture(picture) if picture.reading.is_none())
        );
        assert_eq!(texts(&answer), ["One.", "Two."]);
    }

    #[test]
    fn an_answer_without_an_order_is_text_and_then_pictures() {
        let image = json!({"type": "image_url", "image_url": {"url": PIXEL}});
        let plain = json!({"choices": [{"message": {"content": "Here.", "images": [image]}}]});
        let answer = answer(&reply(200, &plain)).unwrap();
        assert!(matches!(answer.pieces[1], AnswerPiece::Picture(_)));
    }

    #[test]
    fn what_is_no_answer_says_why() {
        let error =
            json!({"error": {"message": "too long", "type": "x", "param": null, "code": null}});
        let fault = answer(&reply(400, &error)).unwrap_err();
        assert_eq!(fault.to_string(), "status 400: too long");
        assert!(answer(&reply(200, &json!({"choices": []}))).is_err());
        let image = json!({"type": "image_url", "image_url": {"url": "https://elsewhere/x.png"}});
        let remote = json!({"choices": [{"message": {"content": null, "images": [image]}}]});
        assert!(matches!(answer(&reply(200, &remote)), Err(Fault::Picture { index: 0, .. })));
    }
}

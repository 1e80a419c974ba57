//! Answers as a client reads them: whole, or event by event with the order of a stream asserted.

use reqwest::{Response, StatusCode};
use reverie_proto::chat_answer::{ChatCompletion, ChatCompletionChunk, Usage};
use reverie_proto::{Content, EffectiveParameters, FinishDetails, OrderedPart};
use serde_json::Value;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text between pictures.
    Text(String),
    /// A picture's data URL.
    Picture(String),
}

/// A document, however it was delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Text and pictures in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub ending: FinishDetails,
    /// What it took, without what was found computed, which is not a document's own.
    pub usage: Usage,
    /// What its parameters came to.
    pub effective: EffectiveParameters,
}

impl Document {
    /// The pieces of text, in order.
    pub fn texts(&self) -> Vec<&str> {
        let text = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Picture(_) => None,
        });
        text.collect()
    }

    /// The pictures' data URLs, in order.
    pub fn pictures(&self) -> Vec<&str> {
        let urls = self.parts.iter().filter_map(|part| match part {
            Part::Picture(url) => Some(url.as_str()),
            Part::Text(_) => None,
        });
        urls.collect()
    }
}

/// An answer in one body.
#[derive(Debug, Clone)]
pub struct WholeAnswer {
    /// The body as it came.
    pub body: Value,
    /// What it says.
    pub document: Document,
    /// Positions of the prompt that were computed before.
    pub cached_tokens: usize,
}

impl WholeAnswer {
    /// Reads the answer and checks that `content`, `images` and `content_parts` say the same.
    ///
    /// # Panics
    /// If it is no such answer.
    pub async fn read(response: Response) -> Self {
        let status = response.status();
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(status, StatusCode::OK, "{body}");
        let completion: ChatCompletion =
            serde_json::from_value(body.clone()).expect("a chat completion");
        let [choice] = completion.choices.as_slice() else { panic!("one answer: {body}") };
        let message = &choice.message;
        let mut text = String::new();
        let mut num_pictures = 0;
        let part = |part: &OrderedPart| match part {
            OrderedPart::Text { text: chunk } => {
                text.push_str(chunk);
                Part::Text(chunk.clone())
            }
            OrderedPart::ImageRef { index } => {
                assert_eq!(*index, num_pictures, "pictures are referred to in order");
                let item = &message.images[num_pictures as usize];
                assert_eq!(item.index, Some(num_pictures), "images are numbered in order");
                num_pictures += 1;
                Part::Picture(item.image_url.url.clone())
            }
        };
        let parts = message.content_parts.iter().flatten().map(part).collect();
        assert_eq!(
            message.content,
            Content::Text(text),
            "`content` is the text of `content_parts`"
        );
        assert_eq!(message.images.len() as u64, num_pictures, "every picture has its place");
        let (usage, cached_tokens) = own(completion.usage);
        let (ending, effective) = (choice.finish_details, completion.effective);
        Self { body, document: Document { parts, ending, usage, effective }, cached_tokens }
    }

    /// The message, to be sent back as it is.
    pub fn message(&self) -> Value {
        self.body["choices"][0]["message"].clone()
    }
}

/// A document's own part of its usage, and the positions that were found computed.
fn own(mut usage: Usage) -> (Usage, usize) {
    let cached_tokens = std::mem::take(&mut usage.prompt_tokens_details.cached_tokens);
    (usage, cached_tokens)
}

/// An answer of server-sent events.
#[derive(Debug)]
pub struct Stream {
    response: Response,
    buffer: Vec<u8>,
}

impl Stream {
    /// A stream whose head has come.
    ///
    /// # Panics
    /// If it is none.
    pub fn open(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let media_type = response.headers().get("content-type").expect("a type").as_bytes();
        assert!(media_type.starts_with(b"text/event-stream"));
        Self { response, buffer: Vec::new() }
    }

    /// The next event's lines, or `None` after the last; comments are skipped.
    ///
    /// # Panics
    /// If the connection breaks.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\n\n") {
                let event = self.buffer.drain(..end + 2).collect::<Vec<_>>();
                let event = String::from_utf8(event).expect("UTF-8");
                if event.starts_with(':') {
                    continue;
                }
                return Some(event.trim_end().to_owned());
            }
            match self.response.chunk().await.expect("an unbroken connection") {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => {
                    assert!(self.buffer.is_empty(), "the stream ends between events");
                    return None;
                }
            }
        }
    }

    /// The next chunk, or `None` at `[DONE]`, which is the last there is.
    ///
    /// # Panics
    /// If anything else comes.
    pub async fn chunk(&mut self) -> Option<ChatCompletionChunk> {
        let event = self.next().await.expect("a stream ends with [DONE]");
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("an event: {event}"));
        if data == "[DONE]" {
            assert_eq!(self.next().await, None, "nothing follows [DONE]");
            return None;
        }
        Some(serde_json::from_str(data).expect("a chunk"))
    }

    /// Reads on until a piece of text or a picture came, and returns it.
    ///
    /// # Panics
    /// If the document ends before.
    pub async fn piece(&mut self) -> Part {
        loop {
            let chunk = self.chunk().await.expect("the document goes on");
            let [choice] = chunk.choices.as_slice() else { panic!("no piece came: {chunk:?}") };
            if let Some(item) = choice.delta.images.first() {
                return Part::Picture(item.image_url.url.clone());
            }
            let text = choice.delta.content.as_ref().map(plain).filter(|text| !text.is_empty());
            if let Some(text) = text {
                return Part::Text(text.to_owned());
            }
        }
    }

    /// The whole document, its order asserted: role, pieces with pictures numbered from 0, one finish,
    /// the usage, `[DONE]`.
    ///
    /// # Panics
    /// If anything is out of order.
    pub async fn document(mut self) -> Document {
        let first = self.chunk().await.expect("a first chunk");
        assert!(first.choices[0].delta.role.is_some(), "the role is first: {first:?}");
        let mut parts: Vec<Part> = Vec::new();
        let mut num_pictures = 0;
        let (ending, effective) = loop {
            let chunk = self.chunk().await.expect("the document goes on");
            assert_eq!((&chunk.id, chunk.usage), (&first.id, None));
            let [choice] = chunk.choices.as_slice() else { panic!("one answer: {chunk:?}") };
            assert_eq!(choice.delta.role, None, "the role comes once");
            if let Some(details) = choice.finish_details {
                assert!(choice.finish_reason.is_some() && choice.delta.images.is_empty());
                break (details, chunk.effective.expect("parameters"));
            }
            if let Some(text) = choice.delta.content.as_ref().map(plain) {
                match parts.last_mut() {
                    Some(Part::Text(before)) => before.push_str(text),
                    Some(Part::Picture(_)) | None => parts.push(Part::Text(text.to_owned())),
                }
            }
            assert!(choice.delta.images.len() <= 1, "one picture at a time");
            for item in &choice.delta.images {
                assert_eq!(item.index, Some(num_pictures), "pictures are numbered in order");
                num_pictures += 1;
                parts.push(Part::Picture(item.image_url.url.clone()));
            }
        };
        let last = self.chunk().await.expect("the usage");
        assert!(last.choices.is_empty(), "nothing but the usage: {last:?}");
        let (usage, _) = own(last.usage.expect("the usage"));
        assert!(self.chunk().await.is_none(), "[DONE]");
        Document { parts, ending, usage, effective }
    }
}

/// Status, `param`, `code` and message of an answer with OpenAI's error body.
///
/// # Panics
/// If it has none.
pub async fn error(response: Response) -> (u16, Option<String>, String, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("JSON");
    let error = &body["error"];
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    let field = |name: &str| text(name).unwrap_or_else(|| panic!("no {name}: {body}"));
    (status, text("param"), field("code"), field("message"))
}

/// The text of a delta that was not asked for in parts.
///
/// # Panics
/// If it is parts.
pub fn plain(content: &Content) -> &str {
    match content {
        Content::Text(text) => text,
        Content::Parts(parts) => panic!("{} parts that nobody asked for", parts.len()),
    }
}

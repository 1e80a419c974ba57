//! Items of `/v1/responses`: what a client may send, in every shape that we emit, and what an answer consists of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chat_request::ImageFormat;
use crate::image_request::{Background, Quality};
use crate::message::{Detail, MAX_MESSAGES, MAX_PARTS, Role};
use crate::parse::{Empty, Ignored, bounded};

/// What a response is asked with.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ResponseInput {
    /// The user's words.
    Text(String),
    /// A conversation, or what is new of it.
    Items(#[schemars(length(max = MAX_MESSAGES))] Vec<InputItem>),
}

impl<'de> Deserialize<'de> for ResponseInput {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InputVisitor;
        impl<'de> serde::de::Visitor<'de> for InputVisitor {
            type Value = ResponseInput;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string or an array of items")
            }
            fn visit_str<E>(self, text: &str) -> Result<ResponseInput, E> {
                Ok(ResponseInput::Text(text.to_owned()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                seq: A,
            ) -> Result<ResponseInput, A::Error> {
                bounded::sequence::<_, _, MAX_MESSAGES>(seq).map(ResponseInput::Items)
            }
        }
        deserializer.deserialize_any(InputVisitor)
    }
}

/// One item of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "FlatItem", try_from = "FlatItem")]
pub enum InputItem {
    /// What somebody said.
    Message {
        /// Its name, once it is stored; a client's own is not used.
        id: Option<String>,
        /// Who speaks.
        role: Role,
        /// Text and pictures in order.
        content: Vec<InputPart>,
    },
    /// A picture that the model drew; with neither name nor file, one that it did not complete.
    ImageGenerationCall {
        /// Its name, by which it is found if there is no `result`.
        id: Option<String>,
        /// Its file in base64.
        result: Option<String>,
    },
    /// An item that is stored.
    Reference {
        /// Its name.
        id: String,
    },
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "FlatInputPart", try_from = "FlatInputPart")]
pub enum InputPart {
    /// Text that the model is given.
    InputText(String),
    /// Text that the model wrote.
    OutputText(String),
    /// A picture at a URL.
    ImageUrl(String),
    /// A kept picture.
    ImageFile(String),
}

/// A message's content as clients write it: a string is one part.
#[derive(Debug, Clone)]
struct MessageContent(Vec<InputPart>, IsPlain);

/// Whether the content was a bare string: whose kind of text it is, the role says.
type IsPlain = bool;

impl Serialize for MessageContent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MessageContent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> serde::de::Visitor<'de> for ContentVisitor {
            type Value = MessageContent;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string or an array of parts")
            }
            fn visit_str<E>(self, text: &str) -> Result<MessageContent, E> {
                Ok(MessageContent(vec![InputPart::InputText(text.to_owned())], true))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                seq: A,
            ) -> Result<MessageContent, A::Error> {
                let parts = bounded::sequence::<_, _, MAX_PARTS>(seq)?;
                Ok(MessageContent(parts, false))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// Any item as it is written: flat, so that a wrong field is reported by its own path.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatItem {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<ItemType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ItemStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<MessageContent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    // What our own items say besides: software development kits echo it.
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "only its type is checked")]
    output_format: Option<ImageFormat>,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "only its type is checked")]
    size: Option<String>,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "only its type is checked")]
    quality: Option<Quality>,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "only its type is checked")]
    background: Option<Background>,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "only its type is checked")]
    phase: Option<Empty>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ItemType {
    Message,
    ImageGenerationCall,
    ItemReference,
}

/// How far an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemStatus {
    /// It is being written or drawn.
    InProgress,
    /// A picture is being drawn.
    Generating,
    /// It is complete.
    Completed,
    /// It was cut off.
    Incomplete,
    /// It could not be drawn.
    Failed,
}

impl TryFrom<FlatItem> for InputItem {
    type Error = &'static str;

    fn try_from(flat: FlatItem) -> Result<Self, Self::Error> {
        match flat {
            FlatItem {
                r#type: None | Some(ItemType::Message),
                id,
                role: Some(role),
                content: Some(MessageContent(parts, is_plain)),
                result: None,
                ..
            } => {
                let content = if is_plain && role == Role::Assistant {
                    parts.into_iter().map(InputPart::into_output).collect()
                } else {
                    parts
                };
                Ok(Self::Message { id, role, content })
            }
            // A call of a response that failed, as a client holds it: there is no such picture, here or elsewhere.
            FlatItem {
                r#type: Some(ItemType::ImageGenerationCall),
                status: Some(status),
                role: None,
                content: None,
                result: None,
                ..
            } if status != ItemStatus::Completed => {
                Ok(Self::ImageGenerationCall { id: None, result: None })
            }
            FlatItem {
                r#type: Some(ItemType::ImageGenerationCall),
                id,
                role: None,
                content: None,
                result,
                ..
            } if id.is_some() || result.is_some() => Ok(Self::ImageGenerationCall { id, result }),
            FlatItem {
                r#type: None | Some(ItemType::ItemReference),
                id: Some(id),
                role: None,
                content: None,
                result: None,
                ..
            } => Ok(Self::Reference { id }),
            FlatItem { .. } => Err("wrong item, expected `message` with `role` and `content`, \
                 `image_generation_call` with `result` or `id`, or `item_reference` with `id`"),
        }
    }
}

impl From<InputItem> for FlatItem {
    fn from(item: InputItem) -> Self {
        let completed = Some(ItemStatus::Completed);
        match item {
            InputItem::Message { id, role, content } => Self {
                r#type: Some(ItemType::Message),
                id,
                role: Some(role),
                status: completed,
                content: Some(MessageContent(content, false)),
                ..Self::default()
            },
            InputItem::ImageGenerationCall { id: None, result: None } => Self {
                r#type: Some(ItemType::ImageGenerationCall),
                status: Some(ItemStatus::Failed),
                ..Self::default()
            },
            InputItem::ImageGenerationCall { id, result } => Self {
                r#type: Some(ItemType::ImageGenerationCall),
                id,
                status: completed,
                result,
                ..Self::default()
            },
            InputItem::Reference { id } => {
                Self { r#type: Some(ItemType::ItemReference), id: Some(id), ..Self::default() }
            }
        }
    }
}

impl InputItem {
    /// The item's name, if it has one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message { id, .. } | Self::ImageGenerationCall { id, .. } => id.as_deref(),
            Self::Reference { id } => Some(id),
        }
    }
}

impl InputPart {
    fn into_output(self) -> Self {
        match self {
            Self::InputText(text) | Self::OutputText(text) => Self::OutputText(text),
            picture @ (Self::ImageUrl(_) | Self::ImageFile(_)) => picture,
        }
    }
}

/// Any part as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatInputPart {
    r#type: InputPartType,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<String>,
    /// Accepted and ignored: the CLIP tower has one resolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Detail>,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "only its emptiness is checked")]
    annotations: Option<Empty>,
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "only its emptiness is checked")]
    logprobs: Option<Empty>,
    // What helpers read out of `text`, and echo.
    #[serde(skip_serializing)]
    #[expect(dead_code, reason = "it is ignored")]
    parsed: Option<Ignored>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum InputPartType {
    InputText,
    OutputText,
    InputImage,
}

impl TryFrom<FlatInputPart> for InputPart {
    type Error = &'static str;

    fn try_from(flat: FlatInputPart) -> Result<Self, Self::Error> {
        let FlatInputPart { r#type, text, image_url, file_id, .. } = flat;
        match (r#type, text, image_url, file_id) {
            (InputPartType::InputText, Some(text), None, None) => Ok(Self::InputText(text)),
            (InputPartType::OutputText, Some(text), None, None) => Ok(Self::OutputText(text)),
            (InputPartType::InputImage, None, Some(url), None) => Ok(Self::ImageUrl(url)),
            (InputPartType::InputImage, None, None, Some(id)) => Ok(Self::ImageFile(id)),
            _ => Err("wrong part, expected `input_text` or `output_text` with `text`, or \
                 `input_image` with either `image_url` or `file_id`"),
        }
    }
}

impl From<InputPart> for FlatInputPart {
    fn from(part: InputPart) -> Self {
        let (r#type, text, image_url, file_id) = match part {
            InputPart::InputText(text) => (InputPartType::InputText, Some(text), None, None),
            InputPart::OutputText(text) => (InputPartType::OutputText, Some(text), None, None),
            InputPart::ImageUrl(url) => (InputPartType::InputImage, None, Some(url), None),
            InputPart::ImageFile(id) => (InputPartType::InputImage, None, None, Some(id)),
        };
        let detail = (r#type == InputPartType::InputImage).then_some(Detail::Auto);
        let (annotations, logprobs, parsed) = (None, None, None);
        Self { r#type, text, image_url, file_id, detail, annotations, logprobs, parsed }
    }
}

/// One item of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OutputItem {
    /// What the model wrote between two pictures.
    Message {
        /// `msg_…`.
        id: String,
        /// How far it is.
        status: ItemStatus,
        /// Always `assistant`.
        role: Role,
        /// One text, or none before it begins.
        content: Vec<OutputText>,
    },
    /// A picture that the model drew.
    ImageGenerationCall {
        /// `ig_…`.
        id: String,
        /// How far it is.
        status: ItemStatus,
        /// The file in base64, once it is drawn.
        result: Option<String>,
        /// What the file is.
        output_format: ImageFormat,
        /// `WIDTHxHEIGHT` in pixels.
        size: String,
        /// Always `auto`.
        quality: Quality,
        /// Always `opaque`.
        background: Background,
    },
}

/// What a message of the model says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "output_text")]
pub struct OutputText {
    /// What it says.
    pub text: String,
    /// Always empty.
    pub annotations: [(); 0],
    /// Always empty yet.
    pub logprobs: [(); 0],
}

impl OutputText {
    /// A text without notes.
    pub fn new(text: String) -> Self {
        Self { text, annotations: [], logprobs: [] }
    }
}

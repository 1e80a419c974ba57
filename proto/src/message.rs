//! Messages, in every shape a client may send and we ever emit. Knows shapes; not what they mean.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::parse::{Empty, Ignored, bounded};

/// At most this many messages in a request, checked while parsing.
pub const MAX_MESSAGES: usize = 4096;
/// At most this many parts in a message, checked while parsing.
pub const MAX_PARTS: usize = 1024;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Replaces the template's system text.
    System,
    /// OpenAI's newer word for `system`.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// Text, or text and pictures in order.
    pub content: Option<Content>,
    /// Accepted and ignored: DreamLLM's template has no place for it.
    pub name: Option<String>,
    /// The assistant's own pictures, as an answer's `images`.
    #[serde(default, deserialize_with = "bounded::some::<_, _, MAX_PARTS>")]
    #[schemars(length(max = MAX_PARTS))]
    pub images: Option<Vec<ImageItem>>,
    /// The order of the assistant's text and pictures, as an answer's `content_parts`.
    #[serde(default, deserialize_with = "bounded::some::<_, _, MAX_PARTS>")]
    #[schemars(length(max = MAX_PARTS))]
    pub content_parts: Option<Vec<OrderedPart>>,
    /// Echoed by software development kits; must be null or empty.
    pub refusal: Option<Empty>,
    /// Echoed by software development kits; must be null or empty.
    pub annotations: Option<Empty>,
    /// Echoed by software development kits; must be null or empty.
    pub audio: Option<Empty>,
    /// Echoed by software development kits; must be null or empty.
    pub function_call: Option<Empty>,
    /// Echoed by software development kits; must be null or empty.
    pub tool_calls: Option<Empty>,
    /// Echoed by software development kits that read JSON out of `content`, which says the same: ignored.
    pub parsed: Option<Ignored>,
    /// Where LiteLLM keeps what it does not know of an answer, and echoes it.
    pub provider_specific_fields: Option<ProviderSpecificFields>,
}

impl Message {
    /// Takes the order of text and pictures from wherever the client's library kept it.
    pub fn restore_order(&mut self) {
        let kept = self.provider_specific_fields.take().and_then(|fields| fields.content_parts);
        self.content_parts = self.content_parts.take().or(kept);
    }
}

/// What LiteLLM did not know of an answer; whatever else it keeps there is its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderSpecificFields {
    /// As an answer's `content_parts`.
    #[serde(default, deserialize_with = "bounded::some::<_, _, MAX_PARTS>")]
    #[schemars(length(max = MAX_PARTS))]
    pub content_parts: Option<Vec<OrderedPart>>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// Plain text.
    Text(String),
    /// Text and pictures in order.
    Parts(#[schemars(length(max = MAX_PARTS))] Vec<ContentPart>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> serde::de::Visitor<'de> for ContentVisitor {
            type Value = Content;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string or an array of parts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Content, A::Error> {
                bounded::sequence::<_, _, MAX_PARTS>(seq).map(Content::Parts)
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// A piece of a message's content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "FlatPart", try_from = "FlatPart")]
pub enum ContentPart {
    /// Text.
    Text {
        /// What it says.
        text: String,
    },
    /// A picture.
    ImageUrl {
        /// Where it is.
        image_url: ImageUrl,
    },
}

/// Where a picture is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageUrl {
    /// A base64 data URL (RFC 2397), or a signed address of this service.
    pub url: String,
    /// Accepted and ignored: the CLIP tower has one resolution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// How closely OpenAI's models look at a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// The model decides.
    Auto,
    /// A glance.
    Low,
    /// A closer look.
    High,
    /// As it is.
    Original,
}

/// An item of `images`: in an answer, in a delta, and back in history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageItem {
    /// Always `image_url`.
    pub r#type: ImageItemType,
    /// Counts the answer's pictures from 0; always there in what we emit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// The picture.
    pub image_url: ImageUrl,
}

/// The one value of [`ImageItem::type`](ImageItem).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImageItemType {
    /// `image_url`.
    ImageUrl,
}

/// An item of `content_parts`: the order of an answer's text and pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "FlatPart", try_from = "FlatPart")]
pub enum OrderedPart {
    /// Text.
    Text {
        /// What it says.
        text: String,
    },
    /// The picture of `images` with this `index`.
    ImageRef {
        /// Counts the answer's pictures from 0.
        index: u64,
    },
}

/// Any part as it is written: flat, so that a wrong field is reported by its own path.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatPart {
    r#type: PartType,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<ImageUrl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PartType {
    Text,
    ImageUrl,
    ImageRef,
}

impl FlatPart {
    fn new(r#type: PartType) -> Self {
        Self { r#type, text: None, image_url: None, index: None }
    }
}

impl TryFrom<FlatPart> for ContentPart {
    type Error = &'static str;

    fn try_from(flat: FlatPart) -> Result<Self, Self::Error> {
        match flat {
            FlatPart { r#type: PartType::Text, text: Some(text), image_url: None, index: None } => {
                Ok(Self::Text { text })
            }
            FlatPart {
                r#type: PartType::ImageUrl,
                text: None,
                image_url: Some(image_url),
                index: None,
            } => Ok(Self::ImageUrl { image_url }),
            FlatPart { .. } => {
                Err("wrong part, expected `text` with `text`, or `image_url` with `image_url`")
            }
        }
    }
}

impl From<ContentPart> for FlatPart {
    fn from(part: ContentPart) -> Self {
        match part {
            ContentPart::Text { text } => Self { text: Some(text), ..Self::new(PartType::Text) },
            ContentPart::ImageUrl { image_url } => {
                Self { image_url: Some(image_url), ..Self::new(PartType::ImageUrl) }
            }
        }
    }
}

impl TryFrom<FlatPart> for OrderedPart {
    type Error = &'static str;

    fn try_from(flat: FlatPart) -> Result<Self, Self::Error> {
        match flat {
            FlatPart { r#type: PartType::Text, text: Some(text), image_url: None, index: None } => {
                Ok(Self::Text { text })
            }
            FlatPart {
                r#type: PartType::ImageRef,
                text: None,
                image_url: None,
                index: Some(index),
            } => Ok(Self::ImageRef { index }),
            FlatPart { .. } => {
                Err("wrong part, expected `text` with `text`, or `image_ref` with `index`")
            }
        }
    }
}

impl From<OrderedPart> for FlatPart {
    fn from(part: OrderedPart) -> Self {
        match part {
            OrderedPart::Text { text } => Self { text: Some(text), ..Self::new(PartType::Text) },
            OrderedPart::ImageRef { index } => {
                Self { index: Some(index), ..Self::new(PartType::ImageRef) }
            }
        }
    }
}

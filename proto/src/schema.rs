//! JSON Schemas of the types that are read by hand: each says what its reader takes, no more and no less. All others
//! derive theirs.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::chat_request::{ImageChoice, ImageFormat, ProgressWish, ProvenanceWish};
use crate::completion::CompletionPrompt;
use crate::image_request::{Background, Quality};
use crate::logit_bias::{LogitBias, MAX_BIASED_TOKENS};
use crate::logprobs::TopByText;
use crate::message::{ContentPart, Detail, ImageUrl, MAX_PARTS, OrderedPart, Role};
use crate::parse::{Empty, Ignored};
use crate::response_item::{InputItem, InputPart, ItemStatus};
use crate::response_request::ResponseToolChoice;

/// A schema that stands where it is used.
macro_rules! inline_schema {
    ($type:ty, $name:literal, |$generator:ident| $schema:expr) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

inline_schema!(Empty, "Empty", |_generator| json_schema!({
    "description": "Nothing: any value that says so.",
    "enum": [null, false, 0, "", [], {}],
}));

inline_schema!(Ignored, "Ignored", |_generator| json_schema!({
    "description": "Anything: it is ignored.",
}));

inline_schema!(ImageChoice, "ImageChoice", |_generator| json_schema!({
    "description": "Who decides that a picture is drawn; a number is so many pictures.",
    "anyOf": [{"enum": ["auto", "none", "required"]}, {"type": "integer", "minimum": 0}],
}));

inline_schema!(ProvenanceWish, "ProvenanceWish", |_generator| json_schema!({
    "description": "What an answer and its pictures say of where they come from.",
    "anyOf": [{"type": "boolean"}, {"const": "full"}],
}));

inline_schema!(ProgressWish, "ProgressWish", |_generator| json_schema!({
    "description": "What a stream tells of a picture while it is drawn.",
    "anyOf": [
        {"type": "boolean"},
        {
            "type": "object",
            "properties": {"previews": {"type": "integer", "minimum": 0}},
            "required": ["previews"],
            "additionalProperties": false,
        },
    ],
}));

inline_schema!(CompletionPrompt, "CompletionPrompt", |_generator| json_schema!({
    "description": "A string, or an array of one string.",
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1},
    ],
}));

/// A part of this type with these fields; what the other kinds have may be null.
fn part(kind: &str, field: &str, schema: &Schema, others: [&str; 2]) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "type": {"const": kind},
            field: schema,
            others[0]: {"type": "null"},
            others[1]: {"type": "null"},
        },
        "required": ["type", field],
        "additionalProperties": false,
    })
}

fn text_part() -> Schema {
    part("text", "text", &json_schema!({"type": "string"}), ["image_url", "index"])
}

impl JsonSchema for ContentPart {
    fn schema_name() -> Cow<'static, str> {
        "ContentPart".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let url = generator.subschema_for::<ImageUrl>();
        let picture = part("image_url", "image_url", &url, ["text", "index"]);
        json_schema!({"description": "A piece of a message's content.", "oneOf": [text_part(), picture]})
    }
}

impl JsonSchema for OrderedPart {
    fn schema_name() -> Cow<'static, str> {
        "OrderedPart".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        let index = json_schema!({"type": "integer", "minimum": 0});
        let reference = part("image_ref", "index", &index, ["text", "image_url"]);
        json_schema!({
            "description": "An item of `content_parts`: the order of an answer's text and pictures.",
            "oneOf": [text_part(), reference],
        })
    }
}

inline_schema!(ResponseToolChoice, "ResponseToolChoice", |_generator| json_schema!({
    "description": "Who decides that a picture is drawn.",
    "anyOf": [
        {"enum": ["auto", "none", "required"]},
        {
            "type": "object",
            "properties": {"type": {"const": "image_generation"}},
            "required": ["type"],
            "additionalProperties": false,
        },
    ],
}));

inline_schema!(LogitBias, "LogitBias", |_generator| json_schema!({
    "description": "What is added to the logits of tokens, by their ids.",
    "type": "object",
    "propertyNames": {"pattern": "^(0|[1-9][0-9]{0,9})$"},
    "additionalProperties": {"type": "number"},
    "maxProperties": MAX_BIASED_TOKENS,
}));

inline_schema!(TopByText, "TopByText", |_generator| json_schema!({
    "description": "Log probabilities by the tokens' texts.",
    "type": "object",
    "additionalProperties": {"type": "number"},
}));

/// An object that may have all of `fields`, which must be as they say, and must have some of them.
fn flat(fields: &[(&str, Schema)], required: &[&str]) -> Schema {
    let properties: serde_json::Map<String, serde_json::Value> = fields
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone().to_value()))
        .collect();
    json_schema!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn null() -> Schema {
    json_schema!({"type": "null"})
}

fn text() -> Schema {
    json_schema!({"type": "string"})
}

fn optional_text() -> Schema {
    json_schema!({"type": ["string", "null"]})
}

impl JsonSchema for InputPart {
    fn schema_name() -> Cow<'static, str> {
        "InputPart".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut part = |kinds: &[&str], own: &str| {
            let (detail, empty, ignored) = (
                generator.subschema_for::<Option<Detail>>(),
                generator.subschema_for::<Option<Empty>>(),
                generator.subschema_for::<Ignored>(),
            );
            let field = |name: &str| if name == own { text() } else { null() };
            let fields = [
                ("type", json_schema!({"enum": kinds})),
                ("text", field("text")),
                ("image_url", field("image_url")),
                ("file_id", field("file_id")),
                ("detail", detail),
                ("annotations", empty.clone()),
                ("logprobs", empty),
                ("parsed", ignored),
            ];
            flat(&fields, &["type", own])
        };
        let parts = [
            part(&["input_text", "output_text"], "text"),
            part(&["input_image"], "image_url"),
            part(&["input_image"], "file_id"),
        ];
        json_schema!({"description": "A piece of a message.", "anyOf": parts})
    }
}

impl JsonSchema for InputItem {
    fn schema_name() -> Cow<'static, str> {
        "InputItem".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let status = generator.subschema_for::<Option<ItemStatus>>();
        let output_format = generator.subschema_for::<Option<ImageFormat>>();
        let quality = generator.subschema_for::<Option<Quality>>();
        let background = generator.subschema_for::<Option<Background>>();
        let phase = generator.subschema_for::<Option<Empty>>();
        let (role, part) =
            (generator.subschema_for::<Role>(), generator.subschema_for::<InputPart>());
        let content = json_schema!({
            "anyOf": [{"type": "string"}, {"type": "array", "items": part, "maxItems": MAX_PARTS}],
        });
        let item = |own: &[(&str, Schema)], required: &[&str]| {
            let mut fields = vec![
                ("id", optional_text()),
                ("role", null()),
                ("status", status.clone()),
                ("content", null()),
                ("result", null()),
                ("output_format", output_format.clone()),
                ("size", optional_text()),
                ("quality", quality.clone()),
                ("background", background.clone()),
                ("phase", phase.clone()),
            ];
            fields.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
            fields.extend(own.iter().cloned());
            flat(&fields, required)
        };
        let kind = |kind: &str| ("type", json_schema!({"const": kind}));
        let optional_kind = |kind: &str| ("type", json_schema!({"enum": [kind, null]}));
        let call = kind("image_generation_call");
        let items = [
            item(
                &[optional_kind("message"), ("role", role), ("content", content)],
                &["role", "content"],
            ),
            item(&[call.clone(), ("result", text())], &["type", "result"]),
            item(&[call, ("id", text()), ("result", optional_text())], &["type", "id"]),
            item(&[optional_kind("item_reference"), ("id", text())], &["id"]),
        ];
        json_schema!({"description": "One item of an input.", "anyOf": items})
    }
}

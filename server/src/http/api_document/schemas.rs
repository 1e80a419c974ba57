//! The schemas of everything on the wire, from its types.

use reverie_proto::{
    Capabilities, ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, Completion,
    CompletionRequest, DeletedResponse, DetokenizeAnswer, DetokenizeRequest, ErrorBody,
    ImagePartialEvent, ImageRequest, ImageStreamEvent, ImagesAnswer, InputItemList, ModelCard,
    ModelList, Response, ResponseEvent, ResponseRequest, TokenizeAnswer, TokenizeRequest,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// What the text fields of a form and its files are, beside the fields of JSON.
const FORM_FILES: [&str; 2] = ["image", "image[]"];
/// Where components that only answers have in another form are told from those of requests.
const ANSWER_SUFFIX: &str = "InAnswers";

/// All schemas by name. What requests and answers write differently has two.
pub(super) fn schemas() -> Map<String, Value> {
    let mut requests = generator(SchemaSettings::draft2020_12().for_deserialize());
    add::<ChatCompletionRequest>(&mut requests);
    add::<CompletionRequest>(&mut requests);
    add::<ImageRequest>(&mut requests);
    add::<ResponseRequest>(&mut requests);
    add::<TokenizeRequest>(&mut requests);
    add::<DetokenizeRequest>(&mut requests);
    let mut answers = generator(SchemaSettings::draft2020_12().for_serialize());
    add::<ChatCompletion>(&mut answers);
    add::<ChatCompletionChunk>(&mut answers);
    add::<Completion>(&mut answers);
    add::<ImagesAnswer>(&mut answers);
    add::<Response>(&mut answers);
    add::<ResponseEvent>(&mut answers);
    add::<DeletedResponse>(&mut answers);
    add::<InputItemList>(&mut answers);
    add::<ImageStreamEvent>(&mut answers);
    add::<ImagePartialEvent>(&mut answers);
    add::<ModelList>(&mut answers);
    add::<ModelCard>(&mut answers);
    add::<Capabilities>(&mut answers);
    add::<TokenizeAnswer>(&mut answers);
    add::<DetokenizeAnswer>(&mut answers);
    add::<ErrorBody>(&mut answers);

    let mut schemas = requests.take_definitions(true);
    let answers = answers.take_definitions(true);
    let differs = |name: &str| {
        schemas.get(name).is_some_and(|known| answers.get(name).is_some_and(|other| other != known))
    };
    let renamed: Vec<String> = answers.keys().filter(|name| differs(name)).cloned().collect();
    for (name, mut schema) in answers {
        refer_to_renamed(&mut schema, &renamed);
        let is_renamed = renamed.contains(&name);
        schemas.insert(if is_renamed { format!("{name}{ANSWER_SUFFIX}") } else { name }, schema);
    }
    image_requests(&mut schemas);
    schemas.insert("Well".to_owned(), well());
    schemas
}

fn generator(settings: SchemaSettings) -> SchemaGenerator {
    let mut settings = settings;
    settings.definitions_path = "/components/schemas".into();
    settings.into_generator()
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    let _reference = generator.subschema_for::<T>();
}

fn refer_to_renamed(schema: &mut Value, renamed: &[String]) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref")
                && renamed.iter().any(|name| target.ends_with(&format!("/{name}")))
            {
                target.push_str(ANSWER_SUFFIX);
            }
            fields.values_mut().for_each(|field| refer_to_renamed(field, renamed));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer_to_renamed(item, renamed)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// One type reads three kinds of request: drawings have nothing to edit, edits have it in JSON or as files.
fn image_requests(schemas: &mut Map<String, Value>) {
    let Some(edit) = schemas.remove("ImageRequest") else { return };
    let mut generation = edit.clone();
    let mut form = edit.clone();
    for name in ["images", "mask", "input_fidelity"] {
        remove(&mut generation, name);
    }
    for name in ["images", "mask"] {
        remove(&mut form, name);
    }
    for name in FORM_FILES {
        form["properties"][name] = json!({
            "description": "A picture to change: PNG, JPEG, WebP or GIF; as often as there are pictures.",
            "anyOf": [
                {"type": "string", "format": "binary"},
                {"type": "array", "items": {"type": "string", "format": "binary"}},
            ],
        });
    }
    schemas.insert("ImageGenerationRequest".to_owned(), generation);
    schemas.insert("ImageEditRequest".to_owned(), edit);
    schemas.insert("ImageEditForm".to_owned(), form);
}

fn remove(schema: &mut Value, property: &str) {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove(property);
    }
}

fn well() -> Value {
    json!({
        "type": "object",
        "description": "A probe's answer when all is well.",
        "properties": {"status": {"type": "string"}},
        "required": ["status"],
    })
}

//! Each type against a committed document, both ways: what we read is what we write.

use std::fmt::Debug;

use reverie_proto::{
    Capabilities, ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, Completion, Content,
    ContentPart, ErrorBody, ImageChoice, ImageStreamEvent, ImagesAnswer, ModelList, OrderedPart,
    PictureProvenance, ProvenanceWish, Sampler, Stop, TokenizeAnswer, parse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const COMPLETION: &str = include_str!("golden/completion.json");
const CHUNKS: &str = include_str!("golden/chunks.json");
const ERROR: &str = include_str!("golden/error.json");
const MODELS: &str = include_str!("golden/models.json");
const PICTURE_PROVENANCE: &str = include_str!("golden/picture_provenance.json");
const REQUEST_MINIMAL: &str = include_str!("golden/request_minimal.json");
const REQUEST_FULL: &str = include_str!("golden/request_full.json");
const REQUEST_HISTORY: &str = include_str!("golden/request_history.json");

fn assert_both_ways<T: DeserializeOwned + Serialize + PartialEq + Debug>(golden: &str) -> T {
    let document: Value = serde_json::from_str(golden).expect("the document is read");
    let read: T = serde_json::from_str(golden).expect("the document is read");
    assert_eq!(serde_json::to_value(&read).expect("it is written"), document);
    read
}

/// Null means absent in a request, so nulls are left out of the comparison.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn assert_request_both_ways(golden: &str) -> ChatCompletionRequest {
    let document: Value = serde_json::from_str(golden).expect("the document is read");
    let read = parse::chat_request(golden.as_bytes()).expect("it is a request");
    let written = serde_json::to_value(&read).expect("it is written");
    assert_eq!(without_nulls(written.clone()), document);
    let again = parse::chat_request(written.to_string().as_bytes()).expect("it still is one");
    assert_eq!(again, read, "nulls mean the same as absence");
    read
}

#[test]
fn answers_keep_their_shape() {
    let completion: ChatCompletion = assert_both_ways(COMPLETION);
    assert_eq!(completion.choices[0].message.images.len(), 1);
    let chunks: Vec<ChatCompletionChunk> = assert_both_ways(CHUNKS);
    assert_eq!(chunks[2].choices[0].delta.images[0].index, Some(0));
    let told = chunks.iter().filter_map(|chunk| chunk.provenance.as_ref()).collect::<Vec<_>>();
    let [provenance] = told[..] else { panic!("one chunk says it: {told:?}") };
    let picture: PictureProvenance = assert_both_ways(PICTURE_PROVENANCE);
    assert_eq!((&picture.recipe, &picture.request), (&provenance.recipe, &provenance.request));
    assert_eq!([picture.picture], *provenance.pictures);
    let _: ErrorBody = assert_both_ways(ERROR);
    let _: ModelList = assert_both_ways(MODELS);
}

#[test]
fn requests_keep_their_shape() {
    let minimal = assert_request_both_ways(REQUEST_MINIMAL);
    assert_eq!(minimal.messages[0].content, Some(Content::Text("Tell a picture story.".into())));

    let full = assert_request_both_ways(REQUEST_FULL);
    assert_eq!(full.seed, Some(u64::MAX));
    assert_eq!(full.sampler, Some(Sampler::DpmSolverPlusPlus2MKarras));
    assert_eq!(full.image_choice, Some(ImageChoice::Required));
    assert_eq!(full.provenance, Some(ProvenanceWish::Full));
    let Some(Content::Parts(parts)) = &full.messages[2].content else { panic!("parts were sent") };
    assert!(matches!(parts[1], ContentPart::ImageUrl { .. }));

    let history = assert_request_both_ways(REQUEST_HISTORY);
    assert_eq!(history.stop, Some(Stop::One("END".into())));
    assert_eq!(history.image_choice, Some(ImageChoice::Exactly(2)));
    assert_eq!(history.provenance, Some(ProvenanceWish::Digests));
    let order = history.messages[1].content_parts.as_ref().unwrap();
    assert_eq!(order[1], OrderedPart::ImageRef { index: 0 });
}

#[test]
fn an_answers_message_is_valid_history_as_it_is() {
    let completion: Value = serde_json::from_str(COMPLETION).unwrap();
    let request = serde_json::json!({
        "model": "reverie",
        "messages": [
            {"role": "user", "content": "Draw."},
            completion["choices"][0]["message"],
            {"role": "user", "content": "Now in blue."},
        ],
    });
    let request = parse::chat_request(request.to_string().as_bytes()).unwrap();
    assert_eq!(request.messages[1].images.as_ref().map(Vec::len), Some(1));
}

#[test]
fn answers_of_the_other_routes_keep_their_shape() {
    let _: ImagesAnswer = assert_both_ways(include_str!("golden/images_answer.json"));
    let events: Vec<ImageStreamEvent> = assert_both_ways(include_str!("golden/image_events.json"));
    let written = serde_json::to_value(&events).expect("they are written");
    for (index, event) in events.iter().enumerate() {
        assert_eq!(written[index]["type"], event.r#type.name(), "an event is named by its type");
    }
    let _: Vec<Completion> = assert_both_ways(include_str!("golden/text_completion.json"));
    let _: TokenizeAnswer = assert_both_ways(include_str!("golden/tokenize_answer.json"));
    let _: Capabilities = assert_both_ways(include_str!("golden/capabilities.json"));
}

#[test]
fn a_form_says_what_the_same_request_says_in_json() {
    let golden = include_str!("golden/image_request.json");
    let in_json = parse::image_edit(golden.as_bytes()).expect("it is a request");
    let mut document: Value = serde_json::from_str(golden).expect("the document is read");
    assert_eq!(without_nulls(serde_json::to_value(&in_json).expect("it is written")), document);

    let images = document.as_object_mut().and_then(|fields| fields.remove("images"));
    assert!(images.is_some());
    let spelt = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = document.as_object().expect("an object").iter();
    let fields = fields.map(|(name, value)| (name.clone(), spelt(value))).collect();
    let by_form = parse::image_edit_form(fields).expect("it is a request");
    assert_eq!(by_form, reverie_proto::ImageRequest { images: None, ..in_json });
}

//! Every operation: what it is for, what it takes, and each status that it can answer. A test compares the list with the
//! router's, and the statuses with those that `error.rs` can choose.

use serde_json::{Map, Value, json};

use crate::http::HttpSettings;
use crate::request::Limits;

/// A kind of operation: what can befall it beside success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Reads a body and asks the engine.
    Work,
    /// Reads a body and asks the engine nothing.
    Reading,
    /// Says what is known already.
    Knowledge,
    /// Says what is known of something by its name.
    Lookup,
    /// Answers about what is stored, to its owner.
    Stored,
    /// A kept file, to its owner or by a signed address.
    KeptFile,
    /// A probe, open to all.
    Probe,
    /// A page, open to all.
    Page,
    /// A file of a page, by its name, open to all.
    File,
}

impl Kind {
    /// Every status but 200.
    fn failures(self) -> &'static [u16] {
        match self {
            Self::Work => &[400, 401, 404, 408, 413, 415, 421, 422, 429, 500, 503, 504],
            Self::Reading => &[400, 401, 404, 408, 413, 415, 421, 429, 500],
            Self::Knowledge => &[400, 401, 421],
            Self::Lookup => &[400, 401, 404, 421],
            Self::Stored => &[400, 401, 404, 421, 500],
            Self::KeptFile => &[400, 401, 403, 404, 421, 500],
            Self::Probe => &[400, 421, 503],
            Self::Page => &[400, 421],
            Self::File => &[400, 404, 421],
        }
    }

    fn is_guarded(self) -> bool {
        match self {
            Self::Work | Self::Reading | Self::Knowledge | Self::Lookup | Self::Stored => true,
            Self::KeptFile | Self::Probe | Self::Page | Self::File => false,
        }
    }
}

struct Operation {
    path: &'static str,
    method: &'static str,
    tag: &'static str,
    kind: Kind,
    summary: &'static str,
    /// Media types of the body and its schemas.
    takes: &'static [(&'static str, &'static str)],
    /// Media types of the answer and its schemas; of a stream, of one event's data.
    gives: &'static [(&'static str, &'static str)],
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const FORM: &str = "multipart/form-data";
const HTML: &str = "text/html";

const DOCUMENTS: &str = "Documents";
const PICTURES: &str = "Pictures";
const INSTANCE: &str = "Instance";
const PAGES: &str = "Pages";

/// All of them; the pages of the playground only where it is served.
const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/v1/chat/completions",
        method: "post",
        tag: DOCUMENTS,
        kind: Kind::Work,
        summary: "Writes one document: text, and pictures at their places; whole or streamed",
        takes: &[(JSON, "ChatCompletionRequest")],
        gives: &[(JSON, "ChatCompletion"), (EVENTS, "ChatCompletionChunk")],
    },
    Operation {
        path: "/v1/completions",
        method: "post",
        tag: DOCUMENTS,
        kind: Kind::Work,
        summary: "Goes on with a raw prompt: text only, no template; whole or streamed",
        takes: &[(JSON, "CompletionRequest")],
        gives: &[(JSON, "Completion"), (EVENTS, "Completion")],
    },
    Operation {
        path: "/v1/responses",
        method: "post",
        tag: DOCUMENTS,
        kind: Kind::Work,
        summary: "Writes one document as messages and pictures in order; whole or streamed",
        takes: &[(JSON, "ResponseRequest")],
        gives: &[(JSON, "Response"), (EVENTS, "ResponseEvent")],
    },
    stored("/v1/responses/{id}", "get", "Response", "A stored response again"),
    stored("/v1/responses/{id}", "delete", "DeletedResponse", "Forgets a stored response"),
    stored(
        "/v1/responses/{id}/cancel",
        "post",
        "Response",
        "Refused: nothing runs in the background",
    ),
    stored(
        "/v1/responses/{id}/input_items",
        "get",
        "InputItemList",
        "What a response was asked with",
    ),
    Operation {
        path: "/v1/files/{id}/content",
        method: "get",
        tag: PICTURES,
        kind: Kind::KeptFile,
        summary: "A kept picture, to its owner or to whoever has its signed address",
        takes: &[],
        gives: &[
            ("image/png", ""),
            ("image/jpeg", ""),
            ("image/webp", ""),
            ("application/octet-stream", ""),
        ],
    },
    Operation {
        path: "/v1/images/generations",
        method: "post",
        tag: PICTURES,
        kind: Kind::Work,
        summary: "Draws pictures; whole or streamed",
        takes: &[(JSON, "ImageGenerationRequest")],
        gives: &[(JSON, "ImagesAnswer"), (EVENTS, "ImagePartialEvent|ImageStreamEvent")],
    },
    Operation {
        path: "/v1/images/edits",
        method: "post",
        tag: PICTURES,
        kind: Kind::Work,
        summary: "Draws what becomes of pictures; whole or streamed",
        takes: &[(JSON, "ImageEditRequest"), (FORM, "ImageEditForm")],
        gives: &[(JSON, "ImagesAnswer"), (EVENTS, "ImagePartialEvent|ImageStreamEvent")],
    },
    Operation {
        path: "/tokenize",
        method: "post",
        tag: INSTANCE,
        kind: Kind::Reading,
        summary: "Text or a conversation to token ids, pictures included",
        takes: &[(JSON, "TokenizeRequest")],
        gives: &[(JSON, "TokenizeAnswer")],
    },
    Operation {
        path: "/detokenize",
        method: "post",
        tag: INSTANCE,
        kind: Kind::Reading,
        summary: "Token ids to text",
        takes: &[(JSON, "DetokenizeRequest")],
        gives: &[(JSON, "DetokenizeAnswer")],
    },
    Operation {
        path: "/v1/models",
        method: "get",
        tag: INSTANCE,
        kind: Kind::Knowledge,
        summary: "What is served",
        takes: &[],
        gives: &[(JSON, "ModelList")],
    },
    Operation {
        path: "/v1/models/{id}",
        method: "get",
        tag: INSTANCE,
        kind: Kind::Lookup,
        summary: "One served model; its name may have slashes",
        takes: &[],
        gives: &[(JSON, "ModelCard")],
    },
    Operation {
        path: "/v1/capabilities",
        method: "get",
        tag: INSTANCE,
        kind: Kind::Knowledge,
        summary: "Limits, defaults, samplers, formats, ignored parameters",
        takes: &[],
        gives: &[(JSON, "Capabilities")],
    },
    probe("/livez", "Whether this process should go on"),
    probe("/readyz", "Whether requests can be served now"),
    probe("/health", "As `/readyz`"),
    page("/openapi.json", JSON, "This document"),
    page("/docs", HTML, "This document as a page"),
    file("/docs/{file}", "What that page loads"),
];

const PLAYGROUND: &[Operation] = &[
    page("/", HTML, "A page to try the model with"),
    file("/playground/{file}", "What that page loads"),
];

const fn stored(
    path: &'static str,
    method: &'static str,
    schema: &'static str,
    summary: &'static str,
) -> Operation {
    let gives: &[(&str, &str)] = match schema.as_bytes()[0] {
        b'R' => &[(JSON, "Response")],
        b'D' => &[(JSON, "DeletedResponse")],
        _ => &[(JSON, "InputItemList")],
    };
    Operation { path, method, tag: DOCUMENTS, kind: Kind::Stored, summary, takes: &[], gives }
}

const fn probe(path: &'static str, summary: &'static str) -> Operation {
    let gives = &[(JSON, "Well")];
    Operation { path, method: "get", tag: INSTANCE, kind: Kind::Probe, summary, takes: &[], gives }
}

const fn page(path: &'static str, media_type: &'static str, summary: &'static str) -> Operation {
    let gives: &[(&str, &str)] = match media_type.as_bytes()[0] {
        b'a' => &[(JSON, "")],
        _ => &[(HTML, "")],
    };
    Operation { path, method: "get", tag: PAGES, kind: Kind::Page, summary, takes: &[], gives }
}

const fn file(path: &'static str, summary: &'static str) -> Operation {
    let gives = &[("text/css", ""), ("text/javascript", ""), ("image/svg+xml", "")];
    Operation { path, method: "get", tag: PAGES, kind: Kind::File, summary, takes: &[], gives }
}

/// The groups that operations come in.
pub(super) fn tags() -> Value {
    json!([
        {"name": DOCUMENTS, "description": "Text and pictures in any order."},
        {"name": PICTURES, "description": "Pictures alone."},
        {"name": INSTANCE, "description": "What this instance is and whether it can serve."},
        {"name": PAGES, "description": "For people."},
    ])
}

/// The paths of an instance with these settings.
pub(super) fn paths(settings: &HttpSettings, limits: &Limits) -> Value {
    let playground = if settings.playground { PLAYGROUND } else { &[] };
    let mut paths = Map::new();
    for operation in OPERATIONS.iter().chain(playground) {
        let described = described(operation, settings, limits);
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method] = described;
    }
    Value::Object(paths)
}

fn described(operation: &Operation, settings: &HttpSettings, limits: &Limits) -> Value {
    let needs_key = operation.kind.is_guarded() && !settings.api_keys.is_empty();
    let mut described = json!({
        "operationId": operation_id(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": if needs_key { json!([{"key": []}]) } else { json!([]) },
        "responses": responses(operation),
    });
    let parameters = parameters(operation, limits);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if !operation.takes.is_empty() {
        let model = limits.model_names.first().map_or("", String::as_str);
        let content = operation.takes.iter().map(|(media_type, schema)| {
            let mut body = json!({"schema": reference(schema)});
            if let Some(example) = example(schema, model) {
                body["examples"] = json!({"plain": {"value": example}});
            }
            ((*media_type).to_owned(), body)
        });
        described["requestBody"] =
            json!({"required": true, "content": content.collect::<Map<_, _>>()});
    }
    described
}

/// `post_v1_chat_completions`.
fn operation_id(operation: &Operation) -> String {
    let words = operation.path.split(|symbol: char| !symbol.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    std::iter::once(operation.method).chain(words).collect::<Vec<_>>().join("_")
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn responses(operation: &Operation) -> Value {
    let content = operation.gives.iter().map(|(media_type, schema)| {
        let schema = match (*media_type, *schema) {
            (JSON, "") => json!({"type": "object"}),
            (_, "") => json!({"type": "string"}),
            // Of no type: some readers hold each event against it, others the whole text.
            (EVENTS, name) => json!({
                "description": "Events. The data of each is JSON, of an `error` event an ErrorBody; `[DONE]` may end them.",
                "contentMediaType": EVENTS,
                "x-event": {"anyOf": name.split('|').map(reference).collect::<Vec<_>>()},
            }),
            (_, name) => reference(name),
        };
        ((*media_type).to_owned(), json!({"schema": schema}))
    });
    let mut responses = Map::new();
    let success = json!({"description": "As asked.", "content": content.collect::<Map<_, _>>()});
    responses.insert("200".to_owned(), success);
    if matches!(operation.kind, Kind::Page | Kind::File | Kind::KeptFile)
        && operation.path != "/openapi.json"
    {
        let unchanged = json!({"description": "The client has it already."});
        responses.insert("304".to_owned(), unchanged);
    }
    for status in operation.kind.failures() {
        let mut failure = json!({
            "description": failure(*status),
            "content": {JSON: {"schema": reference("ErrorBody")}},
        });
        if matches!(*status, 429 | 503) {
            failure["headers"] = json!({
                "retry-after": {"description": "Seconds.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
                "retry-after-ms": {"schema": {"type": "string", "pattern": "^[0-9]+$"}},
            });
        }
        responses.insert(status.to_string(), failure);
    }
    Value::Object(responses)
}

/// Why an operation ends with this status.
fn failure(status: u16) -> &'static str {
    match status {
        400 => "The request is wrong; `param` says where, `code` how.",
        401 => "A valid API key is needed.",
        403 => "The address was not signed here.",
        404 => "There is nothing of this name.",
        408 => "The body, or the client's reading, took too long.",
        413 => "The body is larger than this instance takes.",
        415 => "The body's type or encoding is none that is read here.",
        421 => "This host name is not served here.",
        422 => "The idempotency key was used for another request.",
        429 => "Too much is waiting; come back when `retry-after` says.",
        500 => "The request failed here, and nobody else's.",
        503 => "This instance cannot serve now; another one may.",
        504 => "The document was not complete in the time that the client or the instance allows.",
        _ => "",
    }
}

fn parameters(operation: &Operation, limits: &Limits) -> Vec<Value> {
    let mut parameters = Vec::new();
    for name in operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
        let example = match operation.path {
            "/v1/models/{id}" => limits.model_names.first().map_or("", String::as_str),
            "/docs/{file}" => "page.js",
            "/playground/{file}" => "playground.js",
            path if path.starts_with("/v1/responses/") => "resp_0",
            _ => "file_0",
        };
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": {"type": "string"}, "example": example,
        }));
    }
    let query = |name: &str, schema: Value| json!({"name": name, "in": "query", "schema": schema});
    match (operation.path, operation.method) {
        ("/v1/responses/{id}", "get") => {
            parameters.push(query("stream", json!({"type": "boolean"})));
        }
        ("/v1/responses/{id}/input_items", _) => parameters.extend([
            query("limit", json!({"type": "integer", "minimum": 1, "maximum": 100})),
            query("order", json!({"enum": ["asc", "desc"]})),
            query("after", json!({"type": "string"})),
        ]),
        ("/v1/files/{id}/content", _) => parameters.extend([
            query("expires", json!({"type": "string"})),
            query("signature", json!({"type": "string"})),
        ]),
        (_, _) => {}
    }
    if operation.kind == Kind::Work {
        parameters.push(json!({
            "name": "X-Request-Timeout-Ms", "in": "header",
            "description": "When the client gives up, in milliseconds.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 86_400_000},
        }));
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "Asking again with the same key and body gives the same answer, once computed.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        }));
    }
    parameters
}

/// A body that is answered.
fn example(schema: &str, model: &str) -> Option<Value> {
    match schema {
        "ChatCompletionRequest" => Some(json!({
            "model": model, "seed": 3, "max_completion_tokens": 16,
            "messages": [{"role": "user", "content": "What color is a tomato?"}],
        })),
        "ResponseRequest" => Some(json!({
            "model": model, "input": "What color is a tomato?", "seed": 3, "max_output_tokens": 16,
        })),
        "CompletionRequest" => {
            Some(json!({"model": model, "prompt": "Once upon a time", "seed": 3}))
        }
        "ImageGenerationRequest" => Some(json!({
            "prompt": "A small red circle on a navy background.", "seed": 3, "num_inference_steps": 4,
        })),
        "ImageEditRequest" => Some(json!({
            "prompt": "Make it blue.", "seed": 3, "num_inference_steps": 4,
            "images": [{"image_url": PICTURE}],
        })),
        "TokenizeRequest" => Some(json!({"prompt": "Hello", "return_token_strs": true})),
        "DetokenizeRequest" => Some(json!({"tokens": [200, 201]})),
        _ => None,
    }
}

/// A red square.
const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mO4oKCAFTEMLQkAvk5EAYUHFA8AAAAASU\
    VORK5CYII=";

//! The API's document against the router that it describes: routes, statuses, bounds and examples; and its page.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::http::{Request, StatusCode};
use serde_json::{Map, Value, json};

#[path = "http_kit/mod.rs"]
mod kit;

use kit::{Afterwards, ScriptedEngine, app, app_with, drawn, finished, get, send, settings, text};
use reverie_server::engine::event::FinishReason;
use reverie_server::http::ApiKey;

fn engine(script: Vec<reverie_server::engine::event::EngineEvent>) -> Arc<ScriptedEngine> {
    ScriptedEngine::new(script, Afterwards::End)
}

async fn document() -> Value {
    let answer = send(&app(&engine(Vec::new())), get("/openapi.json")).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::OK, "application/json")
    );
    answer.json()
}

/// (method, path) of every operation.
fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("paths have names");
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods have names").keys();
        methods.map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// What is between the parenthesis before `text` and the one that closes it.
fn arguments(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|symbol: char| {
        depth += i32::from(symbol == '(') - i32::from(symbol == ')');
        depth == 0
    });
    &text[..end.expect("the file compiles")]
}

fn files(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the entry is readable").path();
        if path.is_dir() {
            texts.extend(files(&path));
        } else {
            texts.push(fs::read_to_string(&path).expect("the file is UTF-8"));
        }
    }
    texts
}

/// (method, path) of every route that the sources of the HTTP edge make.
fn routes() -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for text in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")) {
        for call in text.split(".route(").skip(1).map(arguments) {
            let path = call.split('"').nth(1).expect("a path is a literal").replace("{*", "{");
            let methods = ["get", "post", "delete"].into_iter();
            for method in methods.filter(|method| call.contains(&format!("{method}("))) {
                routes.insert((method.to_owned(), path.clone()));
            }
        }
    }
    routes
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(operations(&document), routes());

    let bare = app_with(&engine(Vec::new()), {
        let mut settings = settings();
        settings.playground = false;
        settings
    });
    let without = send(&bare, get("/openapi.json")).await.json();
    assert!(without["paths"]["/"].is_null(), "what is not served is not described");
}

#[tokio::test]
async fn every_status_that_an_error_can_have_is_described() {
    let edge = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let source = fs::read_to_string(edge.join("error.rs")).expect("the file is UTF-8");
    let chosen: BTreeSet<&str> = source
        .split("StatusCode::")
        .skip(1)
        .map(|rest| &rest[..rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(0)])
        .filter(|name| !name.is_empty())
        .collect();
    assert!(chosen.len() > 10, "{chosen:?}");
    let document = document().await;
    let described: BTreeSet<u16> = document["paths"]
        .as_object()
        .expect("paths have names")
        .values()
        .flat_map(|methods| methods.as_object().expect("methods have names").values())
        .flat_map(|operation| operation["responses"].as_object().expect("statuses").keys())
        .map(|status| status.parse().expect("a number"))
        .collect();
    let name = |status: &u16| {
        let reason = StatusCode::from_u16(*status).expect("a status").canonical_reason();
        reason.unwrap_or_default().to_ascii_uppercase().replace([' ', '-'], "_")
    };
    let described: BTreeSet<String> = described.iter().map(name).collect();
    for status in chosen {
        // Which methods there are, the document says itself.
        assert!(status == "METHOD_NOT_ALLOWED" || described.contains(status), "{status}");
    }
}

/// The example of each operation that takes JSON: (path, name of its schema, body).
fn examples(document: &Value) -> Vec<(String, String, Map<String, Value>)> {
    let paths = document["paths"].as_object().expect("paths have names");
    let example = |(path, methods): (&String, &Value)| {
        let content = &methods["post"]["requestBody"]["content"]["application/json"];
        let schema = content["schema"]["$ref"].as_str()?.rsplit('/').next()?.to_owned();
        let body = content["examples"]["plain"]["value"].as_object();
        Some((path.clone(), schema, body.expect("each body has an example").clone()))
    };
    paths.iter().filter_map(example).collect()
}

async fn ask(path: &str, body: &Value) -> kit::Answer {
    let mut script = if path.contains("images") { drawn(0, 90) } else { vec![text("Red.")] };
    script.push(finished(FinishReason::EndOfText));
    let request = Request::post(path)
        .header("host", "localhost:8000")
        .header("content-type", "application/json")
        .body(body.to_string().into())
        .expect("a request");
    send(&app(&engine(script)), request).await
}

#[tokio::test]
async fn every_example_is_answered() {
    let document = document().await;
    let examples = examples(&document);
    assert!(examples.len() > 5);
    for (path, schema, body) in examples {
        let answer = ask(&path, &Value::Object(body.clone())).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.json());
        let known = &document["components"]["schemas"][&schema]["properties"];
        for name in body.keys() {
            assert!(!known[name].is_null(), "{schema} has no {name}");
        }
    }
}

/// Values just outside a schema's bounds.
fn beyond(schema: &Value) -> Vec<Value> {
    let number = |key: &str| schema[key].as_f64();
    let past = |value: f64| if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
    let mut values: Vec<Value> = Vec::new();
    values.extend(number("minimum").map(|least| past(least - 1.0)));
    values.extend(number("exclusiveMinimum").map(past));
    values.extend(number("maximum").map(|most| past(most + 1.0)));
    values
}

#[tokio::test]
async fn every_bound_holds_and_no_field_is_unknown() {
    let document = document().await;
    let mut checked = 0;
    for (path, schema, body) in examples(&document) {
        let schema = &document["components"]["schemas"][&schema];
        assert_eq!(schema["additionalProperties"], false, "{path}");
        for (name, field) in schema["properties"].as_object().expect("fields have names") {
            for value in beyond(field) {
                let mut body = body.clone();
                body.insert(name.clone(), value.clone());
                let answer = ask(&path, &Value::Object(body)).await;
                let wanted = (400, Some(name.clone()));
                let (status, param, _code) = answer.error();
                assert_eq!((status, param), wanted, "{path} {name}: {value}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "only {checked}");
}

#[tokio::test]
async fn the_page_is_open_loads_nothing_from_elsewhere_and_is_whole() {
    let mut settings = settings();
    settings.api_keys = vec![ApiKey::new("secret")];
    let app = app_with(&engine(Vec::new()), settings);
    let page = send(&app, get("/docs")).await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let html = String::from_utf8(page.body).expect("UTF-8");
    assert!(!html.contains("http:") && !html.contains("https:"), "{html}");
    let mut names: Vec<String> = html
        .split("\"docs/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
        .collect();
    names.push("schema_text.js".to_owned());
    assert!(names.len() > 3);
    for name in names {
        assert_eq!(send(&app, get(&format!("/docs/{name}"))).await.status, 200, "{name}");
    }
    assert_eq!(send(&app, get("/docs/index.html")).await.status, 404);
    let document = send(&app, get("/openapi.json")).await.json();
    assert_eq!(document["paths"]["/v1/models"]["get"]["security"], json!([{"key": []}]));
    assert_eq!(document["paths"]["/livez"]["get"]["security"], json!([]));
}

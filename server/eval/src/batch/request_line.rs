//! The lines of a batch: read whole and checked before anything is asked.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::file_error::FileError;

/// One request of a batch.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLine {
    /// The client's name for it, unique in its file.
    pub custom_id: String,
    /// Always `POST`.
    pub method: String,
    /// A path of the server, such as `/v1/chat/completions`.
    pub url: String,
    /// The request.
    pub body: Value,
    /// Its line, counted from 1.
    #[serde(skip)]
    pub number: usize,
}

/// The requests of a JSONL file.
///
/// # Errors
/// [`FileError`], for the first line at fault.
pub fn read_requests(path: &Path) -> Result<Vec<RequestLine>, FileError> {
    let text = fs::read_to_string(path).map_err(FileError::io(path))?;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut requests = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let fault = |reason: String| FileError::Line { path: path.to_owned(), number, reason };
        let mut request: RequestLine =
            serde_json::from_str(line).map_err(|error| fault(error.to_string()))?;
        request.number = number;
        check(&request).map_err(|reason| fault(reason.to_owned()))?;
        if let Some(first) = seen.insert(request.custom_id.clone(), number) {
            let id = &request.custom_id;
            return Err(fault(format!("custom_id {id} stands in line {first} already")));
        }
        requests.push(request);
    }
    Ok(requests)
}

fn check(request: &RequestLine) -> Result<(), &'static str> {
    if request.custom_id.is_empty() {
        return Err("custom_id is empty");
    }
    if request.method != "POST" {
        return Err("method is not POST");
    }
    if !request.url.starts_with("/v1/") {
        return Err("url is not a path below /v1/");
    }
    if !request.body.is_object() {
        return Err("body is not an object");
    }
    if request.body.get("stream").is_some_and(|stream| stream == &Value::Bool(true)) {
        return Err("body.stream is true: a batch holds whole answers");
    }
    Ok(())
}

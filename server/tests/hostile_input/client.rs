//! How a daemon is asked: one connection a request, anything in it, everything of the answer kept.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::CANARY;

/// Nothing takes so long, even on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request as it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// In short, for messages.
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What `${field}` and `${each}` were.
    pub(crate) field: String,
    pub(crate) each: String,
}

impl Request {
    /// A chat request with these fields, for a program.
    pub(crate) fn chat(fields: Value) -> Self {
        let mut body =
            json!({"model": "mini", "messages": [{"role": "user", "content": "Hello."}]});
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        body.as_object_mut().expect("an object").extend(fields);
        Self::to("/v1/chat/completions", &body)
    }

    /// A request to `path`.
    pub(crate) fn to(path: &str, body: &Value) -> Self {
        Self::raw(path, body.to_string().into_bytes())
    }

    /// A request with any body.
    pub(crate) fn raw(path: &str, body: Vec<u8>) -> Self {
        let text = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        Self {
            name: format!("{path} {text}"),
            method: "POST".to_owned(),
            path: path.to_owned(),
            body,
            ..Self::default()
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request_id: String,
    body: Vec<u8>,
    json: OnceLock<Value>,
}

impl Answer {
    pub(crate) fn json(&self) -> &Value {
        self.json.get_or_init(|| serde_json::from_slice(&self.body).unwrap_or_default())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The document of a chat answer, without what differs from one asking to the next.
    pub(crate) fn message(&self) -> &Value {
        &self.json()["choices"][0]["message"]
    }
}

/// Asks one daemon.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: String,
}

impl Client {
    fn agent() -> ureq::Agent {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        config.timeout_global(Some(PATIENCE)).build().into()
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        let mut builder = ureq::http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("http://{}{}", self.address, request.path))
            .header("authorization", format!("Bearer {CANARY}"))
            .header("content-type", "application/json")
            .header("connection", "close");
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let sent = match request.method.as_str() {
            "GET" => Self::agent().run(builder.body(()).expect("a request")),
            _ => Self::agent().run(builder.body(request.body.as_slice()).expect("a request")),
        };
        let mut response = sent.unwrap_or_else(|error| panic!("{}: {error}", request.name));
        let body = response.body_mut().with_config().limit(1 << 30).read_to_vec();
        let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok());
        Answer {
            status: response.status().as_u16(),
            request_id: id.unwrap_or_default().to_owned(),
            body: body.unwrap_or_else(|error| panic!("{}: {error}", request.name)),
            json: OnceLock::new(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let (method, path) = ("GET".to_owned(), path.to_owned());
        self.send(&Request { name: path.clone(), method, path, ..Request::default() })
    }

    /// Sends `head` and `body` as they are, and reads what comes until the connection ends.
    pub(crate) fn send_raw(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.open(head, body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        Answer {
            status: head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status"),
            request_id: id.unwrap_or_default().to_owned(),
            body: answer[end + 4..].to_vec(),
            json: OnceLock::new(),
        }
    }

    /// The same without waiting for anything.
    pub(crate) fn open(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {CANARY}\r\n\
             content-type: application/json\r\n{head}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("a head is taken");
        stream.write_all(body).expect("a body is taken");
        stream
    }
}

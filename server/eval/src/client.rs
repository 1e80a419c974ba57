//! A plain HTTP client of one server: one request, one whole answer. Waits and asks again where the server
//! says that it is full; knows no suite and no batch.

use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::HeaderMap;
use ureq::{Agent, Body};

/// A document of many pictures behind a full queue on a slow machine takes minutes, never so long.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// A server that is not there says so at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer: a hundred large pictures.
const MAX_ANSWER_BYTES: u64 = 256 << 20;
/// How often a full server is asked, at most: with the longest wait, a quarter of an hour.
const ATTEMPTS: usize = 30;
/// The longest wait before asking again, whatever the server says.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The wait where the server does not say.
const USUAL_WAIT: Duration = Duration::from_secs(1);

/// A client of one server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<String>,
}

/// What a server answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP's.
    pub status: u16,
    /// The answer's `x-request-id`; empty where there is none.
    pub request_id: String,
    /// The body.
    pub body: String,
}

/// No answer.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {source}")]
pub struct ClientError {
    /// What was asked.
    pub url: String,
    /// Why there is no answer.
    #[source]
    source: Box<ureq::Error>,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8000`, with `/v1` or without.
    pub fn new(base: &str, key: Option<String>) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .build()
            .into();
        let base = base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Self { agent, base, key }
    }

    /// The first model that is served; nothing where the server names none.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn model(&self) -> Result<Option<String>, ClientError> {
        let url = format!("{}/v1/models", self.base);
        let mut request = self.agent.get(&url);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let reply = request.call().and_then(reply).map_err(|source| error(url, source))?;
        let models: Option<Models> = serde_json::from_str(&reply.body).ok();
        Ok(models.and_then(|models| models.data.into_iter().next()).map(|model| model.id))
    }

    /// Posts JSON to `path`, such as `/v1/chat/completions`. A full server (429) is asked again after as long
    /// as it says, a bounded number of times.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn post(&self, path: &str, body: &str) -> Result<Reply, ClientError> {
        let mut attempt = 1;
        loop {
            let (reply, wait) = self.post_once(path, body)?;
            if reply.status != 429 || attempt == ATTEMPTS {
                return Ok(reply);
            }
            attempt += 1;
            sleep(wait);
        }
    }

    fn post_once(&self, path: &str, body: &str) -> Result<(Reply, Duration), ClientError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.post(&url).content_type("application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = request.send(body).map_err(|source| error(url.clone(), source))?;
        let wait = header(answer.headers(), "retry-after")
            .and_then(|seconds| seconds.parse().ok())
            .map_or(USUAL_WAIT, Duration::from_secs)
            .min(MAX_WAIT);
        let reply = reply(answer).map_err(|source| error(url, source))?;
        Ok((reply, wait))
    }
}

fn error(url: String, source: ureq::Error) -> ClientError {
    ClientError { url, source: Box::new(source) }
}

fn reply(mut answer: ureq::http::Response<Body>) -> Result<Reply, ureq::Error> {
    let status = answer.status().as_u16();
    let request_id = header(answer.headers(), "x-request-id").unwrap_or_default();
    let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string()?;
    Ok(Reply { status, request_id, body })
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

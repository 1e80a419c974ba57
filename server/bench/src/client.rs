//! Sends one request and notes when what came. Knows HTTP and the shape of a streamed chat answer; asks once,
//! whatever comes.

mod chunk;

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::event_lines::EventLines;
use crate::micros::Micros;
use crate::record::{Fault, Outcome, Record};
use crate::stopwatch::Stopwatch;
use crate::workload::Planned;
use chunk::Progress;

/// As much of a refusal as is kept.
const MAX_MESSAGE_BYTES: usize = 500;

/// A client of one server; cheap to clone. Connections are kept and used again, as by OpenAI's clients.
#[derive(Debug, Clone)]
pub struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    chat: Uri,
    models: Uri,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

/// A server that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Its address is none.
    #[error("{url}: wanted http://…; this client has no TLS")]
    Url {
        /// What was given.
        url: String,
    },
    /// Its key has characters that no header may have.
    #[error("the key is no value of a header")]
    Key,
    /// There is no answer, or none of use.
    #[error("{url}: {reason}")]
    Answer {
        /// What was asked.
        url: String,
        /// What came instead.
        reason: String,
    },
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8000`, with `/v1` or without, that waits
    /// for no whole answer longer than `timeout`.
    ///
    /// # Errors
    /// If the address or the key cannot be one.
    pub fn new(base: &str, key: Option<&str>, timeout: Duration) -> Result<Self, ClientError> {
        let invalid = || ClientError::Url { url: base.to_owned() };
        if !base.starts_with("http://") {
            return Err(invalid());
        }
        let root = base.trim_end_matches('/').trim_end_matches("/v1");
        let uri = |path: &str| format!("{root}/v1/{path}").parse().map_err(|_not_one| invalid());
        let authorization = key.map(|key| {
            let mut value: HeaderValue =
                format!("Bearer {key}").parse().map_err(|_not_one| ClientError::Key)?;
            value.set_sensitive(true);
            Ok(value)
        });
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            http: legacy::Client::builder(TokioExecutor::new()).build(connector),
            chat: uri("chat/completions")?,
            models: uri("models")?,
            authorization: authorization.transpose()?,
            timeout,
        })
    }

    /// The first model that is served.
    ///
    /// # Errors
    /// If there is no answer, or it names none.
    pub async fn model(&self) -> Result<String, ClientError> {
        let error = |reason: String| ClientError::Answer { url: self.models.to_string(), reason };
        let body = self.round_trip().await.map_err(error)?;
        let list: serde_json::Value =
            serde_json::from_slice(&body).map_err(|not_json| error(not_json.to_string()))?;
        let name = list["data"][0]["id"].as_str();
        name.map(str::to_owned).ok_or_else(|| error("names no model".to_owned()))
    }

    /// Asks for the list of models, which costs a server next to nothing.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn round_trip(&self) -> Result<Bytes, String> {
        let work = async {
            let response = self.send(Method::GET, &self.models, String::new()).await?;
            let status = response.status();
            if !status.is_success() {
                return Err(format!("answers {status}"));
            }
            let body = response.into_body().collect().await.map_err(|error| told(&error))?;
            Ok(body.to_bytes())
        };
        timeout(self.timeout, work).await.map_err(|_late| "no answer in time".to_owned())?
    }

    /// Sends a request that was to be sent at `scheduled` and waits for its end.
    pub async fn ask(&self, planned: Planned, scheduled: Micros, watch: &Stopwatch) -> Record {
        let mut record = Record {
            index: planned.index,
            kind: planned.kind,
            scheduled,
            sent: watch.now(),
            first_byte: None,
            texts: Vec::new(),
            images: Vec::new(),
            end: scheduled,
            outcome: Outcome::Failed { fault: Fault::CutOff, message: String::new() },
            usage: None,
        };
        let answer = timeout(self.timeout, self.exchange(planned.body, &mut record, watch)).await;
        record.outcome = answer.unwrap_or_else(|_late| Outcome::Failed {
            fault: Fault::TimedOut,
            message: format!("no end in {} s", self.timeout.as_secs()),
        });
        record.end = watch.now();
        record
    }

    async fn exchange(&self, body: String, record: &mut Record, watch: &Stopwatch) -> Outcome {
        let broken = |message| Outcome::Failed { fault: Fault::Connection, message };
        let response = match self.send(Method::POST, &self.chat, body).await {
            Ok(response) => response,
            Err(message) => return broken(message),
        };
        record.first_byte = Some(watch.now());
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let body =
                body.collect().await.map_or_else(|_cut_off| Bytes::new(), |it| it.to_bytes());
            let message = String::from_utf8_lossy(&body[..body.len().min(MAX_MESSAGE_BYTES)]);
            return Outcome::Refused { status: status.as_u16(), message: message.into_owned() };
        }
        let mut lines = EventLines::default();
        let mut progress = Progress::default();
        while let Some(frame) = body.frame().await {
            let bytes = match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(_trailers)) => continue,
                Err(error) => return broken(told(&error)),
            };
            let now = watch.now();
            let events = match lines.push(&bytes) {
                Ok(events) => events,
                Err(error) => {
                    return Outcome::Failed { fault: Fault::Shape, message: error.to_string() };
                }
            };
            for event in &events {
                if let Some(outcome) = progress.take(event, now, record) {
                    return outcome;
                }
            }
        }
        Outcome::Failed { fault: Fault::CutOff, message: "no [DONE]".to_owned() }
    }

    async fn send(
        &self,
        method: Method,
        uri: &Uri,
        body: String,
    ) -> Result<Response<Incoming>, String> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &self.authorization {
            headers.insert(AUTHORIZATION, key.clone());
        }
        self.http.request(request).await.map_err(|error| told(&error))
    }
}

/// An error and what is behind it: hyper's say nothing of their cause.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

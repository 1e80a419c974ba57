//! The only file in which a status code is chosen. Every failure leaves with OpenAI's body.
//!
//! 429 means "wait and ask again here", 503 "ask another instance"; both say when. A 5xx never says
//! more than that; the cause is in the log, under the request's id.

use std::time::Duration;

use axum::Json;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use reverie_model::PictureError;
use reverie_proto::{ErrorBody, ErrorDetail, ParseError};

use crate::engine::document_engine::{EngineStatus, SubmitError};
use crate::engine::event::EngineError;
use crate::request::{PictureUrlFault, RequestError};
use crate::store::StoreError;

const INVALID_REQUEST: &str = "invalid_request_error";
const UNAVAILABLE: &str = "service_unavailable_error";
const SERVER: &str = "server_error";
const RATE_LIMIT: &str = "rate_limit_error";

/// Bodies are held for as long as their pictures take to decode.
const NO_ROOM_FOR: Duration = Duration::from_secs(2);

/// The same wait, finer: OpenAI's SDKs look at it first.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// How long an instance that cannot serve now asks to be left alone.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(5);
/// At most this many characters of a client's name are repeated to it.
const MAX_QUOTED_CHARS: usize = 64;

/// A failure as it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    family: &'static str,
    code: &'static str,
    param: Option<String>,
    message: String,
    retry_after: Option<Duration>,
}

impl ApiError {
    fn new(status: StatusCode, family: &'static str, code: &'static str, message: &str) -> Self {
        Self { status, family, code, param: None, message: message.to_owned(), retry_after: None }
    }

    fn invalid(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, code, message)
    }

    fn at(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }

    fn again_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// The body, as a response or an `error` event carries it.
    pub(super) fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                message: self.message.clone(),
                r#type: self.family.to_owned(),
                param: self.param.clone(),
                code: Some(self.code.to_owned()),
            },
        }
    }

    pub(super) fn no_such_route(path: &str) -> Self {
        let message = format!("no such route: {}", quotable(path));
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, "not_found", &message)
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "this route does not answer this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "method_not_allowed", message)
    }

    pub(super) fn no_such_model(name: &str) -> Self {
        let message = format!("the model `{}` is not served here", quotable(name));
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, "model_not_found", &message).at("model")
    }

    pub(super) fn bad_key() -> Self {
        let message = "give a valid API key as `Authorization: Bearer KEY`";
        let family = "authentication_error";
        Self::new(StatusCode::UNAUTHORIZED, family, "invalid_api_key", message)
    }

    pub(super) fn bad_host() -> Self {
        Self::invalid("invalid_host", "exactly one valid `Host` header is needed")
    }

    pub(super) fn misdirected() -> Self {
        let message = "this `Host` is not served here";
        let status = StatusCode::MISDIRECTED_REQUEST;
        Self::new(status, INVALID_REQUEST, "host_not_allowed", message)
    }

    pub(super) fn unsupported_media_type() -> Self {
        let message = "the body must be `Content-Type: application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, INVALID_REQUEST, "unsupported_media_type", message)
    }

    /// A body that says it is a form and is none.
    pub(super) fn bad_form() -> Self {
        Self::invalid("invalid_form", "the body is not valid multipart/form-data")
    }

    pub(super) fn too_many_parts(limit: usize) -> Self {
        Self::invalid("array_too_long", &format!("the form has more than {limit} parts"))
    }

    /// A form's field whose value is not UTF-8.
    pub(super) fn no_text(name: &str) -> Self {
        let name = quotable(name);
        Self::invalid("invalid_value", &format!("`{name}` must be text in UTF-8")).at(&name)
    }

    /// The same where `prompt` is what routes for conversations call `messages`.
    pub(super) fn about_prompt(self) -> Self {
        self.about("prompt")
    }

    /// The same where `input` is what routes for conversations call `messages`.
    pub(super) fn about_input(self) -> Self {
        self.about("input")
    }

    fn about(self, conversation: &str) -> Self {
        match (self.code, self.param.as_deref()) {
            // That one is the client's own.
            ("unknown_parameter", _) => self,
            (_, Some("messages")) => self.at(conversation),
            (_, Some(_) | None) => self,
        }
    }

    pub(super) fn unsupported_content_encoding() -> Self {
        let message = "compressed bodies are not supported";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, INVALID_REQUEST, "unsupported_content_encoding", message)
    }

    pub(super) fn body_too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Self::new(status, INVALID_REQUEST, "request_too_large", &message)
    }

    pub(super) fn no_room_for_body() -> Self {
        let message = "other requests' bodies take all the room there is; try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, "server_busy", message)
            .again_after(NO_ROOM_FOR)
    }

    pub(super) fn too_many_preparing() -> Self {
        let message = "as many requests as may are waiting to be read; try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, "server_busy", message)
            .again_after(NO_ROOM_FOR)
    }

    pub(super) fn body_timeout() -> Self {
        let message = "the body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, INVALID_REQUEST, "request_timeout", message)
    }

    pub(super) fn body_broken() -> Self {
        Self::invalid("incomplete_body", "the body did not arrive whole")
    }

    pub(super) fn not_ready(status: EngineStatus) -> Self {
        let (code, message) = match status {
            EngineStatus::Loading => ("model_loading", "the model is being loaded"),
            EngineStatus::Recovering => ("recovering", "this instance is replacing its workers"),
            EngineStatus::Draining => ("draining", "this instance is going down"),
            EngineStatus::Failed => ("engine_failed", "this instance cannot serve any more"),
            EngineStatus::Ready => ("unavailable", "this instance cannot serve now"),
        };
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, UNAVAILABLE, code, message).again_after(UNAVAILABLE_FOR)
    }

    fn wait_too_long(wait: Duration, limit: Duration) -> Self {
        let (wait, limit) = (wait.as_secs_f64(), limit.as_secs_f64());
        let message = format!(
            "the wait for a place is {wait:.1} s, and nobody is to wait longer than {limit:.1} s; \
             try again later"
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, "wait_too_long", &message)
    }

    fn deadline_infeasible(wait: Duration, left: Duration) -> Self {
        let (wait, left) = (wait.as_secs_f64(), left.as_secs_f64());
        let message = format!(
            "the wait for a place is {wait:.1} s, and the request has {left:.1} s; try again \
             later, or give it more time"
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, "deadline_infeasible", &message)
    }

    fn quarantined() -> Self {
        let message = "workers died computing this request, and it alone: it is not tried again";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "request_quarantined", message)
    }

    fn no_worker() -> Self {
        let message = "no worker here can do this";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, UNAVAILABLE, "no_worker", message).again_after(UNAVAILABLE_FOR)
    }

    /// A file that is not there, is another tenant's, or whose address has expired.
    pub(super) fn no_such_file(id: &str) -> Self {
        let message = format!("No such File object: {}", quotable(id));
        Self::not_found("file_not_found", &message).at("id")
    }

    /// A stored response that is not there, or is another tenant's.
    pub(super) fn no_such_response(id: &str) -> Self {
        let message = format!("Response with id '{}' not found.", quotable(id));
        Self::not_found("response_not_found", &message).at("response_id")
    }

    fn no_previous_response(id: &str) -> Self {
        let message = format!("Previous response with id '{}' not found.", quotable(id));
        Self::not_found("previous_response_not_found", &message).at("previous_response_id")
    }

    fn no_such_item(id: &str) -> Self {
        let message = format!("Item with id '{}' not found.", quotable(id));
        Self::not_found("item_not_found", &message)
    }

    fn not_found(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, INVALID_REQUEST, code, message)
    }

    /// Responses live as long as their connection: closing it is how they are cancelled.
    pub(super) fn not_in_background() -> Self {
        let message = "Cannot cancel a synchronous response.";
        Self::invalid("response_not_cancellable", message).at("response_id")
    }

    /// A field of a query that is no such value.
    pub(super) fn bad_query(name: &str, wanted: &str) -> Self {
        Self::invalid("invalid_value", &format!("`{name}` must be {wanted}")).at(name)
    }

    /// A field of a query that this service does not know.
    pub(super) fn unknown_query(name: &str) -> Self {
        let name = quotable(name);
        Self::invalid("unknown_parameter", &format!("unknown parameter `{name}`")).at(&name)
    }

    /// An address with a signature that is not ours.
    pub(super) fn forged_link() -> Self {
        let message = "the signature of this address is not valid";
        Self::new(StatusCode::FORBIDDEN, "permission_error", "invalid_signature", message)
            .at("signature")
    }

    pub(super) fn store_failed(error: &StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::internal()
    }

    /// A header that is given twice, or not as it should be.
    pub(super) fn bad_header(name: &str, wanted: &str) -> Self {
        Self::invalid("invalid_header", &format!("`{name}` must be {wanted}, once")).at(name)
    }

    pub(super) fn internal() -> Self {
        let message = "the request failed here; its x-request-id finds the cause in the log";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, SERVER, "internal_error", message)
    }

    /// The engine stopped in the middle of a document.
    pub(super) fn engine_gone() -> Self {
        tracing::error!("the engine's events ended before the document did");
        Self::internal()
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let message = error.to_string();
        let (code, param) = match error {
            RequestError::Parse(error) => return error.into(),
            RequestError::UnknownModel { name } => return Self::no_such_model(&name),
            RequestError::StoreFailed => return Self::internal(),
            RequestError::NoPreviousResponse { id } => return Self::no_previous_response(&id),
            RequestError::NoItem { param, id } => return Self::no_such_item(&id).at(&param),
            RequestError::NoFile { param, id } => return Self::no_such_file(&id).at(&param),
            RequestError::OutOfRange { param, wanted: _ }
            | RequestError::Conflict { param, reason: _ } => ("invalid_value", param),
            RequestError::Unsupported { param, reason: _ } => ("unsupported_parameter", param),
            RequestError::Untrained { param, ability: _ } => ("unsupported_by_model", param),
            RequestError::TextTooLong { param, limit: _ } => ("string_too_long", param),
            RequestError::TooManyPictures { param, limit: _ }
            | RequestError::TooManyPictureUrls { param, limit: _ } => ("too_many_images", param),
            RequestError::PictureUrl { param, fault } => (code_of_url_fault(fault), param),
            RequestError::Picture { param, source } => (code_of_picture_error(&source), param),
            RequestError::ContextLength { positions: _, limit: _ } => {
                ("context_length_exceeded", "messages".to_owned())
            }
        };
        Self::invalid(code, &message).at(&param)
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        let (code, param) = match &error {
            ParseError::Syntax { offset: _ } => {
                return Self::invalid("invalid_json", &error.to_string());
            }
            ParseError::UnknownField { param } => ("unknown_parameter", param),
            ParseError::DuplicateField { param } => ("duplicate_field", param),
            ParseError::MissingField { param } => ("missing_required_parameter", param),
            ParseError::TooMany { param, limit: _ } => ("array_too_long", param),
            ParseError::Unsupported { param } => ("unsupported_parameter", param),
            ParseError::Invalid { param, wanted: _ } => ("invalid_value", param),
        };
        Self::invalid(code, &error.to_string()).at(param)
    }
}

fn code_of_url_fault(fault: PictureUrlFault) -> &'static str {
    match fault {
        PictureUrlFault::Expired => "image_url_expired",
        PictureUrlFault::FetchingDisabled
        | PictureUrlFault::Forged
        | PictureUrlFault::NotFetchable
        | PictureUrlFault::HostNotAllowed
        | PictureUrlFault::PortNotAllowed
        | PictureUrlFault::NotADataUrl
        | PictureUrlFault::NotBase64Form => "invalid_image_url",
        PictureUrlFault::FetchFailed => "failed_to_download_image",
        PictureUrlFault::MediaType => "unsupported_image_media_type",
        PictureUrlFault::Base64 => "invalid_base64_image",
        PictureUrlFault::Empty => "empty_image_file",
        PictureUrlFault::TooLarge { limit: _ } => "image_file_too_large",
    }
}

fn code_of_picture_error(error: &PictureError) -> &'static str {
    match error {
        PictureError::UnsupportedFormat => "unsupported_image_media_type",
        PictureError::TooLarge { .. } | PictureError::TooElongated { .. } => "image_too_large",
        PictureError::Empty => "invalid_image",
        PictureError::Corrupt => "image_parse_error",
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::QueueFull { waiting, retry_after } => {
                let message = format!("{waiting} requests are waiting; try again later");
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, RATE_LIMIT, "queue_full", &message).again_after(retry_after)
            }
            SubmitError::WaitTooLong { wait, limit, retry_after } => {
                Self::wait_too_long(wait, limit).again_after(retry_after)
            }
            SubmitError::DeadlineInfeasible { wait, left, retry_after } => {
                Self::deadline_infeasible(wait, left).again_after(retry_after)
            }
            SubmitError::TenantQueueFull { waiting, retry_after } => {
                let message = format!("{waiting} of your requests are waiting; try again later");
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, RATE_LIMIT, "tenant_queue_full", &message)
                    .again_after(retry_after)
            }
            SubmitError::MemoryFull { reserved: _, retry_after } => {
                let message = "requests take all the memory there is for them; try again later";
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, RATE_LIMIT, "server_busy", message).again_after(retry_after)
            }
            SubmitError::KeysFull { retry_after } => {
                let message = "too many of your idempotency keys are in use; try again later";
                let status = StatusCode::TOO_MANY_REQUESTS;
                Self::new(status, RATE_LIMIT, "idempotency_keys_full", message)
                    .again_after(retry_after)
            }
            SubmitError::KeyConflict => {
                let message = "this `Idempotency-Key` was used for another request";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, INVALID_REQUEST, "idempotency_key_reuse", message)
                    .at("Idempotency-Key")
            }
            SubmitError::Quarantined { retry_after } => {
                Self::quarantined().again_after(retry_after)
            }
            SubmitError::TooLarge { num_bytes, limit } => {
                let message =
                    format!("the request needs {num_bytes} bytes; requests may hold {limit}");
                Self::invalid("request_too_large", &message).at("messages")
            }
            SubmitError::NoWorker => Self::no_worker(),
            SubmitError::TooLong { positions, limit } => {
                let message =
                    format!("the request needs {positions} positions; the context has {limit}");
                Self::invalid("context_length_exceeded", &message).at("messages")
            }
            SubmitError::TooWide { positions, limit } => {
                let message = format!(
                    "up to {positions} positions are needed at once; the KV cache has {limit}"
                );
                Self::invalid("kv_cache_exceeded", &message).at("num_beams")
            }
            SubmitError::Loading => Self::not_ready(EngineStatus::Loading),
            SubmitError::Draining => Self::not_ready(EngineStatus::Draining),
            SubmitError::Failed => Self::not_ready(EngineStatus::Failed),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Model(cause) => {
                tracing::error!(cause, "the model failed");
                Self::internal()
            }
            EngineError::Deadline => {
                let message = "the document was not complete in time";
                let status = StatusCode::GATEWAY_TIMEOUT;
                Self::new(status, SERVER, "deadline_exceeded", message)
            }
            EngineError::NotFinite(cause) => {
                tracing::error!(cause, "the model's numbers are not finite");
                let message = "the model's numbers became infinite; nothing else is affected";
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, SERVER, "model_numerical_error", message)
            }
            EngineError::Quarantined => Self::quarantined(),
            EngineError::Lost { deaths } => {
                let message = format!("{deaths} workers ended while computing this request");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, SERVER, "worker_lost", &message)
            }
            EngineError::SlowReader => {
                let message = "the answer was not read in time";
                let status = StatusCode::REQUEST_TIMEOUT;
                Self::new(status, INVALID_REQUEST, "slow_reader", message)
            }
            EngineError::NoWorker => Self::no_worker(),
            EngineError::ShuttingDown => Self::not_ready(EngineStatus::Draining),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
            let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Answers are for one client at one time: no cache may keep them.
pub(super) async fn never_cached(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().entry(CACHE_CONTROL).or_insert(no_store);
    response
}

/// A client's own words, short and without anything that could dress up a terminal or a log.
fn quotable(text: &str) -> String {
    let plain = |char: char| {
        if char.is_alphanumeric() || char.is_ascii_graphic() { char } else { '\u{fffd}' }
    };
    text.chars().take(MAX_QUOTED_CHARS).map(plain).collect()
}

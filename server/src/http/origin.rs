//! Where a request's time, randomness and identity come from; the only file of the edge that looks at a
//! clock or draws a number.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Gives out identities, seeds and the time.
#[derive(Clone)]
pub struct Origin {
    identity: Arc<dyn Fn() -> Uuid + Send + Sync>,
    unix_time: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Origin {
    /// From a source of unique identifiers, and one of seconds since 1970.
    pub fn new(
        identity: impl Fn() -> Uuid + Send + Sync + 'static,
        unix_time: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self { identity: Arc::new(identity), unix_time: Arc::new(unix_time) }
    }

    /// From the operating system.
    pub fn system() -> Self {
        let unix_time =
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::new(Uuid::now_v7, unix_time)
    }

    /// A new identifier: 32 hexadecimal digits.
    pub(super) fn identity(&self) -> String {
        (self.identity)().simple().to_string()
    }

    /// A new seed, below 2^53 so that it survives JavaScript's numbers.
    pub fn seed(&self) -> u64 {
        seed_from(&Sha256::digest((self.identity)().as_bytes()).into())
    }

    /// Seconds since 1970.
    pub fn unix_time(&self) -> u64 {
        (self.unix_time)()
    }
}

/// A seed from a digest, below 2^53.
pub(super) fn seed_from(digest: &[u8; 32]) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(bytes) >> 11
}

/// The identity of one request, as its client or we chose it.
#[derive(Debug, Clone)]
pub(super) struct RequestId(String);

/// When a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival(Instant);

impl Arrival {
    /// How long ago.
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Takes the client's `x-request-id` if it is short and plain, makes one otherwise, and returns it.
pub(super) async fn identify(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let id = match given {
        Some(id) if is_plain(id) => id.to_owned(),
        Some(_) | None => state.origin.identity(),
    };
    let header = HeaderValue::from_str(&id);
    request.extensions_mut().insert(RequestId(id));
    request.extensions_mut().insert(Arrival(Instant::now()));
    let mut response = next.run(request).await;
    if let Ok(header) = header {
        response.headers_mut().insert(REQUEST_ID, header);
    }
    response
}

fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.bytes().all(plain)
}

/// The span every log line of a request belongs to. Holds no content: not even the query.
pub(super) fn request_span<B>(request: &axum::http::Request<B>) -> tracing::Span {
    let id = request.extensions().get::<RequestId>().map_or("", |RequestId(id)| id.as_str());
    let path: String = request.uri().path().chars().take(128).collect();
    tracing::info_span!("http", request_id = id, method = %request.method(), path)
}

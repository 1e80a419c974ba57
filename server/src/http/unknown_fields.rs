//! Fields that nobody here knows: an error, unless the operator lets them be ignored for a gateway's sake; then the
//! response names them in a header. Knows no field by name.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use reverie_proto::without_unknown_fields;
use serde::de::DeserializeOwned;

use super::body::HeldBody;
use super::error::ApiError;
use super::preparation::blocking;

const IGNORED: HeaderName = HeaderName::from_static("x-reverie-ignored-params");
/// Names beyond these are counted, not named.
const MAX_NAMES: usize = 32;
const MAX_NAME_CHARS: usize = 64;

/// What becomes of fields of a request that are not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum UnknownParams {
    /// The request is refused, naming the first.
    Refuse,
    /// They are left out; the header `x-reverie-ignored-params` names them.
    Ignore,
}

/// Where the names of ignored fields are noted for the response.
#[derive(Debug, Clone, Default)]
pub(super) struct UnknownFields(Arc<Mutex<Vec<String>>>);

impl UnknownFields {
    /// Of this request, whose response will name them.
    pub(super) fn of(request: &Request) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// `body`, to be read as a `T`, without what `T` does not know, if that may be ignored. Its room is held by the work.
    pub(super) async fn left_out<T: DeserializeOwned>(
        &self,
        body: HeldBody,
        policy: UnknownParams,
    ) -> Result<HeldBody, ApiError> {
        match policy {
            UnknownParams::Refuse => Ok(body),
            UnknownParams::Ignore => {
                let noted = self.clone();
                blocking(move || match without_unknown_fields::<T>(&body.bytes) {
                    None => Ok(body),
                    Some((bytes, names)) => {
                        noted.note(names);
                        Ok(HeldBody { bytes, ..body })
                    }
                })
                .await
            }
        }
    }

    fn note(&self, names: Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
    }

    fn header(&self) -> Option<HeaderValue> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.is_empty() {
            return None;
        }
        let mut words: Vec<String> = names.iter().take(MAX_NAMES).map(|name| plain(name)).collect();
        if names.len() > MAX_NAMES {
            words.push(format!("and {} more", names.len() - MAX_NAMES));
        }
        HeaderValue::from_str(&words.join(", ")).ok()
    }
}

/// A client's own name as a header can have it.
fn plain(name: &str) -> String {
    let plain = |char: char| if char.is_ascii_graphic() && char != ',' { char } else { '?' };
    name.chars().take(MAX_NAME_CHARS).map(plain).collect()
}

/// Names in the response what was ignored of the request.
pub(super) async fn name_ignored(mut request: Request, next: Next) -> Response {
    let fields = UnknownFields::default();
    request.extensions_mut().insert(fields.clone());
    let mut response = next.run(request).await;
    if let Some(names) = fields.header() {
        response.headers_mut().insert(IGNORED, names);
    }
    response
}

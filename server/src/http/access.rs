//! Who may come in: API keys, and the `Host` headers a loopback server answers.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, Version};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::{AppState, HttpSettings};
use crate::engine::request::{ONE_TENANT, TenantId};

/// The digest of a key; the key itself is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey([u8; 32]);

impl ApiKey {
    /// The key a client must send as `Authorization: Bearer KEY`.
    pub fn new(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Whose requests it opens the door to; says nothing about the key to whoever does not know `salt`.
    fn tenant(&self, salt: &[u8; 32]) -> TenantId {
        let digest = Sha256::new().chain_update(salt).chain_update(self.0).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        TenantId(u128::from_le_bytes(bytes))
    }

    /// Whether both are the same, taking as long either way.
    fn is(&self, other: &Self) -> bool {
        let difference =
            self.0.iter().zip(other.0).fold(0, |sum, (own, other)| sum | (own ^ other));
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(…)")
    }
}

/// Which `Host` headers are answered. A list keeps pages of a rebound domain from using a local server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHosts {
    /// All: something in front decides.
    Any,
    /// These names, in lower case, on any port.
    Only(Vec<String>),
}

impl AllowedHosts {
    /// The names of a loopback listener.
    pub fn loopback() -> Self {
        Self::Only(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec())
    }

    fn allow(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(names) => {
                let name = match host.rsplit_once(':') {
                    Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
                    Some(_) | None => host,
                };
                names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
            }
        }
    }
}

/// Lets a request pass that brings one of the keys, if there are any, and notes whose it is.
pub(super) async fn require_key(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&state.settings, request.headers())?;
    request.extensions_mut().insert(tenant);
    Ok(next.run(request).await)
}

/// Whose a request with these headers is.
///
/// # Errors
/// 401 if it brings none of the keys that there are.
pub(super) fn tenant_of(
    settings: &HttpSettings,
    headers: &HeaderMap,
) -> Result<TenantId, ApiError> {
    let keys = &settings.api_keys;
    if keys.is_empty() {
        return Ok(ONE_TENANT);
    }
    let given = bearer(headers).map(ApiKey::new).ok_or_else(ApiError::bad_key)?;
    // Every key is compared, so that the time taken says nothing about which one matched.
    let matches = keys.iter().fold(false, |found, key| found | key.is(&given));
    if !matches {
        return Err(ApiError::bad_key());
    }
    Ok(given.tenant(&settings.tenant_salt))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (first, second) = (all.next()?, all.next());
    if second.is_some() {
        return None;
    }
    let (scheme, key) = first.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

/// Lets a request pass that says, once, whom it wants to reach, and means us.
pub(super) async fn require_known_host(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let known = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(ApiError::bad_host()),
        (Some(host), None) => {
            let host = host.to_str().map_err(|_| ApiError::bad_host())?;
            state.settings.allowed_hosts.allow(host)
        }
        (None, None) => match (request.uri().authority(), request.version()) {
            (Some(authority), _) => state.settings.allowed_hosts.allow(authority.as_str()),
            (None, Version::HTTP_11) => return Err(ApiError::bad_host()),
            (None, _) => state.settings.allowed_hosts == AllowedHosts::Any,
        },
    };
    if known { Ok(next.run(request).await) } else { Err(ApiError::misdirected()) }
}

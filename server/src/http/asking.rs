//! How a request is asked, beside what it asks for: by whom, until when, under which name. Knows headers.

use std::time::Duration;

use axum::http::{Extensions, HeaderMap};
use sha2::{Digest as _, Sha256};

use super::error::ApiError;
use super::origin::Arrival;
use crate::engine::document_engine::DocumentEngine;
use crate::engine::event::EngineError;
use crate::engine::request::{EngineRequest, ONE_TENANT, RequestIdentity, TenantId};
use crate::request::Limits;

const TIMEOUT: &str = "x-request-timeout-ms";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// A day: no document takes longer.
const MAX_TIMEOUT_MS: u64 = 86_400_000;
const MAX_KEY_BYTES: usize = 255;

/// How a request is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    tenant: TenantId,
    arrival: Option<Arrival>,
    timeout: Option<Duration>,
    /// SHA-256 of the client's name for the request.
    key: Option<[u8; 32]>,
}

impl Asking {
    /// # Errors
    /// 400 for a header that is doubled or no such value.
    pub(super) fn read(headers: &HeaderMap, extensions: &Extensions) -> Result<Self, ApiError> {
        let timeout = match only(headers, TIMEOUT, TIMEOUT_WANTED)? {
            None => None,
            Some(text) => {
                let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()); // `+5` parses too
                let millis = is_plain.then(|| text.parse().ok()).flatten();
                let millis = millis.filter(|ms| (1..=MAX_TIMEOUT_MS).contains(ms));
                let refused = ApiError::bad_header(TIMEOUT, TIMEOUT_WANTED);
                Some(Duration::from_millis(millis.ok_or(refused)?))
            }
        };
        let key = match only(headers, IDEMPOTENCY_KEY, KEY_WANTED)? {
            None => None,
            Some(key) if is_key(key) => Some(Sha256::digest(key.as_bytes()).into()),
            Some(_) => return Err(ApiError::bad_header(IDEMPOTENCY_KEY, KEY_WANTED)),
        };
        let tenant = extensions.get().copied().unwrap_or(ONE_TENANT);
        Ok(Self { tenant, arrival: extensions.get().copied(), timeout, key })
    }

    /// By whom.
    pub(super) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Whether it is of any use to read the request. One that has a name may have been answered already.
    ///
    /// # Errors
    /// The engine's refusal of everything that is asked now.
    pub(super) fn announce(
        &self,
        engine: &dyn DocumentEngine,
        limits: &Limits,
    ) -> Result<(), ApiError> {
        match self.key {
            Some(_) => Ok(()),
            None => Ok(engine.announce(self.tenant, limits.first_priority())?),
        }
    }

    /// What is left of the time until its client, or `limit`, gives up; `None` is for ever.
    ///
    /// # Errors
    /// If nothing is left.
    pub(super) fn time_left(&self, limit: Option<Duration>) -> Result<Option<Duration>, ApiError> {
        let Some(timeout) = self.timeout else { return Ok(limit) };
        let spent = self.arrival.map_or(Duration::ZERO, Arrival::elapsed);
        let left = timeout.saturating_sub(spent);
        if left.is_zero() {
            return Err(EngineError::Deadline.into());
        }
        Ok(Some(limit.map_or(left, |limit| limit.min(left))))
    }

    /// What a request named by its client draws its seed and its answer's id from, so that asking again
    /// gives the same bytes; `None` of one without a name.
    pub(super) fn root(&self, fingerprint: &[u8; 32]) -> Option<[u8; 32]> {
        let key = self.key?;
        let tenant = self.tenant.0.to_le_bytes();
        let root = Sha256::new().chain_update(tenant).chain_update(key).chain_update(fingerprint);
        Some(root.finalize().into())
    }

    /// Notes on `request` whose it is and how it is recognised.
    pub(super) fn sign(&self, request: &mut EngineRequest, fingerprint: [u8; 32], created: u64) {
        request.tenant = self.tenant;
        request.identity = RequestIdentity { fingerprint, idempotency_key: self.key, created };
    }
}

const TIMEOUT_WANTED: &str = "milliseconds from 1 to 86400000";
const KEY_WANTED: &str = "1 to 255 visible ASCII characters";

fn is_key(text: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A header that is given once at most.
fn only<'a>(headers: &'a HeaderMap, name: &str, wanted: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| ApiError::bad_header(name, wanted))
        }
        (Some(_), Some(_)) => Err(ApiError::bad_header(name, wanted)),
    }
}

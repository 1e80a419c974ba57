//! What one client keeps here between requests: responses, and pictures under addresses that it is sent. Whatever belongs
//! to another tenant is not there. All of it may wait for a disk: call it where blocking is allowed.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use sha2::{Digest as _, Sha256};

use super::AppState;
use super::error::ApiError;
use crate::engine::request::TenantId;
use crate::file_link::{FileLink, LinkFault, SigningKey};
use crate::request::{KeptItems, OwnPictureFault, OwnPictures, RequestError, StoredResponse};
use crate::store::{Record, RecordStore, StoreError, StoredId, StoredKind};

/// What one client keeps, as of one moment.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    store: Arc<dyn RecordStore>,
    key: SigningKey,
    tenant: TenantId,
    /// Seconds since 1970.
    now: u64,
}

/// Where addresses that are sent to one client begin.
#[derive(Debug, Clone)]
pub(super) struct AddressBase(Option<String>);

/// What is found of a file.
#[derive(Debug, Clone)]
pub(super) enum FoundFile {
    /// Its bytes.
    Here(Arc<[u8]>),
    /// It is not kept, or is another tenant's.
    Gone,
    /// Its address leads nowhere.
    Refused(LinkFault),
}

impl FoundFile {
    fn of(record: Option<Record>) -> Self {
        record.map_or(Self::Gone, |record| Self::Here(record.bytes))
    }
}

impl AddressBase {
    /// The configured one, or else what the client itself called us.
    pub(super) fn new(state: &AppState, headers: &HeaderMap) -> Self {
        let said = || {
            let host: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
            Some(format!("http://{host}"))
        };
        Self(state.settings.public_url.clone().or_else(said))
    }

    pub(super) fn get(&self) -> Result<&str, ApiError> {
        self.0.as_deref().ok_or_else(ApiError::bad_host)
    }
}

impl Shelf {
    pub(super) fn new(state: &AppState, tenant: TenantId) -> Self {
        let (store, key) = (Arc::clone(&state.store), state.settings.signing_key.clone());
        Self { store, key, tenant, now: state.origin.unix_time() }
    }

    /// Keeps a picture's file; its address below `base`. The same file has the same id.
    pub(super) fn keep_picture(&self, file: Vec<u8>, base: &str) -> Result<String, StoreError> {
        let digest = Sha256::digest(&file);
        let unique = self.key.unguessable(&[b"picture", &self.tenant.0.to_le_bytes(), &digest]);
        let id = StoredId { kind: StoredKind::Picture, unique };
        self.store.put(id, &Record { owner: self.tenant, bytes: file.into() }, self.now)?;
        let expires = self.now.saturating_add(self.store.limits().max_age);
        Ok(FileLink::new(id, expires, &self.key).url(base))
    }

    /// Names the response whose identity is this.
    pub(super) fn response_id(&self, identity: &str) -> StoredId {
        let parts = [b"response".as_slice(), &self.tenant.0.to_le_bytes(), identity.as_bytes()];
        StoredId { kind: StoredKind::Response, unique: self.key.unguessable(&parts) }
    }

    /// Keeps a response.
    pub(super) fn keep_response(
        &self,
        id: StoredId,
        response: &StoredResponse,
    ) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(response).expect("our own types always serialise");
        self.store.put(id, &Record { owner: self.tenant, bytes: bytes.into() }, self.now)
    }

    /// The response under `id`, if it is this client's.
    pub(super) fn find_response(&self, id: StoredId) -> Result<Option<StoredResponse>, StoreError> {
        let record = self.find(id, StoredKind::Response)?;
        let Some(record) = record.filter(|record| record.owner == self.tenant) else {
            return Ok(None);
        };
        let read = serde_json::from_slice(&record.bytes);
        // Written by another version, perhaps: then nothing can go on from it.
        Ok(read.inspect_err(|error| tracing::warn!(%id, %error, "a response cannot be read")).ok())
    }

    /// Forgets the response under `id`; whether it was there and this client's.
    pub(super) fn forget_response(&self, id: StoredId) -> Result<bool, StoreError> {
        let record = self.find(id, StoredKind::Response)?;
        let is_own = record.is_some_and(|record| record.owner == self.tenant);
        if is_own {
            self.store.remove(id)?;
        }
        Ok(is_own)
    }

    /// Bytes of one record at most.
    pub(super) fn max_record_bytes(&self) -> u64 {
        self.store.limits().max_record_bytes()
    }

    /// The same, later.
    pub(super) fn later(self, now: u64) -> Self {
        Self { now, ..self }
    }

    /// The picture under `id`, if it is this client's.
    pub(super) fn picture(&self, id: StoredId) -> Result<FoundFile, StoreError> {
        let record = self.find(id, StoredKind::Picture)?;
        Ok(FoundFile::of(record.filter(|record| record.owner == self.tenant)))
    }

    /// The picture that `link` leads to, whosoever it is: who has an address may have what is there.
    pub(super) fn linked_picture(&self, link: &FileLink) -> Result<FoundFile, StoreError> {
        if let Err(fault) = link.check(&self.key, self.now) {
            return Ok(FoundFile::Refused(fault));
        }
        Ok(FoundFile::of(self.find(link.id, StoredKind::Picture)?))
    }

    /// Seconds until `link` expires.
    pub(super) fn seconds_left(&self, link: &FileLink) -> u64 {
        link.expires.saturating_sub(self.now)
    }

    fn find(&self, id: StoredId, kind: StoredKind) -> Result<Option<Record>, StoreError> {
        if id.kind == kind { self.store.get(id, self.now) } else { Ok(None) }
    }
}

impl KeptItems for Shelf {
    fn response(&self, id: StoredId) -> Result<Option<StoredResponse>, RequestError> {
        self.find_response(id).map_err(|error| unreadable(&error))
    }

    fn file(&self, id: StoredId) -> Result<Option<Vec<u8>>, RequestError> {
        match self.picture(id).map_err(|error| unreadable(&error))? {
            FoundFile::Here(file) => Ok(Some(file.to_vec())),
            FoundFile::Gone | FoundFile::Refused(_) => Ok(None),
        }
    }
}

fn unreadable(error: &StoreError) -> RequestError {
    log(error);
    RequestError::StoreFailed
}

fn log(error: &StoreError) {
    tracing::error!(%error, "what is kept cannot be read");
}

impl OwnPictures for Shelf {
    fn at(&self, url: &str) -> Option<Result<Vec<u8>, OwnPictureFault>> {
        let link = FileLink::parse(url)?;
        Some(match self.linked_picture(&link) {
            Ok(FoundFile::Here(file)) => Ok(file.to_vec()),
            Ok(FoundFile::Gone) => Err(OwnPictureFault::Gone),
            Ok(FoundFile::Refused(LinkFault::Expired)) => Err(OwnPictureFault::Expired),
            Ok(FoundFile::Refused(LinkFault::Forged)) => Err(OwnPictureFault::Forged),
            Err(error) => {
                log(&error);
                Err(OwnPictureFault::StoreFailed)
            }
        })
    }
}

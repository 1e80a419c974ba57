//! What handlers share, and what they are set to. Everything in it is read-only.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reverie_model::tokenizer::SpecialTokens;
use tokio::sync::Semaphore;

use super::{AllowedHosts, ApiKey, Origin, UnknownParams};
use crate::engine::document_engine::DocumentEngine;
use crate::file_link::SigningKey;
use crate::picture_codec::{PictureCodec, ShrinkPicture};
use crate::picture_fetch::PictureFetcher;
use crate::prompt::PromptEncoder;
use crate::provenance::ModelProvenance;
use crate::request::Limits;
use crate::store::RecordStore;
use crate::template::PromptTemplate;

/// What handlers share; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// Whatever writes documents.
    pub engine: Arc<dyn DocumentEngine>,
    /// What is served.
    pub model: Arc<ServedModel>,
    /// Reads and writes picture files.
    pub codec: PictureCodec,
    /// Fetches pictures from elsewhere, where limits allow any.
    pub fetcher: Arc<PictureFetcher>,
    /// One permit for each [`BODY_UNIT`](super::BODY_UNIT) of the bodies that are held.
    pub body_memory: Arc<Semaphore>,
    /// One permit for each request between its body and the engine's queue.
    pub preparing: Arc<Semaphore>,
    /// One permit for each request whose pictures are being read at a time.
    pub picture_reading: Arc<Semaphore>,
    /// One permit for each picture being written at a time: what is drawn never waits behind uploads.
    pub picture_writing: Arc<Semaphore>,
    /// What is kept between requests.
    pub store: Arc<dyn RecordStore>,
    /// Where time, randomness and identity come from.
    pub origin: Origin,
    /// How the edge behaves.
    pub settings: Arc<HttpSettings>,
}

/// Text to token ids, never a control token.
pub type TextEncoder = Arc<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// Token ids to text, control tokens spelt out.
pub type TextDecoder = Arc<dyn Fn(&[u32]) -> String + Send + Sync>;

/// A token as the vocabulary spells it.
pub type TokenSpeller = Arc<dyn Fn(u32) -> String + Send + Sync>;

/// The bytes that a token adds to a text; none of a control token.
pub type TokenBytes = Arc<dyn Fn(u32) -> Vec<u8> + Send + Sync>;

/// The tokenizer, as far as the edge needs it.
pub struct Vocabulary {
    /// Text to ids.
    pub encode: TextEncoder,
    /// Ids to text.
    pub decode: TextDecoder,
    /// One id to its spelling.
    pub spell: TokenSpeller,
    /// One id to its bytes.
    pub bytes: TokenBytes,
    /// The control tokens.
    pub special: SpecialTokens,
    /// Ids are below this.
    pub size: usize,
}

/// What is served: everything about the model that turning a request into a prompt needs.
pub struct ServedModel {
    /// What requests may ask for.
    pub limits: Limits,
    /// How conversations are written down.
    pub template: PromptTemplate,
    /// Its tokens.
    pub vocabulary: Vocabulary,
    /// What is kept of a picture.
    pub shrink: ShrinkPicture,
    /// Where its answers come from.
    pub provenance: ModelProvenance,
    /// When it was loaded, seconds since 1970.
    pub created: u64,
    /// Whether it is the one inside the binary.
    pub is_built_in: bool,
}

impl ServedModel {
    /// The encoder, in the form prompts are built with.
    pub fn encoder(&self) -> PromptEncoder<'_> {
        let Vocabulary { encode, special, .. } = &self.vocabulary;
        PromptEncoder { encode: encode.as_ref(), bos: special.bos, eos: special.eos }
    }
}

impl fmt::Debug for ServedModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServedModel")
            .field("limits", &self.limits)
            .field("template", &self.template.name)
            .finish_non_exhaustive()
    }
}

/// How the edge behaves, complete.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Any of these opens `/v1`; none at all leaves it open.
    pub api_keys: Vec<ApiKey>,
    /// Makes tenants of keys: not to be guessed, the same for instances that share it.
    pub tenant_salt: [u8; 32],
    /// Signs the addresses of kept pictures and names what is kept; the same for instances that share a store.
    pub signing_key: SigningKey,
    /// Where clients reach this service, without a slash at the end; `None` is what they call it themselves.
    pub public_url: Option<String>,
    /// Which `Host` headers are answered.
    pub allowed_hosts: AllowedHosts,
    /// Whether `/` is a page to try the server with.
    pub playground: bool,
    /// What becomes of fields that are not known here.
    pub unknown_params: UnknownParams,
    /// A longer body is refused.
    pub max_body_bytes: usize,
    /// All bodies together, from their first byte until their pictures are decoded.
    pub max_held_body_bytes: usize,
    /// A body must have arrived after this long.
    pub body_timeout: Duration,
    /// A document must be complete this long after it was accepted, if set.
    pub request_timeout: Option<Duration>,
    /// A stream with nothing to say says so this often.
    pub keep_alive: Duration,
}

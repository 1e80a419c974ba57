//! Pictures from elsewhere, by `http` and `https`. What a URL's text allows, `request::PictureUrl` has judged; here
//! every address is judged before it is dialled, every redirection like a first URL, and bounds are kept: of time,
//! bytes, redirections, connections and look-ups. Sends nothing that says who asks: no cookie, no key, no referrer,
//! and never through a proxy. Knows no request and decodes nothing.

mod exchange;
mod name_lookup;
mod places;
pub mod public_address;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reverie_model::PictureError;
use reverie_model::picture_codec::read_header;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

pub use name_lookup::LookUp;
pub use name_lookup::system as system_lookup;

use crate::request::{PictureUrl, PictureUrlPolicy};
use exchange::Reply;
use name_lookup::NameLookup;
use places::Places;

/// Why a picture was not fetched. Tells the log, not the client, which of them it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The file is too large.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
    /// Nothing here has room for it now.
    #[error("no room for it")]
    NoRoom,
    /// Its name means nothing, or looking it up took too long.
    #[error("its name is not known")]
    UnknownName,
    /// An address that is not public.
    #[error("an address that is not public")]
    NotPublic,
    /// No connection, a broken one, or no HTTP in it.
    #[error("no connection")]
    Connection,
    /// No TLS, or a certificate that is not trusted.
    #[error("no trusted TLS")]
    Tls,
    /// A status that means no file.
    #[error("status {0}")]
    Status(u16),
    /// Too many redirections, or one that leads where nobody may go.
    #[error("a redirection that is not followed")]
    Redirection,
    /// All of it took too long.
    #[error("took too long")]
    Timeout,
    /// A file, but no picture.
    #[error("no picture")]
    NotAPicture,
}

/// How much a fetch may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Bytes of a file.
    pub max_bytes: usize,
    /// Redirections in a row.
    pub max_redirects: usize,
    /// From the first look-up to the last byte, waiting for a place included.
    pub timeout: Duration,
    /// For one connection, all addresses of a name included.
    pub connect_timeout: Duration,
    /// Fetches at a time.
    pub max_fetches: usize,
    /// Fetches from one host at a time.
    pub max_fetches_per_host: usize,
    /// Look-ups at a time: each holds a thread of the system's resolver.
    pub max_lookups: usize,
}

impl FetchLimits {
    /// What a daemon keeps to, for files of at most `max_bytes`.
    pub fn standard(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            max_redirects: 3,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            max_fetches: 16, // sockets and half-read files, beside the bound on all bodies
            max_fetches_per_host: 4, // no host is flooded by way of us; browsers take six
            max_lookups: 8,
        }
    }
}

/// What the world looks like: tests have one of their own.
#[derive(Clone)]
pub struct Surroundings {
    /// Names to addresses; may take long.
    pub look_up: LookUp,
    /// Which addresses may be dialled.
    pub may_dial: fn(IpAddr) -> bool,
    /// Whose certificates are trusted.
    pub roots: RootCertStore,
}

impl Surroundings {
    /// The system's resolver, public addresses only, Mozilla's certificates.
    pub fn system() -> Self {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Self { look_up: system_lookup(), may_dial: public_address::is_public, roots }
    }
}

/// Fetches pictures.
pub struct PictureFetcher {
    policy: PictureUrlPolicy,
    limits: FetchLimits,
    lookup: NameLookup,
    may_dial: fn(IpAddr) -> bool,
    tls: TlsConnector,
    places: Arc<Places>,
}

impl PictureFetcher {
    /// A fetcher that follows redirections as `policy` allows.
    ///
    /// # Panics
    /// Never: the cryptography it asks for is compiled in.
    pub fn new(policy: PictureUrlPolicy, limits: FetchLimits, surroundings: Surroundings) -> Self {
        let Surroundings { look_up, may_dial, roots } = surroundings;
        let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            policy,
            limits,
            lookup: NameLookup::new(look_up, limits.max_lookups),
            may_dial,
            tls: TlsConnector::from(Arc::new(tls)),
            places: Places::new(limits.max_fetches, limits.max_fetches_per_host),
        }
    }

    /// The file at `url`, which begins as a picture does. `grow` is asked for room for so many bytes in all before
    /// they are kept. Dropping the future closes the connection.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn fetch(
        &self,
        url: PictureUrl,
        grow: impl FnMut(usize) -> bool + Send,
    ) -> Result<Vec<u8>, FetchError> {
        let fetched = tokio::time::timeout(self.limits.timeout, self.follow(url, grow)).await;
        let file = fetched.map_err(|_elapsed| FetchError::Timeout)??;
        match read_header(&file) {
            // What is wrong with a picture, its decoder says.
            Ok(_) | Err(PictureError::Corrupt) => Ok(file),
            Err(_) => Err(FetchError::NotAPicture),
        }
    }

    async fn follow(
        &self,
        mut url: PictureUrl,
        mut grow: impl FnMut(usize) -> bool + Send,
    ) -> Result<Vec<u8>, FetchError> {
        for _ in 0..=self.limits.max_redirects {
            let _place = self.places.take(&url).await;
            match self.ask(&url, &mut grow).await? {
                Reply::File(file) => return Ok(file),
                Reply::Elsewhere(location) => {
                    let next = url.redirected(&location, &self.policy);
                    url = next.map_err(|_| FetchError::Redirection)?;
                }
            }
        }
        Err(FetchError::Redirection)
    }
}

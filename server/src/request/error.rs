//! Why a request cannot be served, as facts. Chooses no status code and never quotes content.

use reverie_model::PictureError;
use reverie_model::config::Ability;
use reverie_proto::ParseError;

/// A request that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a request at all.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A value out of its range.
    #[error("`{param}` must be {wanted}")]
    OutOfRange {
        /// Its path.
        param: String,
        /// What is allowed.
        wanted: String,
    },
    /// Two parameters that exclude each other.
    #[error("`{param}` {reason}")]
    Conflict {
        /// The one at fault.
        param: String,
        /// Why, as the rest of a sentence.
        reason: String,
    },
    /// A value of OpenAI's that this service does not offer.
    #[error("`{param}` {reason}")]
    Unsupported {
        /// Its path.
        param: String,
        /// Why, as the rest of a sentence.
        reason: String,
    },
    /// Something that the model was not trained for.
    #[error("`{param}` needs {ability}, which this model was not trained for")]
    Untrained {
        /// Its path.
        param: String,
        /// What the model lacks.
        ability: Ability,
    },
    /// A label longer than any label need be.
    #[error("`{param}` is too long: at most {limit} bytes")]
    TextTooLong {
        /// Its path.
        param: String,
        /// Bytes allowed.
        limit: usize,
    },
    /// No model of this name is served.
    #[error("no such model")]
    UnknownModel {
        /// What the client wrote, unbounded.
        name: String,
    },
    /// More pictures than a request may bring.
    #[error("too many pictures: at most {limit}")]
    TooManyPictures {
        /// The first one too many.
        param: String,
        /// Pictures allowed.
        limit: usize,
    },
    /// More pictures from elsewhere than a request may have.
    #[error("too many pictures to fetch: at most {limit}; send the others as data URLs")]
    TooManyPictureUrls {
        /// The first one too many.
        param: String,
        /// Pictures allowed.
        limit: usize,
    },
    /// A picture's URL that cannot be used.
    #[error("`{param}` {fault}")]
    PictureUrl {
        /// Its path.
        param: String,
        /// Why.
        fault: PictureUrlFault,
    },
    /// A stored response that is not there.
    #[error("Previous response with id '{id}' not found.")]
    NoPreviousResponse {
        /// Whose id the client wrote, unbounded.
        id: String,
    },
    /// A stored item that is not there.
    #[error("Item with id '{id}' not found.")]
    NoItem {
        /// Where it is named.
        param: String,
        /// Whose id the client wrote, unbounded.
        id: String,
    },
    /// A kept file that is not there.
    #[error("No such File object: {id}")]
    NoFile {
        /// Where it is named.
        param: String,
        /// Whose id the client wrote, unbounded.
        id: String,
    },
    /// What is kept could not be read; the cause is in the log.
    #[error("the store failed")]
    StoreFailed,
    /// A picture file that cannot be used.
    #[error("`{param}`: {source}")]
    Picture {
        /// The path of its URL.
        param: String,
        /// Why.
        source: PictureError,
    },
    /// Surely more positions than the context has.
    #[error("the request needs at least {positions} positions; the context has {limit}")]
    ContextLength {
        /// Positions needed at least.
        positions: usize,
        /// Positions of the context.
        limit: usize,
    },
}

/// Why a picture's URL cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureUrlFault {
    /// An `http` or `https` URL.
    #[error("is an http(s) URL: fetching pictures is not enabled, send a data URL")]
    FetchingDisabled,
    /// An address that looks like ours.
    #[error("looks like an address of this service, but was not signed by it")]
    Forged,
    /// An address of ours whose picture is gone.
    #[error("has expired: its picture is not kept any more")]
    Expired,
    /// An `http` or `https` URL that is none, that names a user, that is too long, or that parsers read differently.
    #[error(
        "is not a URL that is fetched: plain http(s), without a user name, of at most 8192 bytes"
    )]
    NotFetchable,
    /// A host that is not on the list.
    #[error("is on a host that pictures are not fetched from here")]
    HostNotAllowed,
    /// A port that is not on the list.
    #[error("is on a port that pictures are not fetched from here")]
    PortNotAllowed,
    /// Whatever went wrong: saying what would tell of hosts and ports that the client itself may not reach.
    #[error("could not be fetched as a picture")]
    FetchFailed,
    /// Any other scheme, or none.
    #[error("must be a data URL such as data:image/png;base64,…")]
    NotADataUrl,
    /// A data URL whose data is not marked as base64.
    #[error("must have its data in base64: data:image/png;base64,…")]
    NotBase64Form,
    /// A data URL that says it is something else.
    #[error("does not say that it is a picture: its media type must be image/… or absent")]
    MediaType,
    /// Not the standard alphabet with padding.
    #[error("is not valid base64: standard alphabet, padded, no white space")]
    Base64,
    /// No data.
    #[error("holds no data")]
    Empty,
    /// Too many bytes.
    #[error("holds a file of more than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: usize,
    },
}

impl RequestError {
    pub(crate) fn conflict(param: &str, reason: &str) -> Self {
        Self::Conflict { param: param.to_owned(), reason: reason.to_owned() }
    }

    pub(super) fn out_of_range(param: &str, wanted: &str) -> Self {
        Self::OutOfRange { param: param.to_owned(), wanted: wanted.to_owned() }
    }

    pub(super) fn unsupported(param: &str, reason: &str) -> Self {
        Self::Unsupported { param: param.to_owned(), reason: reason.to_owned() }
    }
}

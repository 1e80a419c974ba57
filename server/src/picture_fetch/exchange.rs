//! One question to one host, and its answer: look up, judge, dial, ask, read. The addresses that were judged are the
//! ones that are dialled.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, LOCATION, USER_AGENT,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Host;

use super::{FetchError, PictureFetcher};
use crate::request::PictureUrl;

/// Who asks; nothing more is said.
const AGENT: &str = concat!("reverie/", env!("CARGO_PKG_VERSION"));
/// What is hoped for. What comes is told by its bytes.
const PICTURES: &str = "image/png,image/jpeg,image/webp,image/gif";
/// Of an answer; what is more is not read.
const MAX_HEADERS: usize = 64;
/// Bytes of an answer's head, and of what is read ahead of its body.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// Addresses of one name that are tried, one after another.
const MAX_ADDRESSES: usize = 4;

/// What a host answers.
pub(super) enum Reply {
    /// The file.
    File(Vec<u8>),
    /// Where to ask instead, as it was written.
    Elsewhere(String),
}

impl PictureFetcher {
    /// Asks for `url`.
    pub(super) async fn ask(
        &self,
        url: &PictureUrl,
        grow: &mut (impl FnMut(usize) -> bool + Send),
    ) -> Result<Reply, FetchError> {
        let addresses = self.addresses(url.host()).await?;
        let dialling = dial(&addresses, url.port());
        let stream = tokio::time::timeout(self.limits.connect_timeout, dialling).await;
        let stream = stream.map_err(|_elapsed| FetchError::Connection)??;
        if !url.is_secure() {
            return converse(stream, url, self.limits.max_bytes, grow).await;
        }
        let name = ServerName::try_from(server_name(&url.host())).map_err(|_| FetchError::Tls)?;
        let stream = self.tls.connect(name, stream).await.map_err(|_| FetchError::Tls)?;
        converse(stream, url, self.limits.max_bytes, grow).await
    }

    /// Every address of `host`, each of which may be dialled: one that may not says that the name is not to be
    /// trusted with the others.
    async fn addresses(&self, host: Host<&str>) -> Result<Vec<IpAddr>, FetchError> {
        let addresses = match host {
            Host::Domain(name) => self.lookup.addresses(name).await?,
            Host::Ipv4(address) => vec![address.into()],
            Host::Ipv6(address) => vec![address.into()],
        };
        if addresses.iter().all(|address| (self.may_dial)(*address)) {
            Ok(addresses)
        } else {
            Err(FetchError::NotPublic)
        }
    }
}

fn server_name(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

async fn dial(addresses: &[IpAddr], port: u16) -> Result<TcpStream, FetchError> {
    for address in addresses.iter().take(MAX_ADDRESSES) {
        if let Ok(stream) = TcpStream::connect(SocketAddr::new(*address, port)).await {
            return Ok(stream);
        }
    }
    Err(FetchError::Connection)
}

/// Asks by `stream`, which is closed afterwards.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    url: &PictureUrl,
    max_bytes: usize,
    grow: &mut (impl FnMut(usize) -> bool + Send),
) -> Result<Reply, FetchError> {
    let mut http = http1::Builder::new();
    http.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
    let handshake = http.handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| FetchError::Connection)?;
    let request = request(url)?;
    let mut reading = pin!(async {
        let response = sender.send_request(request).await.map_err(|_| FetchError::Connection)?;
        read(response, max_bytes, grow).await
    });
    tokio::select! {
        reply = &mut reading => reply,
        // What it left behind is still to be read.
        _ended = connection => reading.await,
    }
}

fn request(url: &PictureUrl) -> Result<Request<Empty<Bytes>>, FetchError> {
    let request = Request::get(url.target())
        .header(HOST, url.authority())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, PICTURES)
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::new());
    request.map_err(|_| FetchError::Connection)
}

async fn read(
    response: Response<Incoming>,
    max_bytes: usize,
    grow: &mut (impl FnMut(usize) -> bool + Send),
) -> Result<Reply, FetchError> {
    match response.status().as_u16() {
        200 => {}
        301 | 302 | 303 | 307 | 308 => return elsewhere(&response),
        status => return Err(FetchError::Status(status)),
    }
    let promised = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if promised
        .and_then(|text| text.parse().ok())
        .is_some_and(|length: u64| length > max_bytes as u64)
    {
        return Err(FetchError::TooLarge { limit: max_bytes });
    }
    let mut body = response.into_body();
    let mut file = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| FetchError::Connection)?;
        let Ok(data) = frame.into_data() else { continue }; // trailers
        let len = file.len() + data.len();
        if len > max_bytes {
            return Err(FetchError::TooLarge { limit: max_bytes });
        }
        if !grow(len) {
            return Err(FetchError::NoRoom);
        }
        file.extend_from_slice(&data);
    }
    Ok(Reply::File(file))
}

fn elsewhere(response: &Response<Incoming>) -> Result<Reply, FetchError> {
    let mut locations = response.headers().get_all(LOCATION).iter();
    match (locations.next(), locations.next()) {
        (Some(location), None) => match location.to_str() {
            Ok(location) => Ok(Reply::Elsewhere(location.to_owned())),
            Err(_) => Err(FetchError::Redirection),
        },
        (None | Some(_), _) => Err(FetchError::Redirection),
    }
}
